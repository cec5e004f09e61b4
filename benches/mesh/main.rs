//! How fast rings on real sockets agree, gossip, elect and notice a death, and what members cost that have nothing to
//! do but to probe each other: a process each, or all in one thread.

mod apart;
mod child;
mod members;
mod orders;

use kit::args;
use kit::machine;
use std::env;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use apart::{Apart, Floor};
use butterfly::ServiceGroup;
use kit::args::Args;
use kit::report::{Column, Report};
use kit::times::Times;
use members::{Counts, Kind, Members, Together, Usage};
use orders::{Order, Until};

const HELP: &str = "\
cargo bench --bench mesh [-- WORD...]: rings with `lan` timing on real sockets of loopback, the members a process each
(this program starts itself as them) or all in one thread. Only the tables whose titles have a WORD in them:

  idle, one thread      what a member costs that has nothing to do: CPU, wakes, datagrams, memory
  times, one thread     how long all take to agree, to hear a rumor, to elect a leader, to hold a dead one Confirmed
  idle, a process each  the same costs, beside processes that only sleep, or only ask each other once a second
  times, a process each the same times; the floor: how long telling all of them something over pipes takes

  --members N     the size of every ring (10, 50 and 100; idle 100; in one thread 10 and 50; idle 50)
  --seconds N     how long costs are measured, three times each (10)
  --runs N        rings that are started, and a third of the rumors and elections in each size (7)
  --kills N       members that are killed in each size, one after the other (9)";

const COSTS: [Column; 9] = [
    ("CPU ms/s", 3),
    ("wakes/s", 2),
    ("datagrams/s", 2),
    ("bytes/s", 0),
    ("private KiB", 0),
    ("RSS KiB", 0),
    ("connections", 1),
    ("threads", 2),
    ("descriptors", 1),
];
const TIMES: [Column; 5] = [
    ("runs", 0),
    ("mean", 4),
    ("median", 4),
    ("worst", 4),
    ("a member p50", 4),
];
/// Members that elect a leader among them.
const VOTERS: usize = 5;
/// In larger rings it takes too long until all is told, and rumors take more descriptors than there may be.
const LARGE: usize = 200;
/// One thread that has so many agree is late, which worsens their local health: until that is good again.
const RECOVERY: Duration = Duration::from_secs(60);
const NO_GOSSIP: &str =
    "so many are measured without gossip: connections take more descriptors than there may be";
/// Windows in which costs are measured.
const WINDOWS: usize = 3;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    args::conclude(match args.split_first() {
        Some((first, rest)) if first == child::CHILD => child::run(rest),
        _ => measure(),
    })
}

fn measure() -> io::Result<()> {
    let Some(mut args) = Args::read(HELP) else {
        return Ok(());
    };
    let members = args.number("--members").map(|members| members as usize);
    let seconds = args.number("--seconds");
    let runs = args.number("--runs").map(|runs| runs as usize);
    let kills = args.number("--kills").map(|kills| kills as usize);
    let measure = args.measure;
    let sizes = |usual: &[usize]| match (measure, members) {
        (_, Some(members)) => vec![members.max(2)],
        (true, None) => usual.to_vec(),
        (false, None) => vec![3],
    };
    let quick = |given: Option<usize>, usual| given.unwrap_or(if measure { usual } else { 1 });
    let bench = Bench {
        report: Report::new("mesh", "seconds until a member knows", &args),
        window: Duration::from_secs_f64(seconds.unwrap_or(if measure { 10.0 } else { 0.05 })),
        runs: quick(runs, 7),
        kills: quick(kills, 9),
        args,
    };
    bench.all(sizes)
}

struct Bench {
    args: Args,
    report: Report,
    window: Duration,
    runs: usize,
    kills: usize,
}

/// How members run.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Together,
    Apart,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Together => "one thread",
            Way::Apart => "a process each",
        }
    }

    fn bind(self, members: usize, kind: Kind) -> io::Result<Box<dyn Members>> {
        Ok(match self {
            Way::Together => Box::new(Together::bind(members, kind)?),
            Way::Apart => Box::new(Apart::bind(members, kind)?),
        })
    }
}

