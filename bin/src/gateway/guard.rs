//! Which requests are answered: those with a token; without a token, those of programs on this machine, but of no web
//! page; and on the listener for metrics all requests, for what says nothing of single members.
//!
//! A page that a browser on this machine shows can send requests to a loopback address. It cannot read the
//! answers, nor send JSON or leave its `Origin` out, unless its own host's name is made to mean 127.0.0.1 (DNS
//! rebinding): then the `Host` header still has that name.

use std::net::IpAddr;
use std::path::Path;

use subtle::ConstantTimeEq;

use super::answer::Answer;
use super::http::{Request, Site};
use crate::failure::Failure;
use crate::secret;

const MISSING: &str = "there is no such file: the gateway's token has to be there \
                       (\"openssl rand -hex 32\" prints a new one)";

/// Characters of a token at least.
const LEAST: usize = 16;

/// What a request must carry.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in this file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let fail = |why: &dyn std::fmt::Display| {
            Failure::failed(format_args!(
                "cannot read the token in {}: {why}",
                path.display()
            ))
        };
        let text = secret::read(path, MISSING).map_err(|why| fail(&why))?;
        let token = text.trim_start_matches('\u{feff}').trim();
        if (1..LEAST).contains(&token.len()) {
            return Err(fail(&format_args!(
                "{} characters are soon guessed: it needs {LEAST} or more, as \"openssl rand -hex 16\" makes them",
                token.len()
            )));
        }
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fail(
                &"it has to be one line of printable ASCII without spaces",
            ));
        }
        Ok(Token(token.to_owned()))
    }

    /// This one, for the fuzzers.
    pub(super) fn of(token: &str) -> Self {
        Token(token.to_owned())
    }

    /// The token itself.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Whether it is the same, in a time that does not tell where they differ.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// Lets requests through or not.
pub enum Guard {
    /// Programs on this machine may ask for everything.
    Local,
    /// Requests with the full token may do everything, and those with the other one may read.
    Tokens { full: Token, read: Option<Token> },
    /// Anybody may ask for what says nothing of single members, by whatever name.
    Public,
}

impl Guard {
    /// For who has the token, if there is one.
    pub fn new(token: Option<Token>, read: Option<Token>) -> Self {
        match token {
            Some(full) => Guard::Tokens { full, read },
            None => Guard::Local,
        }
    }

    /// Whether there is a token, which tells its holders from others.
    pub fn has_token(&self) -> bool {
        matches!(self, Guard::Tokens { .. })
    }

    /// Whether this request carries the full token. A request with the token for reading takes no place of those that are
    /// kept for the full one.
    pub fn has_proof(&self, request: &Request) -> bool {
        match (self, &request.bearer) {
            (Guard::Tokens { full, .. }, Some(bearer)) => full.is(bearer),
            _ => false,
        }
    }

    fn may_read(&self, bearer: &str) -> bool {
        matches!(self, Guard::Tokens { read: Some(read), .. } if read.is(bearer))
    }

    /// Whether only what says nothing of single members can be asked.
    pub fn is_public(&self) -> bool {
        matches!(self, Guard::Public)
    }

    /// Whether it is answered though there is a token, and it need not have it.
    pub fn is_strangers(&self, request: &Request) -> bool {
        matches!(self, Guard::Tokens { .. }) && request.wants_page()
    }

    /// Whether this request may be answered; the refusal if not.
    pub fn check(&self, request: &Request) -> Result<(), Answer> {
        match self {
            Guard::Local => {
                check_host(request)?;
                check_site(request)?;
            }
            Guard::Tokens { full, .. } => self.check_bearer(full, request)?,
            Guard::Public => {}
        }
        // Where nothing can be changed, that is said instead.
        if request.method == "POST" && !self.is_public() {
            self.check_change(request)?;
        }
        Ok(())
    }

