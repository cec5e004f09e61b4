//! The nouns of gossip: what members tell each other about services, their configuration and files, about
//! elections and departures (PROTOCOL.md §3).

use std::fmt;
use std::str::FromStr;

use crate::limits::{MAX_FILENAME, MAX_GROUP};
use crate::member::MemberId;
use crate::text::is_name;

mod forgotten;
mod query;
mod tags;
mod user_event;

pub use forgotten::Forgotten;
pub use query::{Answer, Answered, Query};
pub use tags::{TagError, TagSet, Tags, is_tag_key};
pub use user_event::{UserEvent, is_event_name};

/// The kinds of rumors that a member keeps. (What others gossip of members goes to the member table.) Those from
/// [`Tags`](RumorKind::Tags) on are our own: only members that say so in their messages get them (PROTOCOL.md §3), and
/// there may be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RumorKind {
    /// A member runs a service.
    Service = 2,
    /// Who leads a service group.
    Election = 3,
    /// The configuration of a service group.
    ServiceConfig = 4,
    /// A file of a service group.
    ServiceFile = 5,
    /// Who is first to update its package in a service group.
    ElectionUpdate = 8,
    /// A member is gone for good.
    Departure = 9,
    /// The tags of a member.
    Tags = 100,
    /// Dead members that are forgotten.
    Forgotten = 101,
    /// Something that a user tells all members, once.
    UserEvent = 102,
}

/// Whom a rumor is for: nobody is sent what it cannot read. A peer gets what is for its audience or for a wider one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Audience {
    /// All members, originals too.
    Everyone,
    /// Members that say that they take kinds of our own.
    Ours,
}

impl Audience {
    pub const ALL: [Audience; 2] = [Audience::Everyone, Audience::Ours];
}

impl RumorKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [RumorKind; 9] = [
        RumorKind::Service,
        RumorKind::Election,
        RumorKind::ServiceConfig,
        RumorKind::ServiceFile,
        RumorKind::ElectionUpdate,
        RumorKind::Departure,
        RumorKind::Tags,
        RumorKind::Forgotten,
        RumorKind::UserEvent,
    ];

    /// Its lowercase name, words joined by `_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RumorKind::Service => "service",
            RumorKind::Election => "election",
            RumorKind::ServiceConfig => "service_config",
            RumorKind::ServiceFile => "service_file",
            RumorKind::ElectionUpdate => "election_update",
            RumorKind::Departure => "departure",
            RumorKind::Tags => "tags",
            RumorKind::Forgotten => "forgotten",
            RumorKind::UserEvent => "user_event",
        }
    }

    /// Whom rumors of this kind are for.
    pub(crate) const fn audience(self) -> Audience {
        match self {
            RumorKind::Tags | RumorKind::Forgotten | RumorKind::UserEvent => Audience::Ours,
            _ => Audience::Everyone,
        }
    }

    /// Whether its merging is an election's (PROTOCOL.md §3) and not that of a version.
    pub const fn is_election(self) -> bool {
        matches!(self, RumorKind::Election | RumorKind::ElectionUpdate)
    }
}

impl fmt::Display for RumorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is no name of a kind of rumors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "a rumor's kind is service, election, service_config, service_file, election_update, departure, tags, \
     forgotten or user_event"
)]
pub struct ParseRumorKindError;

impl FromStr for RumorKind {
    type Err = ParseRumorKindError;

    fn from_str(text: &str) -> Result<Self, ParseRumorKindError> {
        let found = RumorKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text);
        found.ok_or(ParseRumorKindError)
    }
}

/// Which rumor: there is at most one with the same kind, key and id (PROTOCOL.md §3, "Identity").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RumorId {
    /// Its kind.
    pub kind: RumorKind,
    /// The service group; of other kinds a constant: `departure`, `tags`, `forgotten` or `user_event`.
    pub key: Box<str>,
    /// The member, or the filename, or a constant.
    pub id: Box<str>,
}

impl RumorId {
    /// The key of all departures.
    pub const DEPARTURE: &'static str = "departure";
    /// The id of a group's configuration.
    pub const CONFIG: &'static str = "service_config";
    /// The id of a group's election, of both kinds.
    pub const ELECTION: &'static str = "election";
    /// The key of all rumors about forgotten members.
    pub const FORGOTTEN: &'static str = "forgotten";
    /// The key of all user events.
    pub const USER_EVENT: &'static str = "user_event";
    /// The key of all tags.
    pub const TAGS: &'static str = "tags";

    /// A member's service in a group.
    pub fn service(group: &ServiceGroup, member: MemberId) -> Self {
        RumorId::new(RumorKind::Service, group.as_str(), &member.to_string())
    }

