//! SWIM membership and failure detection (PROTOCOL.md §2), with Lifeguard's local health.
//!
//! A file a subject; each adds its methods to [`Swim`]:
//!
//! | file | subject |
//! |---|---|
//! | `table` | who is known: rows in a slab, the round, the dead |
//! | `row` | what is known of one member |
//! | `names` | names for people, kept small |
//! | `merge` | the rules by which a record changes a row |
//! | `incoming` | a message on its way: who sent it, and what it may provoke |
//! | `receive` | what each message does |
//! | `fresh` | telling what is new from what was recorded, on a sealed ring |
//! | `replay` | serial numbers of datagrams, and which were heard |
//! | `lives` | two processes with one id, told from one that started again |
//! | `own_id` | messages that carry the own id |
//! | `records` | what the memberships in a message do |
//! | `unproved` | members that are spoken of and not known: whom to ask, whom to believe |
//! | `echoes` | records that were heard before and need not be read again |
//! | `correct` | telling who does not know that a member left |
//! | `send` | what waits to be sent, and how it becomes bytes |
//! | `news` | which records are news, the least told first |
//! | `probe` | the probe cycle |
//! | `suspicion` | who is suspected by whom, and until when |
//! | `whereabouts` | where others hold this very member to be |
//! | `witness` | probing suspects out of turn |
//! | `verdict` | checking the claim that a living member is dead |
//! | `advertised` | members that are reached elsewhere than where their datagrams come from |
//! | `comeback` | whether the dead that say they live do |
//! | `graves` | what becomes of the dead, and asking them if they are back |
//! | `healing` | asking them at once, as one came back |
//! | `seeds` | addresses asked for ever |
//! | `push` | pushing news at once |
//! | `sync` | comparing tables, ever more slowly |
//! | `transfer` | telling a newcomer the member table |
//! | `rumors` | what gossip sees of all this, and has it do |
//! | `leave` | leaving |
//! | `astray` | messages of other rings, and such as were meant for another member |
//! | `renew` | a new id, as the old one has no incarnation left |
//! | `meter` | bounding what strangers can provoke |
//! | `local_health` | how far this member may trust itself |
//! | `isolation` | whether this member hears anybody |
//! | `inspect` | how large everything is, and what stands for the state |

mod advertised;
mod astray;
mod comeback;
mod correct;
mod echoes;
mod fresh;
mod graves;
mod healing;
mod incoming;
mod inspect;
mod isolation;
mod leave;
mod lives;
mod local_health;
pub mod merge;
mod meter;
mod names;
mod news;
mod own_id;
mod probe;
mod push;
mod receive;
mod records;
mod renew;
mod replay;
mod row;
mod rumors;
mod seeds;
mod send;
mod small_world;
mod suspicion;
mod sync;
mod table;
mod transfer;
mod unproved;
mod verdict;
mod whereabouts;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use rand::RngExt;
use slab::Slab;

use crate::config::{NodeConfig, Timing};
use crate::env::{Env, Timer};
use crate::event::Cause;
use crate::growth;
use crate::limits::{INCARNATION_RESERVE, MAX_BLOCKED, MAX_NAME};
use crate::member::{Health, Incarnation, Member, MemberId};
use crate::ring_name::RingName;
use crate::successor::Successor;
use crate::timer::TimerKey;
use echoes::Echoes;
use local_health::LocalHealth;
use merge::State;
use meter::Meter;
use names::cut;
use news::{News, RowKey};
use row::{NONE, flag};
use table::Table;

#[cfg(feature = "sim")]
pub(crate) use push::enough as enough_pushes;
pub(crate) use row::Row;

