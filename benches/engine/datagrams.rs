//! A ping arrives, its Ack is taken; memberships ride along which say nothing new, or something.

use std::cell::RefCell;
use std::hint::black_box;
use std::net::SocketAddr;

use butterfly::wire::{self, Encoder, HEADROOM, Message, RingKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Bench, name_of};
use kit::measure::{COLUMNS, Cost, Found, NANO, compare, cost_of, in_turns};
use kit::world::{
    World, addr_of, datagram, ping_from, ping_with_six, ping_with_six_named, renew, sender,
};

/// Pings prepared for one row at most: at 100 000 members most of them are from somebody else, who was not heard of for
/// so long that nothing of it is in a cache.
const PINGS: u32 = 131_072;
/// Pings in a batch.
const BATCH: usize = 4_096;
/// Memberships that ride on one ping.
const SIX: u32 = 6;

/// A ping arrives and its Ack is taken.
#[inline(never)]
pub fn serve(world: &mut World, from: SocketAddr, ping: &mut [u8]) {
    world.hear(from, ping);
    while let Some(ack) = world.take() {
        black_box(ack);
    }
}

/// What a member that keeps nothing would have to do: all is read, the Ack is written.
#[inline(never)]
fn read_and_answer(keys: &[RingKey], ack: &Message<'_>, ping: &mut [u8], buf: &mut [u8]) {
    let payload = wire::open(keys, ping).expect("the ping is good");
    let swim = wire::decode(payload).expect("the ping is good");
    black_box(&swim.message);
    swim.memberships.for_each(|record| {
        let _ = black_box(record);
    });
    let key = keys.first().map(|key| (key, [5; 24]));
    let out = Encoder::new(&mut buf[HEADROOM..], ack).expect("it has room");
    let len = out.finish();
    black_box(wire::seal(key, buf, len));
}

/// All is read.
fn read(ping: &mut [u8]) {
    let payload = wire::open(&[], ping).expect("the ping is good");
    let swim = wire::decode(payload).expect("the ping is good");
    black_box(&swim.message);
    swim.memberships.for_each(|record| {
        let _ = black_box(record);
    });
}

/// Pings from members of a ring of this size, some of them with six records of others.
fn pings(keys: &[RingKey], six: bool, members: u32) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut rng = StdRng::seed_from_u64(1);
    let ping = |_| {
        let number = rng.random_range(1..members);
        let bytes = if six {
            ping_with_six(keys, number, rng.random_range(1..members - SIX))
        } else {
            datagram(keys, &ping_from(number), &mut (0..0), 512)
        };
        (addr_of(number), bytes)
    };
    (0..PINGS.min(members * 4)).map(ping).collect()
}

/// A batch of these pings, each copied to where it may be opened; sealed ones as if they were sent just now.
fn each(
    keys: &[RingKey],
    pings: &[(SocketAddr, Vec<u8>)],
    next: &mut usize,
    times: usize,
    mut work: impl FnMut(SocketAddr, &mut [u8]),
) -> Cost {
    let mut turn = || {
        let ping = &pings[*next];
        *next = if *next + 1 == pings.len() {
            0
        } else {
            *next + 1
        };
        ping
    };
    if !keys.is_empty() {
        let renewed = |_| {
            let (from, mut ping) = turn().clone();
            renew(keys, &mut ping);
            (from, ping)
        };
        let mut renewed: Vec<_> = (0..times).map(renewed).collect();
        return cost_of(|| {
            for (from, ping) in &mut renewed {
                work(*from, ping);
            }
        });
    }
    let mut scratch = [0; 1_024];
    cost_of(|| {
        for _ in 0..times {
            let (from, ping) = turn();
            let ping_again = &mut scratch[..ping.len()];
            ping_again.copy_from_slice(ping);
            work(*from, ping_again);
        }
    })
}

impl Bench {
    /// Pings to their Acks, beside reading and writing the same and nothing else.
    pub fn datagrams(&mut self) {
        self.report.table(
            "a ping arrives, its Ack is taken; the floor: the ping read, an Ack written",
            &COLUMNS,
        );
        for sealed in [false, true] {
            for records in [0, SIX] {
                for members in self.sizes() {
                    self.ping_to_ack(sealed, records, members);
                }
            }
        }
        self.ack_beside_rumors();
    }

