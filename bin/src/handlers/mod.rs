//! `run --on EVENT=COMMAND`: runs commands of the operator when something happens. The loop never waits for one.

mod child;
mod hook;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use butterfly::UserEvent;
use log::{debug, warn};
use mio::{Registry, Token};

use crate::events::EventRow;
use crate::output::count;
use crate::quiet::Throttle;
use child::{Child, Ended};
pub use hook::Hook;

/// Handlers that may be given: each runs one command at a time, with two pipes in the poll.
pub const MOST_HOOKS: usize = 16;
/// Events of one handler that wait until the command before is done; what comes on top is not handled.
const MOST_WAITING: usize = 64;
/// Bytes of user events that wait, of all handlers together.
const MOST_BYTES: usize = 4 << 20;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many lines about failures are logged in [`SELDOM`].
const MOST_LINES: u32 = 10;
const SELDOM: Duration = Duration::from_secs(10);

/// What a command is told of the member that runs it.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    pub id: String,
    pub name: String,
    /// Where its gateway is.
    pub gateway: Option<String>,
}

/// A question, and what its command said, or why it said nothing.
pub type Answer = (Arc<UserEvent>, Result<Vec<u8>, String>);

/// An event for one of the handlers.
struct Waiting {
    hook: usize,
    row: Rc<EventRow>,
    /// What a user says, for handlers that want that.
    said: Option<Arc<UserEvent>>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.said.as_ref().map_or(0, |said| said.payload.len())
    }
}

/// What became of the commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub done: u64,
    pub failed: u64,
    pub killed: u64,
    /// Events that were not handled, as too many waited.
    pub dropped: u64,
}

/// The handlers, their commands, and the events that wait for them.
pub struct Handlers {
    hooks: Vec<Hook>,
    owner: Owner,
    token: Token,
    waiting: VecDeque<Waiting>,
    /// The command of each handler, if one runs.
    running: Vec<Option<Child>>,
    /// Some command may have ended.
    is_child_gone: bool,
    counts: Counts,
    lines: Throttle,
    /// What commands said to questions, or why they said nothing.
    answers: VecDeque<Answer>,
    /// How long a command may take.
    patience: Duration,
}

impl Handlers {
    /// How many of the poll's tokens they take.
    pub const TOKENS: usize = 2 * MOST_HOOKS;

    /// With their tokens from `token` on.
    pub fn new(hooks: Vec<Hook>, owner: Owner, token: Token) -> Self {
        Handlers {
            running: hooks.iter().map(|_| None).collect(),
            hooks,
            owner,
            token,
            waiting: VecDeque::new(),
            is_child_gone: false,
            counts: Counts::default(),
            lines: Throttle::new(MOST_LINES, SELDOM),
            answers: VecDeque::new(),
            patience: PATIENCE,
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a command runs, or is to run.
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || self.running.iter().any(Option::is_some)
    }

    /// Whether one answers queries of this name.
    pub fn answers(&self, name: &str) -> bool {
        let mut hooks = self.hooks.iter();
        hooks.any(|hook| hook.answers() && hook.event().strip_prefix("query:") == Some(name))
    }

    /// An answer to a question, once its command is done.
    pub fn take_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// This happened: whoever wants to know runs when there is a turn.
    pub fn tell(&mut self, row: &EventRow, said: Option<&Arc<UserEvent>>) {
        let wants = |(_, hook): &(usize, &Hook)| hook.wants(&row.says);
        let wanted = self.hooks.iter().enumerate().filter(wants);
        let wanted: Vec<usize> = wanted.map(|(hook, _)| hook).collect();
        if wanted.is_empty() {
            return;
        }
        let row = Rc::new(row.clone());
        for hook in wanted {
            let its = self.waiting.iter().filter(|it| it.hook == hook);
            let said = said.filter(|_| self.hooks[hook].is_for_users()).cloned();
            let bytes: usize = self.waiting.iter().map(Waiting::bytes).sum();
            let is_large = |said: &Arc<UserEvent>| bytes + said.payload.len() > MOST_BYTES;
            let waiting = its.count();
            if waiting >= MOST_WAITING || said.as_ref().is_some_and(is_large) {
                self.counts.dropped += 1;
                if let Some(question) = said.filter(|_| self.hooks[hook].answers()) {
                    let why = format!("{waiting} queries wait already");
                    self.answers.push_back((question, Err(why)));
                }
                if let Some(more) = self.lines.admit_with_count(Instant::now()) {
                    warn!(
                        "--on {}: not run for {:?}, as {waiting} events wait already{}",
                        self.hooks[hook].event(),
                        row.says.text,
                        and_more(more)
                    );
                }
                continue;
            }
            let row = Rc::clone(&row);
            self.waiting.push_back(Waiting { hook, row, said });
        }
    }

    /// The poll reported an event for this token.
    pub fn woken(&mut self, token: Token) {
        let place = token.0.checked_sub(self.token.0);
        if let Some(place) = place.filter(|place| *place < Self::TOKENS)
            && let Some(Some(child)) = self.running.get_mut(place / 2)
        {
            child.woken();
        }
    }

    /// A command may have ended.
    pub fn child_gone(&mut self) {
        self.is_child_gone = true;
    }

    /// Some want another turn at once.
    pub fn has_work(&self) -> bool {
        self.is_child_gone || self.running.iter().flatten().any(Child::has_work)
    }

    /// When there is a turn to be taken at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.iter().flatten().map(Child::deadline).min()
    }

