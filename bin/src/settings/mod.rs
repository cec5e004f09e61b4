//! Where the settings of `run` come from: flags, the environment, the file of `--config`, and defaults, in this order. The
//! flags declare what settings there are, and what they take.

mod file;
mod keys;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command, RunArgs};
use crate::failure::Failure;
use keys::meant;
pub use keys::{Key, Kind, keys, run_command};

/// What the names of all variables begin with.
const PREFIX: &str = "BUTTERFLY_";
/// The variable that says where the file is.
pub const CONFIG: &str = "BUTTERFLY_CONFIG";
/// The usual variable for what is logged.
const RUST_LOG: &str = "RUST_LOG";

/// The variables that matter, as they were at the start.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// What a variable is set to. An empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }

    /// Variables that look like a setting's, but are none: a line about each. Others may be for other programs.
    fn misspelt(&self, keys: &[Key]) -> Vec<String> {
        let mut known: Vec<String> = keys.iter().map(Key::variable).collect();
        known.push(CONFIG.to_owned());
        let others = self
            .0
            .keys()
            .filter(|name| name.starts_with(PREFIX) && !known.contains(name));
        let bare = |name: &str| name.trim_start_matches(PREFIX).to_owned();
        let known: Vec<String> = known.iter().map(|name| bare(name)).collect();
        let suggest = |name: &String| {
            let meant = meant(&bare(name), known.iter().map(String::as_str))?;
            let variable = format!("{PREFIX}{meant}");
            let key = keys.iter().find(|key| key.variable() == variable);
            let meant = match key.filter(|key| key.kind == Kind::List) {
                Some(list) => format!("--{}, which no variable can give", list.name),
                None => variable,
            };
            Some(format!(
                "{name} is set, and is no setting: did you mean {meant}?"
            ))
        };
        others.filter_map(suggest).collect()
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let named = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let ours = |name: &str| name.starts_with(PREFIX) || name == RUST_LOG;
        Environment(
            named
                .filter(|(name, value)| ours(name) && !value.is_empty())
                .collect(),
        )
    }
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag,
    /// The variable of this name.
    Variable(String),
    /// This line of the file.
    File(usize),
    Default,
}

/// The settings of a member that is to run.
#[derive(Clone, Debug)]
pub struct Settings {
    pub args: RunArgs,
    /// What the log is to warn of.
    pub warnings: Vec<String>,
    file: Option<PathBuf>,
    set: Vec<Setting>,
    source: Source,
}

/// A setting as it was found.
#[derive(Clone, Debug)]
struct Setting {
    key: Key,
    origin: Origin,
    /// None: it is not set, and has no default that is written down.
    values: Vec<OsString>,
}

/// What the settings are made from: the same again, later, reads the file again.
#[derive(Clone, Debug)]
struct Source {
    line: Vec<OsString>,
    environment: Environment,
}