/// What gossip has to know of what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A member became known, or its health changed.
    Changed {
        id: MemberId,
        from: Option<Health>,
        to: Health,
    },
    /// A living member has a higher incarnation: it refuted something, or started again.
    Raised(MemberId),
    /// A peer that can compare holds other rumors.
    Mismatch(MemberId),
    /// While this member starts: this one was running before, and holds the `same` rumors or others.
    Running { id: MemberId, same: bool },
    /// A peer says something of its store of rumors.
    Compared { id: MemberId, parts: Vec<u8> },
    /// This member has a new id; before, it had this one.
    Renewed(MemberId),
    /// Others hold a member for Confirmed that is not known.
    StrangerDead(MemberId),
    /// Others say that a member is Departed that is not known.
    StrangerGone(MemberId),
    /// A member that is gone for good sent a message; its PULL socket would be there.
    Exiled(MemberId, SocketAddr),
}

/// Membership and failure detection of one member.
pub(crate) struct Swim {
    timing: Timing,
    table: Table,
    news: News,
    local_health: LocalHealth,
    probe: Option<probe::Probe>,
    /// There is more to read than the driver reads at once, so that an Ack may lie unread.
    unread: bool,
    /// When the last message came from a member that is where it says it is.
    last_heard: crate::time::Time,
    /// Since when it has heard nobody, once that is too long.
    isolated: Option<crate::time::Time>,
    /// The end of the present period.
    next_period: TimerKey,
    witness: witness::Witness,
    suspicions: Slab<suspicion::Suspicion>,
    /// Suspects that were asked for their last word through others in this period.
    last_words: usize,
    graves: Slab<TimerKey>,
    verdicts: BTreeMap<RowKey, verdict::Verdict>,
    seeds: Slab<seeds::Seed>,
    comebacks: comeback::Comebacks,
    retry: graves::Retry,
    healing: healing::Healing,
    transfers: VecDeque<transfer::Transfer>,
    /// Who was told the table of late, and when that began.
    told: VecDeque<(crate::time::Time, MemberId)>,
    sync: sync::Sync,
    /// Who was told in this period of members that left, having spoken of them as living.
    corrected: Vec<RowKey>,
    /// A member left in this period: what was said of it before is worth reading again.
    somebody_went: bool,
    /// Whether a push of news is due.
    pushing: bool,
    /// Who is told first what is new.
    successor: Successor,
    outbox: VecDeque<send::Outgoing>,
    myself: Option<send::Myself>,
    meter: Meter,
    unproved: unproved::Unproved,
    advertisers: advertised::Advertisers,
    /// The ring that it belongs to.
    home: astray::Home,
    echoes: Echoes,
    replay: replay::Replay,
    lives: lives::Lives,
    /// The ring has a key.
    sealed: bool,
    /// Periods since the start.
    periods: u32,
    blocked: BTreeSet<MemberId>,
    leave: leave::Leave,
    /// Whether the own address is known, so that the own record may go into memberships.
    addressed: bool,
    /// Whether that address was given, so that nobody else's view of it counts.
    advertised: bool,
    whereabouts: whereabouts::Whereabouts,
    /// No ProbePing raises the own incarnation before then.
    next_probe_ping: crate::time::Time,
    /// The mark that is on disk, or is to be: incarnations up to it are reserved.
    reserved: Incarnation,
    /// The mark that is on disk: no incarnation above it is used.
    stored: Incarnation,
    /// The incarnation to go on with once its mark is on disk.
    raise_due: Option<Incarnation>,
    /// Whether that mark is still to be stored.
    reserve_due: bool,
    /// It takes no new id before then, unless it has to.
    next_renewal: crate::time::Time,
    /// Its new id, which is still to be stored.
    renewed: Option<MemberId>,
    /// Makes the numbers of pings outside the probe cycle.
    cookie_key: [u8; 16],
    /// The row that the next filler comes from.
    filler: RowKey,
    /// Stands for the rumors that this member holds, to be told in Acks.
    rumors: u32,
    /// This member has not compared its rumors yet, which its Acks say.
    starting: bool,
    /// What gossip has to know.
    notices: VecDeque<Notice>,
    /// Gone for good, by departure rumors.
    exiled: BTreeSet<MemberId>,
    /// Members chosen to help; kept so that choosing allocates nothing.
    helpers: Vec<RowKey>,
}

