//! foca, as lean as it can be had: its member list is an array of addresses.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Codec, NoCustomBroadcast, State};
use foca::{Config, Foca, Header, Member, Message, Notification, PostcardCodec, Runtime, Timer};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub type Identity = SocketAddrV4;
pub type Engine = Foca<Identity, PostcardCodec, StdRng, NoCustomBroadcast>;

/// Where what it sends goes: it is handed on from foca's own buffer, and nothing is kept.
pub struct Sends<F>(pub F);

impl<F: FnMut(Identity, &[u8])> Runtime<Identity> for Sends<F> {
    fn notify(&mut self, _: Notification<'_, Identity>) {}

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.0(to, data);
    }

    // Nobody is probed, so nothing that was to be called back matters.
    fn submit_after(&mut self, _: Timer<Identity>, _: Duration) {}
}

/// Where the member with this number is.
pub fn at(number: u32) -> Identity {
    SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + number), 9638)
}

fn config() -> Config {
    let mut config = Config::simple();
    config.max_packet_size = NonZeroUsize::new(1_400).expect("it is not 0");
    config.max_transmissions = NonZeroU8::MIN;
    config.notify_down_members = false;
    config.periodic_announce = None;
    config.periodic_announce_to_down_members = None;
    config.periodic_gossip = None;
    config
}

/// A member that knows nobody yet.
pub fn lone(me: Identity) -> Engine {
    Foca::new(me, config(), StdRng::seed_from_u64(1), PostcardCodec)
}

/// It knows these, and has nothing to tell.
pub fn know(engine: &mut Engine, members: impl Iterator<Item = Identity>) {
    let known = engine.apply_many(members.map(Member::alive), false, Sends(|_, _: &[u8]| {}));
    known.expect("foca takes in members");
}

/// A ping from one to the other, with these as Alive on board.
pub fn ping(
    from: Identity,
    to: Identity,
    others: impl ExactSizeIterator<Item = Identity>,
) -> Vec<u8> {
    let header = Header {
        src: from,
        src_incarnation: 0,
        dst: to,
        message: Message::Ping(7),
    };
    let mut bytes = Vec::new();
    let mut codec = PostcardCodec;
    let written = codec.encode_header(&header, &mut bytes);
    written.expect("a vector has room");
    bytes.extend((others.len() as u16).to_be_bytes());
    for other in others {
        let member = Member::new(other, 0, State::Alive);
        let written = codec.encode_member(&member, &mut bytes);
        written.expect("a vector has room");
    }
    bytes
}

/// The address as foca has it here.
pub fn v4(addr: SocketAddr) -> Identity {
    match addr {
        SocketAddr::V4(addr) => addr,
        SocketAddr::V6(addr) => unreachable!("all is IPv4, not {addr}"),
    }
}
