//! What a member is to do, made from its settings: everything that can be found wrong with them before anything is opened.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use butterfly::{Butterfly, Config, Recording, Seed};

use crate::address::{self, Place};
use crate::cli::{DEFAULT_GATEWAY, RunArgs};
use crate::failure::Failure;
use crate::gateway::{Guard, Token as BearerToken};
use crate::handlers::{Hook, MOST_HOOKS};
use crate::logging;
use crate::ring_key;
use crate::settings::Settings;
use crate::timing;

/// A member that is to run.
pub struct Plan {
    /// What the library is told.
    pub config: Config,
    /// Whom it asks for its ring.
    pub peers: Vec<Seed>,
    /// What runs when something happens.
    pub hooks: Vec<Hook>,
    /// Where its gateway is, and whom it serves.
    pub gateway: Option<(Place, Guard)>,
    /// Where metrics and health are answered alone.
    pub metrics: Option<SocketAddr>,
}

impl Plan {
    /// Reads the files of keys and tokens that the settings name.
    pub fn of(settings: &Settings) -> Result<Self, Failure> {
        Ok(Plan {
            peers: address::peers(settings)?,
            config: config(settings)?,
            gateway: gateway(settings)?,
            metrics: metrics(settings)?,
            hooks: hooks(settings)?,
        })
    }
}

/// The handlers of `--on`.
fn hooks(settings: &Settings) -> Result<Vec<Hook>, Failure> {
    let hooks = settings.args.on.clone();
    if hooks.len() > MOST_HOOKS {
        let called = settings.called("on");
        return Err(Failure::usage(format_args!(
            "{called}: {} commands are more than the {MOST_HOOKS} that there may be: let one do the work of several",
            hooks.len()
        )));
    }
    let is_open = settings.args.ring_key.is_empty() && !settings.args.unsafe_handlers;
    if let Some(hook) = hooks.iter().find(|hook| hook.is_for_users() && is_open) {
        let called = settings.called("on");
        return Err(Failure::usage(format_args!(
            "{called} {}: without a ring key, everybody who reaches this member can have that command run: give the ring a \
             --ring-key, or say --unsafe-handlers if its network keeps others out",
            hook.event()
        )));
    }
    let hooks = hooks.into_iter();
    Ok(match is_open {
        true => hooks.map(Hook::spare_users).collect(),
        false => hooks.collect(),
    })
}

/// Where it listens: with a key it is safe to be open to others.
fn listen(args: &RunArgs) -> &str {
    let default = match args.ring_key.is_empty() {
        true => "127.0.0.1:9638",
        false => "0.0.0.0:9638",
    };
    args.listen.as_deref().unwrap_or(default)
}

/// What a setting is that nobody has set, where it depends on others.
pub fn default(name: &str, args: &RunArgs) -> Option<String> {
    match name {
        "listen" => Some(listen(args).to_owned()),
        "http" => Some(DEFAULT_GATEWAY.to_owned()),
        "log" => Some(logging::LEVEL.to_owned()),
        _ => None,
    }
}

/// What the library is told.
fn config(settings: &Settings) -> Result<Config, Failure> {
    let args = &settings.args;
    let listen = address::socket(&settings.called("listen"), listen(args))?;
    let mut config = Config::new(listen);
    if let Some(advertise) = &args.advertise {
        let called = settings.called("advertise");
        config.advertise = Some(address::socket(&called, advertise)?);
    }
    config.gossip_port = args.gossip_port;
    config.id = args.id;
    config.name = args.name.clone();
    config.persistent = args.permanent_peer;
    config.ring_keys = ring_key::read_all(&args.ring_key)?;
    config.timing = timing::changed(args.timing.clone(), &args.set)?;
    if let Some(after) = args.forget_dead_after {
        // As long Confirmed as of the ten days that are the default.
        let confirmed = after.mul_f64(0.3);
        (config.timing.departed_after, config.timing.forget_after) = (confirmed, after - confirmed);
    }
    config.data_dir = args.data_dir.clone();
    config.store_limit = args.store_limit;
    config.ring = args.ring.clone();
    let record = |path: &PathBuf| Recording::new(path).max_bytes(args.record_max);
    config.recording = args.record.as_ref().map(record);
    Butterfly::check(&config).map_err(Failure::failed)?;
    Ok(config)
}

