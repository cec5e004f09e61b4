//! The native half of the Python module `butterfly`: a member without a loop. `python/butterfly` makes it at home in asyncio.

mod errors;
mod events;
mod member;

use pyo3::prelude::*;

/// A member of a ring, to be driven by a loop.
#[pymodule]
fn _butterfly(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<member::Member>()?;
    errors::add(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
