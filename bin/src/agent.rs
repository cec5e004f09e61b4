//! A running member with what the program adds to the library's: its log, its seeds' names, its key
//! files, and what the gateway says and does.

pub mod keys;
mod lateness;
mod past;
mod peers;
mod queries;
mod reloading;
mod solitude;
mod strangers;
mod tagging;
mod unshown;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use butterfly::text::visible;
use butterfly::{
    Butterfly, Cause, Event, Health, Incarnation, MemberId, Node, Reject, RingKey, RumorId,
    RumorKind,
};
use jiff::Timestamp;
use log::{Level, debug, error, info, log, log_enabled, warn};
use mio::Token;

use crate::address::Place;
use crate::events::{Feed, Teller, was};
use crate::handlers::{Handlers, Owner};
use crate::history::{Kept, Moment};
use crate::logging::Log;
use crate::memory::Memory;
use crate::output::{count, how_far, short_id};
use crate::peer_file::PeerFile;
use crate::quiet::{Solitude, Throttle};
use crate::reread::Reread;
use crate::seeds::Seeds;
use crate::socket_drops;
use crate::sys_info;
use crate::tags::OwnTags;
use crate::view::{Counts, Rumors, Status};
use lateness::Lateness;
use unshown::Changes;

/// How many configurations and files are logged in [`SELDOM`] that lost against others of their version.
const MOST_OVERRULED: u32 = 10;
/// How many members of other rings are logged in [`SELDOM`].
const MOST_FOREIGNERS: u32 = 10;
/// The pause between two lines that say the same of this member.
const SELDOM: Duration = Duration::from_secs(10);

/// A running member.
pub struct Agent {
    pub member: Butterfly,
    /// Where its gateway is.
    pub gateway: Option<Place>,
    /// Where its metrics are read by anybody.
    pub metrics: Option<Place>,
    /// The metrics as they were scraped last, and when.
    pub page: Option<(Instant, String)>,
    /// What happened lately, for those who follow it.
    pub feed: Feed,
    /// What runs when something happens.
    pub handlers: Handlers,
    questions: queries::Questions,
    tags: OwnTags,
    past: Kept,
    seeds: Seeds,
    /// The file that names peers, if there is one.
    pub peer_file: Option<PeerFile>,
    reread: Reread,
    keys: keys::Keys,
    started: Instant,
    /// Another member spoke to it since it started.
    met: bool,
    leaving: bool,
    left: bool,
    expelled: bool,
    changes: Changes,
    refuted: Throttle,
    lagged: Throttle,
    corrected: Throttle,
    overruled: Throttle,
    foreigners: Throttle,
    solitude: Solitude,
    memory: Memory,
    lateness: Lateness,
    log: Log,
}

impl Agent {
    /// Around a member that is bound, with these keys.
    pub fn new(
        mut member: Butterfly,
        seeds: Seeds,
        reread: Reread,
        keys: &[RingKey],
        log: Log,
    ) -> Self {
        let started = Timestamp::now();
        let past = Kept::new(&mut member, started);
        Agent {
            member,
            gateway: None,
            metrics: None,
            page: None,
            feed: Feed::new(started),
            handlers: Handlers::new(Vec::new(), Owner::default(), Token(0)),
            questions: queries::Questions::default(),
            tags: OwnTags::default(),
            past,
            seeds,
            peer_file: None,
            reread,
            keys: keys::Keys::of_files(keys),
            started: Instant::now(),
            met: false,
            leaving: false,
            left: false,
            expelled: false,
            changes: Changes::new(),
            refuted: Throttle::new(1, SELDOM),
            lagged: Throttle::new(1, SELDOM),
            corrected: Throttle::new(1, SELDOM),
            foreigners: Throttle::new(MOST_FOREIGNERS, SELDOM),
            overruled: Throttle::new(MOST_OVERRULED, SELDOM),
            solitude: Solitude::default(),
            memory: Memory::default(),
            lateness: Lateness::new(Instant::now()),
            log,
        }
    }

    /// Lets the library work if it is its turn.
    pub fn process(&mut self, readable: bool) -> io::Result<()> {
        let now = Instant::now();
        let due = self.member.deadline().filter(|at| *at <= now);
        if let Some(at) = due {
            self.lateness.note(now, now.saturating_duration_since(at));
        }
        if readable || due.is_some() {
            self.member.process()?;
        }
        while let Some(event) = self.member.poll_event() {
            self.handle(event);
        }
        let now = Instant::now();
        self.changes.turn(now);
        self.log_solitude(now);
        self.memory.turn(now, &self.member);
        self.past.turn(now, &mut self.member);
        Ok(())
    }

