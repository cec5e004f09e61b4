//! One `--on EVENT=COMMAND`: the command, and the events that it handles.

use std::str::FromStr;

/// The events that commands can be run for.
const EVENTS: [&str; 8] = [
    "alive",
    "suspect",
    "confirmed",
    "departed",
    "leader",
    "config",
    "file",
    "isolated",
];
/// All events, also those that have no name here.
const ANY: &str = "*";

/// A command, and the event for which it runs: `EVENT=COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    event: &'static str,
    command: String,
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((event, command)) = text.split_once('=') else {
            return Err("write EVENT=COMMAND, as in confirmed=/etc/butterfly/page".to_owned());
        };
        let mut known = EVENTS.iter().chain([&ANY]);
        let Some(event) = known.find(|known| **known == event) else {
            return Err(format!(
                "{event:?} is none of the events {} and {ANY}",
                EVENTS.join(", ")
            ));
        };
        if command.trim().is_empty() {
            return Err("the command is missing".to_owned());
        }
        if command.contains('\0') {
            return Err("no command has a NUL in it".to_owned());
        }
        Ok(Hook {
            event,
            command: command.to_owned(),
        })
    }
}

impl Hook {
    pub fn event(&self) -> &'static str {
        self.event
    }

    pub fn command(&self) -> &str {
        &self.command
    }

    /// Whether it runs for events of this kind.
    pub fn wants(&self, kind: &str) -> bool {
        self.event == ANY || self.event == kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_at_the_first_equals_sign() {
        let hook: Hook = "alive=A=1 env | grep A=".parse().unwrap();
        assert_eq!(
            (hook.event(), hook.command()),
            ("alive", "A=1 env | grep A=")
        );
        assert!(hook.wants("alive") && !hook.wants("suspect"));
        let any: Hook = "*=true".parse().unwrap();
        assert!(any.wants("suspect") && any.wants("reconnected"));
        for text in [
            "",
            "alive",
            "dead=x",
            "alive=",
            "alive= ",
            "=x",
            "alive=a\0b",
            "Alive=x",
        ] {
            assert!(text.parse::<Hook>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn all_names_are_kinds_of_events() {
        for event in EVENTS {
            assert!(crate::events::is_kind(event), "{event}");
        }
    }
}
