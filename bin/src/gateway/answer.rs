//! What the gateway answers.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;

use super::parts::Parts;
use crate::events::Reader;

const JSON: &str = "application/json";

/// A status and a body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Body,
    /// Headers that it needs besides.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
}

/// What is answered.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Written part by part.
    Parts(Parts),
    /// Events, as they happen.
    Stream(Reader),
}

impl Answer {
    /// This, with status 200.
    pub fn ok(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(mut text) => {
                text.push(b'\n');
                Answer::whole(200, JSON, text)
            }
            Err(error) => Answer::refusal(500, error.to_string()),
        }
    }

    /// These bytes, whatever they are, with status 200.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Answer::whole(200, "application/octet-stream", bytes)
    }

    /// This text, with status 200.
    pub fn text(content_type: &'static str, text: impl Into<String>) -> Self {
        Answer::whole(200, content_type, text.into().into_bytes())
    }

    /// JSON part by part, with status 200.
    pub fn parts(parts: Parts) -> Self {
        Answer {
            status: 200,
            content_type: JSON,
            body: Body::Parts(parts),
            headers: Vec::new(),
        }
    }

    /// Events as they happen, with status 200.
    pub fn stream(reader: Reader) -> Self {
        Answer {
            status: 200,
            content_type: "text/event-stream",
            body: Body::Stream(reader),
            headers: Vec::new(),
        }
    }

    /// A status that is no success, with what to do about it.
    pub fn refusal(status: u16, message: String) -> Self {
        let mut text = json!({ "error": message }).to_string().into_bytes();
        text.push(b'\n');
        Answer::whole(status, JSON, text)
    }

    fn whole(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Answer {
            status,
            content_type,
            body: Body::Whole(body),
            headers: Vec::new(),
        }
    }

    /// The same with a header.
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
