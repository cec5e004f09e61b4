//! Reads and writes a rumor (PROTOCOL.md §3), the payload of a gossip message's envelope.
//!
//! A rumor is written canonically: known fields, ascending, every scalar explicit, so that the same content
//! has the same bytes at every member and bytes can decide between contents.

use super::decode::{lone_membership, once};
use super::field::{BYTES, Fields, VARINT, Value, bytes_len, int32, tag, uint32, varint_len};
use super::record::MembershipRecord;
use super::{forgotten, tags, user_event};
use crate::error::Reject;
use crate::limits::{MAX_FILENAME, MAX_TERM, MAX_VERSION, MAX_VOTES};
use crate::member::MemberId;
use crate::rumor::{
    Election, ElectionStatus, Rumor, RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup,
    SysInfo,
};
use crate::text::is_name;

/// Who a rumor comes from that no member sent, as today's senders have it, and every departure; nobody relies
/// on it.
pub const CLIENT: &str = "butterflyclient";

/// The field of a member's tags.
const TAGS: u32 = 100;

/// The field of members that are forgotten.
const FORGOTTEN: u32 = 101;

/// The field of a user event.
const USER_EVENT: u32 = 102;

/// A rumor's head: what it is, and its payload, not yet read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RumorFrame<'a> {
    /// Its kind; `None`: a record of a member.
    pub kind: Option<RumorKind>,
    /// The sender of a record of a member, the originator of any other.
    pub from_id: &'a str,
    /// The bytes of the payload that fits its kind.
    pub payload: &'a [u8],
}

/// Reads the head of a rumor.
///
/// # Errors
/// `Truncated`, `Malformed`, `BadUtf8`, `UnknownType`, `Fake`; `MissingField` without a type, a `from_id` or
/// the payload of that type.
pub fn read_rumor(bytes: &[u8]) -> Result<RumorFrame<'_>, Reject> {
    let (mut kind, mut from_id, mut body) = (None, None, None);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Varint(number)) => kind = Some(int32(number)?),
            (2, Value::Bytes(tag)) => drop(text(tag)?),
            (3, Value::Bytes(id)) => from_id = Some(text(id)?),
            (number @ (4..=9 | TAGS | FORGOTTEN | USER_EVENT), Value::Bytes(payload)) => {
                once(&mut body, (number, payload))?;
            }
            _ => {}
        }
    }
    let (kind, expected) = match kind.ok_or(Reject::MissingField)? {
        1 => (None, 4),
        2 => (Some(RumorKind::Service), 5),
        3 => (Some(RumorKind::Election), 8),
        4 => (Some(RumorKind::ServiceConfig), 6),
        5 => (Some(RumorKind::ServiceFile), 7),
        6 | 7 => return Err(Reject::Fake),
        8 => (Some(RumorKind::ElectionUpdate), 8),
        9 => (Some(RumorKind::Departure), 9),
        100 => (Some(RumorKind::Tags), TAGS),
        101 => (Some(RumorKind::Forgotten), FORGOTTEN),
        102 => (Some(RumorKind::UserEvent), USER_EVENT),
        _ => return Err(Reject::UnknownType),
    };
    let from_id = from_id.ok_or(Reject::MissingField)?;
    match body {
        Some((number, payload)) if number == expected => Ok(RumorFrame {
            kind,
            from_id,
            payload,
        }),
        _ => Err(Reject::MissingField),
    }
}

impl<'a> RumorFrame<'a> {
    /// Reads the payload of a rumor that members keep.
    ///
    /// # Errors
    /// What PROTOCOL.md §2's table asks for is not there or does not read; also for a record of a member,
    /// which is read by [`membership`](RumorFrame::membership).
    pub fn rumor(&self) -> Result<Rumor, Reject> {
        let kind = self.kind.ok_or(Reject::UnknownType)?;
        Ok(match kind {
            RumorKind::Service => Rumor::Service(service(self.payload)?),
            RumorKind::ServiceConfig => Rumor::ServiceConfig(config(self.payload)?),
            RumorKind::ServiceFile => Rumor::ServiceFile(file(self.payload)?),
            RumorKind::Election => Rumor::Election(self.election()?),
            RumorKind::ElectionUpdate => Rumor::ElectionUpdate(self.election()?),
            RumorKind::Departure => Rumor::Departure(departure(self.payload)?),
            RumorKind::Tags => Rumor::Tags(tags::read(self.payload)?),
            RumorKind::Forgotten => Rumor::Forgotten(forgotten::read(self.payload)?),
            RumorKind::UserEvent => Rumor::UserEvent(user_event::read(self.payload)?),
        })
    }

