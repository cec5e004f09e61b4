//! A probe round: its timer, the ping, and the Ack.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use butterfly::node::Transmit;
use butterfly::wire::{self, Encoder, HEADROOM};

use super::{Bench, name_of};
use kit::measure::{COLUMNS, Cost, compare, cost_of, in_turns};
use kit::world::{World, ping_from};

/// Rounds in a batch.
const BATCH: usize = 1_000;

/// A probe round up to its ping.
#[inline(never)]
pub fn probe_round_begins(world: &mut World) -> Option<Transmit> {
    world.begin_round()
}

/// The rest of a probe round.
#[inline(never)]
pub fn probe_round_ends(world: &mut World, from: SocketAddr, ack: &mut [u8]) {
    world.end_round(from, ack);
    black_box(world.take());
}

/// Reads the clock as often as `cost_of` does, and does nothing else.
fn clock(times: usize) -> Cost {
    cost_of(|| {
        for _ in 0..times {
            black_box(Instant::now());
        }
    })
}

impl Bench {
    /// Probe rounds, beside their ping written and their Ack read.
    pub fn probe_rounds(&mut self) {
        let title =
            "a probe round, from its timer to its Ack; the floor: its ping written, its Ack read";
        self.report.table(title, &COLUMNS);
        for sealed in [false, true] {
            for members in self.sizes() {
                self.probe_round(sealed, members);
            }
        }
    }

    fn probe_round(&mut self, sealed: bool, members: u32) {
        let name = format!("probe round, {}, {members} members", name_of(sealed));
        if !self.args.wants(&name) {
            return;
        }
        let mut world = World::settled(sealed, members);
        let keys = world.keys().to_vec();
        let key = keys.first().map(|key| (key, [5; 24]));
        let ping = world.begin_round().expect("a settled ring probes");
        let mut ack = world.ack_of(&ping);
        let sample = ack.clone();
        world.end_round(ping.to, &mut ack);
        let (mut buf, mut scratch) = ([0; 1_024], sample.clone());
        let effort = self.effort(100, BATCH);
        // The Ack in the middle of a round is made with the clock stopped, which takes two readings more.
        let [reading] = in_turns(effort, [&mut clock]);
        let reading = std::time::Duration::from_nanos(reading.row()[0].round() as u64);
        let [floor, ours] = in_turns(
            effort,
            [
                &mut |times| {
                    cost_of(|| {
                        for _ in 0..times {
                            let out = Encoder::new(&mut buf[HEADROOM..], &ping_from(0));
                            let len = out.expect("it has room").finish();
                            black_box(wire::seal(key, &mut buf, len));
                            scratch.copy_from_slice(&sample);
                            let payload = wire::open(&keys, &mut scratch).expect("the Ack is good");
                            black_box(&wire::decode(payload).expect("the Ack is good").message);
                        }
                    })
                },
                &mut |times| {
                    let mut cost = Cost::default();
                    for _ in 0..times {
                        let mut ping = None;
                        cost.add(cost_of(|| ping = probe_round_begins(&mut world)).less(reading));
                        let Some(ping) = ping else { continue };
                        let mut ack = world.ack_of(&ping);
                        let rest = cost_of(|| probe_round_ends(&mut world, ping.to, &mut ack));
                        cost.add(rest.less(reading));
                    }
                    cost
                },
            ],
        );
        assert_eq!(world.node.stats().probes_failed, 0);
        compare(&mut self.report, &name, ("floor", &floor), &ours);
    }
}
