//! HTTP/1.1 as far as the gateway needs it: bytes in, a request or a refusal out; an answer in, bytes out.

use httparse::Status;

use super::answer::{Answer, Body};

/// The largest request that is read, head and body together, bytes.
pub const MAX_REQUEST: usize = 16 * 1024;
/// The most header lines in a request.
const MAX_HEADERS: usize = 64;

/// A request, read whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub host: Option<String>,
    /// What follows `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// A browser says on behalf of which page it asks.
    pub has_origin: bool,
    /// Its body is said to be JSON.
    pub is_json: bool,
    /// The connection is meant to stay open.
    pub keep_alive: bool,
    /// It can take a body in chunks (HTTP/1.1).
    pub takes_chunks: bool,
    pub body: Vec<u8>,
}

/// What the bytes at hand amount to.
#[derive(Debug)]
pub enum Parsed {
    /// More has to come.
    Partial,
    /// A request that took that many bytes.
    Whole(Request, usize),
    /// Nothing that makes sense, or too much; what follows cannot be told apart from it.
    Refused(Answer),
}

/// Reads the request at the beginning of these bytes.
pub fn parse(bytes: &[u8]) -> Parsed {
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
        Ok((request, body_length)) => take_body(request, bytes, head_length, body_length),
    }
}

/// Completes a request by its body, if that is there.
fn take_body(mut request: Request, bytes: &[u8], head_length: usize, body_length: usize) -> Parsed {
    let end = head_length.saturating_add(body_length);
    if end > MAX_REQUEST {
        return Parsed::Refused(Answer::refusal(
            413,
            format!("too large: head and body may take {MAX_REQUEST} bytes, this takes {end}"),
        ));
    }
    match bytes.get(head_length..end) {
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
    let path = target.split('?').next().unwrap_or_default();
    let connection = only(head, "connection")?.unwrap_or_default();
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        host: host.map(str::to_owned),
        bearer: only(head, "authorization")?.and_then(bearer),
        has_origin: values(head, "origin").next().is_some(),
        is_json: only(head, "content-type")?.is_some_and(is_json),
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

fn bearer(value: &str) -> Option<String> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
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
            Body::Members(_) if takes_chunks => Framing::Chunked,
            Body::Members(_) => Framing::UntilClose,
        }
    }
}

/// Writes the head of an answer.
pub fn write_head(out: &mut Vec<u8>, answer: &Answer, framing: Framing, keep_alive: bool) {
    let (status, reason) = (answer.status, reason(answer.status));
    let mut head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n"
    );
    match framing {
        Framing::Length(length) => head += &format!("Content-Length: {length}\r\n"),
        Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
        Framing::UntilClose => {}
    }
    if let Some((name, value)) = answer.header {
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
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (Request, usize) {
        match parse(text.as_bytes()) {
            Parsed::Whole(request, length) => (request, length),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn refused(text: &str) -> u16 {
        match parse(text.as_bytes()) {
            Parsed::Refused(answer) => answer.status,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_and_the_next_one_is_left() {
        let first = "POST /join?x HTTP/1.1\r\nhOsT: localhost\r\nContent-Type: application/json; charset=utf-8\r\n\
                     Authorization: bearer abc\r\nContent-Length: 2\r\n\r\n{}";
        let (request, length) = whole(&format!("{first}GET / HTTP/1.1\r\n"));
        assert_eq!(length, first.len());
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/join")
        );
        assert_eq!(request.host.as_deref(), Some("localhost"));
        assert_eq!(request.bearer.as_deref(), Some("abc"));
        assert_eq!(request.body, b"{}");
        assert!(
            request.is_json && request.keep_alive && request.takes_chunks && !request.has_origin
        );
    }

    #[test]
    fn each_beginning_of_a_request_is_partial() {
        let text = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..text.len() {
            assert!(
                matches!(parse(&text.as_bytes()[..end]), Parsed::Partial),
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
    fn a_body_in_chunks_has_their_lengths_and_an_end() {
        let mut out = Vec::new();
        write_part(&mut out, b"[1,2,3,4,5,6,7]\n", Framing::Chunked);
        write_end(&mut out, Framing::Chunked);
        assert_eq!(out, b"10\r\n[1,2,3,4,5,6,7]\n\r\n0\r\n\r\n");
    }
}
