//! What unit tests of the membership's subjects share.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::table::Table;
use crate::env::Env;
use crate::journal::Journal;
use crate::member::{Health, Incarnation, Member, MemberId};
use crate::time::Time;
use crate::timer::TimerWheel;

pub fn env() -> Env {
    let now = Time::from_millis(1_000_000);
    Env {
        now,
        wall: now,
        rng: StdRng::seed_from_u64(1),
        timers: TimerWheel::new(now),
        journal: Journal::default(),
    }
}

pub const fn id(number: u8) -> MemberId {
    MemberId::from_bytes([number; 16])
}

pub fn member(number: u8) -> Member {
    Member {
        id: id(number),
        incarnation: Incarnation::ZERO,
        ip: [10, 0, 0, number].into(),
        swim_port: 1,
        gossip_port: 0,
        persistent: false,
        departed: false,
    }
}

/// The table of the first of so many Alive members.
pub fn ring_of(env: &mut Env, members: u8) -> Table {
    let mut table = Table::new(&member(1), "", env.now, &mut env.rng);
    for number in 2..=members {
        let key = table.insert(&member(number), Health::Alive, env.now);
        table.settle(key, &mut env.rng);
    }
    table
}
