//! What is simulated: a ring, its network, and what happens to it.

use std::time::Duration;

use butterfly::Timing;
use butterfly::sim::{Sim, SimConfig};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::cli::{RingArgs, Start};
use crate::failure::Failure;
use crate::timing;

/// What is simulated, the seed aside.
pub struct Scenario {
    pub members: usize,
    pub settled: bool,
    pub preset: String,
    /// How the timing differs from the preset, as it was asked for.
    pub changes: Vec<String>,
    pub timing: Timing,
    /// The share of all messages that is lost.
    pub loss: f64,
    pub delay: Duration,
    pub jitter: Duration,
    pub killed: usize,
    /// The hosts of those that are killed end with them.
    pub lost_hosts: bool,
    pub leaving: usize,
    pub paused: usize,
    pub pause_for: Duration,
    pub partition: Option<Duration>,
    pub rumors: usize,
    pub rumor_bytes: usize,
    /// When all that happens.
    pub at: Duration,
    pub length: Duration,
}

impl Scenario {
    pub fn new(args: &RingArgs) -> Result<Self, Failure> {
        let preset = Timing::preset(&args.timing).unwrap_or_default();
        let scenario = Scenario {
            members: args.members as usize,
            settled: args.start == Start::Settled,
            preset: args.timing.clone(),
            changes: args.set.clone(),
            timing: timing::changed(preset, &args.set)?,
            loss: args.loss,
            delay: args.delay,
            jitter: args.jitter,
            killed: args.kill as usize,
            lost_hosts: args.lost_hosts,
            leaving: args.leave as usize,
            paused: args.pause as usize,
            pause_for: args.pause_for,
            partition: args.partition,
            rumors: args.rumors as usize,
            rumor_bytes: args.rumor_bytes as usize,
            at: args.at.unwrap_or(args.length / 3),
            length: args.length,
        };
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), Failure> {
        let taken = self.killed + self.leaving + self.paused;
        if taken + 2 > self.members {
            return Err(Failure::usage(format_args!(
                "--kill, --leave and --pause take {taken} of {} members: two at least have to be left, to look",
                self.members
            )));
        }
        if self.length < self.timing.period {
            return Err(Failure::usage(format_args!(
                "--for {:?} is less than one period, {:?}: let it run for some",
                self.length, self.timing.period
            )));
        }
        let pause = (self.paused > 0).then_some(self.pause_for);
        let lasts = [
            ("what happens", Some(Duration::ZERO)),
            ("the pause", pause),
            ("the partition", self.partition),
        ];
        for (what, lasts) in lasts {
            let end = self.at + lasts.unwrap_or_default();
            if lasts.is_some() && end >= self.length {
                return Err(Failure::usage(format_args!(
                    "{what} comes to its end at {end:?}, and the run does at {:?}: give a longer --for, or an earlier \
                     --at",
                    self.length
                )));
            }
        }
        Ok(())
    }

    /// What can be simulated, but is hardly what was meant: Acks that take too long on average.
    pub fn warning(&self) -> Option<String> {
        // Both are of one way.
        let round_trip = 2 * (self.delay + self.jitter);
        let Timing {
            period, timeout, ..
        } = self.timing;
        let average = format!(
            "warning: a round trip takes {round_trip:?} on average (twice --delay and --jitter)"
        );
        if round_trip >= period {
            return Some(format!(
                "{average}, and a probe fails after a period of {period:?}: many will; try --set period=…,timeout=… above \
                 the slowest usual round trip"
            ));
        }
        (round_trip >= timeout).then(|| {
            format!(
                "{average}, and after {timeout:?} without an Ack others are asked: for many probes; try --set timeout=… \
                 above the slowest usual round trip"
            )
        })
    }

    /// A network of this kind, on which nobody is yet.
    pub fn network(&self, seed: u64) -> Sim {
        let mut config = SimConfig::new(seed);
        config.timing = self.timing.clone();
        // Watching what must always hold is for tests: here it would cost time.
        config.watched = false;
        config.network.icmp = !self.lost_hosts;
        config.network.loss = self.loss;
        config.network.delay = self.delay;
        config.network.jitter = self.jitter;
        Sim::new(config)
    }
}

/// What a member has to do in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Looks on. What is measured is what these know.
    Bystander,
    Killed,
    Leaving,
    Paused,
}

/// Who does what in a run.
pub struct Cast {
    pub roles: Vec<Role>,
    /// The members that tell a rumor each; one may tell several.
    pub tellers: Vec<usize>,
}