    /// Reads the payload of a record of a member: one membership.
    ///
    /// # Errors
    /// As for a membership in a SWIM message.
    pub fn membership(&self) -> Result<MembershipRecord<'a>, Reject> {
        lone_membership(self.payload)
    }

    fn election(&self) -> Result<Election, Reject> {
        let (mut group, mut votes) = (None, Vec::new());
        let (mut term, mut suitability, mut status) = (0, 0, ElectionStatus::Running);
        let mut fields = Fields::new(self.payload);
        while let Some(field) = fields.next()? {
            match field {
                // The candidate is who it comes from.
                (1, Value::Bytes(id)) => drop(text(id)?),
                (2, Value::Bytes(name)) => group = Some(text(name)?),
                (3, Value::Varint(number)) => term = at_most(number, MAX_TERM)?,
                (4, Value::Varint(number)) => suitability = number,
                (5, Value::Varint(number)) => status = status_of(int32(number)?),
                (6, Value::Bytes(id)) => votes.push(member_id(text(id)?)?),
                _ => {}
            }
            if votes.len() > MAX_VOTES {
                return Err(Reject::Oversized);
            }
        }
        votes.sort_unstable();
        votes.dedup();
        Ok(Election {
            candidate: member_id(self.from_id)?,
            group: service_group(group)?,
            term,
            suitability,
            status,
            votes,
        })
    }
}

/// An unknown status counts as Running, as the first of the .proto's.
fn status_of(number: i32) -> ElectionStatus {
    match number {
        2 => ElectionStatus::NoQuorum,
        3 => ElectionStatus::Finished,
        _ => ElectionStatus::Running,
    }
}

fn service(payload: &[u8]) -> Result<Service, Reject> {
    let (mut member, mut group, mut pkg, mut sys) = (None, None, None, None);
    let (mut incarnation, mut pkg_incarnation) = (0, 0);
    let mut initialized = false;
    let mut cfg: &[u8] = &[];
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(id)) => member = Some(text(id)?),
            (2, Value::Bytes(name)) => group = Some(text(name)?),
            (3, Value::Varint(number)) => incarnation = at_most(number, MAX_VERSION)?,
            (8, Value::Varint(number)) => initialized = number != 0,
            (9, Value::Bytes(name)) => pkg = Some(text(name)?),
            (10, Value::Bytes(bytes)) => cfg = bytes,
            (12, Value::Bytes(bytes)) => once(&mut sys, bytes)?,
            (13, Value::Varint(number)) => pkg_incarnation = number,
            _ => {}
        }
    }
    Ok(Service {
        member: member_id(member.ok_or(Reject::MissingField)?)?,
        group: service_group(group)?,
        incarnation,
        initialized,
        pkg: pkg.ok_or(Reject::MissingField)?.to_owned(),
        cfg: cfg.to_vec(),
        sys: sys_info(sys.ok_or(Reject::MissingField)?)?,
        pkg_incarnation,
    })
}

fn sys_info(payload: &[u8]) -> Result<SysInfo, Reject> {
    let mut sys = SysInfo::default();
    let (mut has_ip, mut has_hostname) = (false, false);
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(ip)) => {
                sys.ip = text(ip)?.to_owned();
                has_ip = true;
            }
            (2, Value::Bytes(name)) => {
                sys.hostname = text(name)?.to_owned();
                has_hostname = true;
            }
            (3, Value::Bytes(ip)) => sys.gossip_ip = text(ip)?.to_owned(),
            (4, Value::Varint(port)) => sys.gossip_port = uint32(port)?,
            (5, Value::Bytes(ip)) => sys.http_gateway_ip = text(ip)?.to_owned(),
            (6, Value::Varint(port)) => sys.http_gateway_port = uint32(port)?,
            (7, Value::Bytes(ip)) => sys.ctl_gateway_ip = text(ip)?.to_owned(),
            (8, Value::Varint(port)) => sys.ctl_gateway_port = uint32(port)?,
            _ => {}
        }
    }
    if has_ip && has_hostname {
        Ok(sys)
    } else {
        Err(Reject::MissingField)
    }
}

