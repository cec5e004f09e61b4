//! What this member's own user says: services, configurations, files, departures.

use super::store::Put;
use super::{Entry, Gossip};
use crate::env::Env;
use crate::error::CommandError;
use crate::error::Reject;
use crate::limits::{MAX_FILENAME, MAX_RUMOR};
use crate::member::MemberId;
use crate::ring::Ring;
use crate::rumor::{Rumor, RumorId, Service, ServiceConfig, ServiceFile, ServiceGroup};
use crate::text::is_name;
use crate::wire::encode_rumor;

impl Gossip {
    /// A rumor of this member's own; it has to be newer than what is held.
    fn publish(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        rumor: &Rumor,
    ) -> Result<(), CommandError> {
        let from_id = ring.me().to_string();
        let size = encode_rumor(rumor, &from_id).bytes.len();
        if size > MAX_RUMOR {
            return Err(CommandError::TooLarge {
                size,
                most: MAX_RUMOR,
            });
        }
        let given = rumor.version();
        match self
            .store
            .find(&rumor.id())
            .and_then(|place| self.store.get(place))
        {
            Some(held) if held.version >= given => {
                return Err(CommandError::NotNewer {
                    given,
                    held: held.version,
                });
            }
            _ => {}
        }
        match self.put(env, ring, rumor, &from_id) {
            Put::New(place) => self.changed(env, place),
            // It is newer than what is held.
            Put::Same(_) | Put::Older(_) | Put::Confirmed(_) | Put::Corrected(_) => {}
            Put::Full => return Err(CommandError::StoreFull),
        }
        Ok(())
    }

    /// This member runs a service: an incarnation of 0 stands for the next one. It is not below the member's own
    /// incarnation, whose mark on disk rises at each start: so what is said after a crash is newer than what was said
    /// before it, though the snapshot may not know of that.
    pub fn announce(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        mut service: Service,
    ) -> Result<(), CommandError> {
        service.member = ring.me();
        if service.incarnation == 0 {
            let id = RumorId::service(&service.group, service.member);
            let held = self.find(&id).map(|entry| entry.version);
            let next = held.map_or(1, |held| held.saturating_add(1));
            service.incarnation = next.max(ring.incarnation());
        }
        self.publish(env, ring, &Rumor::Service(service.clone()))?;
        self.announced.insert(service.group.clone(), service);
        Ok(())
    }

    /// The ring knows something newer of a service of this member than it said itself: it goes on above that,
    /// as it does with its own record (its store was lost, or is older). At most once a period, as two
    /// members with one id would never end. Whether it did.
    pub(super) fn outdo(&mut self, env: &mut Env, ring: &impl Ring, heard: &Service) -> bool {
        let Some(mine) = self.announced.get(&heard.group) else {
            return false;
        };
        let again = Service {
            incarnation: heard.incarnation.saturating_add(1),
            ..mine.clone()
        };
        let same = Service {
            incarnation: heard.incarnation,
            ..mine.clone()
        };
        if same == *heard || heard.incarnation < mine.incarnation || env.now < self.next_outdo {
            return false;
        }
        self.next_outdo = env.now + self.timing.period;
        let done = self
            .publish(env, ring, &Rumor::Service(again.clone()))
            .is_ok();
        if done {
            self.announced.insert(again.group.clone(), again);
        }
        done
    }

    /// A group's configuration.
    pub fn apply_config(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        config: ServiceConfig,
    ) -> Result<(), CommandError> {
        self.publish(env, ring, &Rumor::ServiceConfig(config))
    }

    /// A group's file.
    pub fn apply_file(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        file: ServiceFile,
    ) -> Result<(), CommandError> {
        if file.filename.is_empty() {
            return Err(CommandError::BadRumor(Reject::MissingField));
        }
        if file.filename.len() > MAX_FILENAME {
            return Err(CommandError::TooLarge {
                size: file.filename.len(),
                most: MAX_FILENAME,
            });
        }
        if !is_name(&file.filename) {
            return Err(CommandError::BadRumor(Reject::BadFilename));
        }
        self.publish(env, ring, &Rumor::ServiceFile(file))
    }

    /// A member is gone for good.
    pub fn depart(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        member: MemberId,
    ) -> Result<(), CommandError> {
        let held = self.store.find(&RumorId::departure(member));
        let provisional = held.filter(|place| {
            let entry = self.store.get(*place);
            entry.is_some_and(|entry| self.store.is_provisional(entry))
        });
        self.departure_heard(env, ring, member, true)
            .map_err(|_| CommandError::StoreFull)?;
        if let Some(place) = provisional {
            // The disk held it, and others may not know it.
            self.changed(env, place);
        }
        Ok(())
    }

    /// This member does not run a service of the group any more; whether it did.
    ///
    /// # Errors
    /// The store is full of others' rumors.
    pub fn withdraw(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        group: &ServiceGroup,
    ) -> Result<bool, CommandError> {
        let held = self.find(&RumorId::service(group, ring.me()));
        let Some(Rumor::Service(service)) = held.and_then(Entry::rumor) else {
            return Ok(false);
        };
        if service.is_withdrawn() {
            return Ok(false);
        }
        let withdrawn = service.withdrawn();
        self.publish(env, ring, &Rumor::Service(withdrawn.clone()))?;
        self.announced.insert(group.clone(), withdrawn);
        Ok(true)
    }
}
