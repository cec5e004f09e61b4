//! The time in which things go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::plan::{Plan, generator, is_steady};
use super::users;
use crate::member::MemberId;
use crate::sim::{Disk, Fault, Index, Link, Sim, SimConfig};
use crate::time::Time;
use crate::wire::RingKey;

/// Members at which everyone asks for the ring: they come back whatever happens to them.
const SEEDS: usize = 2;

/// What is to be undone, or to follow, later.
enum Then {
    Repair(Index),
    Reunite,
    Thaw(Index),
    Unstall(Index),
    Hurry(Index),
    Unblock(Index, Index),
    End(Index),
    Start(Index, Disk),
    Act(Fault),
    Use,
}

pub(super) struct Storm<'p> {
    pub sim: Sim,
    pub plan: &'p Plan,
    pub rng: StdRng,
    agenda: BTreeMap<(Time, u64), Then>,
    steps: u64,
    /// Members that left, or were told to depart, and do not come back.
    pub gone: BTreeSet<Index>,
    /// Second processes with the id of another.
    pub twins: BTreeSet<Index>,
}

impl<'p> Storm<'p> {
    /// A ring that has just found itself.
    pub fn new(plan: &'p Plan) -> Self {
        Storm::of(plan, SimConfig::new(plan.seed))
    }

    /// The same, whose members are recorded.
    pub fn recorded(plan: &'p Plan) -> Self {
        let mut config = SimConfig::new(plan.seed);
        config.recorded = true;
        Storm::of(plan, config)
    }

    fn of(plan: &'p Plan, mut config: SimConfig) -> Self {
        config.timing = plan.timing();
        config.events = false;
        config.network.icmp = plan.icmp;
        if plan.sealed {
            let key = RingKey::new("chaos", "20260101000000", [7; 32]);
            config.ring_keys = key.into_iter().collect();
        }
        let mut storm = Storm {
            sim: Sim::new(config),
            plan,
            rng: generator(!plan.seed),
            agenda: BTreeMap::new(),
            steps: 0,
            gone: BTreeSet::new(),
            twins: BTreeSet::new(),
        };
        for _ in 0..plan.members {
            storm.sim.start();
        }
        (0..plan.members).for_each(|member| storm.ask_seeds(member));
        storm.sim.run_for(plan.timing().period * 10);
        storm
    }

    /// Things go wrong.
    pub fn blow(&mut self) {
        /// So often what was chosen is tried again, as it found nobody to befall.
        const TRIES: usize = 8;
        let plan = self.plan;
        self.later(Duration::ZERO, Then::Use);
        plan.troubles.iter().for_each(|trouble| {
            if is_steady(*trouble) {
                self.set_steady(*trouble);
            } else {
                for _ in 0..self.rng.random_range(1..=5) {
                    let when = plan.storm.mul_f64(self.rng.random_range(0.0..0.9));
                    self.later(when, Then::Act(*trouble));
                }
            }
        });
        self.blow_for(plan.storm);
        for _ in 0..TRIES {
            let missing: Vec<_> = self.missing().collect();
            if missing.is_empty() {
                break;
            }
            for trouble in missing {
                self.later(Duration::ZERO, Then::Act(trouble));
            }
            self.blow_for(plan.timing().period * 40);
        }
    }

    /// Follows the agenda for so long.
    fn blow_for(&mut self, time: Duration) {
        let end = self.sim.now() + time;
        while let Some(entry) = self.agenda.first_entry() {
            let (at, _) = *entry.key();
            if at >= end {
                break;
            }
            let then = entry.remove();
            let now = self.sim.now();
            self.sim.run_for(at.since(now));
            self.end_the_expelled();
            self.follow(then);
        }
        let now = self.sim.now();
        self.sim.run_for(end.since(now));
    }

    /// Whoever was told to depart for good ends, as the program does.
    pub fn end_the_expelled(&mut self) {
        let up: Vec<_> = self.sim.up().collect();
        for member in up {
            if self.sim.node(member).is_expelled() {
                self.sim.crash(member);
                self.gone.insert(member);
            }
        }
    }

