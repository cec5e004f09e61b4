//! Gossip of rumors (PROTOCOL.md §3): what services, configurations, files, elections and departures there
//! are, told from member to member until all know.
//!
//! | file | subject |
//! |---|---|
//! | `store` | all rumors that are held |
//! | `sums` | what stands for parts of a store |
//! | `hot` | which rumors are still to be told |
//! | `starting` | what the disk held, until it counts |
//! | `receive` | what a rumor does that was heard |
//! | `push` | telling what is hot, at once and then again |
//! | `reconcile` | comparing stores with peers that can, and asking for what is missing |
//! | `wanted` | what was asked for and has not come, and what others asked for |
//! | `arrears` | what peers that cannot compare have yet to get |
//! | `room` | what gives way when the store is full |
//! | `outbox` | what waits to be sent, and how many bytes a second |
//! | `changes` | what follows when a rumor is new, or gone |
//! | `departures` | members that are gone for good |
//! | `tombstones` | rumors that were forgotten, and are not taken again |
//! | `strangers` | members that nobody knows, and whose services are held |
//! | `election`, `courses`, `elections` | who leads a service group: the rules, what is remembered, and acting on both |
//! | `deposed` | leaders that lead no more, and the originals that follow them |
//! | `candidates` | elections whose candidate is not known to run the service |
//! | `voters` | elections that are to be looked at, as members and services change |
//! | `apply` | what this member's own user says |
//! | `renewed` | saying it again under another id |
//! | `tags` | what this member says of itself |
//! | `forgetting`, `forgotten` | dead members that are forgotten: acting on that, and what is held |
//! | `user_events`, `event_order` | what users tell all members: acting on that, and what is held and was delivered |
//! | `queries` | questions to members, and their answers |
//! | `base` | what is asked in many places |
//! | `inspect` | how large everything is, and what stands for the state |

mod apply;
mod arrears;
mod base;
#[cfg(test)]
mod calibration;
mod candidates;
mod changes;
mod courses;
mod departures;
mod deposed;
mod election;
mod elections;
mod event_order;
mod forgetting;
mod forgotten;
mod hot;
mod inspect;
mod known;
mod outbox;
mod push;
mod queries;
mod receive;
mod reconcile;
mod renewed;
mod room;
mod small_world;
mod starting;
mod store;
mod strangers;
mod sums;
mod tags;
mod tombstones;
mod user_events;
mod voters;
mod wanted;

use std::collections::{BTreeMap, VecDeque};

use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::limits::{MAX_RUMOR_BYTES, MAX_TOMBSTONES};
use crate::member::{Health, Incarnation, MemberId};
use crate::ring::{Peer, Ring};
use crate::rumor::{RumorId, Service, ServiceGroup, Tags};
use crate::successor::Successor;
use crate::time::Time;

#[cfg(feature = "sim")]
pub(crate) use hot::tellings;
pub(crate) use outbox::{PushId, What};
pub(crate) use store::{Entry, Store};

/// What gossip has the membership do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A member is gone for good.
    Exile(MemberId),
    /// Its departure is forgotten, as there were too many.
    Pardon(MemberId),
    /// A ping to this member shows whether it compares stores.
    Introduce(MemberId),
    /// The same of one that is said to have asked something.
    IntroduceAsker(MemberId),
    /// This member heard of its own departure.
    Expelled,
    /// This member's services have no version left: it takes a new id. Its user may have asked for what needs that.
    Renew { at_once: bool },
    /// A dead member is forgotten, at this incarnation; or no more.
    Forget {
        id: MemberId,
        incarnation: Incarnation,
    },
    Remember {
        id: MemberId,
        incarnation: Incarnation,
    },
    /// A member asks how this one holds the ring.
    State { asker: MemberId, query: u64 },
    /// Others hold services of a member that departed: that is news again.
    Remind(MemberId),
    /// A member is given up, so that it does not count in its group any more.
    GiveUp(MemberId),
}