    fn ping_to_ack(&mut self, sealed: bool, records: u32, members: u32) {
        let seal = name_of(sealed);
        let name = format!("ping -> ack, {seal}, {records} stale, {members} members");
        if !self.args.wants(&name) {
            return;
        }
        let mut world = World::settled(sealed, members);
        let keys = world.keys().to_vec();
        let pings = pings(&keys, records > 0, members);
        let ack = Message::Ack {
            from: sender(0),
            forward_to: None,
            probe: 77,
            table: false,
            rumors: 0,
            reconcile: &[],
            starting: false,
        };
        let (mut buf, mut place, mut floor_place) = ([0; 1_024], 0, 0);
        let [floor, ours] = in_turns(
            self.effort(100, BATCH),
            [
                &mut |times| {
                    each(&keys, &pings, &mut floor_place, times, |_, ping| {
                        read_and_answer(&keys, &ack, ping, &mut buf);
                    })
                },
                &mut |times| {
                    each(&keys, &pings, &mut place, times, |from, ping| {
                        serve(&mut world, from, ping)
                    })
                },
            ],
        );
        assert_eq!(world.node.stats().rejected_total(), 0);
        compare(&mut self.report, &name, ("floor", &floor), &ours);
        if !sealed {
            self.report.curve(&name, &ours.times, NANO);
        }
    }

    /// An Ack says what rumors are held, however many they are.
    fn ack_beside_rumors(&mut self) {
        let held = if self.args.measure { 10_000 } else { 100 };
        let name = format!("ping -> ack, {held} rumors held");
        if !self.args.wants(&name) {
            return;
        }
        let [mut none, mut many] = [0, held].map(|held| World::holding(false, 10, held));
        let pings = pings(&[], false, 10);
        let (mut at_none, mut at_many) = (0, 0);
        let [none, many] = in_turns(
            self.effort(100, BATCH),
            [
                &mut |times| {
                    each(&[], &pings, &mut at_none, times, |from, ping| {
                        serve(&mut none, from, ping)
                    })
                },
                &mut |times| {
                    each(&[], &pings, &mut at_many, times, |from, ping| {
                        serve(&mut many, from, ping)
                    })
                },
            ],
        );
        compare(&mut self.report, &name, ("none", &none), &many);
    }

    /// A stale membership that was never heard in these bytes, so that it has to be read; and one that was.
    pub fn memberships(&mut self) {
        let title = "a stale membership on a ping: what each of six adds; the floor: it is read, that is all";
        self.report.table(title, &COLUMNS);
        for members in self.sizes() {
            self.membership(members);
        }
    }

    fn membership(&mut self, members: u32) {
        let name = format!("membership, {members} members");
        if !self.args.wants(&name) {
            return;
        }
        // What was never heard pushes out what was, so each has a world of its own.
        let mut worlds = [(); 2].map(|()| World::settled(false, members));
        let [one, other] = &mut worlds;
        let [bare, known] = [false, true].map(|six| pings(&[], six, members));
        // From the first time on they are known.
        each(&[], &known, &mut 0, known.len(), |from, ping| {
            serve(one, from, ping)
        });
        let fresh = RefCell::new(Fresh::new(members));
        let one = RefCell::new(one);
        let answer = |from, ping: &mut [u8]| serve(&mut one.borrow_mut(), from, ping);
        let (mut at_bare, mut at_known, mut at_read) = (0, 0, 0);
        let [bare, known, new, read_bare, read] = in_turns(
            self.effort(60, BATCH),
            [
                &mut |times| each(&[], &bare, &mut at_bare, times, answer),
                &mut |times| each(&[], &known, &mut at_known, times, answer),
                &mut |times| {
                    let pings = fresh.borrow_mut().pings(times);
                    each(&[], &pings, &mut 0, times, |from, ping| {
                        serve(other, from, ping)
                    })
                },
                &mut |times| each(&[], &bare, &mut at_read, times, |_, ping| read(ping)),
                &mut |times| {
                    let pings = fresh.borrow_mut().pings(times);
                    each(&[], &pings, &mut 0, times, |_, ping| read(ping))
                },
            ],
        );
        let of_six = |with: &Found, without: &Found| {
            let (with, without) = (with.row(), without.row());
            [0, 1, 2].map(|place| (with[place] - without[place]) / f64::from(SIX))
        };
        let floor = of_six(&read, &read_bare);
        let report = &mut self.report;
        report.row(&format!("{name}: floor"), &floor);
        for (how, found) in [("heard before", known), ("first heard", new)] {
            let ours = of_six(&found, &bare);
            report.row(&format!("{name}: {how}"), &ours);
            report.ratio(&format!("{name}: {how}, ratio"), &ours[..2], &floor[..2]);
        }
    }
}

/// Makes pings with records that say nothing new, in bytes that were never seen: each has other names in it.
struct Fresh {
    members: u32,
    rng: StdRng,
    made: u32,
}

impl Fresh {
    fn new(members: u32) -> Fresh {
        Fresh {
            members,
            rng: StdRng::seed_from_u64(2),
            made: 0,
        }
    }

    fn pings(&mut self, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let ping = |_| {
            let number = self.rng.random_range(1..self.members);
            let first = self.rng.random_range(1..self.members - SIX);
            self.made += 1;
            let name = format!("{:08x}", self.made);
            (addr_of(number), ping_with_six_named(number, first, &name))
        };
        (0..count).map(ping).collect()
    }
}
