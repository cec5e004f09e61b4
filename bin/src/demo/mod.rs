//! `butterfly demo`: a real ring, what happens to it, and how long that takes.

mod board;
mod gossip;
pub mod ring;

use std::io;
use std::time::{Duration, Instant};

use butterfly::{Health, Timing};

use crate::cli::DemoArgs;
use crate::failure::Failure;
use crate::output::{self, print_line};
use crate::table::{Table, span};
use board::Board;
use ring::Ring;

const NAMES: [&str; 16] = [
    "amber", "birch", "cedar", "dune", "ember", "fern", "grove", "heath", "iris", "juniper",
    "kelp", "lotus", "maple", "nettle", "olive", "pine",
];

/// Whose view is shown, and whom the others ask for the ring.
const FIRST: usize = 0;
/// Who leaves.
const LEAVER: usize = 1;

/// How long it may take at most with the timing `local`: each phase ends as soon as all have seen what is
/// waited for.
const LONGEST: Duration = Duration::from_secs(14);

/// The same with this timing.
fn longest(timing: &Timing) -> Duration {
    let scale = timing.period.as_secs_f64() / Timing::local().period.as_secs_f64();
    LONGEST.mul_f64(scale.max(1.0))
}

pub fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let mut demo = Demo::new(args)?;
    demo.form()?;
    demo.share()?;
    demo.elect()?;
    let killed = demo.lose_one()?;
    demo.elect_again(killed)?;
    demo.take_it_back()?;
    demo.let_one_go()?;
    demo.sum_up()
}

struct Demo {
    ring: Ring,
    board: Board,
    limit: Duration,
    /// Who leads, and is killed.
    victim: usize,
    /// What was measured: what, when the first saw it, when all had.
    measured: Vec<(String, Option<Duration>, Duration)>,
    began: Instant,
}

impl Demo {
    fn new(args: &DemoArgs) -> Result<Self, Failure> {
        let names = names(args.members);
        let board = Board::new(&names, output::colours_wanted(&io::stdout()));
        print_line(&format!(
            "A ring of {} members on this machine, in one process and one thread, and what {} sees of it.",
            args.members, names[FIRST]
        ))?;
        Ok(Demo {
            ring: Ring::new(names, args.timing.clone())?.with_gossip_ports(args.gossip_port),
            board,
            limit: longest(&args.timing),
            victim: args.members - 1,
            measured: Vec::new(),
            began: Instant::now(),
        })
    }

    fn form(&mut self) -> Result<(), Failure> {
        let count = self.ring.seats().len();
        let first = self.name(FIRST);
        self.headline(&format!(
            "1. {first} starts, and the others, which know nothing but its address"
        ))?;
        let start = Instant::now();
        let seed = self.ring.start(FIRST, None)?;
        for place in 1..count {
            self.ring.start(place, Some(seed))?;
        }
        let took = self.watch(start, "see each other alive", |ring| {
            ring.running()
                .all(|(_, member)| member.node().counts().alive == count)
        })?;
        self.measured.push(("the ring forms".into(), None, took));
        print_line(&format!("   All see all {count} after {}.", span(took)))
    }

    /// Returns when it was killed.
    fn lose_one(&mut self) -> Result<Instant, Failure> {
        let (victim, name) = (self.victim, self.name(self.victim));
        self.headline(&format!("4. {name} is killed, without a word"))?;
        let start = Instant::now();
        self.ring.kill(victim);
        self.watch(start, &format!("find out that {name} is dead"), |ring| {
            ring.all_see(victim, Health::Confirmed)
        })?;
        let verdicts: Vec<Verdict> = self
            .ring
            .running()
            .map(|(by, _)| Verdict::of(&self.ring, by, victim, start))
            .collect();
        output::print(&self.verdict_table(&verdicts))?;
        let suspicions = verdicts.iter().filter_map(|verdict| verdict.suspects);
        self.measure(&format!("{name} is suspected"), suspicions);
        let confirmations = verdicts.iter().filter_map(|verdict| verdict.confirms);
        self.measure(&format!("{name} is confirmed dead"), confirmations);
        Ok(start)
    }

    fn take_it_back(&mut self) -> Result<(), Failure> {
        let (victim, name) = (self.victim, self.name(self.victim));
        self.headline(&format!(
            "5. {name} comes back: its old id, a new port, and no memory of what was"
        ))?;
        let count = self.ring.seats().len();
        let seed = self
            .ring
            .running()
            .next()
            .map(|(_, member)| member.local_addr());
        let start = Instant::now();
        self.ring.start(victim, seed)?;
        let took = self.watch(start, &format!("see {name} alive again"), |ring| {
            ring.running()
                .all(|(_, member)| member.node().counts().alive == count)
        })?;
        self.measure_sights(&format!("{name} is back"), victim, start, Health::Alive);
        print_line(&format!(
            "   All see all {count} again after {}.",
            span(took)
        ))?;
        self.remember(victim, start)
    }

