//! A member gets another state, becomes known or is forgotten, and what follows from that.

use super::merge::Spread;
use super::merge::State;
use super::names::cut;
use super::news::RowKey;
use super::row::{NONE, flag};
use super::table::Newcomer;
use super::{Notice, Row, Swim};
use crate::env::Env;
use crate::event::Cause;
use crate::expected::Expected;
use crate::history::Fact;
use crate::limits::{MAX_MEMBERS, MAX_NAME};
use crate::member::{Health, Member, MemberId};
use crate::time::Time;

impl Swim {
    /// Gives a member another state, and does all that follows from it.
    pub(super) fn change(
        &mut self,
        env: &mut Env,
        key: RowKey,
        state: State,
        cause: Cause,
        spread: Spread,
    ) {
        let Some(row) = self.table.get(key).expected() else {
            return;
        };
        let (before, lasted) = (row.state(), env.now.since(row.since));
        self.checks.settle(env, &mut self.table, key, state);
        let afresh = state.health == Health::Suspect && state.incarnation != before.incarnation;
        self.note_refuted(env, key, state);
        if state.health != before.health || afresh {
            self.end_side(env, key);
        }
        let died = state.health >= Health::Confirmed && before.health <= Health::Suspect;
        if state.left && !before.left || died {
            self.trust.echoes.somebody_went();
        }
        self.table.set_state(key, state, env.now, &mut env.rng);
        if state.health != before.health || afresh {
            self.begin_side(env, key);
        }
        if state.health != before.health
            && let Some(member) = self.table.member(key)
        {
            let name = self.table.get(key).map(|row| self.table.name_of(row));
            env.journal.member_changed(
                env.wall,
                &member,
                name.unwrap_or_default(),
                Some((before.health, lasted)),
                state.health,
                cause,
            );
            if before.health >= Health::Confirmed && !before.left && state.health <= Health::Suspect
            {
                self.dead.comebacks.note(env.now, member.id);
            }
            self.dead_or_back(env, before, state.health);
            self.notice_change(member.id, Some(before.health), state.health);
        } else if state.incarnation > before.incarnation
            && let Some(row) = self.table.get(key)
        {
            let (from, to) = (before.incarnation, state.incarnation);
            let fact = Fact::Raised { from, to };
            env.journal.history.add(env.wall, row.id, fact);
        }
        let lived = before.health <= Health::Suspect && state.health == Health::Alive;
        if lived
            && state.incarnation > before.incarnation
            && let Some(member) = self.table.member(key)
        {
            self.gossip.notices.push_back(Notice::Raised(member.id));
        }
        if spread == Spread::News {
            env.journal.stats.records_adopted += 1;
            self.heat(env, key);
        }
    }

    /// Adds a member that was not known.
    pub(super) fn learn(
        &mut self,
        env: &mut Env,
        member: &Member,
        name: &str,
        health: Health,
        cause: Cause,
        spread: Spread,
    ) -> Option<RowKey> {
        let newcomer = match cause {
            Cause::ProofOfLife => Newcomer::Answered,
            _ => Newcomer::SpokenOf,
        };
        if !self.make_room(env, newcomer) {
            return None;
        }
        let key = self.table.insert(member, health, env.now);
        self.table.set_name(key, name);
        self.table.settle(key, &mut env.rng);
        self.begin_side(env, key);
        self.somebody_lives(env, health);
        env.journal
            .member_changed(env.wall, member, name, None, health, cause);
        env.journal.stats.records_adopted += 1;
        self.notice_change(member.id, None, health);
        if spread == Spread::News {
            self.heat(env, key);
        }
        Some(key)
    }

    /// Adds a living member as if it had been in the ring for long: its address is proved, it is one of ours,
    /// and nobody is told, asked or greeted because of it.
    pub fn know(&mut self, env: &mut Env, member: &Member, name: &str) {
        if self.table.find(&member.id).is_some() || !self.make_room(env, Newcomer::Answered) {
            return;
        }
        let key = self.table.insert(member, Health::Alive, env.now);
        self.table.set_name(key, cut(name, MAX_NAME));
        self.table.settle(key, &mut env.rng);
        if let Some(row) = self.table.get_mut(key) {
            row.set(flag::PROVED | flag::OURS | flag::OWN_KINDS, true);
        }
        self.touch(&member.id);
        self.tables.sync.in_time(env, &self.timing);
    }

    /// Forgets a member altogether.
    pub(super) fn forget(&mut self, env: &mut Env, key: RowKey) {
        self.checks.end(env, &mut self.table, key);
        self.end_side(env, key);
        if let Some(id) = self.table.get(key).map(|row| row.id) {
            self.touch(&id);
        }
        self.updates.cool(&mut self.table, key);
        self.table.remove(key);
        self.trust.forget(key);
    }