impl Swim {
    pub fn new(config: &NodeConfig, env: &mut Env) -> Self {
        let timing = config.timing.clone();
        let advertised = usable(config.advertise);
        let ip = advertised.or(usable(config.ip));
        let unspecified = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let me = Member {
            id: config.id,
            incarnation: config.incarnation,
            ip: ip.unwrap_or(unspecified),
            swim_port: config.swim_port,
            gossip_port: config.gossip_port,
            persistent: config.persistent,
            departed: false,
        };
        let name = cut(&config.name, MAX_NAME);
        // The first tick comes at a random moment, so that members which start together do not march.
        let first = env.now + timing.period.mul_f64(env.rng.random::<f64>());
        let next_period = env.timers.insert(first, Timer::ProbePeriod);
        Swim {
            table: Table::new(&me, name, env.now, &mut env.rng),
            news: News::new(),
            local_health: LocalHealth::new(timing.local_health),
            probe: None,
            unread: false,
            last_heard: env.now,
            isolated: None,
            next_period,
            witness: witness::Witness::new(),
            suspicions: Slab::new(),
            last_words: 0,
            graves: Slab::new(),
            verdicts: BTreeMap::new(),
            seeds: Slab::new(),
            comebacks: comeback::Comebacks::new(),
            retry: graves::Retry::new(timing.period),
            healing: healing::Healing::default(),
            transfers: VecDeque::new(),
            told: VecDeque::new(),
            sync: sync::Sync::new(),
            corrected: Vec::new(),
            somebody_went: false,
            pushing: false,
            successor: Successor::new(),
            outbox: VecDeque::new(),
            myself: None,
            meter: Meter::new(&mut env.rng),
            unproved: unproved::Unproved::new(env.now),
            advertisers: advertised::Advertisers::default(),
            home: astray::Home::new(config.ring.as_ref(), advertised),
            echoes: Echoes::new(&mut env.rng),
            replay: replay::Replay::new(config.epoch),
            lives: lives::Lives::new(),
            sealed: !config.ring_keys.is_empty(),
            periods: 0,
            blocked: BTreeSet::new(),
            leave: leave::Leave::Not,
            addressed: ip.is_some(),
            advertised: ip.is_some(),
            whereabouts: whereabouts::Whereabouts::default(),
            next_probe_ping: env.now,
            reserved: config.reserved,
            stored: config.reserved,
            raise_due: None,
            reserve_due: false,
            next_renewal: env.now,
            renewed: None,
            cookie_key: env.rng.random(),
            filler: 0,
            rumors: 0,
            starting: false,
            notices: VecDeque::new(),
            exiled: BTreeSet::new(),
            helpers: Vec::new(),
            timing,
        }
    }

    /// A deadline has come.
    pub fn handle_timer(&mut self, env: &mut Env, timer: Timer) {
        match timer {
            Timer::ProbePeriod => self.probe_period(env),
            Timer::AckLate => self.ack_late(env),
            Timer::SuspicionDue(key) => self.suspicion_due(env, key),
            Timer::VerdictDue(key) => self.verdict_due(env, key),
            Timer::ComebackDue(key) => self.comeback_due(env, key),
            Timer::GraveDue(key) => self.grave_due(env, key),
            Timer::SeedDue(seed) => self.seed_due(env, seed),
            Timer::RetryDead => self.retry_dead(env),
            Timer::TableDue => self.table_due(env),
            Timer::PushDue => self.push_due(env),
            Timer::SyncDue => self.sync_due(env),
            Timer::LeaveStep => self.leave_step(env),
            Timer::RumorPush
            | Timer::RumorAgain
            | Timer::RumorRound
            | Timer::RumorDrip
            | Timer::StartDue
            | Timer::ElectionDue => {}
        }
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    pub fn id(&self) -> MemberId {
        self.me().id
    }

    /// The own row.
    fn me(&self) -> &Row {
        self.table.own()
    }

    /// The name of the ring that it belongs to.
    pub fn ring(&self) -> Option<&RingName> {
        self.home.name()
    }

    pub fn local_health(&self) -> u8 {
        self.local_health.score()
    }

    /// The loop was late: what goes wrong may be the own fault.
    pub fn lagged(&mut self) {
        self.local_health.worsen();
    }

    pub fn block(&mut self, id: MemberId) -> bool {
        let room = self.blocked.len() < MAX_BLOCKED || self.blocked.contains(&id);
        if room {
            self.blocked.insert(id);
        }
        room
    }

    pub fn unblock(&mut self, id: &MemberId) -> bool {
        self.blocked.remove(id)
    }

    pub fn blocked(&self) -> &BTreeSet<MemberId> {
        &self.blocked
    }

    fn notice_change(&mut self, id: MemberId, from: Option<Health>, to: Health) {
        if to == Health::Alive {
            let me = self.id();
            self.successor.came(&me, id);
        }
        self.notices.push_back(Notice::Changed { id, from, to });
    }

    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    pub fn news(&self) -> usize {
        self.news.len()
    }

    fn is_blocked(&self, id: &MemberId) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(id)
    }

