//! SWIM membership and failure detection (PROTOCOL.md §2), with Lifeguard's local health.
//!
//! Each subject owns what it knows, in a struct with its own tests, and tells its caller what follows:
//!
//! | file | subject |
//! |---|---|
//! | `table`, `sampling`, `row`, `names`, `slots` | who is known: rows in a slab, the round, the dead |
//! | `merge` | the rules by which a record changes a row |
//! | `identity`, `home`, `marks`, `address` | what this member is: its ring, its incarnations, its address |
//! | `numbers` | numbers of questions, which prove an address |
//! | `trust`: `meter`, `refused`, `unproved`, `advertised`, `echoes`, `replay`, `lives` | how far a message is trusted |
//! | `incoming`, `speaker`, `budget` | a message on its way: who says it, and what it may provoke |
//! | `outbox` | messages that wait to be sent |
//! | `updates`, `news` | which records are news, the least told first |
//! | `detector`, `probe`, `witness`, `hearing`, `isolation`, `local_health` | who does not answer, and whether that is this member's fault |
//! | `refusals` | which pings may be refused, what others are asked about a member that is, and which refusals were refuted |
//! | `suspicion`, `verdict` | suspicions and death checks, and until when |
//! | `graves`, `comeback`, `healing` | the dead, when to ask them, and whether those that say they live do |
//! | `seeds` | addresses asked for ever |
//! | `sync`, `transfer`, `correct` | what is compared with others and told them |
//!
//! The files above them have one subject do what follows from another. They are methods of [`Swim`], and call each other in
//! no circle (`tests/house.rs`):
//!
//! | file | what it does |
//! |---|---|
//! | `base` | answers what many ask: who this member is, who is refused, what was asked |
//! | `describe` | what this member says of itself and of others |
//! | `ask` | queues what many send: pings beside the probe cycle, requests to ping |
//! | `health` | a member gets another state, becomes known or is forgotten, and all that follows |
//! | `deadlines` | the time of a suspicion, a death check or a grave is over |
//! | `claims` | a claim that a living member is dead begins to be checked |
//! | `probing` | the probe cycle |
//! | `gone`, `watched` | what systems say of their members' ports, and whose connections are kept open for hints |
//! | `tables`, `push`, `leave` | tables are compared, news is pushed, this member leaves |
//! | `incarnation`, `renew`, `whereabouts` | this member's incarnation, id and address change |
//! | `sender`, `questions`, `fresh` | who sent a message; having it prove its address; whether it was recorded |
//! | `own_id`, `astray` | messages under this member's id, of other rings, or meant for others |
//! | `records`, `arrivals`, `receive` | what memberships do, what a message says of its sender, and each message |
//! | `send` | how a message becomes bytes |
//! | `rumors`, `inspect` | what gossip and operators see of all this |

mod address;
mod advertised;
mod arrivals;
mod ask;
mod astray;
mod base;
mod budget;
mod claims;
mod comeback;
mod correct;
mod deadlines;
mod describe;
mod detector;
mod echoes;
mod forgetting;
mod fresh;
mod gone;
mod graves;
mod healing;
mod health;
mod hearing;
mod home;
mod identity;
mod incarnation;
mod incoming;
mod inspect;
mod isolation;
mod leave;
mod lives;
mod local_health;
mod marks;
pub mod merge;
mod meter;
mod names;
mod news;
mod numbers;
mod outbox;
mod own_id;
mod probe;
mod probing;
mod push;
mod questions;
mod receive;
mod records;
mod refusals;
mod refused;
mod renew;
mod replay;
mod row;
mod rumors;
mod sampling;
mod seeds;
mod send;
mod sender;
mod slots;
mod small_world;
mod speaker;
mod suspicion;
mod sync;
mod table;
mod tables;
#[cfg(test)]
mod testing;
mod transfer;
mod trust;
mod unproved;
mod updates;
mod verdict;
mod watched;
mod whereabouts;
mod witness;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use rand::RngExt;

use crate::config::{NodeConfig, Timing};
use crate::env::{Env, Timer};
use crate::limits::MAX_NAME;
use crate::member::{Health, Incarnation, Member, MemberId};
use crate::ring_name::RingName;
use crate::wire::Serial;
use advertised::Advertisers;
use detector::Detector;
use echoes::Echoes;
use graves::Dead;
use identity::Identity;
use lives::Lives;
use meter::Meter;
use names::cut;
use numbers::Numbers;
use outbox::Outbox;
use refused::Refused;
use replay::Replay;
use rumors::ForGossip;
use seeds::Seeds;
use suspicion::Suspicions;
use table::Table;
use tables::Tables;
use trust::Trust;
use unproved::Unproved;
use updates::Updates;
use verdict::DeathChecks;

#[cfg(feature = "sim")]
pub(crate) use push::enough_of_death as enough_pushes;
pub(crate) use renew::Renewal;
pub(crate) use row::Row;

