//! Reading the file of settings and the ring keys again while a member runs: on a thread of its own, as a file system that
//! hangs must not hold up the loop.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

use crate::failure::Failure;
use crate::plan::Plan;
use crate::settings::Settings;

/// What a member was told at its start, to be read again.
pub struct Reread {
    /// Those at the start.
    first: Settings,
    settings: Settings,
    waker: Arc<Waker>,
    answer: Sender<Answer>,
    answers: Receiver<Answer>,
    under_way: bool,
}

/// What was read.
pub struct Again {
    pub settings: Settings,
    pub plan: Plan,
}

type Answer = Result<Again, Failure>;

impl Reread {
    /// Wakes the loop when all was read: take the `answer` then.
    pub fn new(settings: Settings, waker: Arc<Waker>) -> Self {
        let (answer, answers) = channel();
        Reread {
            first: settings.clone(),
            settings,
            waker,
            answer,
            answers,
            under_way: false,
        }
    }

    /// The settings as they were read last.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings that the member started with.
    pub fn first(&self) -> &Settings {
        &self.first
    }

    /// Takes these for the settings from now on; returns those before.
    pub fn replace(&mut self, settings: Settings) -> Settings {
        std::mem::replace(&mut self.settings, settings)
    }

    /// Begins to read; why not, if so.
    pub fn begin(&mut self) -> Result<(), String> {
        if self.settings.file().is_none() && self.settings.args.ring_key.is_empty() {
            return Err(
                "nothing to read again: neither --config nor --ring-key was given".to_owned(),
            );
        }
        if self.under_way {
            return Err(
                "the settings and ring keys are still being read: does their file system answer?"
                    .to_owned(),
            );
        }
        let (settings, answer, waker) = (
            self.settings.clone(),
            self.answer.clone(),
            Arc::clone(&self.waker),
        );
        let read = move || {
            let settings = settings.read_again()?;
            let plan = Plan::of(&settings)?;
            Ok(Again { settings, plan })
        };
        let started = thread::Builder::new()
            .name("settings".into())
            .spawn(move || {
                // If either fails, the loop is gone, and nobody wants to know.
                if answer.send(read()).is_ok() {
                    let _ = waker.wake();
                }
            });
        self.under_way = started.is_ok();
        let started = started.map(drop);
        started.map_err(|error| format!("the system gives no thread to read the settings: {error}"))
    }

    /// What was read, once it was.
    pub fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.under_way = false;
        Some(answer)
    }
}