    /// Goes on with the commands that run, and starts those that are due.
    pub fn turn(&mut self, registry: &Registry, now: Instant) {
        let asks = std::mem::take(&mut self.is_child_gone);
        for hook in 0..self.hooks.len() {
            let Some(child) = &mut self.running[hook] else {
                continue;
            };
            child.turn(registry);
            if asks && let Some(ended) = child.ended(registry) {
                self.running[hook] = None;
                self.note(hook, ended);
            } else if now >= child.deadline() {
                child.kill();
            }
        }
        self.start_waiting(registry, now);
    }

    /// Starts the first of those that wait for each handler that is free.
    fn start_waiting(&mut self, registry: &Registry, now: Instant) {
        let mut place = 0;
        while let Some(Waiting { hook, .. }) = self.waiting.get(place) {
            let hook = *hook;
            if self.running[hook].is_some() {
                place += 1;
                continue;
            }
            let Some(Waiting { row, said, .. }) = self.waiting.remove(place) else {
                break;
            };
            let tokens = [0, 1].map(|pipe| Token(self.token.0 + 2 * hook + pipe));
            let command = self.hooks[hook].command();
            let input = match &said {
                Some(said) => said.payload.clone(),
                None => line(&row),
            };
            let question = said.filter(|_| self.hooks[hook].answers());
            match Child::start(
                command,
                (&row, input, question.clone()),
                &self.owner,
                registry,
                tokens,
                now + self.patience,
            ) {
                Ok(child) => self.running[hook] = Some(child),
                Err(error) => {
                    self.note(hook, Ended::not_started(&row, &error, question));
                }
            }
        }
    }

    /// A command is done, or could not be started.
    fn note(&mut self, hook: usize, mut ended: Ended) {
        if let Some(question) = ended.question.take() {
            self.answers.push_back((question, ended.answer()));
        }
        let ended = &ended;
        let count = match ended {
            Ended {
                is_killed: true, ..
            } => &mut self.counts.killed,
            Ended { failure: None, .. } => &mut self.counts.done,
            Ended { .. } => &mut self.counts.failed,
        };
        *count += 1;
        let event = self.hooks[hook].event();
        let Some(failure) = &ended.failure else {
            return debug!("--on {event}: done for {:?}", ended.about);
        };
        if let Some(more) = self.lines.admit_with_count(Instant::now()) {
            warn!(
                "--on {event}: {failure}, for {:?}{}{}",
                ended.about,
                ended.last_words(),
                and_more(more)
            );
        }
    }
}

/// An event as a command reads it.
fn line(row: &EventRow) -> Vec<u8> {
    let mut line = serde_json::to_vec(row).unwrap_or_default();
    line.push(b'\n');
    line
}

