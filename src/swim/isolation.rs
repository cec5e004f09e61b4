//! Whether this member hears anybody at all. What one that does not believes of the others is old.

use std::time::Duration;

use super::Swim;
use crate::env::Env;
use crate::event::Event;
use crate::history::Fact;
use crate::member::Health;

/// So many periods without a message from any other member make it isolated: more than chance and loss take.
const SILENT: u32 = 4;

impl Swim {
    /// How long it has heard nobody; `None`: it is not isolated.
    pub fn isolated_for(&self, env: &Env) -> Option<Duration> {
        self.detector
            .hearing
            .isolated
            .map(|since| env.now.since(since))
    }

    /// Looks whether it still hears others. Alone in its ring, it has none to hear.
    pub(super) fn look_for_silence(&mut self, env: &mut Env) {
        let others = self.table.living() + self.table.count(Health::Confirmed) > 1;
        let silent = self.detector.hearing.silence(env.now);
        if !others || self.is_leaving() {
            self.end_isolation(env);
        } else if self.detector.hearing.isolated.is_none() && silent >= self.timing.period * SILENT
        {
            let hearing = &mut self.detector.hearing;
            hearing.isolated = Some(env.now - silent);
            env.journal.event(Event::Isolated { silent });
            let fact = Fact::Isolated { silent };
            env.journal.history.add(env.wall, self.id(), fact);
        }
    }

    /// It hears somebody again, or there is nobody to hear any more.
    pub(super) fn end_isolation(&mut self, env: &mut Env) {
        if let Some(since) = self.detector.hearing.isolated.take() {
            let lasted = env.now.since(since);
            env.journal.event(Event::IsolationEnded { lasted });
            let fact = Fact::IsolationEnded { lasted };
            env.journal.history.add(env.wall, self.id(), fact);
        }
    }
}