/// Where the gateway is to be, and whom it serves; `None`: none is wanted.
fn gateway(settings: &Settings) -> Result<Option<(Place, Guard)>, Failure> {
    let args = &settings.args;
    let called = settings.called("http");
    let place = match args.http.as_deref() {
        Some("none") if args.http_token_file.is_some() => {
            return Err(Failure::usage(
                "--http none opens no gateway, which a --http-token-file could guard: leave one of them out",
            ));
        }
        Some("none") => return Ok(None),
        Some(asked) => address::gateway(&called, asked)?,
        None => address::gateway(&called, DEFAULT_GATEWAY)?,
    };
    if let Place::At(addr) = &place
        && !is_of_this_machine(addr.ip())
    {
        let asked = args.http.as_deref().unwrap_or_default();
        return Err(Failure::usage(format_args!(
            "{called} {asked}: that is no address of this machine, and a member can only open its gateway here; --http \
             IP:PORT says where, --http none opens none"
        )));
    }
    let read = |file: &Option<PathBuf>| file.as_deref().map(BearerToken::read).transpose();
    let (token, read_token) = (
        read(&args.http_token_file)?,
        read(&args.http_read_token_file)?,
    );
    if read_token.is_some() && token.is_none() {
        return Err(Failure::usage(format_args!(
            "{} is given without --http-token-file, which it needs beside it",
            settings.called("http-read-token-file")
        )));
    }
    if read_token.is_some() && token == read_token {
        return Err(Failure::usage(
            "--http-read-token-file has the token of --http-token-file, which is for more than reading: make another",
        ));
    }
    if let Place::At(addr) = &place
        && token.is_none()
        && !addr.ip().is_loopback()
    {
        return Err(Failure::usage(format_args!(
            "{called} {addr} is open to others: give it a --http-token-file FILE, whose token every request \
             must then carry"
        )));
    }
    Ok(Some((place, Guard::new(token, read_token))))
}

/// Where metrics and health are to be answered alone, if that is wanted.
fn metrics(settings: &Settings) -> Result<Option<SocketAddr>, Failure> {
    let asked = settings.args.metrics.as_deref();
    let addr = asked.map(|asked| address::socket(&settings.called("metrics"), asked));
    addr.transpose()
}

/// Whether something can be bound to it here.
fn is_of_this_machine(ip: IpAddr) -> bool {
    let bound = UdpSocket::bind((ip, 0));
    bound.map_or_else(
        |error| error.kind() != ErrorKind::AddrNotAvailable,
        |_| true,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use butterfly::Timing;

    use super::*;
    use crate::settings::Environment;

    fn told(line: &str) -> Result<Config, Failure> {
        let line = line.split(' ').map(Into::into).collect();
        config(&Settings::new(line, Environment::default()).unwrap())
    }

    #[test]
    fn a_timing_may_be_changed_field_by_field() {
        let run = "butterfly run --listen 127.0.0.1:0 --timing wan --set period=4s,timeout=900ms";
        let timing = told(run).unwrap().timing;
        let mut expected = Timing::wan();
        expected.period = Duration::from_secs(4);
        expected.timeout = Duration::from_millis(900);
        assert_eq!(timing, expected);
        assert!(told(&format!("{run} --set timeout=5s")).is_err());
    }

    #[test]
    fn an_address_where_nobody_is_reached_is_refused_before_anything_is_opened() {
        let wrong = told("butterfly run --advertise 0.0.0.0:1").unwrap_err();
        assert!(wrong.to_string().contains("0.0.0.0:1"), "{wrong}");
    }
}
