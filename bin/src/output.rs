//! Standard output, where data goes, and what makes text fit to be shown there.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use butterfly::text::{is_hidden, visible};
use butterfly::{ElectionStatus, MemberId, Rumor, RumorId, RumorKind};

use crate::failure::Failure;

/// Writes the text to standard output at once.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Writes the bytes to standard output at once, whatever they are.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::reader_gone()),
        Err(error) => Err(Failure::failed(format_args!(
            "cannot write to standard output: {error}"
        ))),
    }
}

/// Writes a body that others wrote to standard output at once: as it is, unless people are to read it there.
pub fn print_body(bytes: &[u8]) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        print(&shown_body(bytes))
    } else {
        print_bytes(bytes)
    }
}

/// The lines of a body, with their tabs, as people may see them.
fn shown_body(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = |line: &str| line.split('\t').map(visible).collect::<Vec<_>>().join("\t");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A message about the command line, which repeats some of it: the arguments in it as people may see them.
pub fn with_args_shown(message: &str, args: impl Iterator<Item = String>) -> String {
    args.filter(|arg| arg.contains(is_hidden))
        .fold(message.to_owned(), |message, arg| {
            let value = arg.split_once('=').map(|(_, value)| value);
            let message = message.replace(&arg, &visible(&arg));
            value
                .filter(|value| !value.is_empty())
                .map_or(message.clone(), |value| {
                    message.replace(value, &visible(value))
                })
        })
}

/// Writes one line to standard output at once.
pub fn print_line(line: &str) -> Result<(), Failure> {
    print(&format!("{line}\n"))
}

/// Writes one line of talk to standard error, whatever texts are in it; nobody need listen.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(line));
}

/// Whether colours are wanted (<https://no-color.org>) on a stream that is a terminal, or not.
pub fn colours_wanted(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !refused && !dumb && stream.is_terminal()
}

/// The first eight digits of an id: what people tell members apart by.
pub fn short_id(id: MemberId) -> String {
    format!("{id:.8}")
}

/// A member as people are told of it: `web-2 (1a2b3c4d)`, or the short id alone if it has no name.
pub fn who(name: &str, id: MemberId) -> String {
    if name.is_empty() {
        short_id(id)
    } else {
        format!("{} ({})", visible(name), short_id(id))
    }
}

/// A rumor as people are told of it.
pub fn rumor(id: &RumorId) -> String {
    match id.kind {
        RumorKind::Service => format!("service {} of {:.8}", id.key, id.id),
        RumorKind::ServiceFile => format!("file {} of {}", visible(&id.id), id.key),
        RumorKind::ServiceConfig => format!("configuration of {}", id.key),
        RumorKind::Election | RumorKind::ElectionUpdate => format!("{} of {}", id.kind, id.key),
        RumorKind::Departure => format!("departure for good of {:.8}", id.id),
        RumorKind::Tags => format!("tags of {:.8}", id.id),
        RumorKind::UserEvent => format!("event of {:.8}", id.id),
        RumorKind::Forgotten => format!("forgotten members, by {:.8}", id.id),
        kind => format!("{kind} {} {}", visible(&id.key), visible(&id.id)),
    }
}

/// How far an election is that nobody has won yet.
pub fn how_far(rumor: &Rumor) -> Option<String> {
    let (Rumor::Election(election) | Rumor::ElectionUpdate(election)) = rumor else {
        return None;
    };
    let term = election.term;
    match election.status {
        ElectionStatus::Running => {
            let votes = count(election.votes.len(), "vote");
            Some(format!("{votes} in term {term}"))
        }
        ElectionStatus::NoQuorum => Some(format!(
            "no quorum in term {term}: too few of the group are alive"
        )),
        _ => None,
    }
}

/// How long something took, or may take: `0s`, `1.5s`, `20ms`.
pub fn span(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    format!("{duration:?}")
}

/// So many of something: `1 ping`, `2 pings`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_a_body_line_by_line() {
        assert_eq!(
            shown_body(b"port = 1\n\thost = \"a\"\n"),
            "port = 1\n\thost = \"a\"\n"
        );
        assert_eq!(shown_body(b"\x1b[2J\r\n\xff"), "\\u{1b}[2J\\r\n\u{fffd}");
        assert_eq!(
            shown_body("\u{202e}1 = trop".as_bytes()),
            r"\u{202e}1 = trop"
        );
    }

    #[test]
    fn what_a_script_put_into_the_command_line_is_shown_as_what_it_is() {
        let args = ["butterfly", "config", "red\nERROR x", "--name=a\u{202e}b"];
        let message = "error: invalid value 'red\nERROR x'\nand 'a\u{202e}b'\n";
        assert_eq!(
            with_args_shown(message, args.into_iter().map(str::to_owned)),
            "error: invalid value 'red\\nERROR x'\nand 'a\\u{202e}b'\n"
        );
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(count(1, "ping"), "1 ping");
        assert_eq!(count(0, "ping"), "0 pings");
    }

    #[test]
    fn no_time_has_a_unit_that_people_write() {
        assert_eq!(span(Duration::ZERO), "0s");
        assert_eq!(span(Duration::from_millis(1_500)), "1.5s");
    }

    #[test]
    fn a_member_without_a_name_goes_by_its_id() {
        let id = MemberId::from_bytes([0xab; 16]);
        assert_eq!(who("", id), "abababab");
        assert_eq!(who("web", id), "web (abababab)");
    }
}
