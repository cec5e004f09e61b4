//! How large everything in here is, and what stands for its state.

use std::hash::{Hash, Hasher};

use super::Swim;
use crate::limits::{
    MAX_BLOCKED, MAX_CORRECTED, MAX_EXILED, MAX_FIRST_CONTACTS, MAX_FOREIGNERS, MAX_LIFE_CHANGES,
    MAX_MEMBERS, MAX_QUEUED_DATAGRAMS, MAX_RETURNING, MAX_RETURNS, MAX_SEEDS, MAX_SPOKEN_OF,
    MAX_TRANSFERS, MAX_VERDICTS,
};
use crate::stats::Gauge;

impl Swim {
    /// Everything that grows, with its cap.
    pub fn sizes(&self) -> [Gauge; 22] {
        [
            Gauge::new("members", self.table.len(), MAX_MEMBERS),
            Gauge::new("ipv6_addresses", self.table.ipv6_addresses(), MAX_MEMBERS),
            Gauge::new("advertisers", self.advertisers.len(), MAX_MEMBERS),
            Gauge::new("replay_windows", self.replay.len(), MAX_MEMBERS),
            Gauge::new(
                "first_contacts",
                self.replay.first_contacts(),
                MAX_FIRST_CONTACTS,
            ),
            Gauge::new("life_changes", self.lives.changes(), MAX_LIFE_CHANGES),
            Gauge::new("news", self.news.len(), MAX_MEMBERS),
            Gauge::new("suspicions", self.suspicions.len(), MAX_MEMBERS),
            Gauge::new("graves", self.graves.len(), MAX_MEMBERS),
            Gauge::new("verdicts", self.verdicts.len(), MAX_VERDICTS),
            Gauge::new("returning", self.comebacks.trials(), MAX_RETURNING),
            Gauge::new("asked_back", self.healing.waiting(), MAX_MEMBERS),
            Gauge::new("returns", self.comebacks.past(), MAX_RETURNS),
            Gauge::new("seeds", self.seeds.len(), MAX_SEEDS),
            Gauge::new("unproved", self.unproved.len(), MAX_SPOKEN_OF),
            Gauge::new("transfers", self.transfers.len(), MAX_TRANSFERS),
            Gauge::new("told_tables", self.told.len(), MAX_TRANSFERS),
            Gauge::new("corrected", self.corrected.len(), MAX_CORRECTED),
            Gauge::new("queued_datagrams", self.outbox.len(), MAX_QUEUED_DATAGRAMS),
            Gauge::new("blocked", self.blocked.len(), MAX_BLOCKED),
            Gauge::new("foreigners", self.home.foreigners(), MAX_FOREIGNERS),
            Gauge::new("exiled", self.exiled.len(), MAX_EXILED),
        ]
    }

