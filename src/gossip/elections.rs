//! Elections: what a member does when it hears of one, and when members or services change. The rules are in `election`.

use super::Gossip;
use super::candidates::PATIENCE;
use super::courses::Key;
use super::election::{self, Next, Outlook, Role, Standing};
use super::store::{Place, Put};
use crate::env::Env;
use crate::error::{CommandError, Reject};
use crate::event::Event;
use crate::limits::MAX_TERM;
use crate::ring::Ring;
use crate::rumor::{Election, ElectionStatus, Rumor, RumorId, RumorKind, ServiceGroup};

/// So many periods a leader counts as living that this member never saw alive: word of it is on its way, as
/// after a split, when leaders are heard of before it is heard that they live.
const DOUBT: u32 = 4;

/// So many periods after its service is up a member waits to hear of an election that its disk held.
const HINT: u32 = 4;

/// Looking.
impl Gossip {
    /// A group's election, and whether it is but a hint: the disk held it, and nobody spoke of it since. What was won
    /// reads as NoQuorum while the group has none in this member's view, which is told to nobody.
    pub fn election(&self, kind: RumorKind, group: &ServiceGroup) -> Option<(Election, bool)> {
        let key = (kind, group.clone());
        let hint = || self.elections.get(&key)?.hint.clone();
        let Some(mut election) = self.held(&key) else {
            return hint().map(|hint| (hint, true));
        };
        if election::is_finished(&election) && self.is_without_quorum(&key) {
            election.status = ElectionStatus::NoQuorum;
        }
        Some((election, false))
    }

    fn outlook(&mut self, env: &mut Env, ring: &impl Ring, key: &Key, held: &Election) -> Outlook {
        let (kind, group) = key;
        let (electorate, population) = self.voters(ring, group);
        let candidate = self.standing(ring, group, held.candidate);
        let patience = self.timing.period * DOUBT;
        let incumbency = *kind == RumorKind::Election;
        let course = self.elections.course(env, key);
        if course.no_quorum && election::is_quorum(electorate.len(), population) {
            // Members come back, and the leader may be about to.
            course.lived = None;
        }
        let (suitability, leader) = (course.suitability, course.leader);
        let leader = leader.filter(|_| incumbency).map(|(_, leader)| leader);
        let mut outlook = Outlook {
            me: ring.me(),
            role: self.role(ring, group),
            electorate,
            population,
            hears: ring.hears(env.now),
            suitability,
            candidate: self.elections.doubt(env, key, held, (candidate, patience)),
            leader: leader.map(|leader| (leader, self.standing(ring, group, leader))),
            incumbency,
        };
        let waits = outlook.role != Role::Outsider && !outlook.may_vote(held);
        let deference = &mut self.elections.course(env, key).deference;
        match deference.until(waits, held, env.now, self.timing.period) {
            Some(over) if env.now >= over => outlook.leader = None,
            Some(over) => self.elections.look_at(env, key, over),
            None => {}
        }
        outlook
    }
}

/// Hearing, and acting.
impl Gossip {
    /// A group is to elect a leader; this member is as fit for it as that. If an election is under way, it
    /// takes part in that, and if a leader is known, the group has what it wants.
    pub fn start_election(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        kind: RumorKind,
        group: &ServiceGroup,
        suitability: u64,
    ) -> Result<(), CommandError> {
        if !self.in_group(ring, group) {
            return Err(CommandError::NotInGroup);
        }
        let key = (kind, group.clone());
        let course = self.elections.course(env, &key);
        // An election for an update has no better and worse candidates.
        course.suitability = if kind == RumorKind::Election {
            suitability
        } else {
            0
        };
        match self.held(&key) {
            Some(held) => self.review(env, ring, &key, Some(&held), held.clone()),
            None => self.start(env, ring, &key),
        }
        .map_err(|_| self.full())
    }