    /// A group's configuration.
    pub fn config(group: &ServiceGroup) -> Self {
        RumorId::new(RumorKind::ServiceConfig, group.as_str(), Self::CONFIG)
    }

    /// A group's file of that name.
    pub fn file(group: &ServiceGroup, filename: &str) -> Self {
        RumorId::new(RumorKind::ServiceFile, group.as_str(), filename)
    }

    /// A group's election; `kind` is one of the two.
    pub fn election(kind: RumorKind, group: &ServiceGroup) -> Self {
        RumorId::new(kind, group.as_str(), Self::ELECTION)
    }

    /// A member's departure.
    pub fn departure(member: MemberId) -> Self {
        RumorId::new(RumorKind::Departure, Self::DEPARTURE, &member.to_string())
    }

    /// A member's tags.
    pub fn tags(member: MemberId) -> Self {
        RumorId::new(RumorKind::Tags, Self::TAGS, &member.to_string())
    }

    /// What this member said at this time of members that are to be forgotten.
    pub fn forgotten(by: MemberId, time: u64) -> Self {
        let id = format!("{by}-{time}");
        RumorId::new(RumorKind::Forgotten, Self::FORGOTTEN, &id)
    }

    /// The user event of this number of this process of a member.
    pub fn user_event(by: MemberId, series: u64, number: u64) -> Self {
        let id = format!("{by}-{series}-{number}");
        RumorId::new(RumorKind::UserEvent, Self::USER_EVENT, &id)
    }

    pub(crate) fn new(kind: RumorKind, key: &str, id: &str) -> Self {
        RumorId {
            kind,
            key: key.into(),
            id: id.into(),
        }
    }
}

impl fmt::Display for RumorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.key, self.id)
    }
}

/// `service.group` or `service.group@organization`: each part is a [name](is_name) without `#`, `@` or `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceGroup(Box<str>);

impl ServiceGroup {
    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for ServiceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is no service group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "a service group is service.group or service.group@organization, without other dots, @ or #, slashes, control \
     characters and what else does not show, at most {MAX_GROUP} bytes"
)]
pub struct ParseServiceGroupError;

impl FromStr for ServiceGroup {
    type Err = ParseServiceGroupError;

    /// An old prefix `application.environment#` is accepted and stripped.
    fn from_str(text: &str) -> Result<Self, ParseServiceGroupError> {
        let part = |part: &str| is_name(part) && !part.contains(['#', '@', '.']);
        let pair = |text: &str| {
            text.split_once('.')
                .is_some_and(|(one, other)| part(one) && part(other))
        };
        let group = match text.split_once('#') {
            Some((prefix, group)) if pair(prefix) => group,
            Some(_) => return Err(ParseServiceGroupError),
            None => text,
        };
        let well_formed = match group.split_once('@') {
            Some((group, organization)) => pair(group) && part(organization),
            None => pair(group),
        };
        if well_formed && text.len() <= MAX_GROUP {
            Ok(ServiceGroup(group.into()))
        } else {
            Err(ParseServiceGroupError)
        }
    }
}

/// Where a member's service can be reached, as its member says; nothing here is checked, and all of it may be
/// empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SysInfo {
    /// Its machine's IP address.
    pub ip: String,
    /// Its machine's name.
    pub hostname: String,
    /// The IP address of its member's gossip.
    pub gossip_ip: String,
    /// The TCP port of its member's gossip.
    pub gossip_port: u32,
    /// The IP address of its member's HTTP gateway.
    pub http_gateway_ip: String,
    /// The TCP port of its member's HTTP gateway.
    pub http_gateway_port: u32,
    /// The IP address of its member's control gateway.
    pub ctl_gateway_ip: String,
    /// The TCP port of its member's control gateway.
    pub ctl_gateway_port: u32,
}

/// A member runs a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The member; filled in by who announces it.
    pub member: MemberId,
    /// The group that its service is in.
    pub group: ServiceGroup,
    /// The higher one wins.
    pub incarnation: u64,
    /// Whether the service has been initialized.
    pub initialized: bool,
    /// `origin/name/version/release`
    pub pkg: String,
    /// What it tells the other services, in TOML.
    pub cfg: Vec<u8>,
    /// Where it can be reached.
    pub sys: SysInfo,
    /// How often its package was changed.
    pub pkg_incarnation: u64,
}

/// The release that stands in the package of a service which its member does not run any more.
const WITHDRAWN: &str = "withdrawn";

