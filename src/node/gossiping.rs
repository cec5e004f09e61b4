//! The part of a [`Node`] that has to do with rumors.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use rand::RngExt;

use super::pushes::{Push, PushName, Source};
use super::{Node, canonical};
use crate::env::Timer;
use crate::error::{CommandError, Reject};
use crate::event::{Cause, Event};
use crate::gossip::{Effect, Entry, What};
use crate::limits::{MAX_GONE, MAX_RUMOR};
use crate::member::{Health, MemberId};
use crate::recording::Input;
use crate::ring::Ring;
use crate::rumor::{
    Audience, Rumor, RumorId, RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup,
};
use crate::swim::{Notice, Renewal};
use crate::time::Time;
use crate::view::{ElectionView, RumorView, Spread};
use crate::wire::{self, HEADROOM};

/// Rumors: looking.
impl Node {
    /// All rumors that are held, by kind, key and id.
    pub fn rumors(&self) -> impl Iterator<Item = RumorView<'_>> {
        self.views(self.gossip.store().iter())
    }

    /// Those of one kind.
    pub fn rumors_of(&self, kind: RumorKind) -> impl Iterator<Item = RumorView<'_>> {
        self.views(self.gossip.store().of_kind(kind))
    }

    /// Those that come after this id, by kind, key and id: to look at a large store in several goes. The id
    /// need not be held.
    pub fn rumors_after(&self, id: &RumorId) -> impl Iterator<Item = RumorView<'_>> {
        self.views(self.gossip.store().after(id))
    }

    fn views<'n>(
        &'n self,
        entries: impl Iterator<Item = &'n Entry>,
    ) -> impl Iterator<Item = RumorView<'n>> {
        let store = self.gossip.store();
        let enough = self.gossip.enough(&self.swim);
        entries.map(move |entry| {
            let hot = entry.hot.is_some();
            let provisional = store.is_provisional(entry);
            let removed = entry.is_removal();
            let view = RumorView::new(
                &entry.id,
                entry.version,
                hot,
                provisional,
                removed,
                &entry.bytes,
            )
            .with_spread(hot.then(|| Spread::new(entry.told, entry.heard, enough)));
            match self.gossip.has_lost_quorum(&entry.id) {
                true => view.without_quorum(),
                false => view,
            }
        })
    }

    /// The rumor with this id, if it is held.
    pub fn rumor(&self, id: &RumorId) -> Option<RumorView<'_>> {
        self.views(self.gossip.find(id).into_iter()).next()
    }

    /// The version of a configuration or file that follows the one held, or `at_least` if that is more: with the seconds
    /// since 1970 there, versions are times as long as clocks agree.
    ///
    /// ```
    /// # use butterfly::{CommandError, Node, RumorId, ServiceConfig, Time};
    /// # fn configure(node: &mut Node, now: Time) -> Result<(), CommandError> {
    /// let group = "redis.default".parse().expect("a group");
    /// let version = node.next_version(&RumorId::config(&group), 0)?;
    /// node.apply_config(now, ServiceConfig::new(group, version, "port = 6380"))
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CommandError::Stuck`] or [`CommandError::Beyond`].
    pub fn next_version(&self, id: &RumorId, at_least: u64) -> Result<u64, CommandError> {
        self.gossip.next_version(id, at_least)
    }

    /// The same for what is [forced](Node::force): if the version held is stuck, it does not count.
    ///
    /// # Errors
    /// [`CommandError::Stuck`] or [`CommandError::Beyond`].
    pub fn next_forced_version(&self, id: &RumorId, at_least: u64) -> Result<u64, CommandError> {
        self.gossip.next_forced_version(id, at_least)
    }

    /// How many rumors are held.
    pub fn rumor_count(&self) -> usize {
        self.gossip.store().len()
    }

    /// How many rumors of each kind are held.
    pub fn rumor_counts(&self) -> impl Iterator<Item = (RumorKind, usize)> {
        self.gossip.store().of_kinds()
    }

    /// Bytes of all rumors that are held.
    pub fn rumor_bytes(&self) -> usize {
        self.gossip.store().bytes()
    }

    /// Bytes of rumors that may be held.
    pub fn rumor_limit(&self) -> usize {
        let (_, most_bytes) = self.gossip.store().room();
        most_bytes
    }

    /// Equal at two members that hold the same rumors, what is provisional aside, but for a chance of 2⁻³².
    pub fn rumor_checksum(&self) -> u32 {
        self.gossip.store().checksum(Audience::Ours)
    }

    /// Rumors that are hot: still to be told to others.
    pub fn hot_rumors(&self) -> usize {
        self.gossip.hot()
    }

    /// The members that run a service of the group, by id.
    pub fn members_of<'n>(
        &'n self,
        group: &'n ServiceGroup,
    ) -> impl Iterator<Item = MemberId> + 'n {
        self.gossip.store().members_of(group)
    }

    /// All rumors in the bytes in which they are sent, shared and not copied: a picture for the disk.
    #[cfg_attr(not(feature = "disk"), allow(dead_code))]
    pub(crate) fn encoded_rumors(&self) -> impl Iterator<Item = (RumorKind, Arc<[u8]>)> {
        // What is asked is of the moment, and may be a secret.
        let lasts = |entry: &&Entry| {
            let is_event = entry.id.kind == RumorKind::UserEvent;
            let asks = |rumor| matches!(rumor, Rumor::UserEvent(event) if event.query.is_some());
            !is_event || !entry.rumor().is_some_and(asks)
        };
        let entries = self.gossip.store().iter().filter(lasts);
        entries.map(|entry| (entry.id.kind, Arc::clone(&entry.bytes)))
    }

    /// A group's election of this kind.
    pub fn election(&self, kind: RumorKind, group: &ServiceGroup) -> Option<ElectionView> {
        let (election, is_hint) = self.gossip.election(kind, group)?;
        Some(ElectionView { election, is_hint })
    }
}

/// Rumors: feeding.
impl Node {
    /// A frame came to the PULL socket. It is decrypted where it lies; `from` is asked for only if something
    /// is wrong with it, and may have port 0. Whether it was good: an update that is known already is, too.
    pub fn handle_rumor(
        &mut self,
        now: Time,
        frame: &mut [u8],
        from: impl FnOnce() -> SocketAddr,
    ) -> bool {
        let mut from = Source::Asked(from);
        if self.is_recording() {
            let from = from.get();
            self.record(now, || Input::Frame { from, bytes: frame });
        }
        self.env.journal.stats.rumors_received += 1;
        self.env.journal.stats.rumor_bytes_received += frame.len() as u64;
        let taken = if self.paused {
            Err(Reject::Paused)
        } else {
            self.advance(now);
            self.take_frame(frame)
        };
        if let Err(reason) = taken {
            let from = canonical(from.get());
            self.env.journal.rejected(self.env.now, reason, from);
        }
        self.settle();
        taken.is_ok()
    }

    /// A message of several frames came to the PULL socket: it is no rumor.
    pub fn handle_multipart(&mut self, now: Time, from: SocketAddr) {
        self.record(now, || Input::Multipart { from });
        self.advance_unless_paused(now);
        let from = canonical(from);
        self.env
            .journal
            .rejected(self.env.now, Reject::Multipart, from);
    }

    fn take_frame(&mut self, frame: &mut [u8]) -> Result<(), Reject> {
        if frame.len() > MAX_RUMOR + wire::sealed_overhead(MAX_RUMOR) {
            return Err(Reject::Oversized);
        }
        let bytes = frame.len();
        let payload = wire::open(&self.keys, frame)?;
        let rumor = wire::read_rumor(payload)?;
        match rumor.kind {
            Some(kind) => {
                self.env.journal.rumor_received(self.env.wall, &rumor);
                self.gossip.receive(&mut self.env, &self.swim, kind, &rumor)
            }
            None => {
                let sender = rumor.from_id.parse().map_err(|_| Reject::BadId)?;
                // Of other rumors, only the originator is known, and whoever is blocked is not pushed to and
                // pushes nothing here: what comes was relayed, and counts.
                if self.swim.blocked().contains(&sender) {
                    return Err(Reject::Blocked);
                }
                let record = rumor.membership()?;
                self.swim
                    .handle_rumor(&mut self.env, sender, bytes, &record)
            }
        }
    }

    /// A peer's connection took a push, or could not within its time.
    pub fn handle_sent(&mut self, now: Time, push: PushName, taken: bool) {
        self.record(now, || push.sent(taken));
        // Also while it is paused: whoever is owed more waits for this.
        self.advance_unless_paused(now);
        let stats = &mut self.env.journal.stats;
        if taken {
            stats.rumors_sent += 1;
        } else {
            stats.rumors_not_taken += 1;
        }
        self.gossip
            .handle_sent(&mut self.env, &self.swim, push.0, taken);
        self.settle();
    }

    /// A rumor that was kept on disk: it is held, but provisional until this member has compared its rumors with one
    /// that was running before, or for some periods if there is none (docs/explanation/gossip.md, "On disk").
    ///
    /// # Errors
    /// It does not read, or there is no room.
    pub fn restore_rumor(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        self.record(None, || Input::RestoredRumor { bytes });
        let frame = wire::read_rumor(bytes)?;
        let rumor = frame.rumor()?;
        let (env, swim) = (&mut self.env, &self.swim);
        let restored = self.gossip.restore(env, swim, &rumor, frame.from_id);
        self.gossip.restored(env, swim, &rumor);
        self.settle();
        restored
    }

    /// A deadline of gossip has come.
    pub(super) fn gossip_due(&mut self, timer: Timer) {
        self.gossip.handle_timer(&mut self.env, &self.swim, timer);
        match timer {
            Timer::RumorDrip => self.gossip.sweep_forgotten(&mut self.env),
            Timer::EventDue => self.gossip.events_due(&mut self.env),
            Timer::QueryDue => self.gossip.queries_due(&mut self.env, &self.swim),
            _ => {}
        }
    }

    /// Lets membership and gossip know what each has to know of the other.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.swim.has_notices() || self.gossip.has_effects() {
            self.exchange();
        }
        self.tell_rumors();
        self.swim.trim_outbox(&mut self.env);
    }

    /// Lets membership know what stands for the rumors, which its messages say.
    #[inline]
    pub(super) fn tell_rumors(&mut self) {
        let store = self.gossip.store();
        let checksums = Audience::ALL.map(|audience| store.checksum(audience));
        self.swim.set_rumors(checksums, self.gossip.is_starting());
    }

    fn exchange(&mut self) {
        loop {
            let (env, swim, gossip) = (&mut self.env, &mut self.swim, &mut self.gossip);
            if let Some(notice) = swim.poll_notice() {
                match notice {
                    Notice::Changed { id, from, to } => {
                        if to >= Health::Confirmed && from.is_some() {
                            self.gone.extend(swim.gossip_addr(&id));
                            if self.gone.len() > MAX_GONE {
                                self.gone.pop_front();
                            }
                        }
                        gossip.member_changed(env, swim, id, from, to);
                        if to >= Health::Confirmed {
                            gossip.died_again(env, swim, id);
                        }
                    }
                    Notice::Renewed(before) => gossip.renewed(env, swim, before),
                    Notice::Raised(id) => gossip.member_raised(env, swim, id),
                    Notice::Mismatch(id) => gossip.mismatch(env, swim, id),
                    Notice::Running { id, same } => gossip.running_met(env, swim, id, same),
                    Notice::Compared { id, parts } => {
                        let heard = gossip.hear_replies(env, id, &parts);
                        let compared = gossip.compared(env, swim, id, &parts);
                        if let Err(reason) = heard.and(compared) {
                            let from = SocketAddr::from(([0, 0, 0, 0], 0));
                            env.journal.rejected(env.now, reason, from);
                        }
                    }
                    Notice::StrangerDead(id) => gossip.stranger_dead(env, id),
                    Notice::StrangerGone(id) => gossip.stranger_gone(env, id),
                    Notice::Replaced(id, at) => gossip.replaced(env, swim, id, at),
                    Notice::Exiled(id, addr) => gossip.tell_exiled(env, id, addr),
                }
            } else if let Some(effect) = gossip.poll_effect() {
                match effect {
                    Effect::Exile(id) => swim.exile(env, id),
                    Effect::Pardon(id) => swim.pardon(env, &id),
                    Effect::Introduce(id) => swim.introduce(&id),
                    Effect::IntroduceAsker(id) => swim.introduce_asker(env, &id),
                    Effect::Renew { at_once } => {
                        let renewal = match at_once {
                            true => Renewal::AtOnce,
                            false => Renewal::WhenDue,
                        };
                        swim.renew(env, renewal);
                    }
                    Effect::Forget { id, incarnation } => swim.forget_dead(env, id, incarnation),
                    Effect::Remember { id, incarnation } => swim.remember_again(&id, incarnation),
                    Effect::State { asker, query } => self.say_state(asker, query),
                    Effect::Remind(id) => swim.remind(env, id),
                    Effect::GiveUp(id) => swim.depart(env, id, Cause::Replaced),
                    Effect::Expelled => {
                        self.expelled = true;
                        env.journal.event(Event::Expelled);
                    }
                }
            } else {
                break;
            }
        }
    }
}

/// Rumors: commanding.
impl Node {
    /// This member runs a service. Its `member` is filled in; an incarnation of 0 stands for the next one.
    ///
    /// # Errors
    /// [`CommandError::NotNewer`], [`CommandError::Leap`], [`CommandError::Beyond`], [`CommandError::TooLarge`] or
    /// [`CommandError::StoreFull`]; nothing changed.
    pub fn announce(&mut self, now: Time, service: Service) -> Result<(), CommandError> {
        self.record(now, || Input::Announce {
            service: Cow::Borrowed(&service),
        });
        self.advance_unless_paused(now);
        let done = self.gossip.announce(&mut self.env, &self.swim, service);
        self.settle();
        done
    }

    /// This member runs no service of the group any more; whether it did.
    ///
    /// # Errors
    /// [`CommandError::StoreFull`]; nothing changed.
    pub fn withdraw(&mut self, now: Time, group: &ServiceGroup) -> Result<bool, CommandError> {
        self.record(now, || Input::Withdraw {
            group: Cow::Borrowed(group),
        });
        self.advance_unless_paused(now);
        let done = self.gossip.withdraw(&mut self.env, &self.swim, group);
        self.settle();
        done
    }

    /// Gives a service group this configuration.
    ///
    /// # Errors
    /// [`CommandError::NotNewer`], [`CommandError::Leap`], [`CommandError::Beyond`], [`CommandError::Stuck`],
    /// [`CommandError::EmptyBody`], [`CommandError::TooLarge`] or [`CommandError::StoreFull`]; nothing changed.
    pub fn apply_config(&mut self, now: Time, config: ServiceConfig) -> Result<(), CommandError> {
        self.record(now, || Input::ApplyConfig {
            config: Cow::Borrowed(&config),
        });
        self.advance_unless_paused(now);
        let done = self.gossip.apply_config(&mut self.env, &self.swim, config);
        self.settle();
        done
    }

    /// Gives a service group this file.
    ///
    /// # Errors
    /// As [`apply_config`](Node::apply_config), and [`CommandError::BadRumor`]; nothing changed.
    pub fn apply_file(&mut self, now: Time, file: ServiceFile) -> Result<(), CommandError> {
        self.record(now, || Input::ApplyFile {
            file: Cow::Borrowed(&file),
        });
        self.advance_unless_paused(now);
        let done = self.gossip.apply_file(&mut self.env, &self.swim, file);
        self.settle();
        done
    }

    /// Removes a service group's configuration: its next version is empty, which is what others go by, too. Whether
    /// there was one.
    ///
    /// # Errors
    /// [`CommandError::Stuck`] or [`CommandError::StoreFull`]; nothing changed.
    pub fn remove_config(&mut self, now: Time, group: &ServiceGroup) -> Result<bool, CommandError> {
        self.record(now, || Input::RemoveConfig {
            group: Cow::Borrowed(group),
        });
        self.remove_rumor(now, &RumorId::config(group))
    }

    /// Removes a service group's file, as [`remove_config`](Node::remove_config) does a configuration.
    ///
    /// # Errors
    /// [`CommandError::Stuck`] or [`CommandError::StoreFull`]; nothing changed.
    pub fn remove_file(
        &mut self,
        now: Time,
        group: &ServiceGroup,
        filename: &str,
    ) -> Result<bool, CommandError> {
        self.record(now, || Input::RemoveFile {
            group: Cow::Borrowed(group),
            filename,
        });
        self.remove_rumor(now, &RumorId::file(group, filename))
    }

    fn remove_rumor(&mut self, now: Time, id: &RumorId) -> Result<bool, CommandError> {
        self.advance_unless_paused(now);
        let done = self.gossip.remove(&mut self.env, &self.swim, id);
        self.settle();
        done
    }

    /// Says a service, configuration or file of this member's own however far its version leaps. Where a
    /// configuration or file is stuck, with less than [`MAX_LEAP`](crate::limits::MAX_LEAP) left above its version,
    /// it may be lower: others do not give up theirs for it, so that each member of the ring has to be told.
    ///
    /// # Errors
    /// As [`apply_file`](Node::apply_file), but for [`CommandError::Leap`]; [`CommandError::NotForced`] for
    /// elections and departures. Nothing changed.
    pub fn force(&mut self, now: Time, rumor: Rumor) -> Result<(), CommandError> {
        self.record(now, || Input::Force {
            rumor: Cow::Borrowed(&rumor),
        });
        self.advance_unless_paused(now);
        let done = self.gossip.force(&mut self.env, &self.swim, rumor);
        self.settle();
        done
    }

    /// Has a service group elect a leader, or who of it updates first; this member runs a service of the group,
    /// and of two candidates the one with the higher suitability wins. If an election runs, this member takes
    /// part in it; if a leader is known, all stays as it is. The suitability counts in later terms too.
    ///
    /// # Errors
    /// [`CommandError::NotInGroup`], [`CommandError::NoElection`] or [`CommandError::StoreFull`]; nothing
    /// changed.
    pub fn start_election(
        &mut self,
        now: Time,
        kind: RumorKind,
        group: &ServiceGroup,
        suitability: u64,
    ) -> Result<(), CommandError> {
        self.record(now, || Input::StartElection {
            kind,
            group: Cow::Borrowed(group),
            suitability,
        });
        if !kind.is_election() {
            return Err(CommandError::NoElection(kind));
        }
        self.advance_unless_paused(now);
        let (env, swim) = (&mut self.env, &self.swim);
        let done = self
            .gossip
            .start_election(env, swim, kind, group, suitability);
        self.settle();
        done
    }

    /// Has a member depart for good: it stops, and its id is not accepted again. This member's own id is
    /// allowed.
    ///
    /// # Errors
    /// [`CommandError::StoreFull`]; nothing changed.
    pub fn depart(&mut self, now: Time, member: MemberId) -> Result<(), CommandError> {
        self.record(now, || Input::Depart { id: member });
        self.advance_unless_paused(now);
        let done = self.gossip.depart(&mut self.env, &self.swim, member);
        self.settle();
        done
    }
}

/// Rumors: draining.
impl Node {
    /// The next push: its frame is written into `frame`, whatever was in it.
    pub fn poll_push(&mut self, now: Time, frame: &mut Vec<u8>) -> Option<Push> {
        self.record(now, || Input::PollPush);
        if self.paused {
            return None;
        }
        self.env.wall = now;
        let swim = &self.swim;
        let mut made = None;
        let push = self.gossip.next_push(now, |store, id| match id.what {
            _ if swim.blocked().contains(&id.peer) => None,
            What::Rumor(place, hash) | What::Candidacy(place, hash) => {
                let entry = store.get_if(place, hash)?;
                let audience = entry.id.kind.audience();
                // It may have started again as one that takes fewer kinds.
                let takes = audience == Audience::Everyone
                    || swim
                        .peer(&id.peer)
                        .is_some_and(|peer| peer.audience >= audience);
                takes.then_some(entry.bytes.len())
            }
            What::Member(id) => Some(swim.membership(&id)?.len()),
        })?;
        let held = match push.id.what {
            What::Rumor(place, hash) => self.gossip.store().get_if(place, hash),
            What::Member(id) => {
                let membership = swim.membership(&id).unwrap_or_default();
                made = Some(wire::encode_member_rumor(&membership, swim.id()));
                None
            }
            What::Candidacy(place, hash) => {
                made = self.gossip.candidacy(swim, place, hash);
                None
            }
        };
        let payload = match (&made, held) {
            (Some(made), _) => &made[..],
            (None, Some(entry)) => &entry.bytes,
            (None, None) => &[],
        };
        let key = self.keys.first();
        let key = key.map(|key| (key, self.env.rng.random()));
        frame.clear();
        wire::seal_into(key, payload, frame);
        self.env.journal.stats.rumor_bytes_sent += frame.len() as u64;
        self.env
            .journal
            .rumor_pushed(self.env.wall, push.id.peer, push.addr, payload);
        Some(Push {
            to: push.addr,
            id: PushName(push.id),
        })
    }

    /// The driver ends: what is hot is told now, and not when it is due.
    pub(crate) fn hurry_rumors(&mut self, now: Time) {
        self.record(now, || Input::HurryRumors);
        if !self.paused {
            self.advance(now);
            self.gossip.tell_now(&mut self.env, &self.swim);
        }
    }

    /// Where the PULL socket of a member was that died: what waits for it need not be sent.
    pub fn poll_gone(&mut self) -> Option<SocketAddr> {
        let gone = self.gone.pop_front()?;
        self.record(None, || Input::PollGone);
        Some(gone)
    }

    /// The next part of a comparison of stores, as a datagram's payload.
    pub(super) fn next_talk(
        &mut self,
        buf: &mut [u8],
        overhead: usize,
    ) -> Option<(SocketAddr, usize)> {
        loop {
            let talk = self.gossip.next_talk()?;
            let payload = buf.get_mut(HEADROOM..)?;
            let encoded =
                self.swim
                    .encode_talk(&mut self.env, &talk.to, &talk.parts, payload, overhead);
            if encoded.is_some() {
                return encoded;
            }
        }
    }
}
