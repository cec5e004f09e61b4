//! How large everything in here is, and what stands for its state.

use std::hash::{Hash, Hasher};

use super::Gossip;
use crate::limits::{
    MAX_ANSWERS_WAITING, MAX_CANDIDATE_BYTES, MAX_CANDIDATES, MAX_COALESCING, MAX_DEAD_STRANGERS,
    MAX_DEBTORS, MAX_EVENT_BYTES, MAX_EVENT_PAYLOAD, MAX_EVENT_SENDERS, MAX_EVENTS, MAX_EXILED,
    MAX_FORGOTTEN, MAX_FORGOTTEN_AT_ONCE, MAX_GHOSTS, MAX_QUERIES, MAX_QUEUED_PUSHES, MAX_REMOVED,
    MAX_RESETS, MAX_RUMORS, MAX_SERVED, MAX_SPENT_EVENTS, MAX_TOMBSTONES, MAX_WANTED,
};
use crate::rumor::Audience;
use crate::stats::Gauge;

impl Gossip {
    /// See [`Strangers::absence`](super::strangers::Strangers::absence).
    #[cfg(feature = "sim")]
    pub fn absence(&self, now: crate::time::Time, member: &crate::member::MemberId) -> String {
        self.strangers.absence(now, member)
    }

    /// Everything that grows, with its cap.
    pub fn sizes(&self) -> [Gauge; 32] {
        let (pushes, talks) = self.outbox.queued();
        let (wanted, refused) = (self.wanted.len(), self.reconciling.refused());
        let (debts, newcomers, greeted) = self.arrears.remembered();
        let (candidates, candidate_bytes) = self.candidates.remembered();
        let (_, most_bytes) = self.store.room();
        let (events, event_bytes, event_senders, spent) = self.user_events.order.sizes();
        let (queries, open, answers) = self.queries.sizes();
        [
            Gauge::new("rumors", self.store.len(), MAX_RUMORS),
            Gauge::new("provisional_rumors", self.store.provisional(), MAX_RUMORS),
            Gauge::new("rumor_bytes", self.store.bytes(), most_bytes),
            Gauge::new("hot_rumors", self.hot.len(), MAX_RUMORS),
            Gauge::new("queued_pushes", pushes, 3 * MAX_QUEUED_PUSHES),
            Gauge::new("queued_comparisons", talks, super::outbox::MAX_TALKS),
            Gauge::new("wanted_rumors", wanted, MAX_WANTED),
            Gauge::new("served_rumors", self.served.len(), MAX_SERVED),
            Gauge::new("refused_rumors", refused, 2 * MAX_WANTED),
            Gauge::new("debtors", debts, MAX_DEBTORS),
            Gauge::new("newcomers", newcomers, MAX_DEBTORS),
            Gauge::new("departures", self.departures.count(), MAX_EXILED),
            Gauge::new("tombstones", self.tombstones.len(), MAX_TOMBSTONES + 1),
            Gauge::new("greeted", greeted, MAX_DEBTORS),
            // Of each there is a rumor, or two of a group's elections.
            Gauge::new("unknown_with_services", self.strangers.strays(), MAX_RUMORS),
            Gauge::new("dead_strangers", self.strangers.dead(), MAX_DEAD_STRANGERS),
            Gauge::new("ghosts", self.strangers.ghosts(), MAX_GHOSTS),
            Gauge::new(
                "elections",
                self.elections.followed(),
                2 * MAX_RUMORS + MAX_CANDIDATES,
            ),
            Gauge::new("candidates", candidates, MAX_CANDIDATES),
            Gauge::new("candidate_bytes", candidate_bytes, MAX_CANDIDATE_BYTES),
            Gauge::new("own_services", self.announced.len(), MAX_RUMORS),
            Gauge::new("removed_rumors", self.store.removed(), MAX_REMOVED),
            Gauge::new("reset_rumors", self.resets.len(), MAX_RESETS),
            // The last one may take them beyond, for a moment.
            Gauge::new("user_events", events, MAX_EVENTS + 1),
            Gauge::new(
                "user_event_bytes",
                event_bytes,
                MAX_EVENT_BYTES + 2 * MAX_EVENT_PAYLOAD,
            ),
            Gauge::new("user_event_senders", event_senders, MAX_EVENT_SENDERS),
            Gauge::new("spent_user_events", spent, MAX_SPENT_EVENTS + 1),
            Gauge::new(
                "coalescing_user_events",
                self.user_events.coalescing(),
                MAX_COALESCING,
            ),
            Gauge::new("queries", queries, MAX_QUERIES),
            Gauge::new("open_queries", open, MAX_ANSWERS_WAITING),
            Gauge::new("waiting_answers", answers, MAX_ANSWERS_WAITING),
            // The last rumor may take it beyond.
            Gauge::new(
                "forgotten_members",
                self.forgetting.members(),
                MAX_FORGOTTEN + MAX_FORGOTTEN_AT_ONCE,
            ),
        ]
    }

    /// Pushes that wait to be taken.
    pub fn queued_pushes(&self) -> usize {
        self.outbox.queued().0
    }

    /// What decides what it will do; of most collections their size stands for them.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        self.store.checksum(Audience::Ours).hash(hasher);
        for size in self.sizes() {
            size.now.hash(hasher);
        }
        (self.pushing, self.telling, self.effects.len()).hash(hasher);
        self.is_starting().hash(hasher);
    }
}