    /// Begins the first term that is known of: the one after that of a hint, if the group has quorum.
    fn start(&mut self, env: &mut Env, ring: &impl Ring, key: &Key) -> Result<(), Reject> {
        let course = self.elections.course(env, key);
        let (suitability, hint) = (course.suitability, course.hint.clone());
        let mut blank = Election {
            candidate: ring.me(),
            group: key.1.clone(),
            term: hint.as_ref().map_or(0, |hint| hint.term),
            suitability,
            status: ElectionStatus::Running,
            votes: vec![ring.me()],
        };
        let outlook = self.outlook(env, ring, key, &blank);
        if hint.is_some() {
            // Another may have won the hint's term, and the next is for who has quorum and hears others.
            if !outlook.hears {
                self.elections
                    .look_at(env, key, env.now + self.timing.period);
            }
            if !(outlook.has_quorum() && outlook.hears) {
                return Ok(());
            }
            self.elections.course(env, key).hint = None;
            blank.term = election::after(blank.term);
        }
        let started = election::start(&blank, blank.term, suitability, &outlook);
        self.review(env, ring, key, None, started)
    }

    /// An election was heard of.
    pub(super) fn election_heard(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        kind: RumorKind,
        heard: &Election,
    ) -> Result<(), Reject> {
        let key = (kind, heard.group.clone());
        let held = self.held(&key);
        if self.is_new_candidate(held.as_ref(), heard) && !self.may_follow_election(ring, heard) {
            self.await_candidate(env, &key, heard);
            return Ok(());
        }
        let Some(held) = held else {
            let taken = self.review(env, ring, &key, None, heard.clone());
            match taken {
                Ok(()) => self.elections.course(env, &key).hint = None,
                Err(_) => self.elections.forget(&key),
            }
            return taken;
        };
        // Nothing can follow the last term, so the group begins anew once who won it is lost.
        if held.term == MAX_TERM
            && heard.term < MAX_TERM
            && self.is_lost(ring, &key.1, held.candidate)
            && self.may_follow_election(ring, heard)
        {
            return self.review(env, ring, &key, Some(&held), heard.clone());
        }
        let merged = election::merge(&held, heard);
        if !election::same(&merged, &held) {
            return self.review(env, ring, &key, Some(&held), merged);
        }
        if let Some(place) = self.store.find(&RumorId::election(kind, &heard.group)) {
            if election::same(&held, heard) {
                self.heard_back(place);
            } else {
                env.journal.stats.rumors_stale += 1;
                self.tell_again(env, &key, place);
                if heard.candidate == ring.me() {
                    self.release_followers(env, ring, &key, &held);
                }
            }
        }
        Ok(())
    }

    /// Takes an election out of the store; it is not asked for again for a while.
    pub(super) fn drop_election(&mut self, env: &mut Env, key: &Key) {
        let place = self.store.find(&RumorId::election(key.0, &key.1));
        if let Some((place, hash)) =
            place.and_then(|place| Some((place, self.store.get(place)?.hash)))
        {
            self.refuse(env, hash);
            self.retire(env, place);
        }
        self.drop_course(key);
    }

    /// Nothing is left of an election, unless it is held.
    pub(super) fn drop_course(&mut self, key: &Key) {
        if self.held(key).is_none() && self.candidates.is_none_of(key) {
            self.elections.forget(key);
        }
    }

    /// Whether nobody vouches any more for the candidate of an election that is held, which only members of the group
    /// that have quorum could end: they are gone too.
    fn is_orphaned(&mut self, env: &mut Env, ring: &impl Ring, key: &Key, held: &Election) -> bool {
        let patience = self.timing.period * DOUBT;
        let orphan = !self.may_follow_election(ring, held) && {
            let (electorate, population) = self.voters(ring, &key.1);
            !self.in_group(ring, &key.1) || !election::is_quorum(electorate.len(), population)
        };
        let course = self.elections.course(env, key);
        if !orphan {
            course.orphaned = None;
            return false;
        }
        let over = *course.orphaned.get_or_insert(env.now) + patience;
        if env.now < over {
            self.elections.look_at(env, key, over);
        }
        env.now >= over
    }

