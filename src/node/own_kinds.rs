//! The part of a [`Node`] that has to do with rumors of kinds of our own: tags, and dead members that are forgotten.

use std::borrow::Cow;

use super::Node;
use crate::error::CommandError;
use crate::member::{Health, MemberId};
use crate::recording::Input;
use crate::rumor::TagSet;
use crate::time::Time;
use crate::view::TagsView;

/// Kinds of our own: looking.
impl Node {
    /// The tags of a member, as far as they are known here.
    ///
    /// ```
    /// # use butterfly::Node;
    /// # fn in_europe(node: &Node) -> usize {
    /// let zone = |member| node.tags(member)?.get("zone");
    /// node.members().filter(|view| zone(view.member.id) == Some("eu")).count()
    /// # }
    /// ```
    pub fn tags(&self, member: MemberId) -> Option<TagsView<'_>> {
        let entry = self.gossip.store().tags_of(member)?;
        Some(TagsView::new(entry.version, entry.payload()))
    }
}

/// Kinds of our own: commanding.
impl Node {
    /// From now on this member says these tags of itself, and no others. With a data directory it still does after a
    /// restart. Members of ours learn of them, originals do not.
    ///
    /// ```
    /// # use butterfly::{Node, TagSet, Time};
    /// # fn tag(node: &mut Node, now: Time) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tags = TagSet::new();
    /// tags.insert("zone", "eu")?;
    /// node.set_tags(now, tags)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CommandError::StoreFull`]; nothing changed.
    pub fn set_tags(&mut self, now: Time, tags: TagSet) -> Result<(), CommandError> {
        self.record(now, || Input::SetTags {
            tags: Cow::Borrowed(&tags),
        });
        self.advance_unless_paused(now);
        let done = self.gossip.set_tags(&mut self.env, &self.swim, tags);
        self.settle();
        done
    }

    /// Has the ring forget dead members: all members of ours drop them, with their services and tags, and take them up again
    /// from nobody for ten days, unless they say themselves that they live, or something newer is known of them. It is no
    /// ban. Originals keep them as long as they always do.
    ///
    /// # Errors
    /// [`CommandError::UnknownMember`], [`CommandError::NotDead`] or [`CommandError::OwnId`]: nothing changed.
    /// [`CommandError::StoreFull`]: some may be forgotten.
    pub fn forget(&mut self, now: Time, members: &[MemberId]) -> Result<(), CommandError> {
        self.record(now, || Input::Forget {
            members: members.into(),
        });
        self.advance_unless_paused(now);
        let mut dead = Vec::new();
        for id in members {
            let view = self.member(*id).ok_or(CommandError::UnknownMember(*id))?;
            let (id, health) = (*id, view.health);
            if view.is_self {
                return Err(CommandError::OwnId);
            }
            if health <= Health::Suspect {
                return Err(CommandError::NotDead { id, health });
            }
            dead.push((id, view.member.incarnation));
        }
        let done = self.gossip.forget_dead(&mut self.env, &self.swim, &dead);
        self.settle();
        done
    }
}
