//! The part of a [`Node`] that has to do with rumors of kinds of our own: tags, dead members that are forgotten, and user events.

use std::borrow::Cow;

use super::Node;
use crate::error::CommandError;
use crate::member::{Health, MemberId};
use crate::recording::Input;
use crate::ring::Ring;
use crate::rumor::{Audience, TagSet, UserEvent};
use crate::time::Time;
use crate::view::{MemberState, TagsView};
use crate::wire::RingKey;

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

    /// Whether rumors of kinds of our own go to this member: it is this one, or said that it takes them.
    pub fn takes_own_kinds(&self, member: MemberId) -> bool {
        let peer = self.swim.peer(&member);
        member == self.id() || peer.is_some_and(|peer| peer.audience == Audience::Ours)
    }

    /// How it holds the ring: what it answers to the question `state`.
    pub fn state(&self) -> MemberState {
        let timing = self.swim.timing();
        MemberState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            living: self.swim.table().count(Health::Alive),
            members: self.swim.table().digest(),
            rumors: self.gossip.store().lasting_checksum(),
            timing: [timing.period, timing.timeout],
            keys: self.keys.iter().map(RingKey::short_id).collect(),
        }
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

    /// Tells all members of ours that live, this one included, an event of the user's, and returns it as it was sent. Each delivers it once, as
    /// [`Event::UserEvent`](crate::Event::UserEvent), after those that this member sent before. One that does not come within
    /// 2 s ([`EVENT_GAP`](crate::limits::EVENT_GAP)) is skipped, and counted. Members that start while the event lasts get it,
    /// too. Its `by`, `series`, `number` and `lamport` are filled in, and so is its `time` if it is 0.
    ///
    /// ```
    /// # use butterfly::{CommandError, Node, Time, UserEvent};
    /// # fn deploy(node: &mut Node, now: Time) -> Result<(), CommandError> {
    /// node.send_event(now, UserEvent::new("deploy", "web 1.4.2"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CommandError::BadEventName`], [`CommandError::BadEventTtl`], [`CommandError::EventTooLarge`],
    /// [`CommandError::TooManyEvents`] or [`CommandError::StoreFull`]; nothing was sent.
    pub fn send_event(&mut self, now: Time, event: UserEvent) -> Result<UserEvent, CommandError> {
        if self.is_recording() {
            let event = Cow::Owned(self.sealed_event(&event));
            self.record(now, || Input::SendEvent { event });
        }
        self.advance_unless_paused(now);
        let done = self.gossip.send_event(&mut self.env, &self.swim, event);
        self.settle();
        done
    }

    /// Answers a question that came as [`Event::Query`](crate::Event::Query): with this, or why there is no answer. It is sent
    /// to the asker by datagrams, once its address is proved.
    ///
    /// # Errors
    /// [`CommandError::AnswerTooLarge`] or [`CommandError::QueryOver`]; nothing was sent.
    pub fn answer(
        &mut self,
        now: Time,
        question: &UserEvent,
        answer: Result<&[u8], &str>,
    ) -> Result<(), CommandError> {
        self.record(now, || Input::Answer {
            // What it asked is for no recording: it may be a key.
            question: Cow::Owned(UserEvent {
                payload: Vec::new(),
                ..question.clone()
            }),
            is_answer: answer.is_ok(),
            payload: answer.unwrap_or_else(str::as_bytes),
        });
        self.advance_unless_paused(now);
        let query = question.query.as_ref().map_or(0, |query| query.id);
        let which = (question.by, query);
        let (env, swim) = (&mut self.env, &self.swim);
        let done = self.gossip.answer(env, swim, which, answer);
        self.settle();
        done
    }

    /// A member asks how this one holds the ring.
    pub(super) fn say_state(&mut self, asker: MemberId, query: u64) {
        let state = self.state().to_string();
        let (env, swim) = (&mut self.env, &self.swim);
        // It may be over by now.
        let _ = self
            .gossip
            .answer(env, swim, (asker, query), Ok(state.as_bytes()));
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
