//! What goes wrong, as Python's exceptions. Arguments that do not read are ValueErrors.

use std::fmt::Display;

use engine::CommandError;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

create_exception!(butterfly, Error, PyException, "What this module raises.");
create_exception!(
    butterfly,
    StartError,
    Error,
    "A member cannot start: an address, its data directory, or the system is in the way."
);
create_exception!(
    butterfly,
    RefusedError,
    Error,
    "A command makes no sense now, or there is no room for what it brings."
);
create_exception!(butterfly, ClosedError, Error, "The member was closed.");

/// Adds them to the module.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let python = module.py();
    module.add("Error", python.get_type::<Error>())?;
    module.add("StartError", python.get_type::<StartError>())?;
    module.add("RefusedError", python.get_type::<RefusedError>())?;
    module.add("ClosedError", python.get_type::<ClosedError>())
}

/// A command was refused.
pub fn refused(error: CommandError) -> PyErr {
    RefusedError::new_err(error.to_string())
}

/// An argument does not read.
pub fn bad(name: &str, error: impl Display) -> PyErr {
    PyValueError::new_err(format!("{name}: {error}"))
}
