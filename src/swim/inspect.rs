//! How large everything in here is, and what stands for its state.

use std::hash::{Hash, Hasher};

use super::Swim;
use crate::stats::Gauge;

impl Swim {
    /// Everything that grows, with its cap.
    pub fn sizes(&self) -> impl Iterator<Item = Gauge> {
        let members = self.table.sizes().into_iter().chain(self.updates.sizes());
        let failure = self.suspicions.sizes().into_iter();
        let failure = failure.chain(self.detector.refusals.sizes());
        let failure = failure.chain(self.checks.sizes()).chain(self.dead.sizes());
        let sent = self.outbox.sizes().into_iter().chain(self.seeds.sizes());
        let told = self.tables.sizes().chain(self.identity.home.sizes());
        let known = members.chain(self.trust.sizes()).chain(failure);
        known.chain(sent).chain(told)
    }

    /// What decides what it will do: everything but what was configured, the time and the dice.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        let Swim {
            timing: _,
            table,
            identity,
            numbers,
            updates,
            outbox,
            detector,
            suspicions,
            checks,
            dead,
            seeds,
            tables,
            trust,
            gossip,
        } = self;
        (table, identity, numbers, updates, outbox).hash(hasher);
        (detector, suspicions, checks, dead, seeds).hash(hasher);
        (tables, trust, gossip).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::super::Notice;
    use super::super::leave::Leave;
    use super::super::merge::Spread;
    use super::super::news::COLD;
    use super::super::testing::{env, id, member};
    use super::*;
    use crate::config::NodeConfig;
    use crate::event::Cause;
    use crate::member::{Health, Incarnation, MemberId};
    use crate::time::Time;
    use crate::wire::Serial;

    const OTHER: MemberId = id(2);

    /// One that knows another, whose record is news, and probes it.
    fn probing() -> Swim {
        let mut env = env();
        let mut config = NodeConfig::new(id(1), 1, [0; 32]);
        config.reserved = Incarnation::ZERO;
        let mut swim = Swim::new(&config, &mut env);
        let (other, cause) = (member(2), Cause::ProofOfLife);
        let key = swim.learn(&mut env, &other, "", Health::Alive, cause, Spread::News);
        assert!(swim.table.get(key.unwrap()).unwrap().news != COLD);
        swim.probe_period(&mut env);
        assert!(swim.detector.probe.is_some());
        swim
    }

    fn state(swim: &Swim) -> u64 {
        let mut hasher = DefaultHasher::new();
        swim.hash_state(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn what_changes_shows_in_what_stands_for_the_state() {
        type Change = (&'static str, fn(&mut Swim));
        let changes: [Change; 26] = [
            ("no probe", |swim| swim.detector.probe = None),
            ("news was told", |swim| {
                let other = swim.table.find(&OTHER).unwrap();
                let place = swim.table.get(other).unwrap().news;
                let told = [(place, other)].into_iter();
                let enough = swim.enough_news();
                swim.updates.told(&mut swim.table, told, enough);
            }),
            ("news was heard", |swim| {
                let other = swim.table.find(&OTHER).unwrap();
                let enough = swim.enough_news();
                swim.updates.heard(&mut swim.table, other, 0, enough);
            }),
            ("a record was heard", |swim| {
                swim.trust.echoes.add(b"record", 1);
            }),
            ("a datagram was heard", |swim| {
                let serial = Serial {
                    epoch: 1,
                    number: 1,
                };
                swim.trust.replay.note(&OTHER, 1, serial, 0);
            }),
            ("a table was told to it", |swim| {
                swim.tables.sync.told_by(Time::ZERO, OTHER);
            }),
            ("and by it", |swim| {
                let env = &mut env();
                swim.tables.transfers.begin(env, &swim.timing, OTHER);
            }),
            ("a member came back", |swim| {
                swim.dead.comebacks.note(Time::ZERO, OTHER);
            }),
            ("it answered at its source", |swim| {
                let source = ([10, 0, 0, 3], 1).into();
                swim.trust.advertisers.note_source(1, source);
            }),
            ("it leaves", |swim| swim.identity.leave = Leave::Telling),
            ("a last word was asked for", |swim| {
                swim.suspicions.may_ask_others();
            }),
            ("another filler", |swim| swim.updates.filler += 1),
            ("its address is given", |swim| {
                swim.identity.advertised ^= true;
            }),
            ("its address is known", |swim| {
                swim.identity.addressed ^= true;
            }),
            ("an incarnation to store", |swim| {
                swim.identity.marks.reserve(Incarnation::ZERO.next());
            }),
            ("an incarnation waits for the disk", |swim| {
                swim.identity.marks.allows(Incarnation::MAX);
            }),
            ("a ProbePing came", |swim| {
                swim.identity.next_probe_ping = Time::from_millis(9);
            }),
            ("its health changed, and back", |swim| {
                let other = swim.table.find(&OTHER).unwrap();
                swim.table.get_mut(other).unwrap().since = Time::from_millis(9);
            }),
            ("gossip is to know something", |swim| {
                swim.gossip.notices.push_back(Notice::Mismatch(OTHER));
            }),
            ("it heard a member", |swim| {
                let (hearing, now) = (&mut swim.detector.hearing, Time::from_millis(9));
                hearing.somebody(now, &swim.timing);
            }),
            ("something to read", |swim| {
                swim.detector.hearing.unread ^= true;
            }),
            ("rumors", |swim| swim.gossip.rumors[0] += 1),
            ("it compared them", |swim| swim.gossip.starting ^= true),
            ("blocked", |swim| _ = swim.trust.refused.block(OTHER)),
            ("gone for good", |swim| swim.trust.refused.exile(OTHER)),
            ("in doubt of itself", |swim| {
                swim.detector.local_health.worsen();
            }),
        ];
        let before = state(&probing());
        assert_eq!(state(&probing()), before);
        for (what, change) in changes {
            let mut swim = probing();
            change(&mut swim);
            assert_ne!(state(&swim), before, "{what}");
        }
    }
}
