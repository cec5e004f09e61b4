//! Asking a running member through its gateway.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Body, RequestBuilder, http::Response};

use crate::address::{self, Place};
use crate::cli::{DEFAULT_GATEWAY, GatewayArgs};
use crate::failure::Failure;
use crate::gateway::Token;
use crate::settings::Environment;
use crate::unix_transport::ToSocket;

/// How long a gateway has to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it has at least, so that one which answers at once is heard, however little time is left.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
/// More than any answer takes, bytes: a hundred thousand members at less than a kilobyte each.
const MAX_ANSWER: u64 = 128 * 1024 * 1024;
/// Where the gateway is, and the file with its token, if the command line does not say.
const HTTP: &str = "BUTTERFLY_HTTP";
const TOKEN_FILE: &str = "BUTTERFLY_HTTP_TOKEN_FILE";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// The gateway of a running member.
pub struct Client {
    agent: Agent,
    gateway: Place,
    authorization: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody listens there (any more).
    Nobody(String),
    /// Somebody listens there, but says nothing.
    Silent(String),
    /// Anything else.
    Other(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Nobody(message) | Trouble::Silent(message) | Trouble::Other(message) => {
                Failure::failed(message)
            }
        }
    }
}

impl Client {
    pub fn new(args: &GatewayArgs) -> Result<Self, Failure> {
        let environment = Environment::of_process();
        let variable = |name| environment.get(name);
        let (called, place) = match (&args.http, variable(HTTP)) {
            (Some(text), _) => ("--http", text.clone()),
            (None, Some(text)) => (HTTP, text.to_string_lossy().into_owned()),
            (None, None) => ("--http", DEFAULT_GATEWAY.to_owned()),
        };
        let gateway = address::gateway(called, &place)?;
        let token_file = args.http_token_file.clone();
        let token_file = token_file.or_else(|| variable(TOKEN_FILE).map(PathBuf::from));
        let token = token_file.as_deref().map(Token::read).transpose()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build();
        let agent = match &gateway {
            Place::At(_) => config.into(),
            Place::Socket(path) => {
                Agent::with_parts(config, ToSocket(path.clone()), DefaultResolver::default())
            }
        };
        Ok(Client {
            agent,
            gateway,
            authorization: token.map(|token| format!("Bearer {}", token.secret())),
        })
    }

    pub fn gateway(&self) -> &Place {
        &self.gateway
    }

    /// What the gateway has there, as it is written.
    pub fn get_text(&self, path: &str) -> Result<String, Trouble> {
        self.get_text_within(path, PATIENCE)
    }

    fn get_text_within(&self, path: &str, patience: Duration) -> Result<String, Trouble> {
        let bytes = self.get_bytes_within(path, patience)?;
        self.text(bytes)
    }

    /// What the gateway has there, which need not be text.
    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Trouble> {
        self.get_bytes_within(path, PATIENCE)
    }

    fn get_bytes_within(&self, path: &str, patience: Duration) -> Result<Vec<u8>, Trouble> {
        let request = self.prepare(self.agent.get(self.url(path)), patience);
        self.read(request.call(), patience)
    }

