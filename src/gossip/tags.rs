//! The tags of this member: only it writes them. Whoever says something newer in its name is contradicted.

use super::apply::{Leap, is_stuck};
use super::{Effect, Gossip};
use crate::env::Env;
use crate::error::CommandError;
use crate::limits::MAX_VERSION;
use crate::ring::Ring;
use crate::rumor::{Rumor, RumorId, TagSet, Tags};

impl Gossip {
    /// From now on this member says these of itself, and no others. Their incarnation is not below the member's own, as that
    /// of its services is not.
    pub fn set_tags(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        set: TagSet,
    ) -> Result<(), CommandError> {
        let held = self.find(&RumorId::tags(ring.me()));
        let held = held.map(|held| held.version);
        let is_said = self.tags.as_ref().is_some_and(|tags| tags.set == set);
        if is_said && held.is_some() {
            return Ok(());
        }
        let tags = Tags::new(ring.me(), 0, set);
        if held.is_some_and(is_stuck) {
            // As another it has all versions.
            self.tags = Some(tags);
            self.effects.push_back(Effect::Renew { at_once: true });
            return Ok(());
        }
        let next = held.map_or(1, |held| held + 1).max(ring.incarnation());
        self.say_tags(env, ring, tags, next)
    }

    /// Under another id it says the same.
    pub(super) fn say_tags_again(&mut self, env: &mut Env, ring: &impl Ring) {
        if let Some(said) = self.tags.take() {
            let tags = Tags::new(ring.me(), 0, said.set);
            // They replace those that were just dropped, so there is room.
            let _ = self.say_tags(env, ring, tags, ring.incarnation().max(1));
        }
    }

    /// Somebody says something in this member's name. If that is news, it says its own again, above it: once a period at
    /// most, as two members with one id would never end. What comes more often is contradicted when stores are compared.
    pub(super) fn outdo_tags(&mut self, env: &mut Env, ring: &impl Ring, heard: &Tags) {
        let held = self.find(&RumorId::tags(ring.me()));
        let is_old = held.is_some_and(|held| heard.incarnation < held.version);
        let said = self.tags.as_ref().map(|tags| &tags.set);
        let is_said = said == Some(&heard.set);
        if is_old || env.now < self.next_own_tags {
            env.journal.stats.rumors_stale += 1;
            return;
        }
        if heard.incarnation >= MAX_VERSION {
            self.effects.push_back(Effect::Renew { at_once: false });
            return;
        }
        let set = said.cloned().unwrap_or_default();
        let next = heard.incarnation + u64::from(!is_said);
        self.next_own_tags = env.now + self.timing.period;
        // In a full store there is no room for the word of anybody.
        let _ = self.say_tags(env, ring, Tags::new(ring.me(), 0, set), next);
    }

    fn say_tags(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        mut tags: Tags,
        incarnation: u64,
    ) -> Result<(), CommandError> {
        tags.incarnation = incarnation;
        let rumor = Rumor::Tags(tags.clone());
        self.publish(env, ring, &rumor, Leap::Any)?;
        self.tags = Some(tags);
        Ok(())
    }
}
