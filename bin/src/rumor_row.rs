//! What the gateway tells of a rumor, as JSON: written by `run`, read by the others.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use butterfly::{
    Election, ElectionStatus, Health, MemberId, Node, Rumor, RumorView, Service, ServiceConfig,
    ServiceFile, SysInfo, Tags,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::output::{count, who};

/// So many whose votes are missing are named.
const MOST_NAMES: usize = 3;

/// One rumor, as the asked member holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Rumor"))]
pub struct RumorRow {
    #[serde(flatten)]
    pub says: Says,
    /// Its size as it is sent, bytes.
    pub size: usize,
    /// The asked member is still telling others of it.
    pub hot: bool,
    /// How far the asked member has spread it, while it is hot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<SpreadRow>,
    /// The asked member has it from its disk, and has yet to compare it with others'.
    #[serde(default)]
    pub provisional: bool,
}

/// How far a rumor has spread: it is cold once `sent` and `heard` together are `enough`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Spread"))]
pub struct SpreadRow {
    /// How often the asked member sent it since it is hot.
    pub sent: u8,
    /// How often others sent it back since then.
    pub heard: u8,
    pub enough: u8,
}

/// What it says, by its kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "RumorContent"))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Says {
    Service(ServiceRow),
    Election(ElectionRow),
    ServiceConfig(ConfigRow),
    ServiceFile(FileRow),
    ElectionUpdate(ElectionRow),
    Departure { member: String },
    Tags(TagsRow),
    Forgotten(ForgottenRow),
    UserEvent(UserEventRow),
}

/// What a user told all members.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "UserEvent"))]
pub struct UserEventRow {
    /// The member that sent it.
    pub by: String,
    /// Its number among the events of that process of the member's.
    pub number: u64,
    pub lamport: u64,
    /// Its name.
    pub name: String,
    pub payload_bytes: usize,
    pub ttl_ms: u64,
}

/// Dead members that are forgotten.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Forgotten"))]
pub struct ForgottenRow {
    /// The member that was told to.
    pub by: String,
    pub members: Vec<String>,
}

/// What a member says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Tags"))]
pub struct TagsRow {
    pub member: String,
    pub incarnation: u64,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Service"))]
pub struct ServiceRow {
    pub group: String,
    pub member: String,
    pub incarnation: u64,
    pub initialized: bool,
    pub pkg: String,
    pub pkg_incarnation: u64,
    /// The member does not run it any more.
    pub withdrawn: bool,
    /// What it tells the other services, in TOML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg: Option<String>,
    /// The same where it is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg_base64: Option<String>,
    pub sys: SysRow,
}

/// Where a service can be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Sys"))]
pub struct SysRow {
    pub ip: String,
    pub hostname: String,
    pub gossip_ip: String,
    pub gossip_port: u32,
    pub http_gateway_ip: String,
    pub http_gateway_port: u32,
    pub ctl_gateway_ip: String,
    pub ctl_gateway_port: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Configuration"))]
pub struct ConfigRow {
    pub group: String,
    pub incarnation: u64,
    pub encrypted: bool,
    /// It was removed: there is none.
    #[serde(default)]
    pub removed: bool,
    /// The configuration, in TOML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The same where it is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_base64: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "File"))]
pub struct FileRow {
    pub group: String,
    pub filename: String,
    pub incarnation: u64,
    pub encrypted: bool,
    /// It was removed: there is none.
    #[serde(default)]
    pub removed: bool,
    /// Bytes.
    pub length: usize,
    pub sha256: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Election"))]
pub struct ElectionRow {
    pub group: String,
    pub term: u64,
    /// `running`, `no_quorum` or `finished`.
    pub status: String,
    /// Who leads, once it is finished.
    pub candidate: String,
    pub suitability: u64,
    pub votes: Vec<String>,
    /// Why it is where it is, in words.
    #[serde(default)]
    pub reason: String,
}

impl RumorRow {
    /// The same without what a service or group was given.
    pub fn without_body(mut self) -> Self {
        match &mut self.says {
            Says::Service(service) => (service.cfg, service.cfg_base64) = (None, None),
            Says::ServiceConfig(config) => (config.config, config.config_base64) = (None, None),
            _ => {}
        }
        self
    }

