//! Claims that a living member is dead begin to be checked.

use super::Swim;
use super::news::RowKey;
use super::outbox::{Body, Outgoing};
use super::speaker::Speaker;
use super::suspicion::Suspicion;
use super::verdict::DeathChecks;
use crate::env::Env;
use crate::expected::Expected;
use crate::history::Fact;
use crate::limits::ORDINARY_DATAGRAM;
use crate::member::{Evidence, Incarnation};

impl Swim {
    /// Others say that this member is dead, at this incarnation.
    pub(super) fn begin_trial(
        &mut self,
        env: &mut Env,
        key: RowKey,
        speaker: &mut Speaker,
        incarnation: Incarnation,
    ) {
        if self.checks.joins(key, incarnation) {
            return;
        }
        let (Some(member), Some(row)) = (
            self.table.member(key).expected(),
            self.table.get(key).expected(),
        ) else {
            return;
        };
        let stands_still = |suspicion: &Suspicion| suspicion.evidence() == Evidence::Stalled;
        if self.suspicion(row).is_some_and(stands_still) {
            // Others lost patience sooner.
            return;
        }
        let ending = |suspicion: &Suspicion| suspicion.is_ending();
        if incarnation == row.incarnation && self.suspicion(row).is_some_and(ending) {
            // It is being asked already, and what comes of it is the same.
            return;
        }
        let bare = self.bare_datagram();
        if self.checks.is_full() || speaker.budget.spend(bare) < bare {
            return;
        }
        let timer = DeathChecks::timer(env, &self.timing, key);
        let number = self.number_for_others(env);
        let by = speaker.id;
        let fact = Fact::DeathClaimed { by, incarnation };
        env.journal.history.add(env.wall, member.id, fact);
        let table = &mut self.table;
        self.checks.begin(table, key, incarnation, timer, number);
        let (to, id) = (member.swim_addr(), Some(member.id));
        self.queue(Outgoing {
            to,
            id,
            row: key,
            told: None,
            limit: ORDINARY_DATAGRAM,
            ages: true,
            body: Body::ProbePing,
        });
        // Others may reach a member that this one cannot. A stranger's word is not worth their trouble.
        if speaker.proved {
            self.ask_others(env, member.id, number);
        }
    }
}
