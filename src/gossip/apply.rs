//! What this member's own user says: services, configurations, files, departures.

use super::departures::Word;
use super::store::Put;
use super::{Effect, Entry, Gossip};
use crate::env::Env;
use crate::error::CommandError;
use crate::error::Reject;
use crate::limits::{MAX_FILENAME, MAX_LEAP, MAX_RESETS, MAX_RUMOR, MAX_VERSION};
use crate::member::MemberId;
use crate::ring::Ring;
use crate::rumor::{Rumor, RumorId, Service, ServiceConfig, ServiceFile, ServiceGroup};
use crate::text::is_name;
use crate::wire::encode_rumor;

/// Which versions a command may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leap {
    /// Those that its user may have meant.
    Bounded,
    /// All: this member chose it, or its user insists.
    Any,
}

/// Whether so little room is left above this version that whoever raises it further has soon none.
pub(super) fn is_stuck(version: u64) -> bool {
    version > MAX_VERSION - MAX_LEAP
}

/// The version above what is held, or `at_least` if that is more.
fn version_above(held: Option<u64>, at_least: u64) -> Result<u64, CommandError> {
    let next = held.map_or(1, |held| held.saturating_add(1)).max(at_least);
    match held {
        Some(held) if held >= MAX_VERSION => Err(CommandError::Stuck { held }),
        _ if next > MAX_VERSION => Err(CommandError::Beyond { given: next }),
        _ => Ok(next),
    }
}

/// Whether a command may go from the version that is held, or from nothing, to the one given.
fn check_version(held: Option<u64>, given: u64, leap: Leap) -> Result<(), CommandError> {
    if given > MAX_VERSION {
        return Err(CommandError::Beyond { given });
    }
    match held {
        Some(held) if held >= given && is_stuck(held) => Err(CommandError::Stuck { held }),
        Some(held) if held >= given => Err(CommandError::NotNewer { given, held }),
        _ => {
            let held = held.unwrap_or(0);
            if leap == Leap::Bounded && given - held > MAX_LEAP {
                return Err(CommandError::Leap { given, held });
            }
            Ok(())
        }
    }
}

impl Gossip {
    /// A rumor of this member's own; it has to be newer than what is held.
    pub(super) fn publish(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        rumor: &Rumor,
        leap: Leap,
    ) -> Result<(), CommandError> {
        let from_id = ring.me().to_string();
        check_size(rumor, &from_id)?;
        let held = self.find(&rumor.id()).map(|held| held.version);
        check_version(held, rumor.version(), leap)?;
        match self.put(env, ring, rumor, &from_id, None) {
            Put::New(place) => self.changed(env, place),
            // It is newer than what is held.
            Put::Same(_) | Put::Older(_) | Put::Confirmed(_) | Put::Corrected(_) => {}
            Put::Full => return Err(self.full()),
        }
        Ok(())
    }

    /// As [`publish`](Gossip::publish), however far its version leaps; and where a configuration or file is stuck at
    /// the last versions, it may be lower. Others still hold those, so every member has to be told the same.
    pub fn force(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        rumor: Rumor,
    ) -> Result<(), CommandError> {
        let id = rumor.id();
        match rumor {
            Rumor::Service(service) => return self.announce_any(env, ring, service, Leap::Any),
            Rumor::ServiceConfig(_) => {}
            Rumor::ServiceFile(ref file) => check_name(file)?,
            Rumor::Election(_)
            | Rumor::ElectionUpdate(_)
            | Rumor::Departure(_)
            | Rumor::Tags(_)
            | Rumor::Forgotten(_)
            | Rumor::UserEvent(_) => {
                return Err(CommandError::NotForced(rumor.kind()));
            }
        }
        check_body(&rumor)?;
        let held = self.find(&id).map(|held| held.version);
        let is_reset = held.is_some_and(is_stuck) && !is_stuck(rumor.version());
        if !is_reset {
            return self.publish(env, ring, &rumor, Leap::Any);
        }
        let from_id = ring.me().to_string();
        check_size(&rumor, &from_id)?;
        match self.store.replace(&rumor, &from_id) {
            Put::New(place) => self.changed(env, place),
            Put::Same(_) | Put::Older(_) | Put::Confirmed(_) | Put::Corrected(_) => {}
            Put::Full => return Err(self.full()),
        }
        // What another member that was reset says may have come before, and was not kept then.
        self.reconciling.forget_refused();
        self.resets.push_back(id);
        if self.resets.len() > MAX_RESETS {
            self.resets.pop_front();
        }
        Ok(())
    }