/// What gossip has to know of what happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Notice {
    /// A member became known, or its health changed.
    Changed {
        id: MemberId,
        from: Option<Health>,
        to: Health,
    },
    /// A living member has a higher incarnation: it refuted something, or started again.
    Raised(MemberId),
    /// A peer that can compare holds other rumors.
    Mismatch(MemberId),
    /// While this member starts: this one was running before, and holds the `same` rumors or others.
    Running { id: MemberId, same: bool },
    /// A peer says something of its store of rumors.
    Compared { id: MemberId, parts: Vec<u8> },
    /// This member has a new id; before, it had this one.
    Renewed(MemberId),
    /// Others hold a member for Confirmed that is not known.
    StrangerDead(MemberId),
    /// Others say that a member is Departed that is not known.
    StrangerGone(MemberId),
    /// This dead member's address and name are another's now: it started again without its disk.
    Replaced(MemberId, Incarnation),
    /// A member that is gone for good sent a message; its PULL socket would be there.
    Exiled(MemberId, SocketAddr),
}

/// Membership and failure detection of one member.
pub(crate) struct Swim {
    timing: Timing,
    table: Table,
    identity: Identity,
    numbers: Numbers,
    updates: Updates,
    outbox: Outbox,
    detector: Detector,
    suspicions: Suspicions,
    checks: DeathChecks,
    dead: Dead,
    seeds: Seeds,
    tables: Tables,
    trust: Trust,
    gossip: ForGossip,
}

impl Swim {
    pub fn new(config: &NodeConfig, env: &mut Env) -> Self {
        let timing = config.timing.clone();
        let unspecified = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let me = Member {
            id: config.id,
            incarnation: config.incarnation,
            ip: identity::address_in(config).unwrap_or(unspecified),
            swim_port: config.swim_port,
            gossip_port: config.gossip_port,
            persistent: config.persistent,
            departed: false,
        };
        let name = cut(&config.name, MAX_NAME);
        // The first tick comes at a random moment, so that members which start together do not march.
        let first = env.now + timing.period.mul_f64(env.rng.random::<f64>());
        let detector = Detector::new(env, &timing, first);
        let table = Table::new(&me, name, env.now, &mut env.rng);
        let trust = Trust {
            meter: Meter::new(&mut env.rng),
            refused: Refused::default(),
            unproved: Unproved::new(env.now),
            advertisers: Advertisers::default(),
            echoes: Echoes::new(&mut env.rng),
            replay: Replay::new(config.epoch),
            lives: Lives::new(),
        };
        Swim {
            table,
            identity: Identity::new(config, env.now),
            numbers: Numbers::new(&mut env.rng),
            updates: Updates::new(),
            outbox: Outbox::default(),
            detector,
            suspicions: Suspicions::new(),
            checks: DeathChecks::default(),
            dead: Dead::new(&timing),
            seeds: Seeds::new(),
            tables: Tables::new(),
            trust,
            gossip: ForGossip::default(),
            timing,
        }
    }

    /// A deadline has come.
    pub fn handle_timer(&mut self, env: &mut Env, timer: Timer) {
        match timer {
            Timer::ProbePeriod => self.probe_period(env),
            Timer::AckLate => self.ack_late(env),
            Timer::SuspicionDue(key) => self.suspicion_due(env, key),
            Timer::InquiryDue(number) => self.inquiry_due(env, number),
            Timer::VerdictDue(key) => self.verdict_due(env, key),
            Timer::ComebackDue(key) => self.comeback_due(env, key),
            Timer::GraveDue(key) => self.grave_due(env, key),
            Timer::SeedDue(seed) => self.seed_due(env, seed),
            Timer::RetryDead => self.retry_dead(env),
            Timer::TableDue => self.table_due(env),
            Timer::PushDue => self.push_due(env),
            Timer::SyncDue => self.sync_due(env),
            Timer::LeaveStep => self.leave_step(env),
            Timer::RumorPush
            | Timer::RumorAgain
            | Timer::RumorWanted
            | Timer::RumorRound
            | Timer::RumorDrip
            | Timer::StartDue
            | Timer::ElectionDue
            | Timer::EventDue
            | Timer::QueryDue => {}
        }
    }

    /// The name of the ring that it belongs to.
    pub fn ring(&self) -> Option<&RingName> {
        self.identity.home.name()
    }

    pub fn local_health(&self) -> u8 {
        self.detector.local_health.score()
    }

    /// The loop was late: what goes wrong may be the own fault.
    pub fn lagged(&mut self) {
        self.detector.local_health.worsen();
    }

    pub fn block(&mut self, id: MemberId) -> bool {
        self.detector.watched.forget();
        self.trust.refused.block(id)
    }

    pub fn unblock(&mut self, id: &MemberId) -> bool {
        self.detector.watched.forget();
        self.trust.refused.unblock(id)
    }

    pub fn blocked(&self) -> &BTreeSet<MemberId> {
        self.trust.refused.blocked()
    }

    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    pub fn news(&self) -> usize {
        self.updates.news.len()
    }

    /// Whether more has come in than the driver reads at once, at this moment.
    pub fn set_unread(&mut self, unread: bool) {
        self.detector.hearing.unread = unread;
    }

    /// Whether this member's datagrams are sealed from now on.
    pub fn set_sealed(&mut self, sealed: bool) {
        self.identity.sealed = sealed;
    }

    /// The start of the next sealed datagram's nonce.
    #[inline]
    pub fn next_serial(&mut self) -> Serial {
        self.trust.replay.next()
    }
}