fn and_more(unreported: u64) -> String {
    match unreported {
        0 => String::new(),
        unreported => {
            let lines = count(usize::try_from(unreported).unwrap_or(usize::MAX), "line");
            format!(" ({lines} of this kind before it)")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use mio::{Events, Poll};

    use super::*;
    use crate::events::Says;
    use crate::logged;

    const FIRST: Token = Token(7);

    fn row(number: usize) -> EventRow {
        EventRow {
            id: format!("1-{number}"),
            time: "2026-11-30T12:00:00.000Z".to_owned(),
            says: Says {
                kind: "alive".to_owned(),
                name: Some(format!("web-{number}")),
                text: format!("text {number}"),
                ..Says::default()
            },
        }
    }

    fn handlers(hooks: &[String]) -> Handlers {
        let hooks = hooks.iter().map(|hook| hook.parse().unwrap());
        let owner = Owner {
            id: "me".to_owned(),
            ..Owner::default()
        };
        Handlers::new(hooks.collect(), owner, FIRST)
    }

    /// Until no command runs and no event waits, as `run` does it.
    fn finish(handlers: &mut Handlers) {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(16);
        let end = Instant::now() + Duration::from_secs(20);
        while handlers.is_busy() {
            assert!(Instant::now() < end, "it does not end");
            let pause = Duration::from_millis(if handlers.has_work() { 0 } else { 5 });
            // A signal may interrupt it.
            let _ = poll.poll(&mut events, Some(pause));
            events
                .iter()
                .for_each(|event| handlers.woken(event.token()));
            // There is no SIGCHLD here.
            handlers.child_gone();
            handlers.turn(poll.registry(), Instant::now());
        }
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_event_is_handled_in_turn_with_its_variables_and_its_json() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let say = "$BUTTERFLY_EVENT $BUTTERFLY_EVENT_MEMBER_NAME of $BUTTERFLY_EVENT_SELF${BUTTERFLY_EVENT_GROUP}";
        let mut handlers = handlers(&[
            format!("alive=echo \"{say}\" >> {}", one.display()),
            format!("*=cat >> {}", other.display()),
            "suspect=exit 1".to_owned(),
        ]);
        (1..=5).for_each(|number| handlers.tell(&row(number), None));
        finish(&mut handlers);
        let said: Vec<_> = (1..=5)
            .map(|number| format!("alive web-{number} of me"))
            .collect();
        assert_eq!(lines(&one), said);
        let json: Vec<_> = (1..=5)
            .map(|number| serde_json::to_string(&row(number)).unwrap())
            .collect();
        assert_eq!(lines(&other), json);
        let counts = Counts {
            done: 10,
            ..Counts::default()
        };
        assert_eq!(handlers.counts(), counts);
    }

    #[test]
    fn a_command_that_fails_or_takes_too_long_is_told_with_its_last_words() {
        let mut handlers = handlers(&["alive=echo why; echo now >&2; exit 3".to_owned()]);
        let said = logged::by(|| {
            handlers.tell(&row(1), None);
            finish(&mut handlers);
        });
        assert_eq!(
            said,
            ["WARN --on alive: failed with exit status: 3, for \"text 1\": now"]
        );
        // What it started ends, too, and so does the pipe that it holds.
        let mut handlers = self::handlers(&["*=sleep 1000 & sleep 1000".to_owned()]);
        handlers.patience = Duration::from_millis(50);
        let said = logged::by(|| {
            handlers.tell(&row(1), None);
            finish(&mut handlers);
        });
        assert_eq!(
            said,
            ["WARN --on *: killed, as it took longer than 30 s, for \"text 1\""]
        );
        assert_eq!((handlers.counts().killed, handlers.counts().failed), (1, 0));
    }

    #[test]
    fn a_command_may_say_much_read_nothing_and_leave_something_running() {
        let mut handlers = handlers(&[
            "alive=head -c 1000000 /dev/zero".to_owned(),
            "alive=exec <&-; true".to_owned(),
            "alive=sleep 2 & true".to_owned(),
        ]);
        let mut event = row(1);
        event.says.text = "x".repeat(1 << 20);
        handlers.tell(&event, None);
        finish(&mut handlers);
        assert_eq!(handlers.counts().done + handlers.counts().failed, 3);
    }

    #[test]
    fn so_many_events_wait_and_the_others_are_counted() {
        let mut handlers = handlers(&["alive=true".to_owned()]);
        let said = logged::by(|| {
            (0..MOST_WAITING + 3).for_each(|number| handlers.tell(&row(number), None))
        });
        assert_eq!(handlers.counts().dropped, 3);
        assert_eq!(said.len(), 3);
        assert!(
            said[0]
                .starts_with("WARN --on alive: not run for \"text 64\", as 64 events wait already"),
            "{said:?}"
        );
        finish(&mut handlers);
        assert_eq!(handlers.counts().done, 64);
    }
}
