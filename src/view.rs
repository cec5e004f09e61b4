//! What a member sees of a ring, to look at.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::member::{Evidence, Health, Member, MemberId};
use crate::rumor::{Election, ElectionStatus, Rumor, RumorId};
use crate::time::Time;
use crate::wire::{TagPairs, read_rumor};

/// A member as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView<'a> {
    /// Who and where it is.
    pub member: Member,
    /// Its name, empty if it has none.
    pub name: &'a str,
    /// How it fares.
    pub health: Health,
    /// Whether it is this very member.
    pub is_self: bool,
    /// The last direct round trip; `None`: never measured.
    pub rtt: Option<Duration>,
    /// When its health changed last, by the node's time ([`now`](crate::Node::now)).
    pub since: Time,
    /// By whom it is suspected and until when, if it is Suspect.
    pub suspicion: Option<SuspicionView<'a>>,
}

/// A suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuspicionView<'a> {
    /// Who is known to suspect it; peers without the extension don't say.
    pub accusers: &'a [MemberId],
    /// What stands behind it.
    pub evidence: Evidence,
    /// When it is Confirmed if nobody vouches for it, by the node's time.
    pub until: Time,
}

/// A rumor as it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RumorView<'a> {
    /// Which it is.
    pub id: &'a RumorId,
    /// Its incarnation; of an election its term, of a departure 0.
    pub version: u64,
    /// Its size as it is sent, bytes, envelope aside.
    pub size: usize,
    /// Whether it is still to be told to others.
    pub hot: bool,
    /// The disk held it, and it does not count yet: it is neither told nor compared, and any copy of the ring's takes its
    /// place.
    pub provisional: bool,
    /// Whether it says that a configuration or file was removed.
    pub removed: bool,
    /// How far this member has spread it, while it is hot.
    pub spread: Option<Spread>,
    /// An election that was won, of a group that has no quorum in this member's view.
    no_quorum: bool,
    bytes: &'a [u8],
}

impl<'a> RumorView<'a> {
    pub(crate) fn new(
        id: &'a RumorId,
        version: u64,
        hot: bool,
        provisional: bool,
        removed: bool,
        bytes: &'a [u8],
    ) -> Self {
        RumorView {
            id,
            version,
            size: bytes.len(),
            hot,
            provisional,
            removed,
            spread: None,
            no_quorum: false,
            bytes,
        }
    }

    /// The same of a hot one.
    pub(crate) fn with_spread(self, spread: Option<Spread>) -> Self {
        RumorView { spread, ..self }
    }

    /// The same of an election that was won, if the group has no quorum in this member's view.
    pub(crate) fn without_quorum(self) -> Self {
        RumorView {
            no_quorum: true,
            ..self
        }
    }

    /// What it says; an election as [`Node::election`](crate::Node::election) shows it. Its bytes were written by this
    /// member, so they do read: `None` is never seen.
    pub fn rumor(&self) -> Option<Rumor> {
        let mut rumor = read_rumor(self.bytes).ok()?.rumor().ok()?;
        if let Rumor::Election(election) | Rumor::ElectionUpdate(election) = &mut rumor
            && self.no_quorum
        {
            election.status = ElectionStatus::NoQuorum;
        }
        Some(rumor)
    }

    /// Its bytes as they are sent, envelope aside: a `Rumor` of `protocols/newscast.proto`.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// The tags of a member as they are held. Nothing is copied.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TagsView<'a> {
    /// Their incarnation: the higher one is newer.
    pub incarnation: u64,
    payload: &'a [u8],
}

impl<'a> TagsView<'a> {
    pub(crate) fn new(incarnation: u64, payload: &'a [u8]) -> Self {
        TagsView {
            incarnation,
            payload,
        }
    }

    /// All of them, keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        TagPairs::new(self.payload)
    }

    /// The value of the tag with this key.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.iter()
            .find(|(one, _)| *one == key)
            .map(|(_, value)| value)
    }
}

