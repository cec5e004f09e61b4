//! What a member needs to start: its sockets, its identity, its randomness.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use mio::Registry;
use rand::RngExt;
use rand::rngs::StdRng;

use super::rumors::Rumors;
use super::socket::Socket;
use crate::config::Config;
use crate::disk::{DataDir, DiskError, StoredIdentity, by_the_clock};
use crate::limits::MAX_NAME;
use crate::member::{Incarnation, MemberId, unreachable_address};
use crate::node::NodeConfig;
use crate::wire::cut_name;

/// Ports that are tried if the system chooses, until one is free for both UDP and TCP.
const PORTS_TRIED: usize = 64;

/// Why a member could not start. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The UDP address cannot be bound.
    #[error(
        "cannot listen on {addr}: {error}; {}",
        what_to_do(error, "address or port")
    )]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The address to listen on, or to tell others, is no host's, or means nothing to others.
    #[error("{option} {addr}: it is {why}; give {give}")]
    BadAddress {
        /// Which of the two: `listen` or `advertise`.
        option: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What is wrong with it.
        why: &'static str,
        /// What to give instead.
        give: &'static str,
    },
    /// The TCP address for gossip cannot be bound.
    #[error(
        "cannot listen on {addr} (TCP) for gossip: {error}; {}",
        what_to_do(error, "gossip port")
    )]
    Gossip {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The file of the recording cannot be made.
    #[error(
        "cannot record to {path}: {error}; give a file in a directory that this process may write to"
    )]
    Recording {
        /// The file.
        path: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The data directory's member departed for good.
    #[error(
        "member {id} departed for good, by a departure rumor; start with another data directory, and so another id"
    )]
    Departed {
        /// The id that cannot be used again.
        id: MemberId,
    },
    /// The system gives no poll, waker or randomness.
    #[error("the system refuses what a loop needs: {0}")]
    System(#[from] io::Error),
}

/// What helps when the system refuses to listen; `another` is what may be chosen instead.
/// Too many open files: of the system, or of this process. On every Unix.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

fn what_to_do(error: &io::Error, another: &str) -> String {
    match error.kind() {
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose one that it has".to_owned()
        }
        ErrorKind::AddrInUse => format!("stop what listens there, or choose another {another}"),
        _ if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => {
            "raise the limit of open files".to_owned()
        }
        _ => format!("choose another {another}"),
    }
}

/// Refuses addresses at which nobody would ever reach the member.
pub(super) fn check_addresses(config: &Config) -> Result<(), BindError> {
    let listens_on_all = config.listen.ip().is_unspecified();
    if let Some(why) = unreachable_address(config.listen.ip())
        && !listens_on_all
    {
        return Err(BindError::BadAddress {
            option: "listen",
            addr: config.listen,
            why,
            give: "an address of this machine, or 0.0.0.0 or [::] for all",
        });
    }
    if let Some(addr) = config.advertise
        && let Some(why) = unreachable_address(addr.ip())
    {
        return Err(BindError::BadAddress {
            option: "advertise",
            addr,
            why,
            give: "the address at which other members reach this one",
        });
    }
    Ok(())
}

/// Says so if others see but a part of its name.
pub(super) fn check_name(config: &Config) {
    let (name, seen) = (&config.name, cut_name(&config.name));
    if seen.len() < name.len() {
        log::warn!(
            "the name {name:?} has {} bytes, and the most are {MAX_NAME}: this member is {seen:?} in the ring",
            name.len()
        );
    }
}

/// Binds UDP and, for gossip, TCP. If the system chooses the one port for both, it chooses until it is free
/// for both.
pub(super) fn both(
    config: &Config,
    registry: &Registry,
) -> Result<(Socket, Option<Rumors>), BindError> {
    let listen = |error| BindError::Listen {
        addr: config.listen,
        error,
    };
    let chosen = config.listen.port() == 0 && config.gossip_port.is_none();
    let mut tries = if chosen && config.gossip {
        PORTS_TRIED
    } else {
        1
    };
    loop {
        let socket = Socket::bind(config.listen).map_err(listen)?;
        if !config.gossip {
            return Ok((socket, None));
        }
        let local_addr = socket.local_addr();
        let port = config.gossip_port.unwrap_or(local_addr.port());
        let addr = SocketAddr::new(local_addr.ip(), port);
        tries -= 1;
        match Rumors::bind(registry, addr, config.ring.as_ref()) {
            Ok(gossip) => return Ok((socket, Some(gossip))),
            Err(_) if tries > 0 => {}
            Err(error) => return Err(BindError::Gossip { addr, error }),
        }
    }
}

/// The address that others are told, if datagrams may come from another one.
fn advertised_ip(config: &Config, local_addr: SocketAddr) -> Option<IpAddr> {
    let ip = config.advertise?.ip().to_canonical();
    Some(ip).filter(|ip| *ip != local_addr.ip().to_canonical())
}

/// The gossip port that others are told: the bound one, unless an address translation has another, which
/// then is that of the SWIM port.
fn told_gossip_port(config: &Config, bound: Option<u16>, swim_port: u16) -> u16 {
    let translated = config.advertise.is_some_and(|addr| addr.port() != 0);
    match bound {
        Some(_) if translated && config.gossip_port.is_none() => swim_port,
        Some(bound) => bound,
        None => 0,
    }
}

/// The seed asked for, spread over the generator's 32 bytes, or one from the system.
pub(super) fn random_seed(asked: Option<u64>) -> io::Result<[u8; 32]> {
    use rand::SeedableRng;
    use rand::rngs::SysRng;
    match asked {
        Some(seed) => Ok(StdRng::seed_from_u64(seed).random()),
        None => {
            let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(io::Error::other)?;
            Ok(rng.random())
        }
    }
}

#[cfg_attr(not(feature = "disk"), allow(unreachable_code))] // No directory is ever opened then.
pub(super) fn identify(
    config: &Config,
    random_seed: &[u8; 32],
) -> Result<(Option<DataDir>, StoredIdentity), DiskError> {
    use rand::SeedableRng;
    let mut seed = *random_seed;
    // Another stream than the node's own.
    seed[0] ^= 0xff;
    let fresh = MemberId::random(&mut StdRng::from_seed(seed));
    let Some(dir) = config.kept_in() else {
        let id = config.id.unwrap_or(fresh);
        return Ok((
            None,
            StoredIdentity {
                id,
                incarnation: Incarnation::ZERO,
                mark: Incarnation::MAX,
                epoch: by_the_clock(),
            },
        ));
    };
    let (data_dir, identity) = DataDir::open(dir, config.id, fresh)?;
    Ok((Some(data_dir), identity))
}

pub(super) fn node_config(
    config: &Config,
    local_addr: SocketAddr,
    gossip_port: Option<u16>,
    identity: StoredIdentity,
    random_seed: [u8; 32],
) -> NodeConfig {
    let told = config.advertise.unwrap_or(local_addr);
    let swim_port = if told.port() == 0 {
        local_addr.port()
    } else {
        told.port()
    };
    NodeConfig {
        id: identity.id,
        name: config.name.clone(),
        incarnation: identity.incarnation,
        reserved: identity.mark,
        epoch: identity.epoch,
        ip: Some(told.ip().to_canonical()).filter(|ip| !ip.is_unspecified()),
        advertise: advertised_ip(config, local_addr),
        swim_port,
        gossip_port: told_gossip_port(config, gossip_port, swim_port),
        persistent: config.persistent,
        ring_keys: config.ring_keys.clone(),
        ring: config.ring.clone(),
        timing: config.timing.clone(),
        store_limit: config.store_limit,
        random_seed,
    }
}