    fn check_bearer(&self, full: &Token, request: &Request) -> Result<(), Answer> {
        // It asks for the token itself.
        if request.wants_page() {
            return Ok(());
        }
        let is_reading = matches!(request.method.as_str(), "GET" | "HEAD");
        let (status, message) = match &request.bearer {
            Some(bearer) if full.is(bearer) => return Ok(()),
            Some(bearer) if self.may_read(bearer) => {
                if is_reading {
                    return Ok(());
                }
                let message = "that token is for reading: what changes something needs the other one, of the member's \
                               --http-token-file";
                return Err(Answer::refusal(403, message.into()));
            }
            Some(_) => (
                401,
                "that is not the token of this gateway: it has another one in its --http-token-file",
            ),
            None => (
                401,
                "this gateway wants its token: Authorization: Bearer TOKEN (--http-token-file FILE)",
            ),
        };
        Err(Answer::refusal(status, message.into()).with_header("WWW-Authenticate", "Bearer"))
    }

    /// What changes something has to be what no web page of others can send (the routes see to the type of the body). The
    /// gateway's own page may, if a person gave it the full token.
    fn check_change(&self, request: &Request) -> Result<(), Answer> {
        let message = match request.site {
            Site::None => None,
            Site::Own if self.has_token() => None,
            Site::Own => Some(
                "the page may change something only at a member that has an --http-token-file, by that token",
            ),
            Site::Other => Some(
                "requests with an Origin header of another site come from its web pages, and those may change nothing",
            ),
        };
        if let Some(message) = message {
            return Err(Answer::refusal(403, message.into()));
        }
        Ok(())
    }
}

fn check_host(request: &Request) -> Result<(), Answer> {
    if request.host.as_deref().is_some_and(is_loopback) {
        return Ok(());
    }
    let message = "ask for it as localhost, 127.0.0.1 or [::1] in the Host header: other names are refused, so that \
                   no web page can ask";
    Err(Answer::refusal(403, message.into()))
}

/// A page of another site could not read an answer, but hold streams open that others need.
fn check_site(request: &Request) -> Result<(), Answer> {
    let is_changing = request.method == "POST";
    if request.site != Site::Other || is_changing || request.wants_page() {
        return Ok(());
    }
    let message = "a page of another site asks for this, and gets no answer: type the address, or give the member an \
                   --http-token-file";
    Err(Answer::refusal(403, message.into()))
}