impl Bench {
    fn all(mut self, sizes: impl Fn(&[usize]) -> Vec<usize>) -> io::Result<()> {
        // First what needs clean memory.
        for members in sizes(&[50]) {
            self.idle(Way::Together, members)?;
        }
        for members in sizes(&[100]) {
            self.idle(Way::Apart, members)?;
        }
        for members in sizes(&[10, 50]) {
            self.times(Way::Together, members)?;
        }
        for members in sizes(&[10, 50, 100]) {
            self.times(Way::Apart, members)?;
        }
        self.report.finish()
    }

    /// Members for the tiny version are fast ones.
    fn kind(&self, gossip: bool) -> Kind {
        Kind {
            gossip,
            local: !self.args.measure,
        }
    }

    fn timing(&self) -> &'static str {
        if self.args.measure { "lan" } else { "local" }
    }

    /// How long it takes until all agree, have heard a rumor, know who leads, hold a dead one Confirmed.
    fn times(&mut self, way: Way, members: usize) -> io::Result<()> {
        let title = format!("times, {}, {members} members", way.name());
        if !self.args.wants(&title) {
            return Ok(());
        }
        let title = format!(
            "{title}, {}: seconds until the last one knows",
            self.timing()
        );
        self.report.table(&title, &TIMES);
        let mut floor = Runs::default();
        let mut agree = Runs::default();
        let mut ring = self.agreed(way, members, &mut floor, &mut agree)?;
        if way == Way::Apart {
            self.row("floor: told something over its pipe", &floor);
        }
        self.row("started at once through one seed, all see all", &agree);
        self.curve(members, "all seen", &agree);
        if members <= LARGE {
            self.spread(&mut *ring)?;
            self.elect(&mut *ring)?;
        } else {
            self.report.note(NO_GOSSIP);
        }
        self.kill(way, &mut *ring)?;
        self.report.note(&format!("load {}", machine::load()));
        Ok(())
    }

    /// Several rings that start; the last one.
    fn agreed(
        &self,
        way: Way,
        members: usize,
        floor: &mut Runs,
        agree: &mut Runs,
    ) -> io::Result<Box<dyn Members>> {
        let mut run = 0;
        loop {
            let mut ring = way.bind(members, self.kind(members <= LARGE))?;
            floor.add(ring.order(&[], &Until::Always)?);
            agree.add(ring.join_all()?);
            run += 1;
            if run >= self.runs {
                return Ok(ring);
            }
        }
    }

    /// From `apply_config` at one member until all have it.
    fn spread(&mut self, ring: &mut dyn Members) -> io::Result<()> {
        let (mut first, mut later) = (Runs::default(), Runs::default());
        for run in 0..=3 * self.runs {
            ring.wait(&Until::Cool)?;
            let group = group("spread", run)?;
            let order = (run % ring.count(), Order::Apply(group.clone()));
            let times = ring.order(&[order], &Until::Config(group))?;
            if run == 0 {
                first.add(times);
            } else {
                later.add(times);
            }
        }
        self.row("a configuration reaches all, the first", &first);
        self.row("a configuration reaches all, later ones", &later);
        self.curve(ring.count(), "a configuration known", &later);
        Ok(())
    }

    /// From `start_election` at all members of a group until everybody knows who leads.
    fn elect(&mut self, ring: &mut dyn Members) -> io::Result<()> {
        let voters = VOTERS.min(ring.count());
        let mut runs = Runs::default();
        for run in 0..3 * self.runs {
            let group = group("elect", run)?;
            let announce = |number| (number, Order::Announce(group.clone()));
            let orders: Vec<_> = (0..voters).map(announce).collect();
            ring.order(&orders, &Until::Services(group.clone(), voters))?;
            ring.wait(&Until::Cool)?;
            let elect = |number| (number, Order::Elect(group.clone(), number as u64));
            let orders: Vec<_> = (0..voters).map(elect).collect();
            let fittest = ring.who(voters - 1).0;
            runs.add(ring.order(&orders, &Until::Leader(group, fittest))?);
        }
        self.row(
            &format!("{voters} elect a leader, all know who leads"),
            &runs,
        );
        Ok(())
    }

    /// From a member's death until all others hold it Confirmed; another one takes its place each time.
    fn kill(&mut self, way: Way, ring: &mut dyn Members) -> io::Result<()> {
        let mut runs = Runs::default();
        for _ in 0..self.kills {
            ring.wait(&Until::Cool)?;
            let (dead, _) = ring.who(ring.count() - 1);
            runs.add(ring.kill_last(&Until::Confirmed(dead))?);
            ring.add()?;
            let (newest, seed) = (ring.count() - 1, ring.who(0).1);
            ring.order(&[(newest, Order::Join(seed))], &Until::Alive(ring.count()))?;
        }
        let how = if way == Way::Apart { " by SIGKILL" } else { "" };
        self.row(&format!("one dies{how}, all hold it Confirmed"), &runs);
        self.curve(ring.count(), "the dead one Confirmed", &runs);
        Ok(())
    }

    fn curve(&mut self, members: usize, what: &str, runs: &Runs) {
        let name = format!("{members} members: {what}");
        self.report.curve(&name, &runs.each.nanos, 1e9);
    }

    fn row(&mut self, name: &str, runs: &Runs) {
        self.report.row(name, &runs.row());
    }

    /// What members cost that have nothing to do.
    fn idle(&mut self, way: Way, members: usize) -> io::Result<()> {
        let title = format!("idle, {}, {members} members", way.name());
        if !self.args.wants(&title) {
            return Ok(());
        }
        let title = format!("{title}, {}: for each member", self.timing());
        self.report.table(&title, &COSTS);
        let mut alone: Option<Cost> = None;
        for gossip in [false, true] {
            let mut ring = way.bind(members, self.kind(gossip))?;
            let agreed = ring.join_all()?.last().copied().unwrap_or_default();
            let with = if gossip { "with gossip" } else { "SWIM alone" };
            self.settle(&mut *ring)?;
            let cost = self.cost(&mut *ring, with)?;
            alone = alone.or(Some(cost));
            if gossip && members <= LARGE {
                self.open_and_closed(&mut *ring)?;
            }
            let agreed = agreed.as_secs_f64();
            self.report
                .note(&format!("{with}: all see all after {agreed:.2} s"));
        }
        if let Some(alone) = alone.filter(|_| way == Way::Apart) {
            let size = (alone.bytes / alone.datagrams) as usize;
            let floor = self.floors(members, size)?;
            let name = "SWIM alone over who asks once a second";
            self.report.ratio(name, &alone.row(), &floor);
        }
        self.report.note(&format!("load {}", machine::load()));
        Ok(())
    }

    /// News goes on for a while, and comparing tables.
    fn settle(&mut self, ring: &mut dyn Members) -> io::Result<()> {
        if self.args.measure && ring.count() <= LARGE {
            ring.wait(&Until::Quiet)?;
        } else if self.args.measure {
            self.report.note(&format!(
                "measured {RECOVERY:?} after all agreed, while news is still told"
            ));
            ring.run_for(RECOVERY)?;
        }
        ring.run_for(self.window)
    }

    /// What the connections cost that rumors went over.
    fn open_and_closed(&mut self, ring: &mut dyn Members) -> io::Result<()> {
        let mut orders = Vec::new();
        for number in 0..ring.count() {
            orders.push((number, Order::Apply(group("idle", number)?)));
        }
        ring.order(&orders, &Until::Cool)?;
        self.cost(ring, "with gossip, connections open")?;
        if self.args.measure {
            ring.wait(&Until::Closed)?;
            self.cost(ring, "with gossip, connections closed again")?;
        }
        Ok(())
    }

    /// Runs, and adds a row of what a member cost: what is in the middle of several windows.
    fn cost(&mut self, ring: &mut dyn Members, name: &str) -> io::Result<Cost> {
        let mut windows = Vec::new();
        for _ in 0..WINDOWS {
            let before = (ring.usage(), ring.counts()?);
            ring.run_for(self.window)?;
            let after = (ring.usage(), ring.counts()?);
            windows.push(Cost::between(before, after, self.window, ring.count()));
        }
        windows.sort_by(|one, other| one.cpu.total_cmp(&other.cpu));
        let cost = windows.swap_remove(WINDOWS / 2);
        self.report.row(name, &cost.row());
        Ok(cost)
    }

    /// Processes that do nothing, and such as ask each other once a second, whose row it returns.
    fn floors(&mut self, members: usize, size: usize) -> io::Result<[f64; 9]> {
        let mut row = [f64::NAN; 9];
        let asking = format!("floor: asks once a second, {size} bytes");
        for (name, sizes) in [
            ("floor: a bound socket, sleeping", None),
            (asking.as_str(), Some((size, size))),
        ] {
            let pause = self.window.min(Duration::from_secs(1)) / members as u32;
            let floor = Floor::start(members, sizes, pause)?;
            let mut windows = Vec::new();
            for _ in 0..WINDOWS {
                let before = (floor.usage(), Counts::default());
                std::thread::sleep(self.window);
                let after = (floor.usage(), Counts::default());
                windows.push(Cost::between(before, after, self.window, members));
            }
            windows.sort_by(|one, other| one.cpu.total_cmp(&other.cpu));
            row = windows[WINDOWS / 2].row();
            // They do not count what they do.
            row[1..4].fill(f64::NAN);
            self.report.row(name, &row);
        }
        Ok(row)
    }
}

