//! Pings for a butterfly in a world of its own, as `engine` has them.

use std::net::SocketAddr;

use kit::world::{addr_of, datagram, ping_from, ping_with_six, ping_with_six_named};

/// A ping from the member with this number, with six others on board from `first` on.
pub fn ping(number: u32, first: Option<u32>) -> (SocketAddr, Vec<u8>) {
    let bytes = match first {
        Some(first) => ping_with_six(&[], number, first),
        None => datagram(&[], &ping_from(number), &mut (0..0), 512),
    };
    (addr_of(number), bytes)
}

/// The same, in bytes that were never seen.
pub fn fresh_ping(number: u32, first: u32, made: u32) -> (SocketAddr, Vec<u8>) {
    let bytes = ping_with_six_named(number, first, &format!("{made:08x}"));
    (addr_of(number), bytes)
}
