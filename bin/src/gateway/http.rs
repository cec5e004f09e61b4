//! HTTP/1.1 as far as the gateway needs it: bytes in, a request or a refusal out; an answer in, bytes out.

use std::ops::Range;

use httparse::Status;

use super::answer::{Answer, Body};

/// The largest request that is read without asking whether there is room, head and body together, bytes.
const MAX_REQUEST: usize = 16 * 1024;
/// The most header lines in a request.
const MAX_HEADERS: usize = 64;

/// A request, read whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What follows the `?`, encoded.
    pub query: String,
    pub host: Option<String>,
    /// What follows `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// On behalf of which page a browser asks.
    pub site: Site,
    /// It would rather have HTML than anything else.
    pub takes_html: bool,
    /// The last event that it has of a stream.
    pub last_event_id: Option<String>,
    /// What its body is said to be.
    pub content: Content,
    /// The connection is meant to stay open.
    pub keep_alive: bool,
    /// It can take a body in chunks (HTTP/1.1).
    pub takes_chunks: bool,
    pub body: Vec<u8>,
}

/// On behalf of which page a browser asks, by what it says in `Origin` and `Sec-Fetch-Site`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// No page: a program asks, or a person who typed the address.
    None,
    /// One of this gateway's.
    Own,
    /// One of another site.
    Other,
}

impl Request {
    /// A browser asks for the page itself, which says nothing of the ring.
    pub fn wants_page(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD") && self.path == "/" && self.takes_html
    }
}

/// What a body is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Json,
    /// `application/octet-stream`
    Bytes,
    /// Nothing is said, or something else.
    Other,
}

/// What the bytes at hand amount to.
#[derive(Debug)]
pub enum Parsed {
    /// More has to come.
    Partial,
    /// The head is there, and the client waits to be told that its body is wanted (RFC 9110, 10.1.1).
    Expecting,
    /// A request that took that many bytes.
    Whole(Request, usize),
    /// Nothing that makes sense, or too much; what follows cannot be told apart from it.
    Refused(Answer),
}

/// Reads the request at the beginning of these bytes. If its body is not a small one, `room` says how many
/// bytes the body may have, or why the request is refused, as soon as its head is there.
pub fn parse(bytes: &[u8], room: impl FnOnce(&Request) -> Result<usize, Answer>) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let head_length = match head.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < MAX_REQUEST => return Parsed::Partial,
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Parsed::Refused(Answer::refusal(
                431,
                format!(
                    "too many or too long headers: {MAX_HEADERS} lines and {MAX_REQUEST} bytes at most"
                ),
            ));
        }
        Err(error) => return Parsed::Refused(Answer::refusal(400, format!("not HTTP: {error}"))),
    };
    match read_head(&head) {
        Err(refusal) => Parsed::Refused(refusal),
        Ok((request, body_length)) => {
            let end = head_length.saturating_add(body_length);
            if end > MAX_REQUEST
                && let Err(refusal) = check_room(room(&request), body_length)
            {
                return Parsed::Refused(refusal);
            }
            let waits = bytes.len() == head_length && body_length > 0 && expects(&head);
            match take_body(request, bytes, head_length..end) {
                Parsed::Partial if waits => Parsed::Expecting,
                parsed => parsed,
            }
        }
    }
}

/// Whether a client sends its body only once it is told to go on; it may do so in HTTP/1.1.
fn expects(head: &httparse::Request<'_, '_>) -> bool {
    head.version == Some(1)
        && values(head, "expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// What it is told.
pub const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn check_room(room: Result<usize, Answer>, body_length: usize) -> Result<(), Answer> {
    match room? {
        most if body_length <= most => Ok(()),
        most => Err(Answer::refusal(
            413,
            format!("too large: the body may take {most} bytes, this takes {body_length}"),
        )),
    }
}

/// Completes a request by its body, if that is there.
fn take_body(mut request: Request, bytes: &[u8], body: Range<usize>) -> Parsed {
    let end = body.end;
    match bytes.get(body) {
        None => Parsed::Partial,
        Some(body) => {
            request.body = body.to_vec();
            Parsed::Whole(request, end)
        }
    }
}

/// What the head says, and how long a body follows.
fn read_head(head: &httparse::Request<'_, '_>) -> Result<(Request, usize), Answer> {
    if only(head, "transfer-encoding")?.is_some() {
        return Err(Answer::refusal(
            411,
            "send the body whole, with a Content-Length".into(),
        ));
    }
    let takes_chunks = head.version == Some(1);
    let host = only(head, "host")?;
    if takes_chunks && host.is_none() {
        return Err(Answer::refusal(400, "HTTP/1.1 needs a Host header".into()));
    }
    let target = head.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let connection = only(head, "connection")?.unwrap_or_default();
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        host: host.map(str::to_owned),
        bearer: only(head, "authorization")?.and_then(bearer),
        site: site(head, host),
        takes_html: values(head, "accept").any(takes_html),
        last_event_id: only(head, "last-event-id")?.map(str::to_owned),
        content: only(head, "content-type")?.map_or(Content::Other, content),
        keep_alive: takes_chunks && !lists(connection, "close"),
        takes_chunks,
        body: Vec::new(),
    };
    let body_length = match only(head, "content-length")? {
        None => 0,
        Some(digits) => body_length(digits)?,
    };
    Ok((request, body_length))
}

fn body_length(digits: &str) -> Result<usize, Answer> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Answer::refusal(
            400,
            "Content-Length is not a number".into(),
        ));
    }
    // What does not fit is too large, which is what the caller will say.
    Ok(digits.parse().unwrap_or(usize::MAX))
}