impl Cast {
    /// Chosen by the seed. The first member, which the others may have asked for the ring, looks on.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut others: Vec<usize> = (1..scenario.members).collect();
        others.shuffle(&mut rng);
        let mut roles = vec![Role::Bystander; scenario.members];
        let mut others = others.into_iter();
        for (count, role) in [
            (scenario.killed, Role::Killed),
            (scenario.leaving, Role::Leaving),
            (scenario.paused, Role::Paused),
        ] {
            for member in others.by_ref().take(count) {
                roles[member] = role;
            }
        }
        let mut cast = Cast {
            roles,
            tellers: Vec::new(),
        };
        let bystanders = cast.of(Role::Bystander);
        let teller = |_| bystanders[rng.random_range(0..bystanders.len())];
        cast.tellers = (0..scenario.rumors).map(teller).collect();
        cast
    }

    /// Who has this role, in ascending order.
    pub fn of(&self, role: Role) -> Vec<usize> {
        let all = self.roles.iter().enumerate();
        all.filter(|(_, is)| **is == role)
            .map(|(member, _)| member)
            .collect()
    }
}

/// The half of the ring on which a member is while there is a partition.
pub fn side(member: usize) -> u8 {
    (member % 2) as u8
}

#[cfg(test)]
pub mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    /// What this command line asks for.
    pub fn asked(options: &str) -> Result<Scenario, Failure> {
        let line = format!("butterfly sim {options}");
        match Cli::try_parse_from(line.split_whitespace())
            .unwrap()
            .command
        {
            Command::Sim(args) => Scenario::new(&args.ring),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_happens_after_a_third_of_the_run() {
        let scenario = asked("--members 10 --kill 1 --for 30s").unwrap();
        assert_eq!(scenario.at, Duration::from_secs(10));
        let scenario = asked("--members 10 --for 30s --at 1s --set period=500ms").unwrap();
        assert_eq!(scenario.at, Duration::from_secs(1));
        assert_eq!(scenario.timing.period, Duration::from_millis(500));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (options, told) in [
            ("--members 5 --kill 2 --leave 2", "take 4 of 5 members"),
            ("--for 500ms", "less than one period"),
            ("--for 60s --at 60s", "earlier --at"),
            (
                "--for 60s --partition 40s",
                "the partition comes to its end at 60s",
            ),
            (
                "--for 60s --pause 1 --pause-for 2m",
                "the pause comes to its end at 140s",
            ),
            ("--set warp=9", "no field \"warp\""),
        ] {
            let error = asked(options).err().unwrap().to_string();
            assert!(error.contains(told), "{error}");
        }
        assert!(asked("--for 60s --pause-for 2m").is_ok(), "nobody pauses");
    }

    #[test]
    fn who_hardly_waits_for_an_ack_is_warned() {
        let warning = |options| asked(options).unwrap().warning();
        assert_eq!(warning("--members 10"), None);
        assert_eq!(warning("--delay 249ms"), None);
        assert_eq!(warning("--delay 1s --timing wan"), None);
        for (options, told) in [
            ("--set timeout=2ms", "after 2ms without an Ack"),
            ("--delay 250ms", "after 500ms without an Ack"),
            ("--delay 2s --timing wan", "after 3s without an Ack"),
            ("--delay 0s --jitter 500ms", "after a period of 1s"),
            ("--delay 3s --timing wan", "after a period of 5s"),
        ] {
            let warning = warning(options).unwrap();
            assert!(warning.contains(told), "{options}: {warning}");
        }
    }

    #[test]
    fn everybody_has_one_role() {
        let scenario = asked("--members 20 --kill 3 --leave 2 --pause 4 --rumors 30").unwrap();
        let cast = Cast::new(&scenario, 7);
        let count = |role| cast.of(role).len();
        assert_eq!(
            (
                count(Role::Killed),
                count(Role::Leaving),
                count(Role::Paused)
            ),
            (3, 2, 4)
        );
        assert_eq!(
            (count(Role::Bystander), cast.roles[0]),
            (11, Role::Bystander)
        );
        assert_eq!(cast.tellers.len(), 30);
        assert!(
            cast.tellers
                .iter()
                .all(|teller| cast.roles[*teller] == Role::Bystander)
        );
        assert_ne!(cast.roles, Cast::new(&scenario, 8).roles);
    }
}
