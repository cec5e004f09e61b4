//! Addresses at which a member can be.

use std::net::IpAddr;

use crate::member::{Member, unreachable_address};
use crate::wire::MemberRecord;

/// Whether other members can reach one host at this address.
pub(super) fn is_somewhere(ip: IpAddr) -> bool {
    unreachable_address(ip).is_none()
}

pub(super) fn member_at(record: &MemberRecord<'_>, ip: IpAddr) -> Member {
    Member {
        id: record.id,
        incarnation: record.incarnation,
        ip,
        swim_port: record.swim_port,
        gossip_port: record.gossip_port,
        persistent: record.persistent,
        departed: record.departed,
    }
}