/// The values of all headers of this name.
fn values<'a>(
    head: &'a httparse::Request<'_, '_>,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    let named = head
        .headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value)
}

/// The value of a header that may stand once.
fn only<'a>(head: &'a httparse::Request<'_, '_>, name: &'a str) -> Result<Option<&'a str>, Answer> {
    let mut values = values(head, name);
    let first = values.next();
    if values.next().is_some() {
        return Err(Answer::refusal(
            400,
            format!("the header {name} stands there twice"),
        ));
    }
    let text = first.map(|value| std::str::from_utf8(value).map(str::trim));
    text.transpose()
        .map_err(|_| Answer::refusal(400, format!("the header {name} is not text")))
}

/// A browser says of itself where the page comes from; a page cannot say it in its place.
fn site(head: &httparse::Request<'_, '_>, host: Option<&str>) -> Site {
    let is_own = |origin: &[u8]| {
        let origin = std::str::from_utf8(origin).unwrap_or_default();
        let of = ["http://", "https://"]
            .iter()
            .find_map(|scheme| origin.strip_prefix(scheme));
        of.is_some() && of == host
    };
    let mut site = Site::None;
    for origin in values(head, "origin") {
        if !is_own(origin) {
            return Site::Other;
        }
        site = Site::Own;
    }
    for said in values(head, "sec-fetch-site") {
        match said {
            b"none" => {}
            b"same-origin" => site = Site::Own,
            _ => return Site::Other,
        }
    }
    site
}

fn takes_html(accept: &[u8]) -> bool {
    let kinds = accept.split(|byte| *byte == b',');
    let is_html = |kind: &[u8]| {
        kind.trim_ascii()
            .to_ascii_lowercase()
            .starts_with(b"text/html")
    };
    kinds.into_iter().any(is_html)
}

fn bearer(value: &str) -> Option<String> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn content(content_type: &str) -> Content {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Content::Json
    } else if kind.eq_ignore_ascii_case("application/octet-stream") {
        Content::Bytes
    } else {
        Content::Other
    }
}