    /// Trouble that was chosen and did not come: what was tested is not what it seems.
    pub fn missing(&self) -> impl Iterator<Item = Fault> + '_ {
        let chosen = self.plan.troubles.iter().copied();
        chosen.filter(move |trouble| self.sim.faults().of(*trouble) == 0)
    }

    fn later(&mut self, after: Duration, then: Then) {
        self.steps += 1;
        let at = self.sim.now() + after;
        self.agenda.insert((at, self.steps), then);
    }

    /// A pause of 1 to 60 periods, the shorter the likelier.
    fn pause(&mut self) -> Duration {
        let periods = libm::pow(60.0, self.rng.random());
        self.plan.timing().period.mul_f64(periods)
    }

    fn set_steady(&mut self, trouble: Fault) {
        let share = libm::pow(10.0, self.rng.random_range(-1.5..-0.5));
        let network = self.sim.network_mut();
        match trouble {
            Fault::Loss => network.loss = share,
            Fault::Burst => network.burst = share,
            Fault::HeavyTail => network.heavy_tail = share,
            Fault::Duplicate => network.duplicate = share,
            Fault::Reorder => network.reorder = share,
            Fault::Replay => network.replay = share,
            // Without a key each may make up a member, and all that is said of it.
            Fault::Corrupt if !self.plan.sealed => network.corrupt = share / 20.0,
            Fault::Corrupt => network.corrupt = share,
            Fault::Truncate => network.truncate = share,
            Fault::ForgedRefusal => network.forged = share,
            _ => {}
        }
    }

    /// A running member, if there is one that `fits`.
    fn some_up(&mut self, fits: impl Fn(&Storm<'_>, Index) -> bool) -> Option<Index> {
        let up = self.sim.up().filter(|member| !self.twins.contains(member));
        let up: Vec<_> = up.filter(|member| fits(self, *member)).collect();
        (!up.is_empty()).then(|| up[self.rng.random_range(0..up.len())])
    }

    fn ask_seeds(&mut self, member: Index) {
        for seed in (0..SEEDS).filter(|seed| *seed != member) {
            self.sim.join(member, seed);
        }
    }

    /// A crashed member starts again, as from the command line that it always had.
    pub fn start_again(&mut self, member: Index, disk: Disk) {
        if !self.sim.is_up(member) && !self.gone.contains(&member) {
            self.sim.restart_with(member, disk);
            self.ask_seeds(member);
        }
    }

    fn follow(&mut self, then: Then) {
        match then {
            Then::Repair(member) => *self.sim.link_mut(member) = Link::default(),
            Then::Reunite => {
                self.sim.mend_all();
                self.sim.partition(|_| 0);
            }
            Then::Thaw(member) => self.sim.thaw(member),
            Then::Unstall(member) => self.sim.unstall(member),
            Then::Hurry(member) => self.sim.slow_down(member, Duration::ZERO),
            Then::Unblock(one, other) => self.unblock(one, other),
            Then::End(member) => self.sim.crash(member),
            Then::Start(member, disk) => self.start_again(member, disk),
            Then::Act(trouble) => self.act(trouble),
            Then::Use => {
                if let Some(member) = self.some_up(|_, _| true) {
                    let step = self.steps;
                    users::act(&mut self.sim, member, step, &mut self.rng);
                }
                let period = self.plan.timing().period;
                let pause = period.mul_f64(self.rng.random_range(0.1..10.0));
                self.later(pause, Then::Use);
            }
        }
    }

    fn act(&mut self, trouble: Fault) {
        match trouble {
            _ if is_steady(trouble) => self.set_steady(trouble),
            Fault::Partition | Fault::OneWay | Fault::Reject => self.divide(trouble),
            Fault::LinkLoss
            | Fault::FlipFlop
            | Fault::UdpDead
            | Fault::TcpDead
            | Fault::SizeBlackHole => self.spoil_link(trouble),
            Fault::Freeze | Fault::Stall | Fault::SlowLoop | Fault::ClockJump => {
                self.hold_up(trouble)
            }
            Fault::JoinStorm => {
                self.sim.faults.add(trouble);
                for _ in 0..self.rng.random_range(2..=10) {
                    self.come();
                }
            }
            Fault::RestartOfAll => self.restart_all(),
            Fault::MassLeave => self.mass_leave(),
            Fault::Departure => self.depart(),
            Fault::Block => self.block(),
            _ => self.stop(trouble),
        }
    }

    /// Some ways are closed for a while.
    fn divide(&mut self, trouble: Fault) {
        let all = self.sim.processes();
        if trouble == Fault::Reject {
            let Some(closed) = self.some_up(|_, _| true) else {
                return;
            };
            for other in (0..all).filter(|other| *other != closed) {
                if self.rng.random_bool(0.5) {
                    self.sim.reject(other, closed);
                }
            }
        } else if trouble == Fault::OneWay {
            let Some(mute) = self.some_up(|_, _| true) else {
                return;
            };
            let from = self.rng.random_range(0..2);
            for other in 0..all {
                if other % 2 == from || self.rng.random_bool(0.3) {
                    self.sim.cut(mute, other);
                }
            }
        } else {
            let alone = self.rng.random_range(0..all);
            match self.rng.random_range(0..4) {
                0 => self.sim.partition(|member| u8::from(member == alone)),
                1 => self.sim.partition(|member| (member % 3) as u8),
                2 => self.sim.partition(|member| (member % 2) as u8),
                _ => {
                    self.sim.partition(|member| (member % 2) as u8);
                    self.sim.bridge(alone);
                }
            }
        }
        let pause = self.pause() + self.plan.timing().period * 20;
        self.later(pause, Then::Reunite);
    }

    /// One member's link is bad for a while.
    fn spoil_link(&mut self, trouble: Fault) {
        let Some(member) = self.some_up(|_, _| true) else {
            return;
        };
        let period = self.plan.timing().period;
        let share = self.rng.random_range(0.2..1.0);
        let (out, flip) = (self.rng.random_bool(0.5), self.rng.random_range(1.0..20.0));
        let largest = self.rng.random_range(100..160);
        let link = self.sim.link_mut(member);
        match trouble {
            Fault::LinkLoss if out => link.loss_out = share,
            Fault::LinkLoss => link.loss_in = share,
            Fault::FlipFlop => link.flip_flop = Some(period.mul_f64(flip)),
            Fault::UdpDead => link.udp = false,
            Fault::TcpDead => link.tcp = false,
            _ => link.largest = largest,
        }
        // Else its rumors may all be cold while it lasts.
        let step = self.steps;
        if let Some(group) = users::groups().next() {
            users::configure(&mut self.sim, member, group, step);
        }
        let pause = self.pause() + period * 25;
        self.later(pause, Then::Repair(member));
    }

    /// One process is held up for a while, or loses its sense of time.
    fn hold_up(&mut self, trouble: Fault) {
        let Some(member) = self.some_up(|_, _| true) else {
            return;
        };
        let pause = self.pause();
        let period = self.plan.timing().period;
        match trouble {
            Fault::Freeze => {
                self.sim.freeze(member);
                self.later(pause, Then::Thaw(member));
            }
            Fault::Stall => {
                self.sim.stall(member);
                self.later(pause, Then::Unstall(member));
            }
            Fault::SlowLoop => {
                let by = period.mul_f64(self.rng.random_range(0.01..0.5));
                self.sim.slow_down(member, by);
                self.later(pause + period, Then::Hurry(member));
            }
            _ => {
                let micros = pause.as_micros() as i64;
                let back = self.rng.random_bool(0.5);
                self.sim
                    .jump_clock(member, if back { -micros } else { micros });
            }
        }
    }

    fn some_disk(&mut self) -> Disk {
        let mut disks: Vec<_> = [
            (Fault::RestartKept, Disk::Kept),
            (Fault::RestartLost, Disk::Lost),
            (Fault::RestartOlder, Disk::Older),
        ]
        .into_iter()
        .filter(|(fault, _)| self.plan.has(*fault))
        .map(|(_, disk)| disk)
        .collect();
        disks.push(Disk::Kept);
        disks[self.rng.random_range(0..disks.len())]
    }

    /// A process ends, and mostly comes back.
    fn stop(&mut self, trouble: Fault) {
        let Some(member) = self.some_up(|_, _| true) else {
            return;
        };
        let pause = self.pause();
        let disk = match trouble {
            Fault::RestartKept => Disk::Kept,
            Fault::RestartLost => Disk::Lost,
            Fault::RestartOlder => Disk::Older,
            _ => self.some_disk(),
        };
        match trouble {
            Fault::Twin => {
                let twin = self.sim.start_twin(member);
                self.twins.insert(twin);
                self.ask_seeds(twin);
                return self.later(pause, Then::End(twin));
            }
            Fault::RestartOlder => {
                // The copy is as old as the pause is long, and the end comes after it.
                self.sim.copy_disk(member);
                self.sim.run_for(pause / 4);
                self.sim.crash(member);
            }
            Fault::NewAddress => {
                self.sim.crash(member);
                self.sim.move_away(member);
            }
            Fault::SwappedAddresses => {
                let Some(other) = self.some_up(|_, other| other != member) else {
                    return;
                };
                self.sim.crash(member);
                self.sim.crash(other);
                self.sim.swap_addresses(member, other);
                self.later(pause, Then::Start(other, disk));
            }
            Fault::CoreDump => {
                let takes = self
                    .plan
                    .timing()
                    .period
                    .mul_f64(self.rng.random_range(0.1..3.0));
                self.sim.dump_core(member, takes);
            }
            _ => self.sim.crash(member),
        }
        let stays_down = trouble == Fault::Crash && self.rng.random_bool(0.3);
        if !stays_down || member < SEEDS {
            self.later(pause, Then::Start(member, disk));
        }
    }

    /// A newcomer.
    fn come(&mut self) {
        let member = self.sim.start();
        self.ask_seeds(member);
    }

    fn restart_all(&mut self) {
        self.sim.faults.add(Fault::RestartOfAll);
        let disk = self.some_disk();
        let pause = self.pause() / 10;
        let mut all: Vec<_> = self.sim.up().collect();
        all.retain(|member| !self.twins.contains(member));
        for member in all {
            self.sim.crash(member);
            self.later(pause, Then::Start(member, disk));
        }
    }

    fn mass_leave(&mut self) {
        let grace = self.plan.timing().leave_grace * 3;
        for number in 0..self.rng.random_range(1..=5) {
            let leaver = self.some_up(|storm, it| it >= SEEDS && !storm.gone.contains(&it));
            // There is nobody but seeds: the next try finds somebody.
            let Some(member) = leaver else {
                return self.come();
            };
            if number == 0 {
                self.sim.faults.add(Fault::MassLeave);
            }
            self.sim.command(member, |node, now| node.leave(now));
            self.later(grace, Then::End(member));
            if self.rng.random_bool(0.5) {
                let pause = self.pause() + grace * 2;
                self.later(pause, Then::Start(member, Disk::Kept));
            } else {
                self.gone.insert(member);
            }
        }
    }

    fn depart(&mut self) {
        let told = self.some_up(|storm, it| it >= SEEDS && !storm.gone.contains(&it));
        let (Some(told), Some(teller)) = (told, self.some_up(|_, _| true)) else {
            return self.come();
        };
        let id: MemberId = self.sim.id(told);
        let told_so = self.sim.command(teller, |node, now| node.depart(now, id));
        if told_so.is_ok() {
            self.sim.faults.add(Fault::Departure);
        }
        self.gone.insert(told);
    }

    fn block(&mut self) {
        let Some(one) = self.some_up(|_, _| true) else {
            return;
        };
        let Some(other) = self.some_up(|_, other| other != one) else {
            return;
        };
        self.sim.faults.add(Fault::Block);
        for (at, whom) in [(one, other), (other, one)] {
            let id = self.sim.id(whom);
            let _ = self.sim.command(at, |node, _| node.block(id));
        }
        let pause = self.pause() + self.plan.timing().period * 10;
        self.later(pause, Then::Unblock(one, other));
    }

    fn unblock(&mut self, one: Index, other: Index) {
        for (at, whom) in [(one, other), (other, one)] {
            let id = self.sim.id(whom);
            self.sim.command(at, |node, _| node.unblock(id));
        }
    }

    /// Everything heals: what was closed opens, twins end, most that are down start again.
    pub fn end(&mut self) {
        self.sim.heal();
        let twins = self.twins.clone();
        twins.iter().for_each(|twin| self.sim.crash(*twin));
        for member in 0..self.sim.processes() {
            if self.sim.is_up(member) && self.sim.node(member).is_leaving() {
                // It was about to end.
                self.sim.crash(member);
            } else if self.sim.is_up(member) && !self.twins.contains(&member) {
                // Seeds that moved and lost their disks know nobody who could know them: they are found by name.
                self.ask_seeds(member);
                let blocked: Vec<_> = self.sim.node(member).blocked().collect();
                for id in blocked {
                    self.sim.command(member, |node, _| node.unblock(id));
                }
            } else if !self.twins.contains(&member) && (member < SEEDS || self.rng.random_bool(0.7))
            {
                self.start_again(member, Disk::Kept);
            }
        }
    }
}
