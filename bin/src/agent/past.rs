//! What a member knows of the past.

use super::Agent;
use crate::history::HistoryRow;

impl Agent {
    /// What it knows of past transitions, the oldest first.
    pub fn history(&mut self) -> Vec<HistoryRow> {
        self.past.rows(&self.member)
    }

    /// Stores the history for the last time.
    pub fn finish(&mut self) {
        self.past.store(&mut self.member);
        self.member.finish();
    }
}