    /// Somebody knows less of an election than this member: it is told again, at most once a period.
    fn tell_again(&mut self, env: &mut Env, key: &Key, place: Place) {
        let next = env.now + self.timing.period;
        let course = self.elections.course(env, key);
        let told = self.store.get(place).is_none_or(|held| held.hot.is_some());
        if !told && env.now >= course.next_telling {
            course.next_telling = next;
            self.hot.heat(&mut self.store, place);
            self.push_soon(env);
        }
    }

    /// Does what is to be done with an election that says `now`, and was held as `held`.
    fn review(
        &mut self,
        env: &mut Env,
        ring: &impl Ring,
        key: &Key,
        held: Option<&Election>,
        mut now: Election,
    ) -> Result<(), Reject> {
        // A leader is known as soon as it is heard of, also one that is lost at once.
        self.elections.know_leader(env, key, &now);
        let outlook = self.outlook(env, ring, key, &now);
        // Members come back one by one: the leader leads on once it is back, too.
        let lives = outlook.candidate == Standing::Living;
        if !(outlook.hears || lives && election::is_finished(&now)) {
            self.elections
                .look_at(env, key, env.now + self.timing.period);
        }
        match election::next(&now, &outlook) {
            Next::Nothing => {}
            Next::Say(said) => now = said,
            Next::Restart(restarted) => {
                let pause = self.timing.period;
                let course = self.elections.course(env, key);
                let allowed = course.next_restart;
                if env.now >= allowed {
                    course.next_restart = env.now + pause;
                    now = restarted;
                } else {
                    self.elections.look_at(env, key, allowed);
                }
            }
        }
        if held != Some(&now) {
            self.hold(env, key, held, &now)?;
        }
        // While it comes back, the leader may be the last to do so.
        let leads = lives || now.candidate == ring.me() || !self.is_without_quorum(key);
        self.note_quorum(env, key, &now, leads && outlook.has_quorum());
        self.release_followers(env, ring, key, &now);
        Ok(())
    }

    /// Puts an election into the store. What only this member's view has changed is no news for others.
    fn hold(
        &mut self,
        env: &mut Env,
        key: &Key,
        held: Option<&Election>,
        now: &Election,
    ) -> Result<(), Reject> {
        let rumor = match key.0 {
            RumorKind::ElectionUpdate => Rumor::ElectionUpdate(now.clone()),
            _ => Rumor::Election(now.clone()),
        };
        match self.store.replace(&rumor, "") {
            Put::New(place) if held.is_some_and(|held| election::same(held, now)) => {
                if let Some(entry) = self.store.get(place) {
                    let id = std::sync::Arc::clone(&entry.id);
                    let is_new = false;
                    env.journal.event(Event::RumorChanged { id, is_new });
                }
            }
            Put::New(place) => self.changed(env, place),
            Put::Same(_) | Put::Older(_) | Put::Confirmed(_) | Put::Corrected(_) => {}
            Put::Full => return Err(Reject::StoreFull),
        }
        self.elections.know_leader(env, key, now);
        Ok(())
    }

    /// A service of the group became known.
    pub(super) fn vouched(&mut self, env: &mut Env, ring: &impl Ring, group: &ServiceGroup) {
        if !self.candidates.is_empty() {
            for kind in [RumorKind::Election, RumorKind::ElectionUpdate] {
                self.review_candidates(env, ring, &(kind, group.clone()));
            }
        }
    }