impl Service {
    /// A service of this package, initialized, with nothing else to say; `announce` fills in the member, which
    /// is [`MemberId::NIL`] here, and the incarnation.
    ///
    /// ```
    /// let group = "redis.default".parse()?;
    /// let mut service = butterfly::Service::new(group, "acme/redis/7.2.1/20260101000000");
    /// service.sys.ip = "192.0.2.7".to_owned();
    /// # Ok::<(), butterfly::rumor::ParseServiceGroupError>(())
    /// ```
    pub fn new(group: ServiceGroup, pkg: impl Into<String>) -> Self {
        Service {
            member: MemberId::NIL,
            group,
            incarnation: 0,
            initialized: true,
            pkg: pkg.into(),
            cfg: Vec::new(),
            sys: SysInfo::default(),
            pkg_incarnation: 0,
        }
    }

    /// Whether it says that its member does not run the service any more: it is not initialized, and
    /// `withdrawn` stands in its package in the place of the release. (No extension field says so, as peers
    /// that know none write the record anew when they relay it.)
    ///
    /// ```
    /// let mut service = butterfly::Service::new("redis.default".parse()?, "acme/redis/7.2.1/withdrawn");
    /// service.initialized = false;
    /// assert!(service.is_withdrawn());
    /// # Ok::<(), butterfly::rumor::ParseServiceGroupError>(())
    /// ```
    pub fn is_withdrawn(&self) -> bool {
        let release = self.pkg.rsplit_once('/').map(|(_, release)| release);
        !self.initialized && release == Some(WITHDRAWN)
    }

    /// The next incarnation of this service, which says that its member does not run it any more.
    pub(crate) fn withdrawn(self) -> Self {
        let package = match self.pkg.rsplit_once('/') {
            Some((package, _)) => package,
            None => &self.pkg,
        };
        Service {
            incarnation: self.incarnation.saturating_add(1),
            initialized: false,
            pkg: format!("{package}/{WITHDRAWN}"),
            cfg: Vec::new(),
            ..self
        }
    }
}

/// The configuration of a service group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// The group.
    pub group: ServiceGroup,
    /// The higher one wins.
    pub incarnation: u64,
    /// Whether `config` is encrypted for the group.
    pub encrypted: bool,
    /// In TOML; empty: it was removed.
    pub config: Vec<u8>,
}

impl ServiceConfig {
    /// A configuration in plain TOML.
    pub fn new(group: ServiceGroup, incarnation: u64, config: impl Into<Vec<u8>>) -> Self {
        ServiceConfig {
            group,
            incarnation,
            encrypted: false,
            config: config.into(),
        }
    }
}

/// Whether a service group can have a file of this name: a [name](is_name) of at most
/// [`MAX_FILENAME`] bytes, so one that stays in the directory that it is written to.
pub fn is_filename(name: &str) -> bool {
    name.len() <= MAX_FILENAME && is_name(name)
}

/// A file of a service group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceFile {
    /// The group.
    pub group: ServiceGroup,
    /// The higher one wins.
    pub incarnation: u64,
    /// Whether `body` is encrypted for the group.
    pub encrypted: bool,
    /// Its name: see [`is_filename`].
    pub filename: String,
    /// Its content, at most [`crate::limits::MAX_RUMOR`] bytes with all the rest; empty: it was removed.
    pub body: Vec<u8>,
}

impl ServiceFile {
    /// A file that is not encrypted.
    pub fn new(
        group: ServiceGroup,
        incarnation: u64,
        filename: impl Into<String>,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        ServiceFile {
            group,
            incarnation,
            encrypted: false,
            filename: filename.into(),
            body: body.into(),
        }
    }
}

/// How far an election has got. The wire has no other states (PROTOCOL.md §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ElectionStatus {
    /// Votes are being gathered.
    Running = 1,
    /// Too few members of the group are Alive to decide.
    NoQuorum = 2,
    /// The candidate leads.
    Finished = 3,
}

impl ElectionStatus {
    /// Its lowercase name, words joined by `_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ElectionStatus::Running => "running",
            ElectionStatus::NoQuorum => "no_quorum",
            ElectionStatus::Finished => "finished",
        }
    }
}

impl fmt::Display for ElectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An election of a service group, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Election {
    /// The candidate that is voted for: `Rumor.from_id` on the wire, and `member_id` alike.
    pub candidate: MemberId,
    /// The group.
    pub group: ServiceGroup,
    /// The higher one wins; 0 at first.
    pub term: u64,
    /// How fit the candidate is; the higher one wins.
    pub suitability: u64,
    /// How far it has got.
    pub status: ElectionStatus,
    /// Who votes for the candidate: sorted, none twice.
    pub votes: Vec<MemberId>,
}

impl Election {
    /// The first term of an election in which this candidate, as fit as any, has its own vote.
    pub fn new(group: ServiceGroup, candidate: MemberId) -> Self {
        Election {
            candidate,
            group,
            term: 0,
            suitability: 0,
            status: ElectionStatus::Running,
            votes: vec![candidate],
        }
    }
}

