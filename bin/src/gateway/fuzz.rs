//! What the fuzzers call: requests of any bytes, up to the point at which a member would answer them.

use super::answer::Answer;
use super::guard::{Guard, Token};
use super::http::{self, Framing, Parsed};
use super::routes;

/// Reads one request after the other, as a connection does, with and without tokens.
pub fn requests(data: &[u8]) {
    let (secret, look) = (|| Token::of("secret"), || Token::of("look"));
    for guard in [
        Guard::new(None, None),
        Guard::new(Some(secret()), None),
        Guard::new(Some(secret()), Some(look())),
        Guard::Public,
    ] {
        let mut rest = data;
        loop {
            let length = match http::parse(rest, |request| routes::room(&guard, request)) {
                Parsed::Partial | Parsed::Expecting => break,
                Parsed::Refused(refusal) => {
                    check(&refusal, false);
                    break;
                }
                Parsed::Whole(request, length) => {
                    assert!(
                        (1..=rest.len()).contains(&length),
                        "{length} of {}",
                        rest.len()
                    );
                    assert!(request.body.len() <= length);
                    // What is cut off before the end of a request is a part of it.
                    let cut = rest.get(..length - 1).unwrap_or_default();
                    let before = http::parse(cut, |request| routes::room(&guard, request));
                    assert!(
                        !matches!(before, Parsed::Whole(..)),
                        "whole without its last byte"
                    );
                    if guard.has_proof(&request) {
                        assert!(guard.has_token());
                    }
                    if let Err(refusal) = guard
                        .check(&request)
                        .and_then(|()| routes::check(&guard, &request))
                    {
                        check(&refusal, request.keep_alive);
                    }
                    length
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// What is answered is HTTP of one head, whatever was asked.
fn check(answer: &Answer, keep_alive: bool) {
    let mut out = Vec::new();
    http::write_head(&mut out, answer, Framing::of(answer, true), keep_alive);
    let Ok(head) = String::from_utf8(out) else {
        panic!("a head that is no text");
    };
    assert_eq!(head.matches("\r\n\r\n").count(), 1, "{head}");
    assert!(
        head.ends_with("\r\n\r\n") && head.starts_with("HTTP/1.1 "),
        "{head}"
    );
    // An old path leads elsewhere.
    let is_refusal = answer.status == 308 || (400..600).contains(&answer.status);
    assert!(is_refusal, "{}", answer.status);
}