    /// What decides what it will do. Suspicions are there by their accusers; graves, seeds and what waits to be sent by
    /// how many there are. Left out are what limits who is answered (`meter`), as it counts the rejected, too, timers and
    /// dice.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        for (key, row) in self.table.iter() {
            (key, row.id, row.incarnation, row.health).hash(hasher);
            (self.table.ip_of(row), row.swim_port, row.gossip_port).hash(hasher);
            (row.flags, row.rtt, self.table.name_of(row)).hash(hasher);
            (row.since, row.place).hash(hasher);
            self.accusers(row).hash(hasher);
            self.news.tellings_of(row.news).hash(hasher);
        }
        for size in self.sizes() {
            size.now.hash(hasher);
        }
        (
            self.local_health.score(),
            self.pushing,
            self.somebody_went,
            self.rumors,
            self.starting,
        )
            .hash(hasher);
        (self.witness.in_a_row(), self.witness.suspects()).hash(hasher);
        (&self.probe, &self.sync, self.leave, self.last_words).hash(hasher);
        self.comebacks.hash(hasher);
        self.healing.hash(hasher);
        (&self.verdicts, &self.transfers, &self.told, &self.corrected).hash(hasher);
        (&self.blocked, &self.exiled).hash(hasher);
        (self.addressed, self.advertised, self.next_probe_ping).hash(hasher);
        (self.reserved, self.reserve_due, self.unread).hash(hasher);
        (self.stored, self.raise_due, self.last_heard, self.isolated).hash(hasher);
        (self.filler, self.notices.len()).hash(hasher);
        self.unproved.hash(hasher);
        self.advertisers.hash(hasher);
        self.whereabouts.hash(hasher);
        self.echoes.hash_state(hasher);
        self.replay.hash_state(hasher);
        self.lives.hash(hasher);
        self.turn().hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::Notice;
    use super::super::leave::Leave;
    use super::super::news::COLD;
    use super::*;
    use crate::config::NodeConfig;
    use crate::env::Env;
    use crate::event::Cause;
    use crate::journal::Journal;
    use crate::member::{Health, Incarnation, Member, MemberId};
    use crate::time::Time;
    use crate::timer::TimerWheel;
    use crate::wire::Serial;

    const OTHER: MemberId = MemberId::from_bytes([2; 16]);

    /// One that knows another, whose record is news, and probes it.
    fn probing() -> Swim {
        let mut env = Env {
            now: Time::ZERO,
            wall: Time::ZERO,
            rng: StdRng::seed_from_u64(1),
            timers: TimerWheel::new(Time::ZERO),
            journal: Journal::default(),
        };
        let config = NodeConfig::new(MemberId::from_bytes([1; 16]), 1, [0; 32]);
        let mut swim = Swim::new(&config, &mut env);
        let other = Member {
            id: OTHER,
            incarnation: Incarnation::default(),
            ip: [10, 0, 0, 2].into(),
            swim_port: 1,
            gossip_port: 0,
            persistent: false,
            departed: false,
        };
        let key = swim.learn(&mut env, &other, Health::Alive, Cause::ProofOfLife, true);
        assert!(swim.table.get(key.unwrap()).unwrap().news != COLD);
        swim.probe_period(&mut env);
        assert!(swim.probe.is_some());
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
        let changes: [Change; 28] = [
            ("no probe", |swim| swim.probe = None),
            ("news was told", |swim| {
                let other = swim.table.find(&OTHER).unwrap();
                let row = swim.table.get_mut(other).unwrap();
                row.news = swim.news.told(row.news, 9).unwrap();
            }),
            ("a record was heard", |swim| swim.echoes.add(b"record", 1)),
            ("a datagram was heard", |swim| {
                let serial = Serial {
                    epoch: 1,
                    number: 1,
                };
                swim.replay.note(&OTHER, 1, serial, 0);
            }),
            ("a table was told to it", |swim| {
                swim.sync.told_by(Time::ZERO, OTHER);
            }),
            ("and by it", |swim| swim.told.push_back((Time::ZERO, OTHER))),
            ("a member came back", |swim| {
                swim.came_back(Time::ZERO, OTHER)
            }),
            ("it answered at its source", |swim| {
                swim.advertisers.note_source(1, ([10, 0, 0, 3], 1).into());
            }),
            ("it leaves", |swim| swim.leave = Leave::Telling),
            ("a last word was asked for", |swim| swim.last_words += 1),
            ("somebody was corrected", |swim| swim.corrected.push(1)),
            ("another filler", |swim| swim.filler += 1),
            ("its address is given", |swim| swim.advertised ^= true),
            ("its address is known", |swim| swim.addressed ^= true),
            ("an incarnation to store", |swim| swim.reserve_due ^= true),
            ("fewer incarnations are reserved", |swim| {
                swim.reserved = Incarnation::default();
            }),
            ("fewer are on disk", |swim| {
                swim.stored = Incarnation::default();
            }),
            ("an incarnation waits for the disk", |swim| {
                swim.raise_due = Some(Incarnation::default());
            }),
            ("a ProbePing came", |swim| {
                swim.next_probe_ping = Time::from_millis(9);
            }),
            ("its health changed, and back", |swim| {
                let other = swim.table.find(&OTHER).unwrap();
                swim.table.get_mut(other).unwrap().since = Time::from_millis(9);
            }),
            ("gossip is to know something", |swim| {
                swim.notices.push_back(Notice::Mismatch(OTHER));
            }),
            ("it heard a member", |swim| {
                swim.last_heard = Time::from_millis(9);
            }),
            ("something to read", |swim| swim.unread ^= true),
            ("rumors", |swim| swim.rumors += 1),
            ("it compared them", |swim| swim.starting ^= true),
            ("blocked", |swim| _ = swim.blocked.insert(OTHER)),
            ("gone for good", |swim| _ = swim.exiled.insert(OTHER)),
            ("in doubt of itself", |swim| swim.local_health.worsen()),
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
