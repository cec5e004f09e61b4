//! The settings of `run`, as its command line declares them: there is no other list.

use std::any::TypeId;
use std::error::Error;
use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::cli::Cli;

/// Flags of `run` that are no settings: `config` says where settings are, the others end at once.
const NO_SETTINGS: [&str; 4] = ["config", "print-config", "help", "version"];
/// How much alike a word and a name are, 0 to 1, for the name to be suggested.
const ALIKE: f64 = 0.75;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// true or false.
    Switch,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// Several texts.
    List,
}

/// A setting.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name in the file, and behind `--`.
    pub name: String,
    pub kind: Kind,
    /// The name by which clap knows it.
    pub id: String,
}

impl Key {
    fn of(arg: &Arg) -> Option<Self> {
        let name = arg.get_long()?;
        let takes = |it: TypeId| arg.get_value_parser().type_id() == it;
        let kind = match arg.get_action() {
            ArgAction::Append => Kind::List,
            ArgAction::Set if takes(TypeId::of::<bool>()) => Kind::Switch,
            ArgAction::Set if takes(TypeId::of::<u16>()) => Kind::Number,
            ArgAction::Set => Kind::Text,
            _ => return None,
        };
        (!NO_SETTINGS.contains(&name)).then(|| Key {
            name: name.to_owned(),
            kind,
            id: arg.get_id().to_string(),
        })
    }

    /// Its name in the environment.
    pub fn variable(&self) -> String {
        format!("BUTTERFLY_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Its flag with this value.
    pub fn flag(&self, value: &OsStr) -> OsString {
        let mut flag = OsString::from(format!("--{}=", self.name));
        flag.push(value);
        flag
    }

    /// What is wrong with this value, if something is, as far as that can be told of it alone.
    pub fn check(&self, value: &OsStr) -> Result<(), String> {
        let mut run = run_command().no_binary_name(true);
        let Err(error) = run.try_get_matches_from_mut([self.flag(value)]) else {
            return Ok(());
        };
        let shown = value.to_string_lossy();
        match error.kind() {
            ErrorKind::ValueValidation => {
                let why = error.source().map_or(String::new(), |it| format!(": {it}"));
                Err(format!("invalid value {shown:?}{why}"))
            }
            ErrorKind::InvalidValue => {
                let known = match error.get(ContextKind::ValidValue) {
                    Some(ContextValue::Strings(known)) if !known.is_empty() => known.join(", "),
                    _ => return Err(format!("invalid value {shown:?}")),
                };
                Err(format!("invalid value {shown:?}: write one of {known}"))
            }
            ErrorKind::InvalidUtf8 => Err(format!("invalid value {shown:?}: it is no UTF-8")),
            _ => Err(format!("invalid value {shown:?}")),
        }
    }
}

/// The command line of `run`.
pub fn run_command() -> Command {
    let cli = Cli::command();
    let run = cli.find_subcommand("run");
    run.cloned().unwrap_or_default()
}

/// All settings, in the order of the help.
pub fn keys() -> Vec<Key> {
    run_command().get_arguments().filter_map(Key::of).collect()
}

/// The name that was probably meant.
pub fn meant<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |name: &str| strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase());
    let best = names
        // The end of a longer word is no misspelt short one.
        .filter(|name| name.len() * 2 >= word.len())
        .map(|name| (alike(name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    Some(best.1)
}
