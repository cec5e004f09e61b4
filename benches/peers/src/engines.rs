//! Without sockets: a ping arrives, its Ack is handed out.

use std::hint::black_box;
use std::io;
use std::net::SocketAddr;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use kit::measure::{COLUMNS, Cost, Effort, Found, NANO, cost_of, in_turns};
use kit::report::Column;
use kit::world::{World, table};
use super::{Peers, butterfly_member, foca_member, memberlist_member};
use kit::counting;

/// Pings prepared for one row at most: at 100 000 members most of them are from somebody else, who was not heard of for
/// so long that nothing of it is in a cache.
const PINGS: u32 = 131_072;
const SIX: u32 = 6;

/// Who pings, and the first of the six that ride along, as all implementations get them.
fn choices(members: u32) -> Vec<(u32, u32)> {
    let mut rng = StdRng::seed_from_u64(1);
    let choice = |_| {
        (
            rng.random_range(1..members),
            rng.random_range(1..members - SIX),
        )
    };
    (0..PINGS.min(members * 4)).map(choice).collect()
}

/// All the prepared work, over and over.
struct Cycle<T> {
    all: Vec<T>,
    next: usize,
}

impl<T> Cycle<T> {
    fn new(all: Vec<T>) -> Cycle<T> {
        Cycle { all, next: 0 }
    }

    #[inline]
    fn run(&mut self, times: usize, mut work: impl FnMut(&T)) -> Cost {
        cost_of(|| {
            for _ in 0..times {
                work(&self.all[self.next]);
                self.next = if self.next + 1 == self.all.len() {
                    0
                } else {
                    self.next + 1
                };
            }
        })
    }
}

/// A butterfly that answers.
struct Ours {
    world: World,
    pings: Cycle<(SocketAddr, Vec<u8>)>,
}

impl Ours {
    fn new(members: u32, six: bool) -> Ours {
        let ping =
            |(number, first): (u32, u32)| butterfly_member::ping(number, six.then_some(first));
        Ours {
            world: World::settled(false, members),
            pings: Cycle::new(choices(members).into_iter().map(ping).collect()),
        }
    }

    fn answer(&mut self, times: usize) -> Cost {
        let mut scratch = [0; 1_024];
        self.pings.run(times, |(from, ping)| {
            // Opened where it lies, as from a socket's buffer.
            let ping_again = &mut scratch[..ping.len()];
            ping_again.copy_from_slice(ping);
            self.world.hear(*from, ping_again);
            while let Some(ack) = self.world.take() {
                black_box(ack);
            }
        })
    }
}

/// A foca that answers.
struct Foca {
    engine: foca_member::Engine,
    pings: Cycle<Vec<u8>>,
}

impl Foca {
    fn new(members: u32, six: bool) -> Foca {
        let mut engine = foca_member::lone(foca_member::at(0));
        foca_member::know(&mut engine, (1..members).map(foca_member::at));
        let ping = |(number, first): (u32, u32)| {
            let others = first..first + if six { SIX } else { 0 };
            let [from, to] = [number, 0].map(foca_member::at);
            foca_member::ping(from, to, others.map(foca_member::at))
        };
        Foca {
            engine,
            pings: Cycle::new(choices(members).into_iter().map(ping).collect()),
        }
    }

    fn answer(&mut self, times: usize) -> Cost {
        let mut acks = 0;
        let cost = self.pings.run(times, |ping| {
            let sends = foca_member::Sends(|to, ack: &[u8]| {
                black_box((to, ack));
                acks += 1;
            });
            let heard = self.engine.handle_data(ping, sends);
            heard.expect("foca takes the ping");
        });
        assert_eq!(acks, times, "each ping is answered");
        cost
    }
}