    /// Gives a member another state, and does all that follows from it.
    fn change(&mut self, env: &mut Env, key: RowKey, state: State, cause: Cause, rumor: bool) {
        let Some(row) = self.table.get(key) else {
            return;
        };
        let (before, lasted) = (row.state(), env.now.since(row.since));
        self.settle_trial(env, key, state);
        let afresh = state.health == Health::Suspect && state.incarnation != before.incarnation;
        if state.health != before.health || afresh {
            self.end_side(env, key);
        }
        self.somebody_went |= (state.left && !before.left)
            || (state.health >= Health::Confirmed && before.health <= Health::Suspect);
        self.table.set_state(key, state, env.now, &mut env.rng);
        if state.health != before.health || afresh {
            self.begin_side(env, key);
        }
        if state.health != before.health
            && let Some(member) = self.table.member(key)
        {
            let from = Some((before.health, lasted));
            env.journal
                .member_changed(env.wall, &member, from, state.health, cause);
            if before.health >= Health::Confirmed && !before.left && state.health <= Health::Suspect
            {
                self.came_back(env.now, member.id);
            }
            self.dead_or_back(env, before, state.health);
            self.notice_change(member.id, Some(before.health), state.health);
        }
        let lived = before.health <= Health::Suspect && state.health == Health::Alive;
        if lived
            && state.incarnation > before.incarnation
            && let Some(member) = self.table.member(key)
        {
            self.notices.push_back(Notice::Raised(member.id));
        }
        if rumor {
            env.journal.stats.records_adopted += 1;
            self.heat(env, key);
        }
    }

    /// Adds a member that was not known.
    fn learn(
        &mut self,
        env: &mut Env,
        member: &Member,
        health: Health,
        cause: Cause,
        rumor: bool,
    ) -> Option<RowKey> {
        if !self.make_room(env, cause == Cause::ProofOfLife) {
            return None;
        }
        let key = self.table.insert(member, health, env.now);
        self.table.settle(key, &mut env.rng);
        self.begin_side(env, key);
        self.alone_no_more(env, health);
        env.journal
            .member_changed(env.wall, member, None, health, cause);
        env.journal.stats.records_adopted += 1;
        self.notice_change(member.id, None, health);
        if rumor {
            self.heat(env, key);
        }
        Some(key)
    }

    /// Adds a living member as if it had been in the ring for long: its address is proved, it is one of ours,
    /// and nobody is told, asked or greeted because of it.
    pub fn know(&mut self, env: &mut Env, member: &Member, name: &str) {
        if self.table.find(&member.id).is_some() || !self.make_room(env, true) {
            return;
        }
        let key = self.table.insert(member, Health::Alive, env.now);
        self.table.set_name(key, cut(name, MAX_NAME));
        self.table.settle(key, &mut env.rng);
        if let Some(row) = self.table.get_mut(key) {
            row.set(flag::PROVED | flag::OURS, true);
        }
        self.sync_in_time(env);
    }