/// How a member holds the ring: its answer to the question `state`, written as lines `KEY=VALUE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberState {
    /// Of the library.
    pub version: String,
    /// How many members live, itself included.
    pub living: usize,
    /// Equal at members that hold the same members for living, at the same incarnations.
    pub members: u32,
    /// Equal at members that hold the same rumors, user events aside.
    pub rumors: u32,
    /// Its period and its time-out.
    pub timing: [Duration; 2],
    /// Short ids of its ring keys, the one that seals first.
    pub keys: Vec<String>,
}

/// Keys that fit into an answer.
const MOST_KEYS: usize = 16;

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [period, timeout] = self.timing.map(|it| it.as_millis());
        let keys = self.keys.iter().take(MOST_KEYS).map(String::as_str);
        let keys: Vec<&str> = keys.collect();
        writeln!(f, "version={}", self.version)?;
        writeln!(f, "living={}", self.living)?;
        writeln!(f, "members={:08x}", self.members)?;
        writeln!(f, "rumors={:08x}", self.rumors)?;
        writeln!(f, "period_ms={period}")?;
        writeln!(f, "timeout_ms={timeout}")?;
        writeln!(f, "keys={}", keys.join(","))
    }
}

impl MemberState {
    /// Reads what a member answered; what is missing or does not read is empty or 0.
    pub fn parse(text: &str) -> Self {
        let mut state = MemberState::default();
        let hex = |value| u32::from_str_radix(value, 16).unwrap_or(0);
        let millis = |value: &str| Duration::from_millis(value.parse().unwrap_or(0));
        let [period, timeout] = &mut state.timing;
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "version" => state.version = value.to_owned(),
                "living" => state.living = value.parse().unwrap_or(0),
                "members" => state.members = hex(value),
                "rumors" => state.rumors = hex(value),
                "period_ms" => *period = millis(value),
                "timeout_ms" => *timeout = millis(value),
                "keys" if !value.is_empty() => {
                    state.keys = value.split(',').map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        state
    }
}

/// How far a member has spread a hot rumor: it is cold once `sent` and `heard` together are `enough`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spread {
    /// How often this member sent it since it is hot.
    pub sent: u8,
    /// How often others sent it to this member since then, which they knew already.
    pub heard: u8,
    /// How many of both are enough in a ring of this size.
    pub enough: u8,
}

impl Spread {
    pub(crate) fn new(sent: u8, heard: u8, enough: u8) -> Self {
        Spread {
            sent,
            heard,
            enough,
        }
    }
}

/// A service group's election as a member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElectionView {
    /// What it holds; [`NoQuorum`](ElectionStatus::NoQuorum) for what was won, while the group has no quorum in this
    /// member's view.
    pub election: Election,
    /// The disk held it, and nobody spoke of it since: who led may lead no more.
    pub is_hint: bool,
}

impl ElectionView {
    /// Who leads the group, as far as this member knows.
    pub fn leader(&self) -> Option<MemberId> {
        let finished = self.election.status == ElectionStatus::Finished && !self.is_hint;
        finished.then_some(self.election.candidate)
    }
}

/// A seed as a member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeedView {
    /// Where it is asked; `None`: it was given by name.
    pub addr: Option<SocketAddr>,
    /// Who answered there last; `None`: nobody yet.
    pub answer: Option<SeedAnswer>,
}

/// A member that answered where a seed was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SeedAnswer {
    /// Which one.
    pub by: MemberId,
    /// Where it was asked.
    pub addr: SocketAddr,
    /// When it answered, by the node's time ([`now`](crate::Node::now)).
    pub at: Time,
}

/// How many members there are of each health, this one included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCounts {
    /// Those that are [`Health::Alive`].
    pub alive: usize,
    /// Those that are [`Health::Suspect`].
    pub suspect: usize,
    /// Those that are [`Health::Confirmed`].
    pub confirmed: usize,
    /// Those that are [`Health::Departed`].
    pub departed: usize,
}