    /// Whether what others say would undo a reset.
    pub(super) fn undoes_reset(&self, rumor: &Rumor) -> bool {
        !self.resets.is_empty() && is_stuck(rumor.version()) && self.resets.contains(&rumor.id())
    }

    /// This member runs a service: an incarnation of 0 stands for the next one. It is not below the member's own
    /// incarnation, whose mark on disk rises at each start: so what is said after a crash is newer than what was said
    /// before it, though the snapshot may not know of that.
    pub fn announce(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        service: Service,
    ) -> Result<(), CommandError> {
        self.announce_any(env, ring, service, Leap::Bounded)
    }

    fn announce_any(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        mut service: Service,
        mut leap: Leap,
    ) -> Result<(), CommandError> {
        service.member = ring.me();
        if service.incarnation == 0 {
            let id = RumorId::service(&service.group, service.member);
            let held = self.find(&id).map(|entry| entry.version);
            if held == Some(MAX_VERSION) {
                return self.say_under_a_new_id(service);
            }
            let next = held.map_or(1, |held| held + 1);
            service.incarnation = next.max(ring.incarnation());
            // It was chosen here, so it is no typo.
            leap = Leap::Any;
        }
        self.publish(env, ring, &Rumor::Service(service.clone()), leap)?;
        self.announced.insert(service.group.clone(), service);
        Ok(())
    }

    /// No version is left for a service of this member, and as another it has all of them.
    fn say_under_a_new_id(&mut self, service: Service) -> Result<(), CommandError> {
        self.announced.insert(service.group.clone(), service);
        self.effects.push_back(Effect::Renew { at_once: true });
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
            incarnation: heard.incarnation + 1,
            ..mine.clone()
        };
        let same = Service {
            incarnation: heard.incarnation,
            ..mine.clone()
        };
        if same == *heard || heard.incarnation < mine.incarnation || env.now < self.next_outdo {
            return false;
        }
        if again.incarnation > MAX_VERSION {
            self.effects.push_back(Effect::Renew { at_once: false });
            return true;
        }
        self.next_outdo = env.now + self.timing.period;
        let done = self
            .publish(env, ring, &Rumor::Service(again.clone()), Leap::Any)
            .is_ok();
        if done {
            self.announced.insert(again.group.clone(), again);
        }
        done
    }

    /// The version of a configuration or file that would follow what is held, or `at_least` if that is more.
    pub fn next_version(&self, id: &RumorId, at_least: u64) -> Result<u64, CommandError> {
        version_above(self.find(id).map(|held| held.version), at_least)
    }

    /// The next version of a change that is forced: what is held does not count if it is stuck.
    pub fn next_forced_version(&self, id: &RumorId, at_least: u64) -> Result<u64, CommandError> {
        let held = self.find(id).map(|held| held.version);
        version_above(held.filter(|held| !is_stuck(*held)), at_least)
    }

    /// A group's configuration.
    pub fn apply_config(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        config: ServiceConfig,
    ) -> Result<(), CommandError> {
        let rumor = Rumor::ServiceConfig(config);
        check_body(&rumor)?;
        self.publish(env, ring, &rumor, Leap::Bounded)
    }

    /// A group's file.
    pub fn apply_file(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        file: ServiceFile,
    ) -> Result<(), CommandError> {
        check_name(&file)?;
        let rumor = Rumor::ServiceFile(file);
        check_body(&rumor)?;
        self.publish(env, ring, &rumor, Leap::Bounded)
    }

    /// A configuration or file is removed: the next version has an empty body. Whether there was one.
    pub fn remove(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        id: &RumorId,
    ) -> Result<bool, CommandError> {
        let held = self.find(id).filter(|held| !held.is_removal());
        let Some(mut rumor) = held.and_then(Entry::rumor) else {
            return Ok(false);
        };
        let next = version_above(Some(rumor.version()), 0)?;
        match &mut rumor {
            Rumor::ServiceConfig(config) => {
                config.incarnation = next;
                config.encrypted = false;
                config.config.clear();
            }
            Rumor::ServiceFile(file) => {
                file.incarnation = next;
                file.encrypted = false;
                file.body.clear();
            }
            _ => return Ok(false),
        }
        self.publish(env, ring, &rumor, Leap::Any)?;
        Ok(true)
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
        self.departure_heard(env, ring, member, Word::Own)
            .map_err(|_| self.full())?;
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
        if withdrawn.incarnation > MAX_VERSION {
            self.say_under_a_new_id(withdrawn)?;
            return Ok(true);
        }
        self.publish(env, ring, &Rumor::Service(withdrawn.clone()), Leap::Any)?;
        self.announced.insert(group.clone(), withdrawn);
        Ok(true)
    }
}

