//! `butterfly inject`: a rumor pushed straight into a member's PULL socket, by one who is no member.

use std::net::SocketAddr;
use std::time::Duration;

use butterfly::limits::MAX_VERSION;
use butterfly::{Injector, RingKey, Rumor, ServiceConfig, ServiceFile};

use crate::address;
use crate::body;
use crate::cli::{ConfigBody, FileBody, InjectArgs, Injected};
use crate::failure::Failure;
use crate::output;
use crate::ring_key;

/// How long a member may take to shake hands.
const CONNECT: Duration = Duration::from_secs(2);
/// How long it may take to take the rumor.
const TAKE: Duration = Duration::from_secs(10);

pub fn inject(args: &InjectArgs) -> Result<(), Failure> {
    let Some(to) = &args.to else {
        return Err(Failure::usage(
            "to whom? --to HOST:PORT is a member's address for gossip, its SWIM port unless it has a --gossip-port",
        ));
    };
    let addrs = address::resolve(to)?;
    let rumor = match &args.what {
        Injected::Config(config) => Rumor::ServiceConfig(read_config(config)?),
        Injected::File(file) => Rumor::ServiceFile(read_file(file)?),
        Injected::Depart { id } => Rumor::Departure(*id),
    };
    if !args.force {
        check(&rumor)?;
    }
    let keys = ring_key::read_all(&args.ring_key)?;
    let mut injector = connect(&addrs, keys.first())?;
    match args.force {
        true => injector.force(&rumor),
        false => injector.push(&rumor),
    }
    .map_err(Failure::failed)?;
    injector.finish(TAKE).map_err(Failure::failed)?;
    let incarnation = match args.what {
        Injected::Depart { .. } => String::new(),
        _ => format!(", incarnation {}", rumor.version()),
    };
    output::tell(&format!(
        "pushed to {}: {}{incarnation}; nobody confirms that: \"butterfly rumors\", asked of a member, shows what came of it",
        to,
        output::rumor(&rumor.id()),
    ));
    Ok(())
}

/// Whether members would take it; what they hold is not known here.
fn check(rumor: &Rumor) -> Result<(), Failure> {
    let version = rumor.version();
    if version > MAX_VERSION {
        return Err(Failure::usage(format_args!(
            "incarnation {version} is 2^62 or more: members refuse it, and only the original's take it (--force pushes it)"
        )));
    }
    if rumor.is_removal() {
        return Err(Failure::usage(
            "an empty body removes it: ask a member by \"butterfly config remove\" or \"butterfly file remove\" (--force \
             pushes it)",
        ));
    }
    Ok(())
}

/// Connected to the first of the addresses at which somebody takes rumors.
fn connect(addrs: &[SocketAddr], key: Option<&RingKey>) -> Result<Injector, Failure> {
    let mut why = Failure::failed("there is no address to push to");
    for addr in addrs {
        match Injector::connect(*addr, key.cloned(), CONNECT) {
            Ok(injector) => return Ok(injector),
            Err(error) => why = Failure::failed(error),
        }
    }
    Err(why)
}

fn read_config(config: &ConfigBody) -> Result<ServiceConfig, Failure> {
    let bytes = body::read(&config.file)?;
    Ok(ServiceConfig::new(
        config.group.clone(),
        config.version,
        bytes,
    ))
}

fn read_file(file: &FileBody) -> Result<ServiceFile, Failure> {
    let name = body::name(&file.file, file.name.as_deref())?;
    let bytes = body::read(&file.file)?;
    Ok(ServiceFile::new(
        file.group.clone(),
        file.version,
        name,
        bytes,
    ))
}