fn config(payload: &[u8]) -> Result<ServiceConfig, Reject> {
    let (mut group, mut incarnation, mut encrypted) = (None, 0, false);
    let mut config: &[u8] = &[];
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(name)) => group = Some(text(name)?),
            (2, Value::Varint(number)) => incarnation = at_most(number, MAX_VERSION)?,
            (3, Value::Varint(number)) => encrypted = number != 0,
            (4, Value::Bytes(bytes)) => config = bytes,
            _ => {}
        }
    }
    Ok(ServiceConfig {
        group: service_group(group)?,
        incarnation,
        encrypted,
        config: config.to_vec(),
    })
}

fn file(payload: &[u8]) -> Result<ServiceFile, Reject> {
    let (mut group, mut incarnation, mut encrypted) = (None, 0, false);
    let (mut filename, mut body): (_, &[u8]) = (None, &[]);
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(name)) => group = Some(text(name)?),
            (2, Value::Varint(number)) => incarnation = at_most(number, MAX_VERSION)?,
            (3, Value::Varint(number)) => encrypted = number != 0,
            (4, Value::Bytes(name)) => filename = Some(text(name)?),
            (5, Value::Bytes(bytes)) => body = bytes,
            _ => {}
        }
    }
    let filename = filename
        .filter(|name| !name.is_empty())
        .ok_or(Reject::MissingField)?;
    if filename.len() > MAX_FILENAME {
        return Err(Reject::Oversized);
    }
    if !is_name(filename) {
        return Err(Reject::BadFilename);
    }
    Ok(ServiceFile {
        group: service_group(group)?,
        incarnation,
        encrypted,
        filename: filename.to_owned(),
        body: body.to_vec(),
    })
}

fn departure(payload: &[u8]) -> Result<MemberId, Reject> {
    let mut member = None;
    let mut fields = Fields::new(payload);
    while let Some(field) = fields.next()? {
        if let (1, Value::Bytes(id)) = field {
            member = Some(text(id)?);
        }
    }
    member_id(member.ok_or(Reject::MissingField)?)
}

/// A version or term: what is too high is refused whatever is held, else members would differ.
pub(super) fn at_most(number: u64, most: u64) -> Result<u64, Reject> {
    Some(number)
        .filter(|number| *number <= most)
        .ok_or(Reject::BadVersion)
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(bytes).map_err(|_| Reject::BadUtf8)
}

pub(super) fn member_id(hex: &str) -> Result<MemberId, Reject> {
    hex.parse().map_err(|_| Reject::BadId)
}

fn service_group(name: Option<&str>) -> Result<ServiceGroup, Reject> {
    let name = name.ok_or(Reject::MissingField)?;
    name.parse().map_err(|_| Reject::BadGroup)
}

/// A rumor in its canonical encoding, ready to be put into an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRumor {
    /// The whole `Rumor` message.
    pub bytes: Vec<u8>,
    /// Where in it the payload begins, which goes to its end.
    pub payload: usize,
}

/// Payloads of so many bytes are not copied.
const LARGE: usize = 64 << 10;

/// Writes a rumor. `from_id` counts for configurations and files, whose payload does not say who applied
/// them; the others come from the member they are about.
pub fn encode_rumor(rumor: &Rumor, from_id: &str) -> EncodedRumor {
    let mut payload = Vec::new();
    let out = &mut Out(&mut payload);
    let mut about = None;
    let number = match rumor {
        Rumor::Service(service) => {
            about = Some(service.member);
            write_service(out, service);
            5
        }
        Rumor::ServiceConfig(config) => {
            out.bytes(1, config.group.as_str().as_bytes());
            out.number(2, config.incarnation);
            out.number(3, config.encrypted.into());
            out.bytes(4, &config.config);
            6
        }
        Rumor::ServiceFile(file) => {
            out.bytes(1, file.group.as_str().as_bytes());
            out.number(2, file.incarnation);
            out.number(3, file.encrypted.into());
            out.bytes(4, file.filename.as_bytes());
            out.bytes(5, &file.body);
            7
        }
        Rumor::Election(election) | Rumor::ElectionUpdate(election) => {
            about = Some(election.candidate);
            write_election(out, election);
            8
        }
        Rumor::Departure(member) => {
            out.bytes(1, &member.to_hex());
            9
        }
        Rumor::Tags(said) => {
            about = Some(said.member);
            tags::write(out, said);
            TAGS
        }
        Rumor::Forgotten(said) => {
            about = Some(said.by);
            forgotten::write(out, said);
            FORGOTTEN
        }
        Rumor::UserEvent(event) => {
            about = Some(event.by);
            user_event::write(out, event);
            USER_EVENT
        }
    };
    let hex = about.map(MemberId::to_hex);
    let from = match (&hex, rumor) {
        (Some(hex), _) => &hex[..],
        (None, Rumor::Departure(_)) => CLIENT.as_bytes(),
        (None, _) => from_id.as_bytes(),
    };
    let kind = rumor.kind() as u64;
    if payload.len() < LARGE {
        return frame(kind, from, number, &payload);
    }
    // Moving it within its memory takes less than filling other memory.
    let mut head = Vec::new();
    push_head(&mut Out(&mut head), (kind, from, number), payload.len());
    let start = head.len();
    payload.reserve_exact(start);
    payload.splice(..0, head);
    EncodedRumor {
        bytes: payload,
        payload: start,
    }
}

