//! One entry of a snapshot, as people and programs are told of it. Bodies are only told by their sizes.

use std::fmt::Debug;

use butterfly::disk::Section;
use butterfly_protocols::newscast::rumor::Payload;
use butterfly_protocols::newscast::{
    Departure, Election, Rumor, Service, ServiceConfig, ServiceFile,
};
use butterfly_protocols::swim::Membership;
use protobuf::{Enum, EnumOrUnknown, Message};
use serde_json::{Map, Value, json};

/// What else there is to say of an entry, by name.
type Facts = Vec<(&'static str, Value)>;

/// What a message says.
#[derive(Default)]
struct Said {
    /// The first part of a rumor's name, such as its service group.
    key: String,
    /// The second, such as a member's id.
    id: String,
    incarnation: Option<u64>,
    facts: Facts,
}

pub struct Entry {
    section: Section,
    bytes: usize,
    /// What it says, or why it cannot be read.
    said: Result<Said, String>,
}

impl Entry {
    pub fn read(section: Section, message: &[u8]) -> Self {
        Entry {
            section,
            bytes: message.len(),
            said: decode(section, message),
        }
    }

    /// Section, key, id, incarnation, bytes, and a note.
    pub fn cells(&self) -> Vec<String> {
        let nothing = Said::default();
        let said = self.said.as_ref().unwrap_or(&nothing);
        let note = match &self.said {
            Ok(said) => said
                .facts
                .iter()
                .filter_map(shown)
                .collect::<Vec<_>>()
                .join(", "),
            Err(why) => format!("unreadable: {why}"),
        };
        vec![
            self.section.to_string(),
            or_dash(&said.key),
            or_dash(&said.id),
            said.incarnation
                .map_or_else(|| "-".into(), |number| number.to_string()),
            self.bytes.to_string(),
            note,
        ]
    }

    /// The same, with the facts beside the rest.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("section", self.section.name().into());
        put("bytes", self.bytes.into());
        match &self.said {
            Ok(said) => {
                put("key", said.key.as_str().into());
                put("id", said.id.as_str().into());
                put("incarnation", said.incarnation.into());
                for (name, value) in &said.facts {
                    put(name, value.clone());
                }
            }
            Err(why) => {
                put("unreadable", why.as_str().into());
            }
        }
        Value::Object(object)
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".into()
    } else {
        text.to_owned()
    }
}

/// A fact in words; one that is not so, or says nothing, is not worth any.
fn shown((name, value): &(&'static str, Value)) -> Option<String> {
    let name = name.replace('_', " ");
    match value {
        Value::Bool(is_so) => is_so.then_some(name),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(format!("{name} {text}")),
        value => Some(format!("{name} {value}")),
    }
}

fn decode(section: Section, message: &[u8]) -> Result<Said, String> {
    if section == Section::Member {
        let membership = Membership::parse_from_bytes(message).map_err(|why| why.to_string())?;
        return Ok(member(&membership));
    }
    let rumor = Rumor::parse_from_bytes(message).map_err(|why| why.to_string())?;
    let from = rumor.from_id();
    match (section, &rumor.payload) {
        (Section::Service, Some(Payload::Service(payload))) => Ok(service(payload)),
        (Section::ServiceConfig, Some(Payload::ServiceConfig(payload))) => {
            Ok(service_config(payload, from))
        }
        (Section::ServiceFile, Some(Payload::ServiceFile(payload))) => {
            Ok(service_file(payload, from))
        }
        (Section::Election | Section::ElectionUpdate, Some(Payload::Election(payload))) => {
            Ok(election(payload, from))
        }
        (Section::Departure, Some(Payload::Departure(payload))) => Ok(departure(payload)),
        _ => Err(format!(
            "a rumor of type {} with {} does not belong here",
            rumor.type_.map(name).unwrap_or_default(),
            payload_name(rumor.payload.as_ref()),
        )),
    }
}

fn payload_name(payload: Option<&Payload>) -> &'static str {
    match payload {
        None => "no payload",
        Some(Payload::Member(_)) => "a member",
        Some(Payload::Service(_)) => "a service",
        Some(Payload::ServiceConfig(_)) => "a service config",
        Some(Payload::ServiceFile(_)) => "a service file",
        Some(Payload::Election(_)) => "an election",
        Some(Payload::Departure(_)) => "a departure",
        Some(_) => "an unknown payload",
    }
}

fn member(membership: &Membership) -> Said {
    let member = membership.member.get_or_default();
    Said {
        key: String::new(),
        id: member.id().into(),
        incarnation: Some(member.incarnation()),
        facts: vec![
            // Alive is the protocol's default.
            (
                "health",
                membership
                    .health
                    .map_or_else(|| "alive".into(), name)
                    .into(),
            ),
            ("address", member.address().into()),
            ("swim_port", member.swim_port().into()),
            ("gossip_port", member.gossip_port().into()),
            ("name", member.name().into()),
            ("persistent", member.persistent().into()),
            ("departed", member.departed().into()),
        ],
    }
}

fn service(service: &Service) -> Said {
    let sys = service.sys.get_or_default();
    Said {
        key: service.service_group().into(),
        id: service.member_id().into(),
        incarnation: Some(service.incarnation()),
        facts: vec![
            ("pkg", service.pkg().into()),
            ("pkg_incarnation", service.pkg_incarnation().into()),
            ("initialized", service.initialized().into()),
            ("cfg_bytes", service.cfg().len().into()),
            // The defaults of these two are not what a receiver fills in: what is not there is not shown.
            ("ip", sys.ip.as_deref().unwrap_or_default().into()),
            (
                "hostname",
                sys.hostname.as_deref().unwrap_or_default().into(),
            ),
        ],
    }
}

fn service_config(config: &ServiceConfig, from: &str) -> Said {
    Said {
        key: config.service_group().into(),
        id: "service_config".into(),
        incarnation: Some(config.incarnation()),
        facts: vec![
            ("config_bytes", config.config().len().into()),
            ("encrypted", config.encrypted().into()),
            ("from", from.into()),
        ],
    }
}

fn service_file(file: &ServiceFile, from: &str) -> Said {
    Said {
        key: file.service_group().into(),
        id: file.filename().into(),
        incarnation: Some(file.incarnation()),
        facts: vec![
            ("body_bytes", file.body().len().into()),
            ("encrypted", file.encrypted().into()),
            ("from", from.into()),
        ],
    }
}

fn election(election: &Election, candidate: &str) -> Said {
    Said {
        key: election.service_group().into(),
        id: "election".into(),
        incarnation: None,
        facts: vec![
            ("candidate", candidate.into()),
            ("term", election.term().into()),
            ("suitability", election.suitability().into()),
            // Running is the protocol's default.
            (
                "status",
                election
                    .status
                    .map_or_else(|| "running".into(), name)
                    .into(),
            ),
            ("votes", json!(election.votes.len())),
        ],
    }
}

fn departure(departure: &Departure) -> Said {
    Said {
        key: "departure".into(),
        id: departure.member_id().into(),
        ..Said::default()
    }
}

/// The name of a value: lowercase, words joined by `_`; of an unknown one, its number.
fn name<E: Enum + Debug>(value: EnumOrUnknown<E>) -> String {
    match value.enum_value() {
        Ok(known) => format!("{known:?}").to_lowercase(),
        Err(unknown) => unknown.to_string(),
    }
}
