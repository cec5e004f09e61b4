//! What the engine costs, without sockets: time, and how often it asks the allocator for memory.

#[path = "support/args.rs"]
mod args;
#[path = "support/counting.rs"]
mod counting;
#[allow(dead_code)]
#[path = "support/world.rs"]
mod world;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use args::Args;
use butterfly::Time;
use butterfly::timer::TimerWheel;
use butterfly::wire::{self, RingKey};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use world::{World, addr_of, config_frame, datagram, keys, ping_from, ping_with_six, table};

const HELP: &str = "\
cargo bench --bench engine [-- WORD...]: what the engine costs without sockets, in nanoseconds (of the
batches the median, and the tenth that went best: other work on the machine shows in the first) and
allocations; only the rows whose names have one of the WORDs in them. To see where it goes:
  valgrind --tool=callgrind --toggle-collect=engine::serve target/release/deps/engine-HASH 'plain, 0 stale records, 10 '
(without --bench it does everything only a few times: 2 000 pings; a probe round's functions are
engine::probe_round_begins and engine::probe_round_ends).";

/// Pings prepared for one row: so many that at 100 000 members the rows of the table are seldom in a cache.
const PINGS: u32 = 4_096;
/// Timers that are set while the wheel is measured.
const TIMERS: usize = 30_000;

fn main() {
    let Some(args) = Args::read(HELP) else { return };
    let bench = Bench { args };
    println!(
        "{:<52} {:>10} {:>10} {:>12}",
        "", "ns", "best tenth", "allocations"
    );
    let sizes: &[u32] = if bench.args.measure {
        &[10, 1_000, 100_000]
    } else {
        &[10, 1_000]
    };
    for sealed in [false, true] {
        let decoded = [false, true].map(|six| bench.decoding(sealed, six));
        for members in sizes {
            let served = [false, true].map(|six| bench.ping_to_ack(sealed, six, *members));
            if let ([Some(bare), Some(six)], [Some(read), Some(read_six)], false) =
                (served, decoded, sealed)
            {
                let [whole, reading] = [(bare, six), (read, read_six)].map(each_of_six);
                print_row("  of it a stale record, whole", whole, 0.0);
                let merging = [whole[0] - reading[0], whole[1] - reading[1]];
                print_row("  and without reading it", merging, 0.0);
            }
        }
    }
    for sealed in [false, true] {
        for members in sizes {
            bench.probe_rounds(sealed, *members);
        }
    }
    for sealed in [false, true] {
        bench.hearing_rumors(sealed);
    }
    bench.gossip_rounds();
    bench.loading(*sizes.last().unwrap());
    bench.timers();
}

/// What one piece of work took: the median of the batches, and the tenth that went best.
type Nanos = [f64; 2];

struct Bench {
    args: Args,
}

fn print_row(name: &str, ns: Nanos, allocations: f64) {
    let [median, best] = ns;
    println!("{name:<52} {median:>10.1} {best:>10.1} {allocations:>12.3}");
}

fn name_of(sealed: bool) -> &'static str {
    if sealed { "sealed" } else { "plain" }
}

/// What each of six records adds to a ping.
fn each_of_six((bare, six): (Nanos, Nanos)) -> Nanos {
    [0, 1].map(|place| (six[place] - bare[place]) / 6.0)
}

/// The same work in batches: time and allocations for a piece of it.
fn measure(batches: usize, batch: usize, mut work: impl FnMut()) -> (Nanos, f64) {
    let mut times = Vec::with_capacity(batches);
    let before = counting::calls();
    for _ in 0..batches {
        let start = Instant::now();
        for _ in 0..batch {
            work();
        }
        times.push(start.elapsed().as_nanos() as f64 / batch as f64);
    }
    let allocations = (counting::calls() - before) as f64 / (batches * batch) as f64;
    (typical(&mut times), allocations)
}

fn typical(times: &mut [f64]) -> Nanos {
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[times.len() / 10]]
}

/// A ping arrives and its Ack is taken.
#[inline(never)]
fn serve(world: &mut World, from: SocketAddr, ping: &mut [u8]) {
    world.hear(from, ping);
    while let Some(ack) = world.take() {
        black_box(ack);
    }
}

/// A probe round up to its ping.
#[inline(never)]
fn probe_round_begins(world: &mut World) -> Option<butterfly::node::Transmit> {
    world.begin_round()
}

/// The rest of a probe round.
#[inline(never)]
fn probe_round_ends(world: &mut World, from: SocketAddr, ack: &mut [u8]) {
    world.end_round(from, ack);
    black_box(world.take());
}

