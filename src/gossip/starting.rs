//! The time from a member's start until its disk's rumors count (docs/explanation/gossip.md, "On disk"). Until then
//! they are *provisional*: this member acts on them, but neither sends nor compares them, and any copy that a peer holds
//! takes their place. A disk can be damaged or old; the ring's memory is neither.

use std::time::Duration;

use super::Gossip;
use super::departures::Word;
use super::store::Put;
use crate::env::{Env, Timer};
use crate::error::Reject;
use crate::event::Event;
use crate::member::{Health, MemberId};
use crate::ring::Ring;
use crate::rumor::Rumor;
use crate::time::Time;

/// So many periods without a member that was running before, and the disk's rumors are the best there are.
const ALONE: u32 = 3;

/// So many periods, and they count in any case: in a ring whose rumors never cease, no two members may ever hold the
/// same at the moment in which one tells the other.
const LONGEST: u32 = 20;

pub(super) struct Starting {
    /// When it began; `None`: it is over.
    since: Option<Time>,
    /// When a member that was running before was heard last.
    met: Option<Time>,
}

impl Starting {
    pub fn since(now: Time) -> Self {
        Starting {
            since: Some(now),
            met: None,
        }
    }

    pub fn is_over(&self) -> bool {
        self.since.is_none()
    }

    /// When it is over, as far as is known now.
    fn end(&self, period: Duration) -> Option<Time> {
        let since = self.since?;
        let alone = self.met.unwrap_or(since) + period * ALONE;
        Some(alone.min(since + period * LONGEST))
    }
}

impl Gossip {
    /// Whether this member has yet to compare its rumors with one that was running before.
    pub fn is_starting(&self) -> bool {
        !self.starting.is_over()
    }

    /// A member that was running before told what stands for its rumors: the `same` as here, or others.
    pub fn running_met(&mut self, env: &Env, ring: &impl Ring, id: MemberId, same: bool) {
        let compares = ring.peer(&id).is_some_and(|peer| peer.compares);
        if self.starting.is_over() || !compares {
            return;
        }
        if same {
            // All that it holds is here, and nothing of it contradicts what the disk alone held.
            self.count_provisional();
        } else {
            self.starting.met = Some(env.now);
        }
    }

    pub(super) fn start_due(&mut self, env: &mut Env) {
        let Some(end) = self.starting.end(self.timing.period) else {
            return;
        };
        if end > env.now {
            env.timers.insert(end, Timer::StartDue);
        } else {
            self.count_provisional();
        }
    }

    /// Start is over: what the disk held counts like anything else.
    pub fn count_provisional(&mut self) {
        self.starting.since = None;
        self.store.make_all_live();
    }

    /// A rumor that was kept on disk: held, but provisional. An election is not even held, but a hint, so that whoever
    /// compares stores tells of the one that runs.
    pub fn restore(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        rumor: &Rumor,
        from_id: &str,
    ) -> Result<(), Reject> {
        match rumor {
            Rumor::Election(hint) | Rumor::ElectionUpdate(hint) => {
                self.restore_election(env, rumor.kind(), hint);
                return Ok(());
            }
            // It was delivered before: see `restored`.
            Rumor::UserEvent(_) => return Ok(()),
            // What it said before it stopped, it says on.
            Rumor::Tags(tags) if tags.member == ring.me() => self.tags = Some(tags.clone()),
            _ => {}
        }
        let is_gone = |owner: MemberId| match ring.health(&owner) {
            Some(health) => health == Health::Departed || ring.is_exiled(&owner),
            None => ring.is_forgotten(&owner) || ring.is_exiled(&owner),
        };
        if rumor.owner().is_some_and(is_gone) {
            env.journal.stats.rumors_stale += 1;
            return Ok(());
        }
        match self.store.hold(rumor, from_id) {
            Put::New(place) => {
                self.note(env, place);
                if self.starting.is_over() {
                    self.store.make_all_live();
                }
            }
            Put::Full => return Err(Reject::StoreFull),
            Put::Same(_) | Put::Older(_) | Put::Confirmed(_) | Put::Corrected(_) => return Ok(()),
        }
        if let Rumor::Departure(member) = rumor {
            self.carry_out_departure(env, ring, *member, Word::Own);
        }
        Ok(())
    }

    /// The disk held something else of the same version: that is said, as one of the two is damaged.
    pub(super) fn corrected(&mut self, env: &mut Env, place: super::store::Place) {
        if let Some(entry) = self.store.get(place) {
            env.journal.stats.rumors_corrected += 1;
            let id = std::sync::Arc::clone(&entry.id);
            env.journal.event(Event::RumorCorrected(id));
        }
    }
}