impl Peers {
    /// What is quick is done often, what takes long seldom: foca looks through all members.
    fn effort(&self, members: u32, six: bool) -> Effort {
        let quick = if self.args.measure { 4_096 } else { 100 };
        let slow = if six { 2_000_000 } else { 10_000_000 };
        Effort {
            batches: if self.args.measure { 41 } else { 2 },
            batch: quick.min(slow / members as usize).max(20),
        }
    }

    /// Pings to their Acks.
    pub fn pings(&mut self) {
        self.report.table(
            "a ping arrives, its Ack is handed out; the ratio: foca's to butterfly's",
            &COLUMNS,
        );
        for six in [false, true] {
            for members in self.sizes() {
                self.ping_to_ack(members, six);
            }
        }
    }

    fn ping_to_ack(&mut self, members: u32, six: bool) {
        let records = if six { SIX } else { 0 };
        let name = format!("ping -> ack, {records} stale, {members} members");
        if !self.args.wants(&name) {
            return;
        }
        let (mut ours, mut foca) = (Ours::new(members, six), Foca::new(members, six));
        let effort = self.effort(members, six);
        let quick = self.effort(10, six).batch;
        let [ours, foca] = in_turns(
            effort,
            [
                // A batch of ours is long enough for the clock, whatever foca's is.
                &mut |times| scaled(ours.answer(quick), quick, times),
                &mut |times| foca.answer(times),
            ],
        );
        self.side_by_side(&name, &ours, &foca);
        for (whose, found) in [("butterfly", &ours), ("foca", &foca)] {
            if members == 10 || members == 10_000 {
                self.report
                    .curve(&format!("{name}, {whose}"), &found.times, NANO);
            }
        }
    }

    fn side_by_side(&mut self, name: &str, ours: &Found, foca: &Found) {
        let (ours, foca) = (ours.row(), foca.row());
        self.report.row(&format!("{name}: butterfly"), &ours);
        self.report.row(&format!("{name}: foca"), &foca);
        self.report
            .ratio(&format!("{name}: ratio"), &foca[..2], &ours[..2]);
    }
}

/// The cost of `done` pieces as that of `asked` pieces.
fn scaled(cost: Cost, done: usize, asked: usize) -> Cost {
    Cost {
        time: cost.time.mul_f64(asked as f64 / done as f64),
        allocations: cost.allocations * asked as u64 / done as u64,
    }
}

impl Peers {
    /// What a stale membership on a ping adds.
    pub fn memberships(&mut self) {
        let title = "a stale membership: what each of six on a ping adds; memberlist: read by its codec, that is all";
        self.report.table(title, &COLUMNS);
        for members in self.sizes() {
            self.membership(members);
        }
        let name = "membership read: memberlist";
        if self.args.wants(name) {
            let batch = memberlist_member::Reading::new();
            let effort = self.effort(10, true);
            let [found] = in_turns(effort, [&mut |times| cost_of(|| batch.run(times))]);
            self.report.row(name, &found.row());
        }
    }

    fn membership(&mut self, members: u32) {
        let name = format!("membership, {members} members");
        if !self.args.wants(&name) {
            return;
        }
        let mut bare = (Ours::new(members, false), Foca::new(members, false));
        let mut known = (Ours::new(members, true), Foca::new(members, true));
        known.0.answer(known.0.pings.all.len());
        let mut fresh = (
            Ours::new(members, false),
            choices(members).into_iter().cycle(),
            0,
        );
        let (effort, quick) = (self.effort(members, true), self.effort(10, true).batch);
        let found = in_turns(
            effort,
            [
                &mut |times| scaled(bare.0.answer(quick), quick, times),
                &mut |times| scaled(known.0.answer(quick), quick, times),
                &mut |times| {
                    let (ours, choices, made) = &mut fresh;
                    let ping = |(number, first)| {
                        *made += 1;
                        butterfly_member::fresh_ping(number, first, *made)
                    };
                    ours.pings = Cycle::new(choices.take(quick).map(ping).collect());
                    scaled(ours.answer(quick), quick, times)
                },
                &mut |times| bare.1.answer(times),
                &mut |times| known.1.answer(times),
            ],
        );
        let row = |place: usize| found[place].row();
        let of_six = |with: usize, without: usize| {
            [0, 1, 2].map(|place| (row(with)[place] - row(without)[place]) / f64::from(SIX))
        };
        let (heard, first, foca) = (of_six(1, 0), of_six(2, 0), of_six(4, 3));
        let report = &mut self.report;
        report.row(&format!("{name}: butterfly, heard before"), &heard);
        report.row(&format!("{name}: butterfly, first heard"), &first);
        report.row(&format!("{name}: foca"), &foca);
        report.ratio(
            &format!("{name}: ratio, heard before"),
            &foca[..2],
            &heard[..2],
        );
        report.ratio(
            &format!("{name}: ratio, first heard"),
            &foca[..2],
            &first[..2],
        );
    }
}

