//! `butterfly inject`: a rumor pushed straight into a member's PULL socket, by one who is no member.

use std::time::Duration;

use butterfly::{Injector, Rumor, ServiceConfig, ServiceFile};

use crate::address;
use crate::body;
use crate::cli::{ConfigBody, FileBody, InjectArgs, Injected};
use crate::failure::Failure;
use crate::output;
use crate::ring_key;

/// How long a member may take to answer as ZeroMQ does.
const CONNECT: Duration = Duration::from_secs(2);
/// How long it may take to take the rumor.
const TAKE: Duration = Duration::from_secs(10);

pub fn inject(args: &InjectArgs) -> Result<(), Failure> {
    let to = address::resolve(&args.to)?;
    let rumor = match &args.what {
        Injected::Config(config) => Rumor::ServiceConfig(read_config(config)?),
        Injected::File(file) => Rumor::ServiceFile(read_file(file)?),
        Injected::Depart { id } => Rumor::Departure(*id),
    };
    let key = args.ring_key.as_deref().map(ring_key::read).transpose()?;
    let mut injector = Injector::connect(to, key, CONNECT).map_err(Failure::failed)?;
    injector.push(&rumor).map_err(Failure::failed)?;
    injector.finish(TAKE).map_err(Failure::failed)?;
    let incarnation = match args.what {
        Injected::Depart { .. } => String::new(),
        _ => format!(", incarnation {}", rumor.version()),
    };
    output::tell(&format!(
        "pushed to {}: {}{incarnation}; nobody confirms that: \"butterfly rumors\", asked of a member, shows what came of it",
        args.to,
        output::rumor(&rumor.id()),
    ));
    Ok(())
}

fn read_config(config: &ConfigBody) -> Result<ServiceConfig, Failure> {
    let bytes = body::read(&config.file)?;
    Ok(ServiceConfig::new(
        config.group.clone(),
        config.incarnation,
        bytes,
    ))
}

fn read_file(file: &FileBody) -> Result<ServiceFile, Failure> {
    let name = body::name(&file.file, file.name.as_deref())?;
    let bytes = body::read(&file.file)?;
    Ok(ServiceFile::new(
        file.group.clone(),
        file.incarnation,
        name,
        bytes,
    ))
}