/// Pings from members of a ring of this size, some of them with six records of others.
fn pings(keys: &[RingKey], six: bool, members: u32) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut rng = StdRng::seed_from_u64(1);
    let ping = |_| {
        let number = rng.random_range(1..members);
        let bytes = if six {
            ping_with_six(keys, number, rng.random_range(1..members - 6))
        } else {
            datagram(keys, &ping_from(number), &mut (0..0), 512)
        };
        (addr_of(number), bytes)
    };
    (0..PINGS.min(members * 4)).map(ping).collect()
}

impl Bench {
    fn is_wanted(&self, name: &str) -> bool {
        let words = &self.args.rest;
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    }

    /// How many batches of how much work each.
    fn effort(&self, batches: usize, batch: usize) -> (usize, usize) {
        if self.args.measure {
            (batches, batch)
        } else {
            (2, batch.min(1_000))
        }
    }

    fn ping_to_ack(&self, sealed: bool, six: bool, members: u32) -> Option<Nanos> {
        let records = if six { 6 } else { 0 };
        let name = format!(
            "ping -> ack, {}, {records} stale records, {members} members",
            name_of(sealed)
        );
        if !self.is_wanted(&name) {
            return None;
        }
        let mut world = World::settled(sealed, members);
        let pings = pings(world.keys(), six, members);
        let mut scratch = [0; 1_024];
        let mut next = pings.iter().cycle();
        let (batches, batch) = self.effort(100, 4_096);
        let (ns, allocations) = measure(batches, batch, || {
            // Opened where it lies, so a sealed one serves once.
            if let Some((from, ping)) = next.next() {
                let ping_again = &mut scratch[..ping.len()];
                ping_again.copy_from_slice(ping);
                serve(&mut world, *from, ping_again);
            }
        });
        assert_eq!(world.node.stats().rejected_total(), 0);
        print_row(&name, ns, allocations);
        Some(ns)
    }

    fn decoding(&self, sealed: bool, six: bool) -> Option<Nanos> {
        let records = if six { 6 } else { 0 };
        let name = format!("reading a ping, {}, {records} records", name_of(sealed));
        if !self.is_wanted(&name) {
            return None;
        }
        let keys = keys(sealed);
        let pings = pings(&keys, six, 10);
        let mut scratch = [0; 1_024];
        let mut next = pings.iter().cycle();
        let (batches, batch) = self.effort(100, 4_096);
        let (ns, allocations) = measure(batches, batch, || {
            if let Some((_, ping)) = next.next() {
                let ping_again = &mut scratch[..ping.len()];
                ping_again.copy_from_slice(ping);
                let payload = wire::open(&keys, ping_again).unwrap();
                let swim = wire::decode(payload).unwrap();
                black_box(&swim.message);
                swim.memberships.for_each(|record| {
                    let _ = black_box(record);
                });
            }
        });
        print_row(&name, ns, allocations);
        Some(ns)
    }

    /// Time for a clock's reading is taken off: the Ack in the middle of a round is made with it stopped.
    fn probe_rounds(&self, sealed: bool, members: u32) {
        let name = format!("probe round, {}, {members} members", name_of(sealed));
        if !self.is_wanted(&name) {
            return;
        }
        let mut world = World::settled(sealed, members);
        let ([reading, _], _) = measure(100, 1_000, || {
            black_box(Instant::now());
        });
        let (batches, batch) = self.effort(101, 1_000);
        let mut times = Vec::with_capacity(batches);
        let mut allocations = 0;
        for _ in 0..batches {
            let mut spent = Duration::ZERO;
            for _ in 0..batch {
                let (start, calls) = (Instant::now(), counting::calls());
                let Some(ping) = probe_round_begins(&mut world) else {
                    continue;
                };
                spent += start.elapsed();
                allocations += counting::calls() - calls;
                let mut ack = world.ack_of(&ping);
                let (start, calls) = (Instant::now(), counting::calls());
                probe_round_ends(&mut world, ping.to, &mut ack);
                spent += start.elapsed();
                allocations += counting::calls() - calls;
            }
            times.push(spent.as_nanos() as f64 / batch as f64 - 2.0 * reading);
        }
        assert_eq!(world.node.stats().probes_failed, 0);
        print_row(
            &name,
            typical(&mut times),
            allocations as f64 / (batches * batch) as f64,
        );
    }

    /// A rumor that is held already, and one that takes the place of an older one.
    fn hearing_rumors(&self, sealed: bool) {
        const RUMORS: u32 = 10_000;
        let known = format!("known rumor heard, {}", name_of(sealed));
        let news = format!("new rumor heard, {}", name_of(sealed));
        if !self.is_wanted(&known) && !self.is_wanted(&news) {
            return;
        }
        let mut world = World::holding(sealed, 10, RUMORS);
        let (batches, batch) = self.effort(20, RUMORS as usize);
        for (name, newer) in [(known, 0), (news, 1)] {
            let mut incarnation = 1;
            let mut times = Vec::new();
            let mut allocations = 0;
            for _ in 0..batches {
                incarnation += newer;
                // Opening a frame writes over it, so each is made anew, with the clock stopped.
                let mut frames: Vec<_> = (0..batch as u32)
                    .map(|number| config_frame(world.keys(), number, incarnation))
                    .collect();
                let (start, calls) = (Instant::now(), counting::calls());
                for frame in &mut frames {
                    world.hear_rumor(black_box(frame));
                }
                times.push(start.elapsed().as_nanos() as f64 / batch as f64);
                allocations += counting::calls() - calls;
            }
            let each = allocations as f64 / (batches * batch) as f64;
            print_row(&name, typical(&mut times), each);
        }
    }

