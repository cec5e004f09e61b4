//! The parameters in a request's query.

use std::fmt::Display;
use std::str::FromStr;

use super::answer::Answer;
use super::http::Request;

/// Each once, and none but those that the route knows.
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Those of the request.
    pub fn of(request: &Request, known: &[&str]) -> Result<Self, Answer> {
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(request.query.as_bytes()) {
            if !known.contains(&&*name) {
                let path = &request.path;
                let known = match known {
                    [] => "it has none".to_owned(),
                    known => format!("it has {}", known.join(", ")),
                };
                return Err(refused(format_args!(
                    "{path} has no parameter {name:?}; {known}"
                )));
            }
            if params.iter().any(|(known, _)| *known == name) {
                return Err(refused(format_args!(
                    "the parameter {name} stands there twice"
                )));
            }
            params.push((name.into_owned(), value.into_owned()));
        }
        Ok(Params(params))
    }

    /// Those of the request, of which this one may stand there several times; and its values.
    pub fn of_several<T: FromStr<Err: Display>>(
        request: &Request,
        name: &'static str,
    ) -> Result<Vec<T>, Answer> {
        let mut values = Vec::new();
        for (of, value) in form_urlencoded::parse(request.query.as_bytes()) {
            if of != name {
                Params::of(request, &[name])?;
            }
            let read = value.parse();
            values.push(read.map_err(|error| refused(format_args!("{name}={value:?}: {error}")))?);
        }
        Ok(values)
    }

    /// The value of this one, if it is there.
    pub fn get<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Answer> {
        let Some((_, value)) = self.0.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let read = value.parse().map(Some);
        read.map_err(|error| refused(format_args!("{name}={value:?}: {error}")))
    }

    /// The value of this one, which has to be there.
    pub fn need<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Answer> {
        self.get(name)?
            .ok_or_else(|| refused(format_args!("the parameter {name} is missing")))
    }
}

fn refused(message: impl Display) -> Answer {
    Answer::refusal(400, message.to_string())
}
