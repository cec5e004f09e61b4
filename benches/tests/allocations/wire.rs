//! On the way of a packet, reading and writing allocate nothing.

use butterfly::member::{Health, Incarnation, MemberId};
use butterfly::wire::{
    Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, RingKey, decode, open,
    seal,
};

use super::allocations_of;

fn member(number: u8, ip: &str) -> MemberRecord<'static> {
    MemberRecord {
        id: MemberId::from_bytes([number; 16]),
        incarnation: Incarnation::new(u64::from(number) << 40).unwrap(),
        address: ip.parse().ok(),
        swim_port: 9638,
        gossip_port: 65_535,
        persistent: true,
        departed: false,
        probe_ping: false,
        features: 3,
        name: "a-name-for-people",
    }
}

#[test]
fn reading_and_writing_a_datagram_allocates_nothing() {
    let keys = [2, 1].map(|byte| RingKey::new("ring", "20260101000000", [byte; 32]).unwrap());
    let from = member(1, "");
    let message = Message::Ping {
        from,
        forward_to: Some(member(2, "10.0.0.2")),
        probe: 77,
        digest: 5,
    };
    let accusers = [MemberId::from_bytes([8; 16]); 3];
    let records = ["10.0.0.3", "2001:db8::4:ffff"].map(|ip| MembershipRecord {
        member: member(3, ip),
        health: Health::Suspect,
        accusers: Accusers::new(&accusers),
    });
    let mut buf = [0; 1024];

    // The second key seals, so that opening tries the first in vain.
    for key in [None, Some((&keys[1], [5; 24]))] {
        let mut range = 0..0;
        let written = allocations_of(|| {
            let mut encoder = Encoder::new(&mut buf[HEADROOM..], &message).unwrap();
            assert!(records.iter().all(|record| encoder.push(record, 900)));
            let len = encoder.finish();
            range = seal(key, &mut buf, len);
        });
        assert_eq!(written, 0, "sealed: {}", key.is_some());

        let with = if key.is_some() { &keys[..] } else { &[] };
        let read = allocations_of(|| {
            let swim = decode(open(with, &mut buf[range]).unwrap()).unwrap();
            assert_eq!(swim.message, message);
            assert!(
                swim.memberships
                    .zip(records)
                    .all(|(ours, theirs)| ours == Ok(theirs))
            );
        });
        assert_eq!(read, 0, "sealed: {}", key.is_some());
    }
}

#[test]
fn refusing_a_datagram_allocates_nothing() {
    let key = RingKey::new("ring", "20260101000000", [1; 32]).unwrap();
    let mut datagram = [&b"\x12\x18"[..], &[0; 24], b"\x1a\x20", &[0; 32]].concat();
    let refused = allocations_of(|| {
        assert!(open(&[], &mut datagram).is_err());
        assert!(open(std::slice::from_ref(&key), &mut datagram).is_err());
        assert!(decode(&datagram).is_err());
    });
    assert_eq!(refused, 0);
}
