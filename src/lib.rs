//! **Butterfly**: SWIM membership (SWIM+Inf+Susp over UDP, with Lifeguard) as a single-threaded engine
//! for your event loop, wire compatible with Habitat's rings.
//!
//! A [`Butterfly`] is a member of a ring: **one descriptor to watch, one deadline to wait for, one call
//! to make.** It has no locks, no thread but the one that writes its data directory, and in the
//! steady state it allocates nothing.
//! Members find each other through seeds, watch each other, and agree on who is alive.
//!
//! ```
//! use std::io::ErrorKind;
//! use std::os::fd::AsRawFd;
//! use std::time::Instant;
//!
//! use butterfly::{Butterfly, Config, Event, Health, Timing};
//! use mio::unix::SourceFd;
//! use mio::{Events, Interest, Poll, Token};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new("127.0.0.1:0".parse()?);
//! config.timing = Timing::local(); // for one machine; the default is Timing::lan()
//! let mut one = Butterfly::bind(config.clone())?;
//! let mut other = Butterfly::bind(config)?;
//! other.join(one.local_addr())?;
//!
//! // Your loop, with whatever else you watch in it.
//! let mut poll = Poll::new()?;
//! let mut events = Events::with_capacity(16);
//! for (member, token) in [(&one, Token(0)), (&other, Token(1))] {
//!     let fd = member.as_raw_fd();
//!     poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)?;
//! }
//! while one.node().counts().alive < 2 {
//!     let deadline = one.deadline().into_iter().chain(other.deadline()).min();
//!     let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
//!     // A signal is no reason to end.
//!     match poll.poll(&mut events, timeout) {
//!         Err(error) if error.kind() == ErrorKind::Interrupted => {}
//!         polled => polled?,
//!     }
//!     one.process()?;
//!     other.process()?;
//!     while let Some(event) = one.poll_event() {
//!         if let Event::MemberChanged { id, to: Health::Alive, .. } = event {
//!             println!("{id} is alive");
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The contract in full is in `docs/guides/embedding.md`; `examples/` has a mio loop, a tokio task, a thread of its own,
//! and a directory of services that follows events.
//!
//! Who has no loop calls [`Butterfly::run`]; who wants no I/O at all takes the state machine,
//! [`node::Node`]; who wants to know what a ring of a thousand members would do asks [`sim::Sim`].
//!
//! # Cargo features
//!
//! `gossip`, on by default: rumors, over TCP; without it a member takes part in membership alone. `disk`: the module [`disk`]
//! and `Config::data_dir`. `sim`: the module [`sim`]. `zmq`: ZeroMQ's own sockets carry gossip (`docs/guides/embedding.md`).
//!
//! # Rooms
//!
//! | module | what is in it |
//! |---|---|
//! | [`config`] | [`Config`] and [`Timing`], with presets |
//! | [`limits`] | every cap, with its reason |
//! | [`error`], [`event`], [`history`], [`stats`], [`trace`] | what goes wrong, what happens, why, how often, and in every detail |
//! | [`member`], [`rumor`], [`ring_name`], [`time`] | the nouns |
//! | [`text`] | what of a text from the network people may see, and which names there are |
//! | `wire` | bytes ⇄ messages |
//! | `swim` | membership and failure detection |
//! | `gossip` | rumors: services, configurations, files, elections, departures, tags, user events |
//! | [`node`], [`recording`] | the state machine, without I/O, and what it was told, to be replayed |
//! | `net`, [`disk`], [`sim`] | what drives it: sockets, files, or a virtual network |
//!
//! The protocol is in `docs/PROTOCOL.md` (cited as PROTOCOL.md).

// Below the drivers nothing ends the process, and nothing touches the world (`.clippy.toml`); tests may.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::exit,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]
// What membership and the wire have for gossip alone goes unused without it.
#![cfg_attr(not(feature = "gossip"), allow(dead_code))]

pub mod config;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing
)] // A driver.
#[cfg(feature = "disk")]
pub mod disk;
mod env;
pub mod error;
pub mod event;
mod expected;
#[cfg(test)]
mod explore;
#[cfg(feature = "gossip")]
mod gossip;
mod growth;
pub mod history;
mod journal;
pub mod limits;
mod lists;
pub mod member;
mod name;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing
)] // A driver.
mod net;
#[allow(clippy::disallowed_types)] // It stands in for a driver.
#[cfg(not(feature = "disk"))]
mod no_disk;
#[cfg(not(feature = "gossip"))]
mod no_gossip;
pub mod node;
pub mod recording;
mod ring;
pub mod ring_name;
pub mod rumor;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing
)] // A driver.
#[cfg(feature = "sim")]
pub mod sim;
pub mod stats;
mod successor;
mod swim;
pub mod text;
pub mod time;
#[doc(hidden)] // For the benchmarks.
pub mod timer;
pub mod trace;
mod view;
#[doc(hidden)] // For the program, the tests and the benchmarks: it changes as they need it.
pub mod wire;

#[cfg(not(feature = "disk"))]
use no_disk as disk;
#[cfg(not(feature = "gossip"))]
use no_gossip as gossip;

pub use config::{Config, Recording, Timing};
#[cfg(feature = "disk")]
pub use disk::DiskError;
pub use error::{CommandError, Reject};
pub use event::{Cause, Event, SeedId};
pub use history::{Fact, FailedProbe, Helper, HistoryEntry};
pub use member::{Evidence, Health, Incarnation, Member, MemberId};
pub use name::Name;
pub use net::{
    Answer, BindError, Butterfly, Fleet, FleetKey, Handle, Pinger, Pong, Resolve, Seed,
    SystemResolver, trim_memory,
};
#[cfg(feature = "tokio")]
pub use net::{AsyncHandle, AsyncMember};
#[cfg(feature = "gossip")]
pub use net::{GossipStats, InjectError, Injector};
pub use node::Node;
pub use ring_name::RingName;
pub use rumor::{
    Election, ElectionStatus, Forgotten, Rumor, RumorId, RumorKind, Service, ServiceConfig,
    ServiceFile, ServiceGroup, SysInfo, TagError, TagSet, Tags, UserEvent,
};
pub use stats::{DiskWrites, Gauge, Histogram, Stats};
pub use time::Time;
pub use view::{
    ElectionView, HealthCounts, MemberState, MemberView, RumorView, SeedAnswer, SeedView, Spread,
    SuspicionView, TagsView,
};
pub use wire::{RingKey, RingKeyError};

/// The programs of the embedding page, compiled and run.
#[doc = include_str!("../docs/guides/embedding.md")]
#[cfg(doctest)]
struct Embedding;

/// The program of the page on tokio, compiled and run.
#[doc = include_str!("../docs/guides/tokio.md")]
#[cfg(all(doctest, feature = "gossip", feature = "tokio"))]
struct Tokio;

/// The README's example, compiled and run.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