impl Settings {
    /// Those of a `run` with this command line, program first.
    pub fn new(line: Vec<OsString>, environment: Environment) -> Result<Self, Failure> {
        let source = Source { line, environment };
        let line = Cli::command().try_get_matches_from(&source.line);
        let line = line.map_err(|error| misuse(&error))?;
        let given = line.subcommand_matches("run").ok_or_else(no_run)?;
        let keys = keys();
        let path = given.get_one::<PathBuf>("config").cloned();
        let path = path.or_else(|| source.environment.get(CONFIG).map(PathBuf::from));
        let entries = path
            .as_deref()
            .map(|path| file::read(path, &keys))
            .transpose()?;
        let entries = entries.unwrap_or_default();

        let mut set = Vec::new();
        for key in &keys {
            let variable = from_variable(key, &source.environment)?;
            let (origin, values) = if is_flag(given, key) {
                (Origin::Flag, Vec::new())
            } else if let Some((name, value)) = variable {
                (Origin::Variable(name), value)
            } else if let Some(entry) = entries.iter().find(|entry| entry.key == key.name) {
                (Origin::File(entry.line), entry.values.clone())
            } else {
                (Origin::Default, Vec::new())
            };
            let key = key.clone();
            set.push(Setting {
                key,
                origin,
                values,
            });
        }

        // What was found elsewhere stands before the flags, so that it is read by the same rules.
        let found = set
            .iter()
            .filter(|it| it.origin != Origin::Variable(RUST_LOG.into()));
        let found = found.flat_map(|it| it.values.iter().map(|value| it.key.flag(value)));
        let mut line = source.line.clone();
        line.splice(2..2, found.collect::<Vec<_>>());
        let matches = Cli::command().try_get_matches_from(line);
        let matches = matches.map_err(|error| misuse(&error))?;
        if let Some((_, all)) = matches.subcommand() {
            let read = |it: &&mut Setting| it.origin != Origin::Variable(RUST_LOG.into());
            for setting in set.iter_mut().filter(read) {
                let raw = all.get_raw(&setting.key.id);
                setting.values = raw.map_or(Vec::new(), |raw| raw.map(OsString::from).collect());
            }
        }
        let args = match Cli::from_arg_matches(&matches).map(|cli| cli.command) {
            Ok(Command::Run(args)) => *args,
            Ok(_) => return Err(no_run()),
            Err(error) => return Err(misuse(&error)),
        };
        Ok(Settings {
            args,
            warnings: source.environment.misspelt(&keys),
            file: path,
            set,
            source,
        })
    }

    /// Reads the file again: the same flags, the same environment.
    pub fn read_again(&self) -> Result<Self, Failure> {
        Settings::new(self.source.line.clone(), self.source.environment.clone())
    }

    /// The file that some may come from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        self.set.iter().find(|setting| setting.key.name == name)
    }

    pub fn origin(&self, name: &str) -> Origin {
        self.setting(name)
            .map_or(Origin::Default, |it| it.origin.clone())
    }

    /// What a message calls a setting: where the operator has written it, or could.
    pub fn called(&self, name: &str) -> String {
        match self.origin(name) {
            Origin::Flag | Origin::Default => format!("--{name}"),
            Origin::Variable(variable) => variable,
            Origin::File(line) => format!("{}, line {line}: {name}", self.file_name()),
        }
    }

    fn file_name(&self) -> String {
        let file = self.file.as_deref();
        file.map_or(String::new(), |file| file.display().to_string())
    }

    /// The names of the settings that differ in these.
    pub fn changed<'a>(&'a self, other: &'a Settings) -> impl Iterator<Item = &'a str> {
        let both = self.set.iter().zip(&other.set);
        both.filter(|(one, other)| one.values != other.values)
            .map(|(one, _)| one.key.name.as_str())
    }

    /// These as they are in effect in a member that started with `first`: what is not among `at_once` waits for the next
    /// start.
    pub fn in_effect(&self, first: &Settings, at_once: &[&str]) -> Self {
        let mut settings = self.clone();
        for (setting, first) in settings.set.iter_mut().zip(&first.set) {
            if setting.values != first.values && !at_once.contains(&&*setting.key.name) {
                *setting = first.clone();
            }
        }
        settings
    }

    /// All settings as a file would have them, each with where it comes from; `defaults` knows those that depend on others.
    pub fn print(&self, defaults: impl Fn(&str) -> Option<String>) -> String {
        let mut text =
            String::from("# The settings of \"butterfly run\", and where each comes from.\n");
        for setting in &self.set {
            let origin = match &setting.origin {
                Origin::Flag => format!("--{}", setting.key.name),
                Origin::Variable(variable) => variable.clone(),
                Origin::File(line) => format!("{}, line {line}", self.file_name()),
                Origin::Default => "default".to_owned(),
            };
            let name = &setting.key.name;
            let computed = || defaults(name).map(OsString::from);
            let values = match setting.values.as_slice() {
                [] => Vec::from_iter(computed()),
                values => values.to_vec(),
            };
            // Writing to a String cannot fail.
            let _ = match (values.as_slice(), setting.key.kind) {
                ([], _) if setting.origin == Origin::Default => writeln!(text, "# {name}: not set"),
                // It says of which module, which a level in the file cannot.
                (values, kind) if setting.origin == Origin::Variable(RUST_LOG.into()) => {
                    writeln!(text, "# {name}: {} # {origin}", written(values, kind))
                }
                (values, kind) => {
                    let value = written(values, kind);
                    let line = format!("{name} = {value}");
                    writeln!(text, "{line:<40} # {origin}")
                }
            };
        }
        text
    }
}