fn check_size(rumor: &Rumor, from_id: &str) -> Result<(), CommandError> {
    let size = encode_rumor(rumor, from_id).bytes.len();
    if size > MAX_RUMOR {
        return Err(CommandError::TooLarge {
            size,
            most: MAX_RUMOR,
        });
    }
    Ok(())
}

fn check_name(file: &ServiceFile) -> Result<(), CommandError> {
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
    Ok(())
}

/// An empty body would be a removal.
fn check_body(rumor: &Rumor) -> Result<(), CommandError> {
    if rumor.is_removal() {
        return Err(CommandError::EmptyBody(rumor.kind()));
    }
    Ok(())
}

/// The rules as a table: `tests/tables/version_by_command.txt`, which anyone can read.
#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> u64 {
        let digits = |text: &str| text.parse::<u64>().unwrap();
        match text.split_once(['+', '-']) {
            _ if text == "none" => 0,
            Some(("last", steps)) => MAX_VERSION - digits(steps),
            Some(("beyond", steps)) => MAX_VERSION + 1 + digits(steps),
            Some(("leap", steps)) => MAX_LEAP + digits(steps),
            _ => match text {
                "last" => MAX_VERSION,
                "leap" => MAX_LEAP,
                "most" => u64::MAX,
                text => digits(text),
            },
        }
    }

    #[test]
    fn a_command_goes_from_one_version_to_another() {
        let table = include_str!("../../tests/tables/version_by_command.txt");
        let mut rows = 0;
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let cells: Vec<_> = line.split_whitespace().collect();
            let [held, given, forced, result] = cells[..] else {
                assert!(cells.is_empty(), "{line}");
                continue;
            };
            let held_version = (held != "none").then(|| number(held));
            let leap = if forced == "yes" {
                Leap::Any
            } else {
                Leap::Bounded
            };
            let given = number(given);
            let is_reset =
                forced == "yes" && held_version.is_some_and(is_stuck) && !is_stuck(given);
            let said = match check_version(held_version, given, leap) {
                Ok(()) => "taken",
                Err(_) if is_reset => "reset",
                Err(CommandError::Beyond { .. }) => "beyond",
                Err(CommandError::Leap { .. }) => "leap",
                Err(CommandError::NotNewer { .. }) => "not-newer",
                Err(CommandError::Stuck { .. }) => "stuck",
                Err(other) => panic!("{other}"),
            };
            assert_eq!(said, result, "in the row: {line}");
            rows += 1;
        }
        assert!(rows > 20, "only {rows} rows");
    }
}
