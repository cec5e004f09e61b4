//! Messages of members of other rings, and messages that were meant for another member: addresses are given to others, and
//! two rings must not merge because one now has an address of the other (PROTOCOL.md §2, "Rings have names").

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::Swim;
use super::incoming::{Incoming, allowances};
use super::news::RowKey;
use super::row::NONE;
use super::send::{Body, Outgoing};
use crate::env::Env;
use crate::error::Reject;
use crate::event::Event;
use crate::limits::MAX_FOREIGNERS;
use crate::member::{Health, MemberId};
use crate::ring_name::RingName;
use crate::wire::{self, Extras, Message, Stamp, feature};

/// The ring that this member belongs to.
pub(super) struct Home {
    name: Option<RingName>,
    /// Stands for the name; 0: it has none.
    hash: u32,
    /// Where messages of other rings came from, as far as that was told.
    foreigners: BTreeSet<SocketAddr>,
    /// The id that this member had before, for which others may look here.
    former: Option<MemberId>,
    /// Where this member is reached, if its datagrams may come from elsewhere.
    advertised: Option<IpAddr>,
}

impl Home {
    pub fn new(name: Option<&RingName>, advertised: Option<IpAddr>) -> Self {
        Home {
            name: name.cloned(),
            hash: name.map_or(0, RingName::hash),
            foreigners: BTreeSet::new(),
            former: None,
            advertised,
        }
    }

    pub fn name(&self) -> Option<&RingName> {
        self.name.as_ref()
    }

    /// Sources of messages of other rings that were told of.
    pub fn foreigners(&self) -> usize {
        self.foreigners.len()
    }

    /// This member had that id until now.
    pub fn renewed(&mut self, former: MemberId) {
        self.former = Some(former);
    }

    /// What stands in every message.
    pub fn extras(&self) -> Extras<'static> {
        Extras {
            ring: self.hash,
            advertised: self.advertised,
            ..Extras::default()
        }
    }

    /// Bytes of what stands in every message.
    pub fn len(&self) -> usize {
        self.extras().len()
    }

    /// The same, with the name.
    fn named_len(&self) -> usize {
        let ring_name = self.name.as_ref().map_or("", RingName::as_str).as_bytes();
        Extras {
            ring_name,
            ..self.extras()
        }
        .len()
    }
}

impl Swim {
    /// What stands in every message of this member.
    #[inline]
    pub(super) fn own_extras(&self) -> Extras<'static> {
        Extras {
            life: if self.sealed { 0 } else { self.own_life() },
            ..self.home.extras()
        }
    }

    /// What is said of a whole message to this receiver.
    #[inline]
    pub(super) fn extras_of(&self, message: &Outgoing, receiver: Option<RowKey>) -> Extras<'_> {
        let mut extras = self.own_extras();
        match message.body {
            Body::Ping { .. } | Body::ProbePing => {
                let trial = matches!(message.body, Body::ProbePing);
                let row = receiver.and_then(|key| self.table.get(key));
                let meant = row.filter(|row| trial || row.health != Health::Alive);
                extras.to = meant.map(|row| row.id);
            }
            // What is to be as short as can be goes to peers that know no extensions.
            Body::BriefAck { .. } | Body::Question { hides: true, .. } => {
                return Extras::default();
            }
            // It is another's.
            Body::Forward(_) => (extras.life, extras.advertised) = (0, None),
            // It has to fit beside an Ack into three times the bytes of a stranger's ping.
            Body::Question { .. } => extras.life = 0,
            Body::Astray { .. } => extras.astray = true,
            _ => {}
        }
        if (extras.astray || message.id.is_none())
            && let Some(name) = &self.home.name
        {
            extras.ring_name = name.as_str().as_bytes();
        }
        extras
    }

    /// Whether a message comes from another ring, or is about one that was meant for another member.
    #[inline]
    pub(super) fn is_astray(&self, incoming: &Incoming<'_>, extras: &Extras<'_>) -> bool {
        self.is_foreign(incoming, extras)
            || extras.astray
            || extras.to.is_some_and(|to| !self.is_me(to))
    }

    fn is_me(&self, id: MemberId) -> bool {
        id == self.id() || self.home.former == Some(id)
    }

    /// Whether a stamp names this member, by the id that it has or the one that it had before.
    #[inline]
    pub(super) fn is_for_me(&self, stamp: Stamp) -> bool {
        let former = || self.home.former.is_some_and(|id| stamp.fits(&id));
        stamp.fits(&self.id()) || former()
    }

    /// Whether the sender says that it is of another ring, or is one of ours that would say if it were of this one.
    #[inline]
    pub(super) fn is_foreign(&self, incoming: &Incoming<'_>, extras: &Extras<'_>) -> bool {
        let ours = incoming.sender.features & feature::EXTENSIONS != 0;
        extras.ring != self.home.hash && (extras.ring != 0 || ours) && !incoming.observer
    }

    /// Neither side takes the other in. Whoever asks is told who lives here, so that it looks for its member elsewhere.
    #[cold]
    pub(super) fn hear_astray(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        swim: &wire::Swim<'_>,
    ) {
        if self.sealed {
            // Nobody looks whether it was recorded: it is worth what a stranger's message is.
            incoming.proved = false;
            (incoming.allowance, incoming.on_the_wire) = allowances(incoming.bytes);
        }
        if swim.extras.to.is_some_and(|to| !self.is_me(to)) {
            env.journal.stats.count_rejected(Reject::OtherReceiver);
        }
        if self.is_foreign(incoming, &swim.extras) {
            self.tell_foreigner(env, incoming, &swim.extras);
        }
        match swim.message {
            Message::Ping { probe, .. } if !self.is_blocked(&incoming.sender.id) => {
                if !self.may_provoke(env, incoming) {
                    return env
                        .journal
                        .rejected(env.now, Reject::RateLimited, incoming.from);
                }
                let limit = incoming.spend(self.bare_datagram() + self.home.named_len());
                self.queue(Outgoing {
                    to: incoming.from,
                    id: Some(incoming.sender.id),
                    row: NONE,
                    told: None,
                    limit,
                    ages: false,
                    body: Body::Astray { number: probe },
                });
            }
            Message::Ack {
                probe,
                forward_to: None,
                ..
            } => self.note_tenant(env, incoming, probe),
            _ => {}
        }
    }

    /// Counted always, and told of each source once.
    fn tell_foreigner(&mut self, env: &mut Env, incoming: &Incoming<'_>, extras: &Extras<'_>) {
        let from = incoming.from;
        env.journal.rejected(env.now, Reject::OtherRing, from);
        if self.home.foreigners.len() >= MAX_FOREIGNERS {
            self.home.foreigners.clear();
        }
        if self.home.foreigners.insert(from) {
            let theirs = String::from_utf8_lossy(extras.ring_name);
            env.journal.event(Event::OtherRing {
                from,
                named: extras.ring != 0,
                theirs: theirs.into_owned(),
            });
        }
    }
}