/// The rumors of one member.
pub(crate) struct Gossip {
    timing: Timing,
    /// Without, it has no PULL socket and pushes to nobody.
    enabled: bool,
    store: Store,
    hot: hot::Hot,
    outbox: outbox::Outbox,
    reconciling: reconcile::Reconciling,
    wanted: wanted::Wanted,
    served: wanted::Served,
    arrears: arrears::Arrears,
    departures: departures::Departures,
    tombstones: tombstones::Tombstones,
    strangers: strangers::Strangers,
    forgetting: forgotten::Forgetting,
    elections: courses::Elections,
    user_events: event_order::UserEvents,
    queries: queries::Queries,
    starting: starting::Starting,
    candidates: candidates::Candidates,
    effects: VecDeque<Effect>,
    /// What this member said of its own services since it started.
    announced: BTreeMap<ServiceGroup, Service>,
    /// What this member says of itself, if it ever did.
    tags: Option<Tags>,
    /// Others' word on them is not contradicted before then.
    next_own_tags: Time,
    /// What the ring believes of them is not outdone before then.
    next_outdo: Time,
    /// Which configurations and files were forced to a lower version here: they are not raised to the last versions
    /// again by what others hold.
    resets: VecDeque<RumorId>,
    /// No room is made in a full store before then.
    next_room: Time,
    /// Whether what is fresh is about to be pushed.
    pushing: bool,
    /// Whether what is hot is to be told again.
    telling: bool,
    successor: Successor,
    /// Peers chosen to be told; kept so that choosing allocates nothing.
    chosen: Vec<Peer>,
}

impl Gossip {
    /// The seed is nobody else's: by it are keyed what strangers fill. The epoch is this member's start, in milliseconds since
    /// 1970.
    pub fn new(
        timing: &Timing,
        enabled: bool,
        store_limit: usize,
        (seed, epoch): (u64, u64),
        env: &mut Env,
    ) -> Self {
        let mut gossip = Gossip {
            timing: timing.clone(),
            enabled,
            store: Store::new(store_limit.min(MAX_RUMOR_BYTES), seed),
            hot: hot::Hot::new(),
            outbox: outbox::Outbox::new(timing.rumor_budget),
            reconciling: reconcile::Reconciling::new(),
            wanted: wanted::Wanted::default(),
            served: wanted::Served::default(),
            arrears: arrears::Arrears::new(),
            departures: departures::Departures::new(),
            tombstones: tombstones::Tombstones::new(MAX_TOMBSTONES),
            strangers: strangers::Strangers::default(),
            forgetting: forgotten::Forgetting::new(epoch, env.now),
            elections: courses::Elections::new(),
            user_events: event_order::UserEvents::new(epoch, env.now),
            queries: Default::default(),
            starting: starting::Starting::since(env.now),
            candidates: candidates::Candidates::new(),
            effects: VecDeque::new(),
            announced: BTreeMap::new(),
            tags: None,
            next_own_tags: Time::ZERO,
            next_outdo: Time::ZERO,
            resets: VecDeque::new(),
            next_room: Time::ZERO,
            pushing: false,
            telling: false,
            successor: Successor::new(),
            chosen: Vec::new(),
        };
        if enabled {
            gossip.drip_later(env);
            gossip.start_due(env);
        } else {
            // It has nobody to compare with.
            gossip.count_provisional();
        }
        gossip
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Rumors that are still to be told.
    pub fn hot(&self) -> usize {
        self.hot.len()
    }

    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// A deadline has come.
    pub fn handle_timer(&mut self, env: &mut Env, ring: &impl Ring, timer: Timer) {
        match timer {
            Timer::RumorPush => self.push_due(env, ring),
            Timer::RumorAgain => self.again_due(env, ring),
            Timer::RumorWanted => self.wanted_due(env),
            Timer::RumorRound => self.round_due(env, ring),
            Timer::RumorDrip => self.drip_due(env, ring),
            Timer::StartDue => self.start_due(env),
            Timer::ElectionDue => self.elections_due(env, ring),
            _ => {}
        }
    }

    /// A member's health changed, or it became known.
    pub fn member_changed(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        id: MemberId,
        from: Option<Health>,
        to: Health,
    ) {
        let came = to <= Health::Suspect && from.is_none_or(|from| from >= Health::Confirmed);
        if from.is_none() {
            self.strangers.lay_ghost(&id);
        }
        if came {
            self.reconciling.forget_refused();
            self.may_follow(ring, id);
        }
        if came && self.enabled {
            self.greet(env, ring, id);
            self.tell_deposed(ring, id);
        }
        if to >= Health::Confirmed {
            self.arrears.forget(&id);
        }
        self.voter_changed(env, id);
        if to == Health::Departed {
            self.retire_owned(env, id);
        }
    }

    /// A member may be pushed to that could not before: it may be the successor.
    pub fn may_follow(&mut self, ring: &impl Ring, id: MemberId) {
        if ring.peer(&id).is_some() {
            self.successor.came(&ring.me(), id);
        }
    }

    /// A living member has a higher incarnation. Who started again has lost what came while it was away, and
    /// who refuted looks the same.
    pub fn member_raised(&mut self, env: &mut Env, ring: &impl Ring, id: MemberId) {
        if self.enabled && ring.peer(&id).is_some_and(|peer| !peer.ours) {
            self.greet_again(env, ring, id);
        }
    }
}