    /// What a health brings with it begins: a suspicion, or a grave.
    fn begin_side(&mut self, env: &mut Env, key: RowKey) {
        match self.table.get(key).map(|row| row.health) {
            Some(Health::Suspect) => {
                self.suspicions
                    .begin(env, &mut self.table, &self.timing, key);
            }
            Some(Health::Confirmed | Health::Departed) => {
                self.dead.bury(env, &mut self.table, &self.timing, key);
            }
            _ => {}
        }
    }

    /// What a health brought with it ends.
    pub(super) fn end_side(&mut self, env: &mut Env, key: RowKey) {
        let Some(row) = self.table.get_mut(key).expected() else {
            return;
        };
        let side = std::mem::replace(&mut row.side, NONE);
        let timer = match row.health {
            Health::Suspect => self.suspicions.end(side),
            Health::Confirmed | Health::Departed => self.dead.unbury(side),
            Health::Alive => None,
        };
        self.dead.comebacks.end(env, key);
        if let Some(timer) = timer {
            env.timers.cancel(timer);
        }
    }

    /// A member gets another state. If it lives on though this member said that it refused pings, such refusals say nothing
    /// for a while; but a restart raises an incarnation further than a refutation.
    fn note_refuted(&mut self, env: &Env, key: RowKey, state: State) {
        /// A member on its way refutes once or twice.
        const REFUTATIONS: u64 = 8;
        let Some(row) = self.table.get(key).expected() else {
            return;
        };
        let (id, me) = (row.id, self.table.own().id);
        let raised = state.incarnation.get() - row.incarnation.get().min(state.incarnation.get());
        let suspicion = self.suspicions.of(row);
        let refused = suspicion.is_some_and(|suspicion| suspicion.is_refused_by(&me));
        if state.health == Health::Alive && refused && raised < REFUTATIONS {
            self.detector.refusals.refute(env.now, id);
        } else if state.health >= Health::Confirmed {
            self.detector.refusals.forget(&id);
        }
    }

    fn notice_change(&mut self, id: MemberId, from: Option<Health>, to: Health) {
        self.touch(&id);
        if to == Health::Alive {
            let me = self.id();
            self.updates.successor.came(&me, id);
        }
        self.gossip
            .notices
            .push_back(Notice::Changed { id, from, to });
    }

    /// Something changed that decides whose connections are kept open.
    pub(super) fn touch(&mut self, id: &MemberId) {
        let (me, most) = (self.id(), self.timing.watch_connections);
        self.detector.watched.touch(&me, id, most);
    }

    /// Somebody lives: if that is the first one, it is asked for everyone it knows.
    fn somebody_lives(&mut self, env: &mut Env, health: Health) {
        let living = self.table.living();
        self.tables
            .sync
            .one_lives(env, &self.timing, health, living);
    }

    /// Someone died or came back: who is asked, and how soon, depends on it.
    fn dead_or_back(&mut self, env: &mut Env, before: State, now: Health) {
        if now == Health::Alive && before.health >= Health::Confirmed {
            self.dead.retry_soon(env, &self.timing);
            if !before.left {
                self.heal(env);
            }
            self.somebody_lives(env, now);
        }
        if now >= Health::Confirmed && self.table.living() <= 1 {
            self.seeds.ask_again(env, &self.timing);
        }
    }

    /// The row's record is news. The own one only once it has an address at which others know it.
    pub(super) fn heat(&mut self, env: &mut Env, key: RowKey) {
        if key == self.table.me() && !self.identity.addressed {
            return;
        }
        self.updates.heat(env, &mut self.table, &self.timing, key);
    }

    /// Whether one more member fits in the table, if need be in the place of one long gone, or that never answered here.
    /// One that lives makes room only for one that answered.
    pub(super) fn make_room(&mut self, env: &mut Env, newcomer: Newcomer) -> bool {
        if self.table.len() < MAX_MEMBERS {
            return true;
        }
        let Some(key) = self.table.least_wanted(newcomer, &mut env.rng) else {
            return false;
        };
        self.forget(env, key);
        true
    }

    /// A message came from a member that is where it says it is.
    #[inline]
    pub(super) fn heard_somebody(&mut self, env: &mut Env) {
        if let Some(since) = self.detector.hearing.somebody(env.now, &self.timing) {
            self.speak_again(env, since);
        }
    }

    /// It hears again: whom it accused or gave up since then is news.
    #[cold]
    fn speak_again(&mut self, env: &mut Env, since: Time) {
        self.end_isolation(env);
        let kept = |(_, row): &(RowKey, &Row)| row.is_accused() && row.since >= since;
        let rows: Vec<RowKey> = self.table.iter().filter(kept).map(|(key, _)| key).collect();
        env.journal.stats.records_adopted += rows.len() as u64;
        rows.into_iter().for_each(|key| self.heat(env, key));
        if self.updates.news.len() > 0 {
            self.updates.push_soon(env, &self.timing);
        }
    }
}
