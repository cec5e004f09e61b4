//! The parameters in a request's query.

use std::fmt::Display;
use std::str::FromStr;

use super::answer::Answer;
use super::http::Request;

/// What may stand there several times.
const SEVERAL: [&str; 2] = ["tag", "member"];

/// Each once, but for [`SEVERAL`], and none but those that the route knows.
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
            if !SEVERAL.contains(&&*name) && params.iter().any(|(known, _)| *known == name) {
                return Err(refused(format_args!(
                    "the parameter {name} stands there twice"
                )));
            }
            params.push((name.into_owned(), value.into_owned()));
        }
        Ok(Params(params))
    }

    /// The value of this one, if it is there.
    pub fn get<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Answer> {
        Ok(self.all(name)?.into_iter().next())
    }

    /// All values of this one.
    pub fn all<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Vec<T>, Answer> {
        let these = self.0.iter().filter(|(known, _)| known == name);
        let read = |(_, value): &(String, String)| {
            let read = value.parse();
            read.map_err(|error| refused(format_args!("{name}={value:?}: {error}")))
        };
        these.map(read).collect()
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
