//! What a rumor does that was heard.

use std::sync::Arc;

use super::Gossip;
use super::departures::Word;
use super::store::{Hashed, Put, content_hash};
use crate::env::Env;
use crate::error::Reject;
use crate::event::Event;
use crate::member::{Health, MemberId};
use crate::ring::Ring;
use crate::rumor::{Rumor, RumorKind, ServiceGroup};
use crate::wire::RumorFrame;

impl Gossip {
    /// A rumor of a kind that is kept was heard.
    pub fn receive(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        kind: RumorKind,
        frame: &RumorFrame<'_>,
    ) -> Result<(), Reject> {
        // Most of what is heard is known, and then its bytes need not be read, nor hashed.
        if let Some(place) = self.store.find_payload(kind, frame.payload) {
            self.heard_back(place);
            return Ok(());
        }
        let hash = content_hash(kind, frame.payload);
        let taken = if self.is_done_with(hash) {
            env.journal.stats.rumors_stale += 1;
            Ok(())
        } else {
            let rumor = frame.rumor();
            let heard = Hashed {
                payload: frame.payload,
                hash,
            };
            rumor.and_then(|rumor| self.take(env, ring, (&rumor, frame.from_id), heard))
        };
        self.arrived(env, ring, hash);
        taken
    }

    /// A rumor that was heard.
    fn take(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        (rumor, from_id): (&Rumor, &str),
        heard: Hashed<'_>,
    ) -> Result<(), Reject> {
        match rumor {
            Rumor::Departure(member) => {
                return self.departure_heard(env, ring, *member, Word::Others);
            }
            Rumor::Service(service)
                if service.member == ring.me() && self.outdo(env, ring, service) =>
            {
                return Ok(());
            }
            Rumor::Tags(tags) if tags.member == ring.me() => {
                self.outdo_tags(env, ring, tags);
                return Ok(());
            }
            Rumor::UserEvent(event) => {
                return self.user_event_heard(env, ring, (rumor, event), heard);
            }
            Rumor::Forgotten(said) => {
                return self.forgotten_heard(env, ring, rumor, said, heard);
            }
            Rumor::Election(election) | Rumor::ElectionUpdate(election) => {
                return self.election_heard(env, ring, rumor.kind(), election);
            }
            _ => {}
        }
        if let Some(owner) = rumor.owner()
            && self.is_of_gone(env, ring, owner)
        {
            env.journal.stats.rumors_stale += 1;
            return Ok(());
        }
        if self.undoes_reset(rumor) {
            return Err(Reject::BadVersion);
        }
        let newcomer = self.newcomer(ring, rumor);
        let rivals = self.rivals(ring, rumor);
        match self.put(env, ring, rumor, from_id, Some(heard)) {
            Put::New(place) => {
                self.changed(env, place);
                if rivals && let Some(entry) = self.store.get(place) {
                    env.journal.event(Event::RumorOverruled {
                        id: Arc::clone(&entry.id),
                        version: entry.version,
                        winner: from_id.parse().ok(),
                    });
                }
                if let Rumor::Service(service) = rumor {
                    self.vouched(env, ring, &service.group);
                }
            }
            Put::Same(place) => self.heard_back(place),
            Put::Confirmed(_) => {}
            Put::Corrected(place) => {
                self.changed(env, place);
                self.corrected(env, place);
            }
            Put::Older(_) => env.journal.stats.rumors_stale += 1,
            Put::Full => return Err(Reject::StoreFull),
        }
        if let Some(group) = newcomer {
            self.joined_group(env, ring, group);
        }
        Ok(())
    }

    /// Whether this member is gone, so that what it said of itself is not taken up again. Whoever still holds that is told.
    fn is_of_gone(&mut self, env: &mut Env, ring: &impl Ring, owner: MemberId) -> bool {
        if ring.is_exiled(&owner) {
            self.remind_of_departure(env, owner);
            return true;
        }
        match ring.health(&owner) {
            Some(Health::Departed) => {
                self.remind_of_gone(env, owner);
                true
            }
            Some(_) => false,
            None => self.strangers.is_ghost(&owner) || ring.is_forgotten(&owner),
        }
    }

    /// Whether a configuration or file of this version is held that was given to this member: two were given the same
    /// version at once, and all members keep the same one of them.
    fn rivals(&self, ring: &impl Ring, rumor: &Rumor) -> bool {
        if !matches!(rumor, Rumor::ServiceConfig(_) | Rumor::ServiceFile(_)) {
            return false;
        }
        let held = self.find(&rumor.id());
        held.is_some_and(|held| {
            held.version == rumor.version() && held.said_by().is_some_and(|id| id == ring.me())
        })
    }

    /// The group in which a living member is new by this rumor.
    fn newcomer<'r>(&self, ring: &impl Ring, rumor: &'r Rumor) -> Option<&'r ServiceGroup> {
        let Rumor::Service(service) = rumor else {
            return None;
        };
        let lives = ring.health(&service.member) == Some(Health::Alive);
        let new = lives && !service.is_withdrawn() && self.store.find(&rumor.id()).is_none();
        new.then_some(&service.group)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{NodeConfig, Timing};
    use crate::event::Event;
    use crate::member::{Incarnation, MemberId};
    use crate::node::Node;
    use crate::rumor::Rumor;
    use crate::time::Time;
    use crate::wire::encode_rumor;

    fn node() -> Node {
        let config = NodeConfig {
            advertise: None,
            id: MemberId::from_bytes([1; 16]),
            name: String::new(),
            incarnation: Incarnation::ZERO,
            reserved: Incarnation::MAX,
            epoch: 1,
            ip: None,
            swim_port: 1,
            gossip_port: 2,
            persistent: false,
            ring_keys: Vec::new(),
            ring: None,
            timing: Timing::lan(),
            store_limit: 1 << 20,
            random_seed: [1; 32],
        };
        Node::new(config, Time::ZERO)
    }

    #[test]
    fn what_the_disk_held_is_held_and_not_told() {
        let mut node = node();
        let rumor = Rumor::Departure(MemberId::from_bytes([9; 16]));
        node.restore_rumor(&encode_rumor(&rumor, "somebody").bytes)
            .unwrap();
        assert_eq!((node.rumor_count(), node.hot_rumors()), (1, 0));
        assert_eq!(
            node.rumor(&rumor.id()).and_then(|held| held.rumor()),
            Some(rumor)
        );
        assert!(!node.is_expelled());
    }

    #[test]
    fn who_was_told_to_depart_before_it_stopped_still_is() {
        let mut node = node();
        let departure = Rumor::Departure(node.id());
        node.restore_rumor(&encode_rumor(&departure, "somebody").bytes)
            .unwrap();
        assert!(node.is_expelled());
        let events: Vec<_> = std::iter::from_fn(|| node.poll_event()).collect();
        assert!(events.contains(&Event::Expelled));
    }
}
