//! The tags of this member: what its settings say of them, and what it is told while it runs.

use butterfly::MemberId;
use log::{info, warn};

use super::Agent;
use crate::failure::Failure;
use crate::output::who;
use crate::tags::{Change, OwnTags, Tag, VERSION};

impl Agent {
    /// The tags with which it starts.
    pub fn begin_tags(&mut self, settings: &[Tag]) -> Result<(), Failure> {
        let stored = self.member.stored_tags().map_err(Failure::failed)?;
        let (tags, read) = OwnTags::new(settings, &stored);
        if let Err(error) = read {
            warn!(
                "TAGS in the data directory does not read, so what was said of tags in earlier runs is lost: {error}"
            );
        }
        self.say_tags(tags).map_err(Failure::usage)
    }

    /// Changes them, and keeps that for later runs; why not, if it cannot be.
    pub fn change_tags(&mut self, change: Change) -> Result<(), String> {
        self.say_tags(self.tags.changed(change)?)?;
        self.member.store_tags(self.tags.to_store());
        Ok(())
    }

    /// Takes the settings that were read again.
    pub(super) fn reload_tags(&mut self, settings: &[Tag]) {
        match self.say_tags(self.tags.with_settings(settings)) {
            Ok(()) => info!("its tags were read again"),
            Err(why) => warn!("its tags stay as they were: {why}"),
        }
    }

    pub(super) fn log_forgotten(&mut self, name: &str, id: MemberId) {
        self.log_news(format_args!("{} was forgotten", who(name, id)));
    }

    /// One line, unless it says its version alone, as each member does that joins.
    pub(super) fn log_tags(&mut self, id: MemberId) {
        let tags = self.member.node().tags(id);
        let is_more = |(key, _): (&str, &str)| key != VERSION;
        if tags.is_some_and(|tags| tags.iter().any(is_more)) {
            let line = self.words().tags_of(id);
            self.log_news(format_args!("{line}"));
        }
    }

    fn say_tags(&mut self, tags: OwnTags) -> Result<(), String> {
        let said = self.member.set_tags(tags.all()?);
        said.map_err(|error| error.to_string())?;
        self.tags = tags;
        Ok(())
    }
}