fn group(name: &str, number: usize) -> io::Result<ServiceGroup> {
    format!("{name}{number}.default")
        .parse()
        .map_err(io::Error::other)
}

/// Times until the last of them knew, run by run, and those of each.
struct Runs {
    seconds: Vec<f64>,
    each: Times,
}

impl Default for Runs {
    fn default() -> Self {
        Runs {
            seconds: Vec::new(),
            each: Times::new(),
        }
    }
}

impl Runs {
    fn add(&mut self, times: Vec<Duration>) {
        self.seconds.extend(times.last().map(Duration::as_secs_f64));
        self.seconds.sort_by(f64::total_cmp);
        for time in times {
            self.each.record(Some(time));
        }
    }

    fn row(&self) -> [f64; 5] {
        let count = self.seconds.len();
        let at = |place: usize| self.seconds.get(place).copied().unwrap_or(f64::NAN);
        [
            count as f64,
            self.seconds.iter().sum::<f64>() / count as f64,
            (at(count / 2) + at(count.saturating_sub(1) / 2)) / 2.0,
            at(count.wrapping_sub(1)),
            self.each.median(1e9),
        ]
    }
}

/// What a member cost in a second, and has.
struct Cost {
    /// Milliseconds.
    cpu: f64,
    wakes: f64,
    datagrams: f64,
    bytes: f64,
    connections: f64,
    now: Usage,
}

impl Cost {
    fn between(
        before: (Usage, Counts),
        after: (Usage, Counts),
        window: Duration,
        members: usize,
    ) -> Cost {
        let each = members as f64 * window.as_secs_f64();
        let grown = |now: u64, then: u64| now.saturating_sub(then) as f64 / each;
        Cost {
            cpu: after.0.cpu.saturating_sub(before.0.cpu).as_secs_f64() * 1e3 / each,
            wakes: grown(after.1.wakes, before.1.wakes),
            datagrams: grown(after.1.datagrams, before.1.datagrams),
            bytes: grown(
                after.1.bytes + after.1.rumor_bytes,
                before.1.bytes + before.1.rumor_bytes,
            ),
            connections: after.1.connections as f64 / members as f64,
            now: after.0,
        }
    }

    fn row(&self) -> [f64; 9] {
        [
            self.cpu,
            self.wakes,
            self.datagrams,
            self.bytes,
            self.now.private,
            self.now.resident,
            self.connections,
            self.now.threads,
            self.now.descriptors,
        ]
    }
}
