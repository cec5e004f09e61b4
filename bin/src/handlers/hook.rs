//! One `--on EVENT=COMMAND`: the command, and the events that it handles.

use std::str::FromStr;

use butterfly::rumor::is_event_name;

use crate::events::Says;

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
/// What stands before the name of a user event.
const USER: &str = "user:";
/// What stands before the name of a query, which its output answers.
const QUERY: &str = "query:";

/// Queries that members answer by themselves.
const BUILT_IN: [&str; 3] = ["ping", "state", "ring-key"];

/// A command, and the event for which it runs: `EVENT=COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    event: String,
    command: String,
    /// It does not run for what users of the ring say, though for all else.
    spares_users: bool,
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((event, command)) = text.split_once('=') else {
            return Err("write EVENT=COMMAND, as in confirmed=/etc/butterfly/page".to_owned());
        };
        let name = event.strip_prefix(USER).or(event.strip_prefix(QUERY));
        let is_user = name.is_some_and(is_event_name);
        if event
            .strip_prefix(QUERY)
            .is_some_and(|name| BUILT_IN.contains(&name))
        {
            return Err(format!(
                "{event}: members answer that by themselves; choose another name"
            ));
        }
        if !is_user && event != ANY && !EVENTS.contains(&event) {
            return Err(format!(
                "{event:?} is none of the events {}, {USER}NAME, {QUERY}NAME and {ANY}",
                EVENTS.join(", ")
            ));
        }
        if command.trim().is_empty() {
            return Err("the command is missing".to_owned());
        }
        if command.contains('\0') {
            return Err("no command has a NUL in it".to_owned());
        }
        Ok(Hook {
            event: event.to_owned(),
            command: command.to_owned(),
            spares_users: false,
        })
    }
}

impl Hook {
    pub fn event(&self) -> &str {
        &self.event
    }

    pub fn command(&self) -> &str {
        &self.command
    }

    /// Whether it runs for what users of the ring say, and has their payload on its standard input.
    pub fn is_for_users(&self) -> bool {
        self.event.starts_with(USER) || self.answers()
    }

    /// The same, but for what users of the ring say, if it runs for all events: anybody may be one of them.
    pub fn spare_users(mut self) -> Self {
        self.spares_users = self.event == ANY;
        self
    }

    /// Whether its output answers a query.
    pub fn answers(&self) -> bool {
        self.event.starts_with(QUERY)
    }

    /// Whether it runs for such events.
    pub fn wants(&self, says: &Says) -> bool {
        let is_of =
            |kind: &str, name: &str| says.kind == kind && says.user_event.as_deref() == Some(name);
        if let Some(name) = self.event.strip_prefix(USER) {
            return is_of("user", name);
        }
        if let Some(name) = self.event.strip_prefix(QUERY) {
            return is_of("query", name);
        }
        if self.spares_users && matches!(&*says.kind, "user" | "query") {
            return false;
        }
        self.event == ANY || self.event == says.kind
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
        let says = |kind: &str, user_event: Option<&str>| Says {
            kind: kind.to_owned(),
            user_event: user_event.map(str::to_owned),
            ..Says::default()
        };
        let wants = |hook: &Hook, kind| hook.wants(&says(kind, None));
        assert!(wants(&hook, "alive") && !wants(&hook, "suspect"));
        let any: Hook = "*=true".parse().unwrap();
        assert!(wants(&any, "suspect") && wants(&any, "reconnected"));
        assert!(wants(&any, "user") && wants(&any, "query"));
        let sparing = any.clone().spare_users();
        assert!(!wants(&sparing, "user") && !wants(&sparing, "query") && wants(&sparing, "alive"));
        assert_eq!(hook.clone().spare_users(), hook);
        assert!(!hook.is_for_users() && !any.is_for_users());
        let user: Hook = "user:web:deploy=A=1 true".parse().unwrap();
        assert_eq!(
            (user.event(), user.is_for_users()),
            ("user:web:deploy", true)
        );
        assert!(user.wants(&says("user", Some("web:deploy"))));
        let query: Hook = "query:load=uptime".parse().unwrap();
        assert!(query.answers() && query.is_for_users() && !user.answers());
        assert!(query.wants(&says("query", Some("load"))));
        assert!(!query.wants(&says("user", Some("load"))));
        assert!(!user.wants(&says("user", Some("deploy"))) && !wants(&user, "user"));
        for text in [
            "",
            "alive",
            "dead=x",
            "alive=",
            "alive= ",
            "=x",
            "alive=a\0b",
            "Alive=x",
            "user=x",
            "query:=x",
            "query:state=x",
            "user:=x",
            "user:a b=x",
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