    /// One hot rumor is pushed to five members, beside few rumors that nobody has to be told, and many.
    fn gossip_rounds(&self) {
        let name_of = |held| format!("gossip round, {held} cold rumors");
        let held = [10, 100_000];
        if !held.iter().any(|held| self.is_wanted(&name_of(*held))) {
            return;
        }
        let mut worlds = held.map(|held| World::holding(false, 10, held));
        // Each of the rumors that are in both, once; then they cool, so that it is one that is hot.
        let (batches, batch) = (self.effort(300, 1).0, 10);
        let mut times = [Vec::new(), Vec::new()];
        let mut allocations = [0; 2];
        let mut incarnation = 1;
        for _ in 0..batches {
            incarnation += 1;
            for ((world, times), allocations) in
                worlds.iter_mut().zip(&mut times).zip(&mut allocations)
            {
                let (mut took, calls) = (Duration::ZERO, counting::calls());
                for number in 0..batch {
                    let mut frame = config_frame(world.keys(), number, incarnation);
                    world.hear_rumor(&mut frame);
                    let start = Instant::now();
                    world.tell();
                    took += start.elapsed();
                }
                times.push(took.as_nanos() as f64 / f64::from(batch));
                *allocations += counting::calls() - calls;
                world.cool();
            }
        }
        for ((held, mut times), allocations) in held.iter().zip(times).zip(allocations) {
            let each = allocations as f64 / batches as f64 / f64::from(batch);
            print_row(&name_of(*held), typical(&mut times), each);
        }
    }

    fn loading(&self, members: u32) {
        let name = format!("loading {members} members, each");
        if !self.is_wanted(&name) {
            return;
        }
        let parts = table(&[], members);
        let (batches, _) = self.effort(5, 1);
        let mut times = Vec::new();
        let (mut allocations, mut bytes) = (0, 0);
        for _ in 0..batches {
            let mut parts = parts.clone();
            let (calls, live) = (counting::calls(), counting::live());
            let mut world = World::new(false);
            let start = Instant::now();
            world.hear_table(&mut parts);
            times.push(start.elapsed().as_nanos() as f64);
            allocations = counting::calls() - calls;
            bytes = counting::live() - live;
            assert_eq!(world.node.counts().alive, members as usize);
        }
        let total = typical(&mut times);
        let each = f64::from(members);
        print_row(&name, total.map(|ns| ns / each), allocations as f64 / each);
        println!("{:<52} {:>7.1} ms", "  all of them", total[0] / 1e6);
        println!(
            "{:<52} {:>7.1} bytes",
            "  heap for each, all in all",
            bytes as f64 / each
        );
    }

    fn timers(&self) {
        if !self.is_wanted("timer") {
            return;
        }
        let mut rng = StdRng::seed_from_u64(1);
        let delays: Vec<_> = (0..TIMERS)
            .map(|_| Duration::from_micros(rng.random_range(100_000..30_000_000)))
            .collect();
        let mut now = Time::from_millis(1_000);
        let mut wheel = TimerWheel::new(now);
        for delay in &delays {
            wheel.insert(now + *delay, 0);
        }
        let mut next = delays.iter().cycle();
        let (batches, batch) = self.effort(100, TIMERS);
        let (ns, allocations) = measure(batches, batch, || {
            if let Some(delay) = next.next() {
                let key = wheel.insert(now + *delay, 1);
                black_box(wheel.cancel(key));
            }
        });
        print_row(
            &format!("timer set and cancelled beside {TIMERS}"),
            ns,
            allocations,
        );
        // A thousand ticks a batch, in which as many timers are due as are set anew.
        let mut fired = 0;
        let (batches, ticks) = self.effort(60, 1_000);
        let (ns, allocations) = measure(batches, ticks, || {
            now += Duration::from_millis(1);
            while let Some((_, value)) = wheel.pop(now) {
                fired += 1;
                wheel.insert(now + *next.next().unwrap(), value);
            }
        });
        let each = fired as f64 / (batches * ticks) as f64;
        print_row(
            "timer popped and set again, with its share of ticks",
            ns.map(|ns| ns / each),
            allocations / each,
        );
    }
}
