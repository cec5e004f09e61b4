//! Elections whose candidate is not known to run a service of the group. Its service may be on its way, so they are
//! held for a while, and not followed; then they are dropped. Else whoever makes up a candidate with a high term would
//! lead the group for ever.

use std::collections::BTreeMap;

use super::courses::Key;
use super::election::Standing;
use super::{Gossip, election};
use crate::env::Env;
use crate::limits::{MAX_CANDIDATE_BYTES, MAX_CANDIDATES, MAX_TERM};
use crate::member::MemberId;
use crate::ring::Ring;
use crate::rumor::{Election, RumorId, ServiceGroup};
use crate::time::Time;

/// So many periods a candidate's service has to become known.
pub(super) const PATIENCE: u32 = 4;

struct Waiting {
    election: Election,
    since: Time,
    /// Its place in the order in which they came.
    number: u64,
}

/// Candidates that wait to become known.
pub(super) struct Candidates {
    waiting: BTreeMap<(Key, MemberId), Waiting>,
    order: BTreeMap<u64, (Key, MemberId)>,
    next: u64,
    bytes: usize,
}

/// Memory that an election takes, about.
fn size(election: &Election) -> usize {
    256 + election.votes.len() * size_of::<MemberId>()
}

impl Candidates {
    pub fn new() -> Self {
        Candidates {
            waiting: BTreeMap::new(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
        }
    }

    /// How many wait, and what they take.
    pub fn remembered(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    /// Holds what was heard, with what was heard of the same candidate before; since when that one waits. Of too many
    /// the oldest go.
    fn hold(&mut self, now: Time, key: &Key, heard: &Election) -> Time {
        let name = (key.clone(), heard.candidate);
        let before = self.remove(&name);
        let (since, election) = match before {
            Some(before) => (before.since, election::merge(&before.election, heard)),
            None => (now, heard.clone()),
        };
        self.bytes += size(&election);
        let number = self.next;
        self.next += 1;
        self.order.insert(number, name.clone());
        let waiting = Waiting {
            election,
            since,
            number,
        };
        self.waiting.insert(name, waiting);
        while self.waiting.len() > MAX_CANDIDATES || self.bytes > MAX_CANDIDATE_BYTES {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.remove(&oldest);
        }
        since
    }

    /// What was heard of a candidate that waits.
    pub fn get(&self, name: &(Key, MemberId)) -> Option<&Election> {
        Some(&self.waiting.get(name)?.election)
    }

    /// It waits no more.
    pub fn take(&mut self, name: &(Key, MemberId)) -> Option<Election> {
        Some(self.remove(name)?.election)
    }

    fn remove(&mut self, name: &(Key, MemberId)) -> Option<Waiting> {
        let removed = self.waiting.remove(name)?;
        self.order.remove(&removed.number);
        self.bytes -= size(&removed.election);
        Some(removed)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether none of an election waits.
    pub fn is_none_of(&self, key: &Key) -> bool {
        self.of(key).is_empty()
    }

    /// Those of an election, with since when they wait.
    pub fn of(&self, key: &Key) -> Vec<(MemberId, Time)> {
        let first = (key.clone(), MemberId::NIL);
        self.waiting
            .range(first..)
            .take_while(|((of, _), _)| of == key)
            .map(|((_, candidate), waiting)| (*candidate, waiting.since))
            .collect()
    }
}

impl Gossip {
    /// Whether a member is known, and known to run a service of the group, or to have run it.
    pub(super) fn is_vouched(
        &self,
        ring: &impl Ring,
        group: &ServiceGroup,
        member: MemberId,
    ) -> bool {
        let service = RumorId::service(group, member);
        self.find(&service).is_some() && self.health_of(ring, &member).is_some()
    }

    /// Whether a member is Confirmed or Departed, or has withdrawn its service.
    pub(super) fn is_lost(&self, ring: &impl Ring, group: &ServiceGroup, member: MemberId) -> bool {
        self.standing(ring, group, member) == Standing::Lost
    }

    /// Whether what was heard, once merged, has another candidate or term than what is held.
    pub(super) fn is_new_candidate(&self, held: Option<&Election>, heard: &Election) -> bool {
        let Some(held) = held else {
            return true;
        };
        let merged = election::merge(held, heard);
        let of = |election: &Election| (election.term, election.candidate);
        of(&merged) == of(heard) && of(heard) != of(held)
    }

    /// Whether an election that was heard of counts. One of the last term whose candidate is lost does not: no term
    /// can follow it.
    pub(super) fn may_follow_election(&self, ring: &impl Ring, heard: &Election) -> bool {
        let lost = || self.is_lost(ring, &heard.group, heard.candidate);
        self.is_vouched(ring, &heard.group, heard.candidate) && !(heard.term == MAX_TERM && lost())
    }

    /// Its candidate is not known to run the service: it waits for that.
    pub(super) fn await_candidate(&mut self, env: &mut Env, key: &Key, heard: &Election) {
        let since = self.candidates.hold(env.now, key, heard);
        let over = since + self.timing.period * PATIENCE;
        self.elections.follow(env, key, over);
    }
}