fn lists(value: &str, word: &str) -> bool {
    value
        .split(',')
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// How the length of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its number of bytes.
    Length(usize),
    /// In chunks.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

impl Framing {
    /// For the answer to such a request.
    pub fn of(answer: &Answer, takes_chunks: bool) -> Self {
        match &answer.body {
            Body::Whole(bytes) => Framing::Length(bytes.len()),
            Body::Parts(_) | Body::Stream(_) if takes_chunks => Framing::Chunked,
            Body::Parts(_) | Body::Stream(_) => Framing::UntilClose,
        }
    }
}

/// Writes the head of an answer.
pub fn write_head(out: &mut Vec<u8>, answer: &Answer, framing: Framing, keep_alive: bool) {
    let (status, reason) = (answer.status, reason(answer.status));
    let content_type = answer.content_type;
    let mut head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n"
    );
    match framing {
        Framing::Length(length) => head += &format!("Content-Length: {length}\r\n"),
        Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
        Framing::UntilClose => {}
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !keep_alive {
        head += "Connection: close\r\n";
    }
    head += "\r\n";
    out.extend_from_slice(head.as_bytes());
}

/// Writes a part of a body. An empty one would end a chunked body: see `write_end`.
pub fn write_part(out: &mut Vec<u8>, part: &[u8], framing: Framing) {
    if framing == Framing::Chunked {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(part);
    }
}

/// Ends a body.
pub fn write_end(out: &mut Vec<u8>, framing: Framing) {
    if framing == Framing::Chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (Request, usize) {
        match parse(text.as_bytes(), |_| Ok(10)) {
            Parsed::Whole(request, length) => (request, length),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn refused(text: &str) -> u16 {
        match parse(text.as_bytes(), |_| Ok(10)) {
            Parsed::Refused(answer) => answer.status,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_browser_says_for_which_page_it_asks() {
        let site = |headers: &str| {
            whole(&format!("GET / HTTP/1.1\r\nHost: a:1\r\n{headers}\r\n"))
                .0
                .site
        };
        for (headers, expected) in [
            ("", Site::None),
            ("Sec-Fetch-Site: none\r\n", Site::None),
            ("Sec-Fetch-Site: same-origin\r\n", Site::Own),
            ("Origin: http://a:1\r\n", Site::Own),
            ("Origin: https://a:1\r\n", Site::Own),
            (
                "Origin: http://a:1\r\nSec-Fetch-Site: same-origin\r\n",
                Site::Own,
            ),
            ("Origin: http://a:2\r\n", Site::Other),
            ("Origin: http://a\r\n", Site::Other),
            ("Origin: a:1\r\n", Site::Other),
            ("Origin: null\r\n", Site::Other),
            ("Origin: http://a:1\r\nOrigin: http://b\r\n", Site::Other),
            (
                "Origin: http://a:1\r\nSec-Fetch-Site: same-site\r\n",
                Site::Other,
            ),
            ("Sec-Fetch-Site: cross-site\r\n", Site::Other),
        ] {
            assert_eq!(site(headers), expected, "{headers}");
        }
        let page = |accept: &str| {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
            whole(&request).0.wants_page()
        };
        assert!(page("text/html,application/xhtml+xml") && page("*/*, TEXT/HTML;q=0.9"));
        assert!(!page("*/*") && !page("application/json"));
    }

    #[test]
    fn who_waits_to_be_told_to_send_a_body_is_known() {
        let head = "POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
        let parsed = |text: &str| parse(text.as_bytes(), |_| Ok(0));
        assert!(matches!(parsed(head), Parsed::Expecting));
        assert!(matches!(parsed(&format!("{head}{{")), Parsed::Partial));
        assert!(matches!(parsed(&format!("{head}{{}}")), Parsed::Whole(..)));
        let old = head.replace("1.1", "1.0");
        assert!(matches!(parsed(&old), Parsed::Partial));
    }

    #[test]
    fn a_request_is_read_and_the_next_one_is_left() {
        let first = "POST /join?x?y=1 HTTP/1.1\r\nhOsT: localhost\r\nContent-Type: application/json; charset=utf-8\r\n\
                     Authorization: bearer abc\r\nContent-Length: 2\r\n\r\n{}";
        let (request, length) = whole(&format!("{first}GET / HTTP/1.1\r\n"));
        assert_eq!(length, first.len());
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/join")
        );
        assert_eq!(request.query, "x?y=1");
        assert_eq!(request.host.as_deref(), Some("localhost"));
        assert_eq!(request.bearer.as_deref(), Some("abc"));
        assert_eq!(request.body, b"{}");
        assert_eq!(request.content, Content::Json);
        assert!(request.keep_alive && request.takes_chunks && request.site == Site::None);
    }

    #[test]
    fn each_beginning_of_a_request_is_partial() {
        let text = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..text.len() {
            assert!(
                matches!(parse(&text.as_bytes()[..end], |_| Ok(10)), Parsed::Partial),
                "{end}"
            );
        }
    }

    #[test]
    fn connections_stay_or_end_as_asked() {
        assert!(
            !whole("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n")
                .0
                .keep_alive
        );
        let old = whole("GET / HTTP/1.0\r\n\r\n").0;
        assert!(!old.keep_alive && !old.takes_chunks && old.host.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let long = "a".repeat(MAX_REQUEST);
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        for (status, text) in [
            (400, "nonsense nonsense nonsense\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            (
                400,
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            ),
            (
                400,
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            ),
            (
                411,
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (
                413,
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16384\r\n\r\n",
            ),
            (
                413,
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            ),
            (431, &format!("GET / HTTP/1.1\r\nHost: {long}")),
            (431, &format!("GET /{long}")),
            (431, &format!("GET / HTTP/1.1\r\n{many}\r\n")),
        ] {
            assert_eq!(refused(text), status, "{text:.60}");
        }
    }

    #[test]
    fn a_large_body_is_read_where_there_is_room_for_it() {
        let body = "x".repeat(2 * MAX_REQUEST);
        let length = body.len();
        let head = format!("POST /file HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let text = head.clone() + &body;
        let with_room = |text: &str, room: usize| parse(text.as_bytes(), |_| Ok(room));
        assert!(matches!(with_room(&head, length), Parsed::Partial));
        match with_room(&text, length) {
            Parsed::Whole(request, end) => {
                assert_eq!((request.body.len(), end), (length, text.len()));
            }
            other => panic!("{other:?}"),
        }
        // It is refused as soon as its head is there.
        for (status, room) in [
            (413, Ok(length - 1)),
            (401, Err(Answer::refusal(401, String::new()))),
        ] {
            match parse(head.as_bytes(), |_| room) {
                Parsed::Refused(answer) => assert_eq!(answer.status, status),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_body_in_chunks_has_their_lengths_and_an_end() {
        let mut out = Vec::new();
        write_part(&mut out, b"[1,2,3,4,5,6,7]\n", Framing::Chunked);
        write_end(&mut out, Framing::Chunked);
        assert_eq!(out, b"10\r\n[1,2,3,4,5,6,7]\n\r\n0\r\n\r\n");
    }
}