    fn let_one_go(&mut self) -> Result<(), Failure> {
        let name = self.name(LEAVER);
        self.headline(&format!("6. {name} leaves, and says so"))?;
        let start = Instant::now();
        self.ring.leave(LEAVER);
        let took = self.watch(start, &format!("hear that {name} left"), |ring| {
            ring.all_see(LEAVER, Health::Departed)
        })?;
        self.measure_sights(&format!("{name} has left"), LEAVER, start, Health::Departed);
        print_line(&format!("   All others know after {}.", span(took)))
    }

    fn sum_up(&self) -> Result<(), Failure> {
        let mut table = Table::new(&["MEASURED", "FIRST", "ALL"]);
        for (what, first, all) in &self.measured {
            table.row(vec![
                what.clone(),
                first.map_or_else(|| "-".into(), span),
                span(*all),
            ]);
        }
        output::print(&format!("\n{}", table.render(|_, _, cell| cell)))?;
        let took = self.began.elapsed().as_secs_f64();
        print_line(&format!(
            "\nDone in {took:.1} s. Next: butterfly run --help"
        ))
    }

    /// Lets the ring work until it is so, and shows what the first member sees; returns how long it took.
    fn watch(
        &mut self,
        start: Instant,
        what: &str,
        is_so: impl Fn(&Ring) -> bool,
    ) -> Result<Duration, Failure> {
        let end = self.began + self.limit;
        while !is_so(&self.ring) {
            if Instant::now() >= end {
                return Err(Failure::not_reached(format_args!(
                    "not all members {what} within {}: is this machine very busy?",
                    span(start.elapsed())
                )));
            }
            let changed = self.ring.turn(end)?.iter().any(|seen| seen.by == FIRST);
            if changed {
                output::print(&self.board.line(&self.ring, FIRST, start.elapsed()))?;
            }
        }
        Ok(start.elapsed())
    }

    fn measure(&mut self, what: &str, spans: impl Iterator<Item = Duration> + Clone) {
        if let (first, Some(all)) = (spans.clone().min(), spans.max()) {
            self.measured.push((what.to_owned(), first, all));
        }
    }

    /// The same, of when each member first saw another one fare so.
    fn measure_sights(&mut self, what: &str, of: usize, start: Instant, health: Health) {
        let others = self.ring.running().filter(|(by, _)| *by != of);
        let sights =
            others.filter_map(|(by, _)| self.ring.first_sight(by, of, |seen| seen == health));
        let spans: Vec<Duration> = sights
            .map(|at| at.saturating_duration_since(start))
            .collect();
        self.measure(what, spans.into_iter());
    }

    fn verdict_table(&self, verdicts: &[Verdict]) -> String {
        let mut table = Table::new(&["   OBSERVER", "SUSPECTS IT AFTER", "CONFIRMS IT AFTER"]);
        let cell = |after: Option<Duration>| after.map_or_else(|| "-".into(), span);
        for verdict in verdicts.iter().take(board::WIDTH) {
            let name = format!("   {}", self.name(verdict.by));
            table.row(vec![name, cell(verdict.suspects), cell(verdict.confirms)]);
        }
        let more = match verdicts.len().saturating_sub(board::WIDTH) {
            0 => String::new(),
            more => format!("   and {more} more\n"),
        };
        format!("\n{}{more}", table.render(|_, _, cell| cell))
    }

    /// A headline with a board below it.
    fn headline(&mut self, text: &str) -> Result<(), Failure> {
        self.title(text)?;
        output::print(&self.board.head())
    }

    fn title(&mut self, text: &str) -> Result<(), Failure> {
        self.ring.forget();
        print_line(&format!("\n{text}\n"))
    }

    fn name(&self, place: usize) -> String {
        self.ring.seats()[place].name.clone()
    }
}

/// When a member suspected another, and when it held it for dead.
struct Verdict {
    by: usize,
    suspects: Option<Duration>,
    confirms: Option<Duration>,
}

impl Verdict {
    fn of(ring: &Ring, by: usize, victim: usize, start: Instant) -> Self {
        let after = |health| {
            let at = ring.first_sight(by, victim, |seen| seen >= health);
            at.map(|at| at.saturating_duration_since(start))
        };
        Verdict {
            by,
            suspects: after(Health::Suspect),
            confirms: after(Health::Confirmed),
        }
    }
}

/// Names for that many members.
fn names(count: usize) -> Vec<String> {
    let name = |place: usize| match NAMES.get(place) {
        Some(name) => (*name).to_owned(),
        None => format!("{}-{}", NAMES[place % NAMES.len()], place / NAMES.len() + 1),
    };
    (0..count).map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_member_has_a_name_of_its_own() {
        let names = names(64);
        assert_eq!(names[..3], ["amber", "birch", "cedar"]);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 64);
        assert!(
            names
                .iter()
                .all(|name| name.len() <= butterfly::limits::MAX_NAME)
        );
    }

    #[test]
    fn with_the_timing_local_it_ends_in_under_15_seconds() {
        assert!(longest(&Timing::local()) < Duration::from_secs(15));
        assert!(longest(&Timing::lan()) > LONGEST);
    }
}
