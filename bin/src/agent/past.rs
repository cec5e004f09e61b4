//! What a member knows of the past.

use std::net::SocketAddr;

use butterfly::MemberId;

use super::Agent;
use crate::history::HistoryRow;

impl Agent {
    /// What it knows of past transitions, the oldest first.
    pub fn history(&mut self) -> Vec<HistoryRow> {
        self.past.rows(&self.member)
    }

    /// A member that is elsewhere, in words.
    pub(super) fn moved(
        &self,
        id: MemberId,
        from: SocketAddr,
        to: SocketAddr,
        gossip_port: u16,
    ) -> String {
        let who = self.who(id);
        match from == to {
            true => format!("{who} takes gossip at port {gossip_port} now"),
            false => format!("{who} moved from {from} to {to}"),
        }
    }

    /// Stores the history for the last time.
    pub fn finish(&mut self) {
        self.past.store(&mut self.member);
        self.member.finish();
    }
}