    /// When `process` is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.member.deadline(),
            self.changes.deadline(),
            self.solitude.deadline(),
            self.memory.deadline(),
            self.past.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Tells the others, then `has_left`.
    pub fn leave(&mut self) {
        if !self.leaving {
            match self.member.node().counts().alive {
                0 | 1 => info!("leaving: there is nobody to tell"),
                _ => info!("leaving: telling the others"),
            }
            self.leaving = true;
            self.member.leave();
        }
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub fn has_left(&self) -> bool {
        self.left
    }

    /// It was told to depart for good.
    pub fn is_expelled(&self) -> bool {
        self.expelled
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The latest lines of the log.
    pub fn recent_log(&self) -> String {
        self.log.recent()
    }

    /// Lines of the log that nobody read in time.
    pub fn log_lines_lost(&self) -> u64 {
        self.log.lost()
    }

    /// How it fares.
    pub fn status(&self) -> Status {
        let node = self.member.node();
        let me = node.me();
        Status {
            id: me.member.id.to_string(),
            name: me.name.to_owned(),
            ring: node.ring().map(ToString::to_string),
            address: me.member.swim_addr(),
            listening: self.member.local_addr(),
            seen_at: node.seen_elsewhere(),
            incarnation: me.member.incarnation.get(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: Moment(Timestamp::now()).into(),
            uptime_ms: self.uptime().as_millis() as u64,
            members: Counts::of(&self.member),
            rumors: Rumors::of(&self.member),
            local_health: node.local_health(),
            loop_lag_us: self.lateness.worst(Instant::now()).as_micros() as u64,
            isolated_ms: node.isolated_for().map(|it| it.as_millis() as u64),
            leaving: self.leaving,
            sealed: !self.keys.is_empty(),
            ring_keys: self.keys.names(),
            blocked: node.blocked().map(|id| id.to_string()).collect(),
            seeds: self.seeds.listed().map(str::to_owned).collect(),
            counters: node
                .stats()
                .iter()
                .chain([("log_lines_lost", self.log_lines_lost())])
                .chain(socket_drops::of(self.member.local_addr()).map(|it| ("socket_drops", it)))
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        }
    }

    /// What an operator has to know about what was dropped, beyond why.
    fn help_with(&self, reason: Reject) -> String {
        if reason != Reject::StoreFull {
            return String::new();
        }
        let node = self.member.node();
        format!(
            " ({} of {} bytes in {}: remove configurations or files, or raise --store-limit at every member)",
            node.rumor_bytes(),
            node.rumor_limit(),
            count(node.rumor_count(), "rumor")
        )
    }

    /// Logs what happened, and does what it asks for.
    fn handle(&mut self, event: Event) {
        self.tell(&event);
        match event {
            Event::MemberChanged {
                id,
                addr,
                from,
                to,
                incarnation,
                cause,
                ..
            } => {
                self.met |= cause == Cause::ProofOfLife;
                self.log_change(id, addr, from, to, incarnation, cause);
            }
            Event::Refuted {
                claimed,
                incarnation,
            } => {
                if let Some(more) = self.refuted.admit_with_count(Instant::now()) {
                    warn!(
                        "someone said that this member is {claimed}: refuted with incarnation {incarnation}{}",
                        and_more(more)
                    );
                }
            }
            Event::MemberMoved {
                id,
                from,
                to,
                gossip_port,
                ..
            } => {
                let moved = self.words().moved(id, from, to, gossip_port);
                self.log_news(format_args!("{moved}"));
            }
            // One that became known says its name a little later.
            Event::MemberRenamed {
                id, before, name, ..
            } if !before.is_empty() => {
                let (id, was) = (short_id(id), was(&before));
                self.log_news(format_args!("{id} is named {} now{was}", visible(&name)));
            }
            Event::MemberRestarted { id, .. } => {
                let who = self.who(id);
                self.log_news(format_args!("{who} was started again"));
            }
            Event::AddressLearned { ip, .. } => {
                self.log_news(format_args!("others know this member at {ip}"));
                sys_info::renew(self);
            }
            Event::SeenElsewhere { told, seen, .. } => warn!(
                "others see this member at {seen}, and it says that it is at {told}: give it the address at which they \
                 reach it by --advertise, or see to it that {told} leads here, for UDP and TCP"
            ),
            // Each source is told of once, by an event of its own.
            Event::Rejected {
                reason: Reject::OtherRing,
                ..
            } => {}
            Event::OtherRing {
                from,
                named,
                theirs,
                ..
            } => self.log_foreigner(from, named, &theirs),
            Event::Rejected {
                reason,
                from,
                unreported,
            } => {
                let more = and_more(unreported);
                let help = self.help_with(reason);
                warn!("dropped what came from {from}: {reason}{help}{more}");
            }
            Event::NewId { before, id } => {
                error!(
                    "no incarnation is left for member {before}, as somebody said something of it at the highest there \
                     is: it has left, and goes on as {id} (an --id has to go, or to be that one, when it starts again)"
                );
            }
            Event::IdConflict { id, one, other, .. } => self.log_id_conflict(id, one, other),
            Event::Isolated { silent, .. } => warn!(
                "isolated: this member has heard no other for {silent:.1?}, and what it holds of them is as old: is its \
                 network cut, or UDP to {} blocked?",
                self.member.node().me().member.swim_addr()
            ),
            Event::IsolationEnded { lasted, .. } => {
                info!("no longer isolated: that lasted {lasted:.1?}");
            }
            Event::Lagged { by } => {
                if let Some(more) = self.lagged.admit_with_count(Instant::now()) {
                    warn!(
                        "this member was late by {by:.1?}: the machine is busy, or was asleep{}",
                        and_more(more)
                    );
                }
            }
            Event::Left => {
                self.changes.finish();
                info!("left");
                self.left = true;
            }
            Event::UserEvent(event) => {
                let what = self.words().user_event(&event);
                self.log_news(format_args!("{what}"));
            }
            Event::Query(question) => self.asked_by_ring(&question),
            Event::Answer(answer) => self.answered(&answer),
            Event::QueryOver { query, .. } => self.query_over(query),
            Event::TagsChanged { id, .. } => self.log_tags(id),
            Event::RumorChanged { id, .. } if id.kind >= RumorKind::Tags => {}
            Event::MemberForgotten { id, name, .. } => self.log_forgotten(&name, id),
            Event::RumorChanged { id, .. } => {
                self.log_rumor(&id);
                if id.kind == RumorKind::Service && *id.id == *self.member.node().id().to_string() {
                    sys_info::renew(self);
                }
            }
            Event::RumorCorrected(id) => {
                if let Some(more) = self.corrected.admit_with_count(Instant::now()) {
                    warn!(
                        "{}: the disk held something else in the same version, so the copy of the others is kept: the \
                         disk is damaged, or what it held is old{}",
                        self.words().rumor(&id),
                        and_more(more)
                    );
                }
            }
            Event::RumorOverruled {
                id,
                version,
                winner,
                ..
            } => {
                if let Some(more) = self.overruled.admit_with_count(Instant::now()) {
                    let whose = winner.map_or("a client's".to_owned(), |id| {
                        format!("that of {}", self.who(id))
                    });
                    warn!(
                        "{}: incarnation {version} was given to two members at once, and {whose} won: what this member was \
                         given is lost; give it again if it is to hold{}",
                        self.words().rumor(&id),
                        and_more(more)
                    );
                }
            }
            Event::RumorGone(id) => {
                let what = self.words().rumor(&id);
                self.log_news(format_args!("{what}: gone"));
            }
            Event::LeaderElected {
                kind,
                group,
                leader,
                term,
                ..
            } => {
                let who = self.who(leader);
                self.log_news(format_args!(
                    "{kind} of {group}: {who} was elected, term {term}"
                ));
            }
            Event::Expelled => self.expelled = true,
            other => debug!("{other:?}"),
        }
    }

    fn log_id_conflict(&self, id: MemberId, one: SocketAddr, other: SocketAddr) {
        let help = "stop one of them and give it a --data-dir or an --id of its own: a copied data directory has the id \
                    of the first";
        if id == self.member.node().id() {
            error!(
                "another process, at {other}, uses the id of this member, which is at {one}: {help}"
            );
        } else {
            let who = self.who(id);
            warn!("two processes use the id of {who}, at {one} and at {other}: {help}");
        }
    }

    /// One line a transition, with its cause, unless there are too many.
    fn log_change(
        &mut self,
        id: MemberId,
        addr: SocketAddr,
        from: Option<Health>,
        to: Health,
        incarnation: Incarnation,
        cause: Cause,
    ) {
        let level = match to {
            Health::Suspect | Health::Confirmed => Level::Warn,
            _ => Level::Info,
        };
        if !log_enabled!(level) {
            return;
        }
        let node = self.member.node();
        let name = || name_of(node, id);
        if !self.changes.admit(Instant::now(), to, name) {
            return;
        }
        log!(
            level,
            "{}",
            self.words().change(id, addr, from, to, incarnation, cause)
        );
    }

    /// One line for a rumor that is new or was changed.
    fn log_rumor(&mut self, id: &RumorId) {
        let what = self.words().rumor(id);
        match (id.kind, self.member.node().rumor(id)) {
            (RumorKind::Departure, _) | (_, None) => self.log_news(format_args!("{what}")),
            (kind, Some(held)) if kind.is_election() => {
                let how_far = held.rumor().as_ref().and_then(how_far);
                // Who was elected is an event of its own.
                if let Some(how_far) = how_far {
                    self.log_news(format_args!("{what}: {how_far}"));
                }
            }
            (_, Some(held)) => {
                let version = held.version;
                let removed = if held.removed { "removed, " } else { "" };
                self.log_news(format_args!("{what}: {removed}incarnation {version}"));
            }
        }
    }

    /// One line, unless there are too many.
    fn log_news(&mut self, news: fmt::Arguments<'_>) {
        let now = Instant::now();
        if log_enabled!(Level::Info) && self.changes.admit_rumor(now) {
            info!("{news}");
        }
    }

    /// Puts into words what happens.
    fn words(&self) -> Teller<'_> {
        Teller(self.member.node())
    }

    fn who(&self, id: MemberId) -> String {
        self.words().who(id)
    }

    /// Tells those who follow what happened.
    fn tell(&mut self, event: &Event) {
        if let Some(says) = self.words().says(event) {
            let row = self.feed.push(Timestamp::now(), says);
            let said = match event {
                Event::UserEvent(event) | Event::Query(event) => Some(event),
                _ => None,
            };
            self.handlers.tell(&row, said);
        }
    }

    /// The lines at the start: who it is and where.
    pub fn introduce(&self) {
        let me = self.member.node().me();
        let listening = self.member.local_addr();
        info!("member {} listens on {listening}", me.member.id);
        if !me.name.is_empty() {
            info!("its name is {}", me.name);
        }
        if let Some(ring) = self.member.node().ring() {
            info!("its ring is {ring}");
        }
        if me.member.swim_addr() != listening {
            info!("it tells others that it is at {}", me.member.swim_addr());
        }
        if self.seeds.listed().next().is_some() && self.asked().next().is_none() {
            info!("its only --peer is itself: it waits for others to ask it");
        }
        match &self.gateway {
            Some(gateway) => info!("its gateway is {}", gateway.url()),
            None => info!("it has no gateway"),
        }
        if let Some(metrics) = &self.metrics {
            info!("its metrics are at {}/metrics", metrics.url());
        }
        if self.keys.is_empty() && !listening.ip().is_loopback() {
            warn!(
                "{listening} is open to others and there is NO RING KEY: whoever can reach it can join, read \
                 all and forge all. Make a key by `butterfly ring-key generate NAME` and give it to every \
                 member by --ring-key FILE"
            );
        }
    }
}

/// Their names, each once.
/// A member's name, or the beginning of its id.
fn name_of(node: &Node, id: MemberId) -> String {
    let name = node.member(id).map(|view| visible(view.name).into_owned());
    name.filter(|it| !it.is_empty())
        .unwrap_or_else(|| short_id(id))
}

fn and_more(unreported: u64) -> String {
    match unreported {
        0 => String::new(),
        count => format!(" ({count} more since the last such line)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_given_twice_is_listed_once() {
        let key = |revision: &str| RingKey::new("ring", revision, [7; 32]).unwrap();
        let (old, new) = (key("20260101000000"), key("20260202000000"));
        let names = keys::Keys::of_files(&[new.clone(), old.clone(), new.clone()]).names();
        assert_eq!(names, [new.name(), old.name()]);
    }
}