    /// Services and members changed, or time has passed: candidates that are known by now count, and those that were
    /// not in time are dropped.
    pub(super) fn review_candidates(&mut self, env: &mut Env, ring: &impl Ring, key: &Key) {
        if self.candidates.is_empty() {
            return;
        }
        let patience = self.timing.period * PATIENCE;
        for (candidate, since) in self.candidates.of(key) {
            let name = (key.clone(), candidate);
            let held = self.candidates.get(&name);
            let counts = held.is_some_and(|held| self.may_follow_election(ring, held));
            if !counts && env.now < since + patience {
                self.elections.follow(env, key, since + patience);
                continue;
            }
            let Some(waiting) = self.candidates.take(&name) else {
                continue;
            };
            let taken = if counts {
                self.election_heard(env, ring, key.0, &waiting)
            } else {
                self.drop_course(key);
                Err(Reject::UnknownCandidate)
            };
            if let Err(reason) = taken {
                let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
                env.journal.rejected(env.now, reason, nowhere);
            }
        }
    }

    /// Elections that members or services made it worth to look at, or that were to be looked at now.
    pub(super) fn elections_due(&mut self, env: &mut Env, ring: &impl Ring) {
        while let Some(key) = self.elections.next_due(env.now) {
            self.review_candidates(env, ring, &key);
            if let Some(held) = self.held(&key)
                && self.is_orphaned(env, ring, &key, &held)
            {
                if self.in_group(ring, &key.1) {
                    // Once the group has quorum it goes on from there.
                    self.elections.course(env, &key).hint = Some(held);
                }
                self.drop_election(env, &key);
                continue;
            }
            // Without room it stays as it is, and is looked at again when something changes.
            let _ = match self.held(&key) {
                Some(held) => self.review(env, ring, &key, Some(&held), held.clone()),
                None => self.review_hint(env, ring, &key),
            };
            self.drop_course(&key);
        }
    }

    /// Nobody speaks of an election that the disk held: the group elects anew.
    fn review_hint(&mut self, env: &mut Env, ring: &impl Ring, key: &Key) -> Result<(), Reject> {
        let in_group = self.in_group(ring, &key.1);
        let Some(course) = self.elections.get_mut(key) else {
            return Ok(());
        };
        if course.hint.is_none() || !in_group {
            course.waiting_since = None;
            return Ok(());
        }
        let over = *course.waiting_since.get_or_insert(env.now) + self.timing.period * HINT;
        if env.now >= over {
            return self.start(env, ring, key);
        }
        self.elections.look_at(env, key, over);
        Ok(())
    }

    /// An election that the disk held.
    pub(super) fn restore_election(&mut self, env: &mut Env, kind: RumorKind, hint: &Election) {
        let key = (kind, hint.group.clone());
        if self.held(&key).is_none() {
            self.elections.course(env, &key).hint = Some(hint.clone());
            self.look_soon(env, &hint.group);
        }
    }
}