/// Whether a `Host` header names this machine, whatever the port.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) => (name, port),
            None => return false,
        },
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    let is_name = name.eq_ignore_ascii_case("localhost");
    port_fits && (is_name || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::super::http::Content;
    use super::*;

    fn post() -> Request {
        Request {
            method: "POST".into(),
            path: "/v1/leave".into(),
            query: String::new(),
            host: Some("127.0.0.1:9631".into()),
            bearer: None,
            site: Site::None,
            takes_html: false,
            last_event_id: None,
            content: Content::Json,
            keep_alive: true,
            takes_chunks: true,
            body: Vec::new(),
        }
    }

    fn status(guard: &Guard, request: &Request) -> u16 {
        guard
            .check(request)
            .map_or_else(|answer| answer.status, |()| 200)
    }

    #[test]
    fn hosts_of_this_machine() {
        for host in [
            "localhost",
            "LocalHost:80",
            "127.0.0.1",
            "127.8.9.1:9631",
            "[::1]",
            "[::1]:9631",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "127.0.0.1:x",
            "localhost:99999",
            "user@localhost",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn no_web_page_changes_anything() {
        let guard = Guard::new(None, None);
        assert_eq!(status(&guard, &post()), 200);
        let host = Some("evil.example".into());
        assert_eq!(status(&guard, &Request { host, ..post() }), 403);
        assert_eq!(
            status(
                &guard,
                &Request {
                    host: None,
                    ..post()
                }
            ),
            403
        );
        assert_eq!(
            status(
                &guard,
                &Request {
                    site: Site::Other,
                    ..post()
                }
            ),
            403
        );
    }

    #[test]
    fn the_own_page_changes_something_by_the_full_token_alone() {
        let own = |bearer: Option<&str>| Request {
            site: Site::Own,
            bearer: bearer.map(str::to_owned),
            ..post()
        };
        assert_eq!(status(&Guard::new(None, None), &own(None)), 403);
        let guard = Guard::new(Some(Token::of("secret")), Some(Token::of("look")));
        assert_eq!(status(&guard, &own(None)), 401);
        assert_eq!(status(&guard, &own(Some("look"))), 403);
        assert_eq!(status(&guard, &own(Some("secret"))), 200);
    }

    #[test]
    fn the_page_is_open_where_there_is_a_token_and_closed_to_other_names_where_there_is_none() {
        let page = |host: &str| Request {
            method: "GET".into(),
            path: "/".into(),
            host: Some(host.into()),
            takes_html: true,
            ..post()
        };
        let guard = Guard::new(Some(Token::of("secret")), None);
        assert_eq!(status(&guard, &page("web-1:9631")), 200);
        assert_eq!(status(&Guard::new(None, None), &page("web-1:9631")), 403);
        assert_eq!(
            status(&Guard::new(None, None), &page("localhost:9631")),
            200
        );
        for request in [
            Request {
                takes_html: false,
                ..page("web-1")
            },
            Request {
                path: "/v1".into(),
                ..page("web-1")
            },
            Request {
                method: "POST".into(),
                ..page("web-1")
            },
        ] {
            assert_eq!(status(&guard, &request), 401, "{request:?}");
        }
    }

    #[test]
    fn no_web_page_reads_anything_by_another_name() {
        let get = Request {
            method: "GET".into(),
            host: Some("evil.example".into()),
            ..post()
        };
        assert_eq!(status(&Guard::new(None, None), &get), 403);
    }

    #[test]
    fn a_token_is_needed_where_there_is_one_and_makes_up_for_the_host() {
        let guard = Guard::new(Some(Token("secret".into())), None);
        let with = |bearer: &str, host: &str| Request {
            bearer: Some(bearer.into()),
            host: Some(host.into()),
            ..post()
        };
        assert_eq!(status(&guard, &post()), 401);
        assert_eq!(status(&guard, &with("secreT", "127.0.0.1")), 401);
        assert_eq!(status(&guard, &with("", "127.0.0.1")), 401);
        assert_eq!(status(&guard, &with("secret", "web-1:9631")), 200);
        assert_eq!(
            status(
                &guard,
                &Request {
                    site: Site::Other,
                    ..with("secret", "web-1")
                }
            ),
            403
        );
    }

    #[test]
    fn a_token_for_reading_changes_nothing() {
        let (full, read) = (Token("secret".into()), Token("look".into()));
        let guard = Guard::new(Some(full), Some(read));
        let with = |bearer: &str, method: &str| Request {
            bearer: Some(bearer.into()),
            method: method.into(),
            ..post()
        };
        for method in ["GET", "HEAD"] {
            assert_eq!(status(&guard, &with("look", method)), 200);
            assert_eq!(status(&guard, &with("secret", method)), 200);
            assert_eq!(status(&guard, &with("loo", method)), 401);
        }
        for method in ["POST", "PUT", "DELETE"] {
            assert_eq!(status(&guard, &with("look", method)), 403, "{method}");
        }
        assert_eq!(status(&guard, &with("secret", "POST")), 200);
        assert!(!guard.has_proof(&with("look", "GET")));
    }

    #[test]
    fn a_token_is_one_line_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let secret = "0123456789abcdef";
        std::fs::write(&path, format!("{secret}\n")).unwrap();
        assert_eq!(Token::read(&path).unwrap().secret(), secret);
        let (words, lines) = (format!("{secret} words"), format!("{secret}\nlines"));
        for text in ["", "\n", "short", &words, &lines] {
            std::fs::write(&path, text).unwrap();
            assert!(Token::read(&path).is_err(), "{text:?}");
        }
        assert!(Token::read(&dir.path().join("none")).is_err());
    }
}