    /// The row of a rumor; `None`: it does not read, which is never seen.
    pub fn of(view: &RumorView<'_>, node: &Node) -> Option<Self> {
        let spread = view.spread.map(|spread| SpreadRow {
            sent: spread.sent,
            heard: spread.heard,
            enough: spread.enough,
        });
        Some(RumorRow {
            says: Says::of(view.rumor()?, node)?,
            size: view.size,
            hot: view.hot,
            spread,
            provisional: view.provisional,
        })
    }
}

impl Says {
    /// What a rumor says; `None`: it is of a kind that this program knows nothing of.
    fn of(rumor: Rumor, node: &Node) -> Option<Self> {
        Some(match rumor {
            Rumor::Service(service) => Says::Service(service.into()),
            Rumor::Election(election) => Says::Election(ElectionRow::of(election, node)),
            Rumor::ServiceConfig(config) => Says::ServiceConfig(config.into()),
            Rumor::ServiceFile(file) => Says::ServiceFile(file.into()),
            Rumor::ElectionUpdate(election) => {
                Says::ElectionUpdate(ElectionRow::of(election, node))
            }
            Rumor::Departure(member) => Says::Departure {
                member: member.to_string(),
            },
            Rumor::Tags(tags) => Says::Tags(tags.into()),
            Rumor::Forgotten(said) => Says::Forgotten(ForgottenRow {
                by: said.by.to_string(),
                members: said.members.iter().map(|(id, _)| id.to_string()).collect(),
            }),
            Rumor::UserEvent(event) => Says::UserEvent(UserEventRow {
                by: event.by.to_string(),
                number: event.number,
                lamport: event.lamport,
                payload_bytes: event.payload.len(),
                ttl_ms: event.ttl.as_millis() as u64,
                name: event.name,
            }),
            _ => return None,
        })
    }
}

impl From<Tags> for TagsRow {
    fn from(tags: Tags) -> Self {
        let pairs = tags.set.iter();
        TagsRow {
            member: tags.member.to_string(),
            incarnation: tags.incarnation,
            tags: pairs
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        }
    }
}

impl From<Service> for ServiceRow {
    fn from(service: Service) -> Self {
        let withdrawn = service.is_withdrawn();
        let (cfg, cfg_base64) = text_or_base64(service.cfg);
        ServiceRow {
            group: service.group.to_string(),
            member: service.member.to_string(),
            incarnation: service.incarnation,
            initialized: service.initialized,
            pkg: service.pkg,
            pkg_incarnation: service.pkg_incarnation,
            withdrawn,
            cfg,
            cfg_base64,
            sys: service.sys.into(),
        }
    }
}

impl From<SysInfo> for SysRow {
    fn from(sys: SysInfo) -> Self {
        SysRow {
            ip: sys.ip,
            hostname: sys.hostname,
            gossip_ip: sys.gossip_ip,
            gossip_port: sys.gossip_port,
            http_gateway_ip: sys.http_gateway_ip,
            http_gateway_port: sys.http_gateway_port,
            ctl_gateway_ip: sys.ctl_gateway_ip,
            ctl_gateway_port: sys.ctl_gateway_port,
        }
    }
}

impl From<ServiceConfig> for ConfigRow {
    fn from(config: ServiceConfig) -> Self {
        let removed = config.config.is_empty();
        let (text, base64) = text_or_base64(config.config);
        ConfigRow {
            group: config.group.to_string(),
            incarnation: config.incarnation,
            encrypted: config.encrypted,
            removed,
            config: text.filter(|_| !removed),
            config_base64: base64,
        }
    }
}

impl From<ServiceFile> for FileRow {
    fn from(file: ServiceFile) -> Self {
        let hash = Sha256::digest(&file.body);
        FileRow {
            group: file.group.to_string(),
            filename: file.filename,
            incarnation: file.incarnation,
            encrypted: file.encrypted,
            removed: file.body.is_empty(),
            length: file.body.len(),
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl ElectionRow {
    /// The row of an election at a member that sees its group so.
    pub fn of(election: Election, node: &Node) -> Self {
        let reason = reason(&election, node);
        ElectionRow {
            group: election.group.to_string(),
            term: election.term,
            status: election.status.to_string(),
            candidate: election.candidate.to_string(),
            suitability: election.suitability,
            votes: election.votes.iter().map(ToString::to_string).collect(),
            reason,
        }
    }
}

/// Why an election is where it is, by what this member sees of the group.
fn reason(election: &Election, node: &Node) -> String {
    let (mut alive, mut population) = (Vec::new(), 0);
    for id in node.members_of(&election.group) {
        let health = node.health_of(id);
        population += usize::from(health != Some(Health::Departed));
        if health == Some(Health::Alive) {
            alive.push(id);
        }
    }
    let living = format!(
        "{} of {} are alive",
        alive.len(),
        count(population, "member")
    );
    let candidate = named(node, election.candidate);
    match election.status {
        ElectionStatus::Finished => {
            let votes = count(election.votes.len(), "vote");
            let suitability = election.suitability;
            format!("{candidate} won it with suitability {suitability} and {votes}; {living}")
        }
        ElectionStatus::NoQuorum => {
            let needed = population / 2 + 1;
            format!("no quorum: {living}, and {needed} must be; it goes on when they are")
        }
        _ => {
            let missing = alive.iter().filter(|id| !election.votes.contains(id));
            let names: Vec<_> = missing.map(|id| named(node, *id)).collect();
            match names.len() {
                0 => format!("{candidate} has all votes of those alive, and is about to win"),
                1..=MOST_NAMES => format!(
                    "{candidate} is ahead; missing is the vote of {}",
                    names.join(", ")
                ),
                many => format!("{candidate} is ahead; missing are the votes of {many}"),
            }
        }
    }
}

/// As people are told of it.
fn named(node: &Node, id: MemberId) -> String {
    who(node.member(id).map_or("", |view| view.name), id)
}

/// Bytes for JSON: as they are where they are text.
fn text_or_base64(bytes: Vec<u8>) -> (Option<String>, Option<String>) {
    match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use butterfly::{Butterfly, Config};

    use super::*;

    fn json(rumor: Rumor) -> serde_json::Value {
        let member = Butterfly::bind(Config::new("127.0.0.1:0".parse().unwrap())).unwrap();
        let row = RumorRow {
            says: Says::of(rumor, member.node()).unwrap(),
            size: 9,
            hot: true,
            spread: None,
            provisional: false,
        };
        let text = serde_json::to_string(&row).unwrap();
        let read: RumorRow = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_body_is_text_where_it_can_be() {
        let config = |bytes: &[u8]| {
            json(Rumor::ServiceConfig(ServiceConfig::new(
                "redis.default".parse().unwrap(),
                u64::MAX,
                bytes,
            )))
        };
        let row = config(b"port = 1");
        assert_eq!(
            (&row["kind"], &row["config"]),
            (&"service_config".into(), &"port = 1".into())
        );
        assert_eq!(row["incarnation"], u64::MAX);
        assert!(row.get("config_base64").is_none() && row["hot"] == true);
        assert_eq!(row["provisional"], false);
        let row = config(&[0xff, 0]);
        assert!(row.get("config").is_none());
        assert_eq!(row["config_base64"], "/wA=");
    }

    #[test]
    fn a_file_is_told_by_its_length_and_hash() {
        let row = json(Rumor::ServiceFile(ServiceFile::new(
            "redis.default".parse().unwrap(),
            1,
            "a",
            "abc",
        )));
        assert_eq!(row["length"], 3);
        // FIPS 180-2's example.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(row["sha256"], hash);
    }
}