#[cfg(feature = "sim")]
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::member::{Incarnation, MemberId};
    use crate::rumor::Service;
    use crate::sim::{Index, Sim, SimConfig, id_of};
    use crate::wire::encode_rumor;

    const KIND: RumorKind = RumorKind::Election;

    fn group() -> ServiceGroup {
        "redis.default".parse().unwrap()
    }

    fn announce(sim: &mut Sim, member: Index) {
        let service = Service {
            member: id_of(member),
            group: group(),
            incarnation: 0,
            initialized: true,
            pkg: "core/redis/7.0.0/20260101000000".to_owned(),
            cfg: Vec::new(),
            sys: Default::default(),
            pkg_incarnation: 0,
        };
        sim.command(member, |node, now| node.announce(now, service).unwrap());
    }

    /// A ring of three that the last one leads.
    fn led() -> Sim {
        let mut sim = Sim::new(SimConfig::new(1));
        sim.start_ring(3);
        assert!(sim.run_until(Duration::from_secs(30), Sim::all_agree));
        (0..3).for_each(|member| announce(&mut sim, member));
        sim.run_for(Duration::from_secs(2));
        for member in 0..3 {
            sim.command(member, |node, now| {
                let fit = member as u64;
                node.start_election(now, KIND, &group(), fit).unwrap();
            });
        }
        sim.run_for(Duration::from_secs(2));
        assert_eq!(seen(&sim, 0), (Some(id_of(2)), 0, false));
        sim
    }

    /// Who leads by this member's view, in which term, and whether it is a hint.
    fn seen(sim: &Sim, member: Index) -> (Option<MemberId>, u64, bool) {
        let view = sim.node(member).election(KIND, &group()).unwrap();
        (view.leader(), view.election.term, view.is_hint)
    }

    /// Starts a crashed member again, with what its disk held.
    fn restart(sim: &mut Sim, member: Index, incarnation: u64) {
        let held: Vec<_> = sim
            .node(member)
            .rumors()
            .filter_map(|it| it.rumor())
            .collect();
        sim.restart(member, Incarnation::new(incarnation).unwrap());
        sim.command(member, |node, _| {
            for rumor in held {
                node.restore_rumor(&encode_rumor(&rumor, "disk").bytes)
                    .unwrap();
            }
        });
    }

    #[test]
    fn an_election_from_the_disk_is_a_hint_until_it_is_heard_of() {
        let mut sim = led();
        sim.crash(0);
        // The others would ask it at once.
        sim.partition(|member| u8::from(member == 0));
        restart(&mut sim, 0, 9);
        assert_eq!(seen(&sim, 0), (None, 0, true));
        sim.run_for(Duration::from_secs(1));
        assert_eq!(seen(&sim, 0), (None, 0, true));
        sim.partition(|_| 0);
        sim.join(0, 1);
        sim.run_for(Duration::from_secs(10));
        // Nothing began anew.
        for member in 0..3 {
            assert_eq!(seen(&sim, member), (Some(id_of(2)), 0, false));
        }
        assert!(sim.same_rumors());
    }

    #[test]
    fn a_member_that_only_its_disk_tells_of_others_does_not_lead() {
        let mut sim = led();
        sim.crash(0);
        sim.partition(|member| u8::from(member == 0));
        restart(&mut sim, 0, 9);
        sim.run_for(Duration::from_secs(30));
        // The services of the others count, though nobody is there: so it has no quorum, and begins no term.
        assert_eq!(seen(&sim, 0), (None, 0, true));
        sim.partition(|_| 0);
        sim.join(0, 1);
        sim.run_for(Duration::from_secs(30));
        for member in 0..3 {
            assert_eq!(seen(&sim, member), (Some(id_of(2)), 0, false));
        }
    }

    #[test]
    fn who_starts_an_election_before_the_others_are_back_claims_no_term_that_was_won() {
        let mut sim = led();
        (0..3).for_each(|member| sim.crash(member));
        restart(&mut sim, 0, 9);
        sim.command(0, |node, now| {
            node.start_election(now, KIND, &group(), 5).unwrap();
        });
        assert_eq!(seen(&sim, 0), (None, 0, true));
        restart(&mut sim, 1, 9);
        sim.join(1, 0);
        sim.run_for(Duration::from_secs(12));
        let first = seen(&sim, 0);
        assert!(first.0.is_some() && first.1 == 1, "{first:?}");
        assert_eq!(seen(&sim, 1), first);
    }

    #[test]
    fn who_all_start_from_their_disks_elect_anew() {
        let mut sim = led();
        (0..3).for_each(|member| sim.crash(member));
        (0..3).for_each(|member| restart(&mut sim, member, 9));
        (1..3).for_each(|member| sim.join(member, 0));
        sim.run_for(Duration::from_secs(2));
        assert!((0..3).all(|member| seen(&sim, member) == (None, 0, true)));
        sim.run_for(Duration::from_secs(10));
        let (leader, term, _) = seen(&sim, 0);
        assert!(leader.is_some() && term == 1);
        assert!((0..3).all(|member| seen(&sim, member) == (leader, 1, false)));
    }
}