    /// Forgets a member altogether.
    fn forget(&mut self, env: &mut Env, key: RowKey) {
        self.end_trial(env, key);
        self.end_side(env, key);
        self.cool(key);
        self.table.remove(key);
        self.advertisers.forget(key);
        self.replay.forget(key);
        self.lives.forget(key);
        // It may come back as it was.
        self.echoes.clear();
    }

    /// What a health brings with it begins: a suspicion, or a grave.
    fn begin_side(&mut self, env: &mut Env, key: RowKey) {
        match self.table.get(key).map(|row| row.health) {
            Some(Health::Suspect) => self.begin_suspicion(env, key),
            Some(Health::Confirmed | Health::Departed) => self.bury(env, key),
            _ => {}
        }
    }

    /// What a health brought with it ends.
    fn end_side(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self.table.get_mut(key) else {
            return;
        };
        let side = std::mem::replace(&mut row.side, NONE) as usize;
        let timer = match row.health {
            Health::Suspect => self
                .suspicions
                .try_remove(side)
                .map(|suspicion| suspicion.timer),
            Health::Confirmed | Health::Departed => self.graves.try_remove(side),
            Health::Alive => None,
        };
        self.end_comeback(env, key);
        growth::slim_slab(&mut self.suspicions);
        growth::slim_slab(&mut self.graves);
        if let Some(timer) = timer {
            env.timers.cancel(timer);
        }
    }

    /// Somebody lives: if that is the first one, it is asked for everyone it knows.
    fn alone_no_more(&mut self, env: &mut Env, health: Health) {
        if health <= Health::Suspect && (self.table.living() == 2 || !self.sync.is_under_way()) {
            self.sync_soon(env);
        }
    }

    /// The row's record is news. The own one only once it has an address at which others know it.
    fn heat(&mut self, env: &mut Env, key: RowKey) {
        if key == self.table.me() && !self.addressed {
            return;
        }
        if let Some(row) = self.table.get_mut(key) {
            row.news = self.news.add(key, row.news);
            self.push_soon(env);
        }
    }

    /// A member's record is no news any more.
    fn cool(&mut self, key: RowKey) {
        if let Some(row) = self.table.get_mut(key) {
            self.news
                .remove(std::mem::replace(&mut row.news, news::COLD));
        }
    }

    /// Goes on with a higher incarnation, as soon as its mark is on disk: else it could be used again after a crash.
    fn raise(&mut self, env: &mut Env, incarnation: Incarnation) {
        if incarnation > self.stored {
            self.raise_due = self.raise_due.max(Some(incarnation));
            return self.reserve(incarnation);
        }
        let me = self.table.me();
        let state = State {
            incarnation,
            ..self.me().state()
        };
        self.table.set_state(me, state, env.now, &mut env.rng);
        self.reserve(incarnation);
        self.heat(env, me);
    }

    /// Sees to it that the mark on disk stays ahead of the incarnation in use (PROTOCOL.md §4): the next one is asked for
    /// when three quarters of what is reserved are used, so that hardly any raise has to wait for it.
    fn reserve(&mut self, incarnation: Incarnation) {
        if incarnation.plus(INCARNATION_RESERVE / 4) > self.reserved {
            self.reserved = incarnation.plus(INCARNATION_RESERVE);
            self.reserve_due = true;
        }
    }

    /// This mark is on disk.
    pub fn mark_stored(&mut self, env: &mut Env, mark: Incarnation) {
        self.stored = self.stored.max(mark);
        if let Some(due) = self.raise_due.filter(|due| *due <= self.stored) {
            self.raise_due = None;
            if due > self.me().incarnation && !self.is_leaving() {
                self.raise(env, due);
            }
        }
    }

    /// The mark to be stored, if it has changed.
    pub fn poll_reserve(&mut self) -> Option<Incarnation> {
        std::mem::take(&mut self.reserve_due).then_some(self.reserved)
    }
}

/// An address that is told others, if they can reach a host there.
fn usable(ip: Option<IpAddr>) -> Option<IpAddr> {
    let ip = ip.map(|ip| ip.to_canonical());
    ip.filter(|ip| records::is_somewhere(*ip))
}