/// What loading shows.
const LOADING: [Column; 4] = [
    ("ms", 2),
    ("ns each", 1),
    ("allocations", 0),
    ("bytes each", 1),
];

impl Peers {
    /// All members of a ring become known: butterfly and memberlist hear of them in datagrams, foca is given them.
    pub fn loading(&mut self) -> io::Result<()> {
        let title = "all members become known; foca is given them, memberlist's time has the kernel's in it";
        self.report.table(title, &LOADING);
        for members in self.sizes() {
            let name = format!("loading {members} members");
            if self.args.wants(&name) {
                self.load(&name, members)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, name: &str, members: u32) -> io::Result<()> {
        let parts = table(&[], members);
        let times = if self.args.measure { 5 } else { 1 };
        // Once may have to do for what takes quadratic time.
        let foca_times = if members > 10_000 { 1 } else { times };
        let ours = median(times, || Ok(load_ours(&parts, members)))?;
        let foca = median(foca_times, || Ok(load_foca(members)))?;
        let memberlist = median(foca_times, || memberlist_member::load(members))?;
        let each = f64::from(members);
        let row = |(cost, bytes): (Cost, i64)| {
            let ns = cost.time.as_nanos() as f64;
            [
                ns / 1e6,
                ns / each,
                cost.allocations as f64,
                bytes as f64 / each,
            ]
        };
        let [ours, foca, memberlist] = [ours, foca, memberlist].map(row);
        let report = &mut self.report;
        report.row(&format!("{name}: butterfly"), &ours);
        report.row(&format!("{name}: foca"), &foca);
        report.row(&format!("{name}: memberlist"), &memberlist);
        report.ratio(&format!("{name}: foca's to butterfly's"), &foca, &ours);
        report.ratio(
            &format!("{name}: memberlist's to butterfly's"),
            &memberlist,
            &ours,
        );
        Ok(())
    }
}

/// The run that took the median time.
fn median(
    times: usize,
    mut load: impl FnMut() -> io::Result<(Cost, i64)>,
) -> io::Result<(Cost, i64)> {
    let runs = (0..times).map(|_| load());
    let mut runs = runs.collect::<io::Result<Vec<_>>>()?;
    runs.sort_by_key(|(cost, _)| cost.time);
    Ok(runs[times / 2])
}

fn load_ours(parts: &[Vec<u8>], members: u32) -> (Cost, i64) {
    let mut parts = parts.to_vec();
    let live = counting::live();
    let mut world = World::new(false);
    let cost = cost_of(|| world.hear_table(&mut parts));
    assert_eq!(world.node.counts().alive, members as usize, "all are known");
    (cost, counting::live() - live)
}

fn load_foca(members: u32) -> (Cost, i64) {
    let live = counting::live();
    let mut engine = foca_member::lone(foca_member::at(0));
    let cost = cost_of(|| foca_member::know(&mut engine, (1..members).map(foca_member::at)));
    assert_eq!(engine.num_members() + 1, members as usize, "all are known");
    (cost, counting::live() - live)
}
