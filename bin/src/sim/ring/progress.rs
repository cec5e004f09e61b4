//! Says on standard error how far it is, to a terminal in a line that is written over.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::measure::Measure;
use super::observer::Observer;
use super::scenario::Scenario;
use crate::output;

/// The pause between two words.
const PAUSE: Duration = Duration::from_millis(200);
/// The same to who reads them one below the other.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// How far all runs are. Does nothing if nobody is to be told.
pub struct Progress {
    /// When that was told last.
    told: Option<Mutex<Instant>>,
    finished: AtomicU64,
    in_place: bool,
    began: Instant,
    length: Duration,
    runs: u64,
    members: usize,
}

impl Progress {
    /// `asked`: also if standard error is no terminal.
    pub fn new(scenario: &Scenario, runs: u64, asked: bool) -> Self {
        let (in_place, began) = (io::stderr().is_terminal(), Instant::now());
        Progress {
            told: (in_place || asked).then(|| Mutex::new(began)),
            finished: AtomicU64::new(0),
            in_place,
            began,
            length: scenario.length,
            runs,
            members: scenario.members,
        }
    }

    /// The run with this seed has come so far.
    pub fn tell(&self, seed: u64, now: Duration, observer: &Observer) {
        if now >= self.length {
            self.finished.fetch_add(1, Ordering::Relaxed);
        }
        // Who finds another at it has nothing to add.
        let Some(Ok(mut told)) = self.told.as_ref().map(Mutex::try_lock) else {
            return;
        };
        let pause = if self.in_place { PAUSE } else { LONG_PAUSE };
        if told.elapsed() < pause {
            return;
        }
        *told = Instant::now();
        let finished = self.finished.load(Ordering::Relaxed);
        let runs = match self.runs {
            1 => String::new(),
            runs => format!("{finished} of {runs} runs; seed {seed}: "),
        };
        let (now, length) = (now.as_secs_f64(), self.length.as_secs_f64());
        self.say(&format!(
            "{runs}{now:.1} of {length:.0} s{}",
            seen(observer)
        ));
    }

    /// All runs are done.
    pub fn done(&self) {
        if self.told.is_none() {
            return;
        }
        let took = self.began.elapsed().as_secs_f64();
        let simulated = self.length.as_secs_f64() * self.runs as f64;
        self.say(&format!(
            "{simulated:.0} s of {} members simulated in {took:.1} s, {:.1} times as fast as real time",
            self.members,
            simulated / took.max(1e-6)
        ));
        if self.in_place {
            output::tell("");
        }
    }

    fn say(&self, line: &str) {
        if self.in_place {
            // To the line's beginning, and what stood there away.
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else {
            output::tell(line);
        }
    }
}

/// Where the ring stands.
fn seen(observer: &Observer) -> String {
    let parts = [
        (Measure::Acquainted, "of views have the living for alive"),
        (Measure::Confirmed, "the crashed for dead"),
        (Measure::Rumor, "have the rumor"),
    ];
    let told = parts.into_iter().filter_map(|(measure, what)| {
        let share = observer.share(measure).filter(|share| *share > 0.0)?;
        Some(format!(", {:.1}% {what}", 100.0 * share))
    });
    told.collect()
}