/// A rumor of a kind that members keep; see [`RumorKind`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rumor {
    /// A member runs a service.
    Service(Service),
    /// Who leads a service group.
    Election(Election),
    /// The configuration of a service group.
    ServiceConfig(ServiceConfig),
    /// A file of a service group.
    ServiceFile(ServiceFile),
    /// Who is first to update its package in a service group.
    ElectionUpdate(Election),
    /// This member is gone for good.
    Departure(MemberId),
    /// The tags of a member.
    Tags(Tags),
    /// Dead members that are forgotten.
    Forgotten(Forgotten),
    /// Something that a user tells all members.
    UserEvent(UserEvent),
}

impl Rumor {
    /// Its kind.
    pub fn kind(&self) -> RumorKind {
        match self {
            Rumor::Service(_) => RumorKind::Service,
            Rumor::Election(_) => RumorKind::Election,
            Rumor::ServiceConfig(_) => RumorKind::ServiceConfig,
            Rumor::ServiceFile(_) => RumorKind::ServiceFile,
            Rumor::ElectionUpdate(_) => RumorKind::ElectionUpdate,
            Rumor::Departure(_) => RumorKind::Departure,
            Rumor::Tags(_) => RumorKind::Tags,
            Rumor::Forgotten(_) => RumorKind::Forgotten,
            Rumor::UserEvent(_) => RumorKind::UserEvent,
        }
    }

    /// Which rumor it is.
    pub fn id(&self) -> RumorId {
        match self {
            Rumor::Service(service) => RumorId::service(&service.group, service.member),
            Rumor::ServiceConfig(config) => RumorId::config(&config.group),
            Rumor::ServiceFile(file) => RumorId::file(&file.group, &file.filename),
            Rumor::Election(election) | Rumor::ElectionUpdate(election) => {
                RumorId::election(self.kind(), &election.group)
            }
            Rumor::Departure(member) => RumorId::departure(*member),
            Rumor::Tags(tags) => RumorId::tags(tags.member),
            Rumor::Forgotten(said) => RumorId::forgotten(said.by, said.time),
            Rumor::UserEvent(event) => RumorId::user_event(event.by, event.series, event.number),
        }
    }

    /// The member that says it of itself, and that it goes with.
    pub(crate) fn owner(&self) -> Option<MemberId> {
        match self {
            Rumor::Service(service) => Some(service.member),
            Rumor::Tags(tags) => Some(tags.member),
            _ => None,
        }
    }

    /// Whether it says that a configuration or file was removed: that is what an empty one means.
    pub fn is_removal(&self) -> bool {
        match self {
            Rumor::ServiceConfig(config) => config.config.is_empty(),
            Rumor::ServiceFile(file) => file.body.is_empty(),
            _ => false,
        }
    }

    /// What makes it newer than another with the same id: its incarnation; an election's term.
    pub fn version(&self) -> u64 {
        match self {
            Rumor::Service(service) => service.incarnation,
            Rumor::ServiceConfig(config) => config.incarnation,
            Rumor::ServiceFile(file) => file.incarnation,
            Rumor::Election(election) | Rumor::ElectionUpdate(election) => election.term,
            Rumor::Departure(_) | Rumor::Forgotten(_) | Rumor::UserEvent(_) => 0,
            Rumor::Tags(tags) => tags.incarnation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_group_reads_as_the_contract_says() {
        for (text, group) in [
            ("redis.default", "redis.default"),
            ("redis.default@acme", "redis.default@acme"),
            ("app.env#redis.default", "redis.default"),
            ("app.env#redis.default@acme", "redis.default@acme"),
        ] {
            let read: ServiceGroup = text.parse().unwrap();
            assert_eq!((read.as_str(), read.service()), (group, "redis"));
        }
        for text in [
            "",
            "redis",
            ".default",
            "redis.",
            "redis.default.more",
            "redis.default@",
            "redis.default@a.b",
            "redis.default@a@b",
            "app#redis.default",
            "#redis.default",
            "a.b#c.d#redis.default",
            "app.env#",
            "red\n2026-11-30 ERROR forged.default",
            "redis.default\u{202e}",
            "re\u{200b}dis.default",
            "re\0dis.default",
            "redis.default@ac\u{9b}me",
            "a\n.b#redis.default",
            "redis/../x.default",
            r"redis.default@a\b",
            " redis.default",
            "redis.default ",
        ] {
            assert_eq!(
                text.parse::<ServiceGroup>(),
                Err(ParseServiceGroupError),
                "{text}"
            );
        }
    }

    #[test]
    fn kinds_are_read_by_their_names() {
        for kind in RumorKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("member".parse::<RumorKind>(), Err(ParseRumorKindError));
    }
}