    /// What the gateway has there.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        self.understand(&self.get_text(path)?)
    }

    /// What the gateway has there, if it says so before there is no time left.
    pub fn get_until<T: DeserializeOwned>(&self, path: &str, end: Instant) -> Result<T, Trouble> {
        self.understand(&self.get_text_within(path, patience_until(end))?)
    }

    /// What the gateway has there, as it comes, behind the event of this id.
    pub fn follow(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<impl io::Read + 'static, Trouble> {
        let mut request = self.authorized(self.agent.get(self.url(path)));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        // It may be silent for as long as nothing happens.
        let request = request
            .config()
            .timeout_recv_response(Some(PATIENCE))
            .build();
        let response = request
            .call()
            .map_err(|error| self.trouble(&error, PATIENCE))?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        // That is said at once.
        self.read(Ok(response), PATIENCE)
            .and_then(|_| Err(Trouble::Other(format!("{} says nothing", self.gateway))))
    }

    /// Lets the gateway do something.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.post_within(path, JSON, body.to_string().as_bytes(), PATIENCE)
    }

    /// Lets the gateway do something, before there is no time left.
    pub fn post_until(&self, path: &str, body: &Value, end: Instant) -> Result<Value, Trouble> {
        let patience = patience_until(end);
        self.post_within(path, JSON, body.to_string().as_bytes(), patience)
    }

    /// Lets the gateway do something with these bytes.
    pub fn upload(&self, path: &str, bytes: &[u8]) -> Result<Value, Trouble> {
        self.post_within(path, BYTES, bytes, PATIENCE)
    }

    fn post_within(
        &self,
        path: &str,
        content_type: &str,
        body: &[u8],
        patience: Duration,
    ) -> Result<Value, Trouble> {
        let request = self.prepare(self.agent.post(self.url(path)), patience);
        let sent = request.header("Content-Type", content_type).send(body);
        let bytes = self.read(sent, patience)?;
        self.understand(&self.text(bytes)?)
    }

    fn prepare<B>(&self, request: RequestBuilder<B>, patience: Duration) -> RequestBuilder<B> {
        let request = self.authorized(request);
        request.config().timeout_global(Some(patience)).build()
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        match &self.gateway {
            Place::At(addr) => format!("http://{addr}{path}"),
            // The name is for the guard alone.
            Place::Socket(_) => format!("http://127.0.0.1{path}"),
        }
    }

    fn understand<T: DeserializeOwned>(&self, text: &str) -> Result<T, Trouble> {
        serde_json::from_str(text).map_err(|error| {
            Trouble::Other(format!(
                "what {} answers is not a member's: {error}",
                self.gateway
            ))
        })
    }

    fn text(&self, bytes: Vec<u8>) -> Result<String, Trouble> {
        String::from_utf8(bytes)
            .map_err(|_| Trouble::Other(format!("what {} answers is no text", self.gateway)))
    }

    fn read(
        &self,
        response: Result<Response<Body>, ureq::Error>,
        patience: Duration,
    ) -> Result<Vec<u8>, Trouble> {
        let mut response = response.map_err(|error| self.trouble(&error, patience))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec();
        let bytes = body.map_err(|error| self.trouble(&error, patience))?;
        if response.status().is_success() {
            return Ok(bytes);
        }
        Err(Trouble::Other(format!(
            "{} says: {}",
            self.gateway,
            refusal(&bytes, response.status().as_u16())
        )))
    }

    fn trouble(&self, error: &ureq::Error, patience: Duration) -> Trouble {
        let gateway = &self.gateway;
        if is_timeout(error) {
            let seconds = (patience.as_secs_f64() * 10.0).round() / 10.0;
            return Trouble::Silent(format!(
                "the member at {gateway} does not answer (no reply in {seconds} s): is it stopped?"
            ));
        }
        let gone = |kind| {
            use ErrorKind::{
                BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound,
                UnexpectedEof,
            };
            matches!(
                kind,
                BrokenPipe
                    | ConnectionAborted
                    | ConnectionRefused
                    | ConnectionReset
                    | NotFound
                    | UnexpectedEof
            )
        };
        let nobody = match error {
            ureq::Error::Io(error) => gone(error.kind()),
            ureq::Error::ConnectionFailed => true,
            _ => false,
        };
        if nobody {
            Trouble::Nobody(format!(
                "no member answers at {gateway}: is \"butterfly run\" running there? (--http HOST:PORT or BUTTERFLY_HTTP to ask another)"
            ))
        } else {
            Trouble::Other(format!(
                "cannot ask {gateway}: {error}: is that a member's gateway, and not its --listen or --gossip-port?"
            ))
        }
    }
}

/// How long a gateway has to answer when all has to be done by then.
fn patience_until(end: Instant) -> Duration {
    let left = end.saturating_duration_since(Instant::now());
    left.clamp(LEAST_PATIENCE, PATIENCE)
}

fn is_timeout(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(_) => true,
        ureq::Error::Io(error) => error.kind() == ErrorKind::TimedOut,
        _ => false,
    }
}

/// The gateway's own words, if they are.
fn refusal(text: &[u8], status: u16) -> String {
    let value: Value = serde_json::from_slice(text).unwrap_or(json!({}));
    match value.get("error").and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None => {
            format!("HTTP status {status}, and not as a member says it: is another program there?")
        }
    }
}