/// Writes a record of a member, in the bytes of a `Membership`, as a rumor from this sender.
pub fn encode_member_rumor(membership: &[u8], sender: MemberId) -> Vec<u8> {
    frame(1, &sender.to_hex(), 4, membership).bytes
}

/// What stands before a payload of this number and length.
fn push_head(out: &mut Out<'_>, (kind, from, number): (u64, &[u8], u32), len: usize) {
    out.number(1, kind);
    out.bytes(3, from);
    out.head(number, len);
}

fn frame(kind: u64, from: &[u8], number: u32, payload: &[u8]) -> EncodedRumor {
    // The type, and one byte more of a tag beyond 15.
    let len = 3 + bytes_len(from.len()) + bytes_len(payload.len());
    let mut bytes = Vec::with_capacity(len);
    push_head(&mut Out(&mut bytes), (kind, from, number), payload.len());
    bytes.extend_from_slice(payload);
    EncodedRumor {
        payload: bytes.len() - payload.len(),
        bytes,
    }
}

fn write_service(out: &mut Out<'_>, service: &Service) {
    out.bytes(1, &service.member.to_hex());
    out.bytes(2, service.group.as_str().as_bytes());
    out.number(3, service.incarnation);
    out.number(8, service.initialized.into());
    out.bytes(9, service.pkg.as_bytes());
    out.bytes(10, &service.cfg);
    let mut sys = Vec::new();
    write_sys(&mut Out(&mut sys), &service.sys);
    out.bytes(12, &sys);
    out.number(13, service.pkg_incarnation);
}

fn write_sys(out: &mut Out<'_>, sys: &SysInfo) {
    out.bytes(1, sys.ip.as_bytes());
    out.bytes(2, sys.hostname.as_bytes());
    out.bytes(3, sys.gossip_ip.as_bytes());
    out.number(4, sys.gossip_port.into());
    out.bytes(5, sys.http_gateway_ip.as_bytes());
    out.number(6, sys.http_gateway_port.into());
    out.bytes(7, sys.ctl_gateway_ip.as_bytes());
    out.number(8, sys.ctl_gateway_port.into());
}

fn write_election(out: &mut Out<'_>, election: &Election) {
    out.bytes(1, &election.candidate.to_hex());
    out.bytes(2, election.group.as_str().as_bytes());
    out.number(3, election.term);
    out.number(4, election.suitability);
    out.number(5, election.status as u64);
    for vote in &election.votes {
        out.bytes(6, &vote.to_hex());
    }
}

/// Appends fields, those of scalars and bytes with numbers from 1 to 15.
pub(super) struct Out<'v>(pub(super) &'v mut Vec<u8>);

impl Out<'_> {
    fn varint(&mut self, mut value: u64) {
        self.0.reserve(varint_len(value));
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn number(&mut self, number: u8, value: u64) {
        self.0.push(tag(number, VARINT));
        self.varint(value);
    }

    /// What stands before so many bytes.
    pub(super) fn head(&mut self, number: u32, len: usize) {
        self.varint(u64::from(number << 3 | u32::from(BYTES)));
        self.varint(len as u64);
    }

    pub(super) fn bytes(&mut self, number: u8, bytes: &[u8]) {
        self.head(number.into(), bytes.len());
        self.0.extend_from_slice(bytes);
    }
}