/// What is wrong with a command line, in one line.
fn misuse(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    Failure::usage(first.trim_start_matches("error: "))
}

fn no_run() -> Failure {
    Failure::usage("the command is not \"run\"")
}

/// A value in TOML.
fn written(values: &[OsString], kind: Kind) -> String {
    let texts = values.iter().map(|value| value.to_string_lossy());
    match kind {
        Kind::Switch | Kind::Number => texts.collect(),
        Kind::Text => texts.map(|text| quoted(&text)).collect(),
        Kind::List => {
            let quoted: Vec<_> = texts.map(|text| quoted(&text)).collect();
            format!("[{}]", quoted.join(", "))
        }
    }
}

/// A text in TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_flag(given: &ArgMatches, key: &Key) -> bool {
    given.value_source(&key.id) == Some(ValueSource::CommandLine)
}

/// What the environment says of a setting: the name of the variable, and its value.
fn from_variable(
    key: &Key,
    environment: &Environment,
) -> Result<Option<(String, Vec<OsString>)>, Failure> {
    let name = key.variable();
    let Some(value) = environment.get(&name) else {
        let usual = environment.get(RUST_LOG).filter(|_| key.name == "log");
        return Ok(usual.map(|value| (RUST_LOG.to_owned(), vec![value.clone()])));
    };
    if key.kind == Kind::List {
        return Err(Failure::usage(format_args!(
            "{name} is set, but a list can only be given by --{0}, several times, or by {0} = [\"…\", \"…\"] in the file of \
             --config",
            key.name
        )));
    }
    let checked = key.check(value);
    checked.map_err(|why| Failure::usage(format_args!("{name}: {why}")))?;
    Ok(Some((name, vec![value.clone()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter();
        variables
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect()
    }

    fn settings(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        let line = ["butterfly", "run"].iter().chain(flags).map(OsString::from);
        Settings::new(line.collect(), environment(variables))
    }

    /// A file with this text, as the value of a flag.
    fn file(text: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let flag = format!("--config={}", file.path().display());
        (file, flag)
    }

    /// Two values of each setting that differ from its default.
    const EXAMPLES: [(&str, &str, &str); 26] = [
        ("listen", "10.0.0.7:1", "[::1]:2"),
        ("advertise", "10.0.0.7:3", "10.0.0.8:4"),
        ("gossip-port", "5", "6"),
        ("peer", "a:1", "b:2"),
        ("peer-file", "/etc/peers", "/run/peers"),
        ("permanent-peer", "true", "false"),
        ("ring-key", "a.sym.key", "b.sym.key"),
        ("ring", "prod", "test"),
        ("name", "amber", "birch"),
        ("tag", "zone=eu", "role=web"),
        (
            "id",
            "1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d",
            "00000000000000000000000000000001",
        ),
        ("forget-dead-after", "1h", "2h"),
        ("data-dir", "/a", "/b"),
        ("store-limit", "1MiB", "2MiB"),
        ("timing", "wan", "local"),
        ("set", "period=4s", "timeout=1s"),
        ("http", "127.0.0.1:7", "none"),
        ("http-token-file", "/t", "/u"),
        ("http-read-token-file", "/r", "/s"),
        ("metrics", "127.0.0.1:8", "[::1]:9"),
        ("on", "alive=true", "*=A=1 env"),
        ("unsafe-handlers", "true", "false"),
        ("record", "/v", "/w"),
        ("record-max", "2MiB", "3GiB"),
        ("log", "debug", "warn"),
        ("log-format", "json", "journal"),
    ];

    fn examples() -> impl Iterator<Item = (Key, &'static str, &'static str)> {
        let known = keys();
        EXAMPLES.into_iter().map(move |(name, one, other)| {
            let key = known.iter().find(|key| key.name == name);
            (
                key.unwrap_or_else(|| panic!("no {name}")).clone(),
                one,
                other,
            )
        })
    }

    #[test]
    fn every_setting_can_be_given_in_every_way_and_the_nearest_one_counts() {
        let tried: Vec<_> = examples().map(|(key, ..)| key.name).collect();
        let all: Vec<_> = keys().into_iter().map(|key| key.name).collect();
        assert_eq!(tried, all, "each setting has its row in EXAMPLES");
        for (key, one, other) in examples() {
            let (name, variable) = (&key.name, key.variable());
            let flag = |value: &str| format!("--{name}={value}");
            let (_kept, config) = file(&format!("{name} = {}", written(&[one.into()], key.kind)));
            let default = settings(&[], &[]).unwrap();
            assert_eq!(default.origin(name), Origin::Default);

            let by_flag = settings(&[&flag(one)], &[]).unwrap();
            assert_eq!(by_flag.origin(name), Origin::Flag);
            assert_eq!(by_flag.changed(&default).collect::<Vec<_>>(), [name]);
            let by_file = settings(&[&config], &[]).unwrap();
            assert_eq!(by_file.origin(name), Origin::File(1));
            assert_eq!(by_file.changed(&by_flag).count(), 0, "{name}");
            let both = settings(&[&config, &flag(other)], &[]).unwrap();
            assert_eq!(both.origin(name), Origin::Flag);
            assert_eq!(both.changed(&by_file).collect::<Vec<_>>(), [name]);
            if key.kind == Kind::List {
                let error = settings(&[], &[(&variable, one)]).unwrap_err().to_string();
                assert!(
                    error.contains(&variable) && error.contains(&format!("--{name}, several")),
                    "{error}"
                );
                continue;
            }
            let by_variable = settings(&[], &[(&variable, one)]).unwrap();
            assert_eq!(by_variable.origin(name), Origin::Variable(variable.clone()));
            assert_eq!(by_variable.changed(&by_flag).count(), 0, "{name}");
            let over_file = settings(&[&config], &[(&variable, other)]).unwrap();
            assert_eq!(over_file.changed(&both).count(), 0, "{name}");
            let all = settings(&[&config, &flag(other)], &[(&variable, one)]).unwrap();
            assert_eq!(all.origin(name), Origin::Flag);
            assert_eq!(all.changed(&both).count(), 0, "{name}");
        }
    }

    #[test]
    fn what_is_printed_is_a_file_that_says_the_same() {
        let (_kept, config) =
            file("name = \"a\\\"b\\\\c\"\npeer = [\"a:1\", \"b:2\"]\ntiming = \"wan\"");
        let flags = [&config, "--permanent-peer", "--gossip-port=7"];
        let before = settings(&flags, &[("BUTTERFLY_HTTP", "none")]).unwrap();
        let printed = before.print(|name| (name == "listen").then(|| "127.0.0.1:9638".into()));
        for line in [
            "peer = [\"a:1\", \"b:2\"]                    # /",
            "permanent-peer = true                    # --permanent-peer",
            "http = \"none\"                            # BUTTERFLY_HTTP",
            "listen = \"127.0.0.1:9638\"                # default",
            "# advertise: not set",
        ] {
            assert!(printed.contains(line), "{line}\n{printed}");
        }
        assert!(printed.contains(", line 2\n"), "{printed}");
        let (_kept, config) = file(&printed);
        let after = settings(&[&config], &[]).unwrap();
        assert_eq!(after.changed(&before).collect::<Vec<_>>(), ["listen"]);
    }

    #[test]
    fn an_error_names_where_the_value_stands() {
        let (kept, config) = file("\ntiming = \"warp\"");
        let path = kept.path().display().to_string();
        for (flags, variables, parts) in [
            (
                &[config.as_str()][..],
                &[][..],
                &[path.as_str(), "line 2: timing: ", "\"warp\"", "lan"][..],
            ),
            (
                &[],
                &[("BUTTERFLY_TIMING", "warp")],
                &["BUTTERFLY_TIMING: ", "\"warp\"", "lan"],
            ),
            (
                &[],
                &[("BUTTERFLY_STORE_LIMIT", "1")],
                &["BUTTERFLY_STORE_LIMIT: ", "64KiB"],
            ),
            (
                &[],
                &[("BUTTERFLY_PERMANENT_PEER", "yes")],
                &["BUTTERFLY_PERMANENT_PEER: ", "true"],
            ),
            (&["--timing=warp"], &[], &["--timing"]),
            (
                &["--config=/nowhere/x.toml"],
                &[],
                &["/nowhere/x.toml", "No such file"],
            ),
            (
                &[],
                &[("BUTTERFLY_CONFIG", "/nowhere/x.toml")],
                &["/nowhere/x.toml"],
            ),
        ] {
            let error = settings(flags, variables).unwrap_err().to_string();
            let missing = parts.iter().find(|part| !error.contains(**part));
            assert_eq!(missing, None, "{error}");
        }
    }

    #[test]
    fn the_file_may_be_named_by_the_environment_and_an_empty_variable_is_none() {
        let (kept, _) = file("name = \"amber\"");
        let path = kept.path().to_str().unwrap();
        let variables = [("BUTTERFLY_CONFIG", path), ("BUTTERFLY_NAME", "")];
        let settings = settings(&[], &variables).unwrap();
        assert_eq!(settings.args.name, "amber");
        assert_eq!(settings.called("name"), format!("{path}, line 1: name"));
    }

    #[test]
    fn a_variable_that_is_almost_a_setting_is_warned_of() {
        let warned = |name| settings(&[], &[(name, "x")]).unwrap().warnings;
        assert_eq!(
            warned("BUTTERFLY_LISTN"),
            ["BUTTERFLY_LISTN is set, and is no setting: did you mean BUTTERFLY_LISTEN?"]
        );
        // As Kubernetes sets them for a service of this name.
        for name in ["BUTTERFLY_SERVICE_HOST", "BUTTERFLY_PORT_9638_UDP_ADDR"] {
            assert!(warned(name).is_empty(), "{:?}", warned(name));
        }
    }

    #[test]
    fn rust_log_counts_below_the_variable_and_above_the_file() {
        let (_kept, config) = file("log = \"warn\"");
        let both = [("RUST_LOG", "butterfly=trace"), ("BUTTERFLY_LOG", "error")];
        let over_file = settings(&[&config], &both[..1]).unwrap();
        assert_eq!(over_file.args.log, None);
        assert_eq!(over_file.origin("log"), Origin::Variable("RUST_LOG".into()));
        // No file may say so.
        let printed = over_file.print(|_| None);
        assert!(
            printed.contains("\n# log: \"butterfly=trace\" # RUST_LOG\n"),
            "{printed}"
        );
        let below = settings(&[&config], &both).unwrap();
        assert_eq!(below.args.log.as_deref(), Some("error"));
    }

    #[test]
    fn a_switch_that_the_file_turns_on_can_be_turned_off() {
        let (_kept, config) = file("permanent-peer = true");
        assert!(settings(&[&config], &[]).unwrap().args.permanent_peer);
        assert!(
            !settings(&[&config, "--permanent-peer=false"], &[])
                .unwrap()
                .args
                .permanent_peer
        );
    }
}
