//! What the system of a member says of its ports, and hints that it may be gone.

use std::net::SocketAddr;

use super::Swim;
use super::outbox::Compare;
use crate::env::Env;
use crate::member::{Health, MemberId};

impl Swim {
    /// The system says that nobody listens there, and quotes a ping with this number.
    pub fn refused(&mut self, env: &mut Env, to: SocketAddr, number: u64) {
        let target = self.probe_with(number).map(|probe| probe.target());
        let row = target
            .and_then(|target| self.table.find(&target))
            .and_then(|key| self.table.get(key));
        if !row.is_some_and(|row| self.table.is_at(row, to)) {
            env.journal.stats.refusals_ignored += 1;
            return;
        }
        // Others are asked at once.
        self.unreachable(env, to);
    }

    /// A connection with this member ended: it may be gone.
    pub fn hint(&mut self, env: &mut Env, id: &MemberId) {
        let key = self.table.find(id).filter(|key| *key != self.table.me());
        let lives = |row: &super::Row| row.health <= Health::Suspect;
        let Some(key) = key.filter(|key| self.table.get(*key).is_some_and(lives)) else {
            return;
        };
        env.journal.stats.hints += 1;
        self.ping_aside(key, Compare::Nothing);
    }
}
