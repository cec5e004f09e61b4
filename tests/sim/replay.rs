//! An attacker that records all datagrams of a sealed ring, has no key, and sends them again.

use std::net::SocketAddr;
use std::time::Duration;

use butterfly::error::Reject;
use butterfly::sim::{Disk, Index, Sim, SimConfig, Taken};
use butterfly::wire::RingKey;
use butterfly::{Health, Incarnation};

const SECOND: Duration = Duration::from_secs(1);

/// Where nobody is but the attacker, which hears nothing of what comes there.
fn elsewhere() -> SocketAddr {
    "10.99.0.1:9638".parse().unwrap()
}

fn key(number: u8) -> RingKey {
    RingKey::new("ring", &format!("2026010100000{number}"), [number; 32]).unwrap()
}

/// A sealed ring in which everyone has heard of everyone, all of whose datagrams are recorded from its first on.
struct Attack {
    sim: Sim,
    all: Vec<Index>,
    recorded: Vec<Taken>,
}

impl Attack {
    fn on_ring(seed: u64, members: usize) -> Self {
        let mut config = SimConfig::new(seed);
        config.ring_keys = vec![key(1), key(2)];
        let mut sim = Sim::new(config);
        sim.record_all();
        let all = sim.start_ring(members);
        assert!(sim.run_until(30 * SECOND, Sim::all_agree));
        // So that each has probed, and been probed by, each.
        sim.run_for(6 * members as u32 * SECOND);
        let mut attack = Attack {
            sim,
            all,
            recorded: Vec::new(),
        };
        attack.record();
        assert!(attack.recorded.len() > 20 * members);
        attack
    }

    fn record(&mut self) {
        let more = self.sim.take_recorded();
        self.recorded.extend(more);
    }

    /// Sends this once more, to whom it was sent if that one runs, from its sender's address at that time or from
    /// elsewhere.
    fn replay(&mut self, taken: &Taken, from: SocketAddr) {
        if let Some(to) = self.sim.who_is_at(taken.to) {
            self.sim.forge(from, to, &taken.bytes);
        }
    }

    /// All that was recorded, of these senders, from there and then from elsewhere, spread over some time.
    fn replay_all(
        &mut self,
        whose: impl Fn(Index) -> bool,
        from: impl Fn(&Sim, Index) -> SocketAddr,
    ) {
        let recorded = std::mem::take(&mut self.recorded);
        for (place, taken) in recorded
            .iter()
            .filter(|taken| whose(taken.from))
            .enumerate()
        {
            let source = from(&self.sim, taken.from);
            self.replay(taken, source);
            if place % 20 == 19 {
                self.sim.run_for(Duration::from_millis(50));
            }
        }
        self.sim.run_for(SECOND);
        self.recorded = recorded;
    }

    /// Where each member that runs holds each other to be, and for what.
    fn views(&self) -> Vec<(Index, Index, SocketAddr, Option<Health>, Incarnation)> {
        let mut views = Vec::new();
        for of in self.sim.up() {
            for about in &self.all {
                let view = self.sim.node(of).member(self.sim.id(*about)).unwrap();
                let member = &view.member;
                views.push((
                    of,
                    *about,
                    member.swim_addr(),
                    Some(view.health),
                    member.incarnation,
                ));
            }
        }
        views
    }

    fn rejected(&self, reason: Reject) -> u64 {
        let nodes = self.sim.up().map(|member| self.sim.node(member));
        nodes.map(|node| node.stats().rejected(reason)).sum()
    }
}

fn own(sim: &Sim, member: Index) -> SocketAddr {
    sim.addr(member)
}

fn strange(_: &Sim, _: Index) -> SocketAddr {
    elsewhere()
}

#[test]
fn what_was_recorded_of_the_living_moves_nobody_and_changes_nothing() {
    for seed in 0..3 {
        let mut attack = Attack::on_ring(seed, 6);
        let before = attack.views();
        for from in [own, strange] {
            attack.replay_all(|_| true, from);
            assert_eq!(attack.views(), before, "seed {seed}");
        }
        assert!(attack.rejected(Reject::Replayed) > 1_000);
        assert!(attack.sim.all_agree());
        assert_eq!(attack.sim.violations(), []);
    }
}

/// The very state of each member is as if nothing had come, but for what strangers may provoke.
#[test]
fn a_datagram_that_was_heard_leaves_no_trace_and_is_not_answered() {
    let mut attack = Attack::on_ring(3, 4);
    let recorded = attack.recorded.clone();
    let to = attack.all[1];
    let here = attack.sim.addr(to);
    let heard: Vec<_> = recorded.iter().filter(|taken| taken.to == here).collect();
    let state = |sim: &Sim| {
        let stats = sim.node(to).stats();
        (
            stats.sent_total(),
            stats.records_received,
            stats.records_adopted,
        )
    };
    let mut again = 0;
    for taken in heard {
        let (before, rejected) = (state(&attack.sim), attack.rejected(Reject::Replayed));
        attack.sim.forge(elsewhere(), to, &taken.bytes);
        attack.sim.run_for(Duration::ZERO);
        if attack.rejected(Reject::Replayed) > rejected {
            again += 1;
            assert_eq!(state(&attack.sim), before);
        }
    }
    assert!(again > 50, "{again}");
}

#[test]
fn what_was_recorded_of_the_dead_neither_keeps_them_alive_nor_brings_them_back() {
    for seed in 0..3 {
        let mut attack = Attack::on_ring(seed, 6);
        let dead = attack.all[2];
        attack.sim.crash(dead);
        // Before anybody knows that it is dead, and until all do.
        let mut rounds = 0;
        while !attack.sim.all_hold(dead, Health::Confirmed) {
            attack.replay_all(
                |from| from == dead,
                if rounds % 2 == 0 { own } else { strange },
            );
            rounds += 1;
            assert!(rounds < 20, "seed {seed}: it is kept alive");
        }
        for from in [own, strange] {
            attack.replay_all(|from| from == dead, from);
            assert!(attack.sim.all_hold(dead, Health::Confirmed), "seed {seed}");
        }
        assert_eq!(attack.sim.violations(), []);
    }
}

#[test]
fn what_a_member_sent_before_it_started_again_has_no_effect() {
    for (disk, seed) in [(Disk::Kept, 1), (Disk::Lost, 2), (Disk::Older, 3)] {
        let mut attack = Attack::on_ring(seed, 5);
        let (member, far) = (attack.all[2], attack.all[3]);
        attack.sim.copy_disk(member);
        attack.sim.crash(member);
        assert!(
            attack
                .sim
                .run_until(60 * SECOND, |sim| sim.all_hold(member, Health::Confirmed))
        );
        attack.sim.restart_with(member, disk);
        if disk == Disk::Lost {
            attack.sim.join(member, far);
        }
        assert!(
            attack.sim.run_until(120 * SECOND, Sim::all_agree),
            "{disk:?}"
        );
        attack.sim.run_for(20 * SECOND);
        let before = attack.views();
        for from in [own, strange] {
            // Also what was sent to it before, and what it sent.
            attack.replay_all(|_| true, from);
            assert_eq!(attack.views(), before, "{disk:?}");
        }
        attack.record();
        attack.sim.crash(member);
        assert!(
            attack
                .sim
                .run_until(60 * SECOND, |sim| sim.all_hold(member, Health::Confirmed))
        );
        for from in [own, strange] {
            attack.replay_all(|from| from == member, from);
            assert!(attack.sim.all_hold(member, Health::Confirmed), "{disk:?}");
        }
        assert_eq!(attack.sim.violations(), []);
    }
}

/// A member that just started again holds its disk's word that another lives, and never heard that one.
#[test]
fn a_member_that_started_again_is_told_nothing_by_what_was_sent_to_it_before() {
    for seed in 0..3 {
        let mut attack = Attack::on_ring(seed, 5);
        let (member, dead) = (attack.all[1], attack.all[4]);
        attack.sim.crash(member);
        attack.sim.crash(dead);
        attack.sim.restart_with(member, Disk::Kept);
        let mut rounds = 0;
        while attack.sim.view(member, dead) != Some(Health::Confirmed) {
            attack.replay_all(
                |from| from == dead,
                if rounds % 2 == 0 { own } else { strange },
            );
            rounds += 1;
            assert!(rounds < 20, "seed {seed}: it is kept alive");
        }
        for from in [own, strange] {
            attack.replay_all(|from| from == dead, from);
            assert_eq!(attack.sim.view(member, dead), Some(Health::Confirmed));
        }
        assert_eq!(attack.sim.violations(), []);
    }
}

#[test]
fn the_window_outlives_the_key() {
    let mut attack = Attack::on_ring(5, 5);
    let dead = attack.all[2];
    for keys in [vec![key(2), key(1)], vec![key(2), key(1)]] {
        for member in attack.all.clone() {
            let keys = keys.clone();
            attack
                .sim
                .command(member, |node, _| node.set_ring_keys(keys));
        }
        attack.sim.run_for(30 * SECOND);
    }
    assert!(attack.sim.all_agree());
    let before = attack.views();
    for from in [own, strange] {
        attack.replay_all(|_| true, from);
        assert_eq!(attack.views(), before);
    }
    attack.record();
    attack.sim.crash(dead);
    assert!(
        attack
            .sim
            .run_until(60 * SECOND, |sim| sim.all_hold(dead, Health::Confirmed))
    );
    attack.replay_all(|from| from == dead, own);
    assert!(attack.sim.all_hold(dead, Health::Confirmed));
    assert_eq!(attack.sim.violations(), []);
}

/// A datagram that one member got is no use with another, not even the first of its sender's.
#[test]
fn a_datagram_has_no_effect_at_another_member() {
    let mut attack = Attack::on_ring(6, 6);
    let dead = attack.all[2];
    attack.sim.crash(dead);
    attack.sim.run_for(60 * SECOND);
    assert!(attack.sim.all_hold(dead, Health::Confirmed));
    let recorded = std::mem::take(&mut attack.recorded);
    let before = attack.views();
    for taken in recorded.iter().filter(|taken| taken.from == dead).rev() {
        for to in attack.all.clone() {
            if to != dead {
                attack.sim.forge(attack.sim.addr(dead), to, &taken.bytes);
            }
        }
        attack.sim.run_for(Duration::from_millis(10));
    }
    assert_eq!(attack.views(), before);
    assert!(attack.rejected(Reject::OtherReceiver) > 300);
}

/// Where a member really went, others follow.
#[test]
fn a_member_that_moved_is_followed() {
    for disk in [Disk::Kept, Disk::Lost] {
        let mut attack = Attack::on_ring(7, 6);
        let member = attack.all[2];
        attack.sim.crash(member);
        attack.sim.run_for(SECOND);
        attack.sim.move_away(member);
        attack.sim.restart_with(member, disk);
        attack.sim.join(member, attack.all[0]);
        let there = attack.sim.addr(member);
        let id = attack.sim.id(member);
        let is_followed = |sim: &Sim| {
            sim.up().all(|of| {
                let view = sim.node(of).member(id).unwrap();
                view.member.swim_addr() == there && view.health == Health::Alive
            })
        };
        assert!(attack.sim.run_until(10 * SECOND, is_followed), "{disk:?}");
        attack.replay_all(|_| true, strange);
        attack.sim.run_for(10 * SECOND);
        assert!(is_followed(&attack.sim), "{disk:?}");
        assert_eq!(attack.sim.violations(), []);
    }
}

/// Two that cannot reach each other straight hold each other for alive through the others.
#[test]
fn a_probe_through_others_works_on_a_sealed_ring() {
    let mut attack = Attack::on_ring(8, 6);
    let (one, other) = (attack.all[1], attack.all[4]);
    attack.sim.cut(one, other);
    attack.sim.cut(other, one);
    for _ in 0..60 {
        attack.sim.run_for(SECOND);
        assert!(attack.sim.all_agree());
    }
    let stats = attack.sim.node(one).stats();
    assert!(stats.probes_indirect > 5, "{}", stats.probes_indirect);
    assert_eq!(stats.probes_failed, 0);
}

/// What was relayed for one probe ends no other.
#[test]
fn an_ack_that_was_relayed_once_keeps_nobody_alive() {
    let mut attack = Attack::on_ring(9, 6);
    let (one, other) = (attack.all[1], attack.all[4]);
    attack.sim.cut(one, other);
    attack.sim.cut(other, one);
    attack.sim.run_for(60 * SECOND);
    attack.record();
    let to = attack.sim.addr(one);
    attack.sim.crash(other);
    let (mut rounds, relays) = (0, attack.all.clone());
    while attack.sim.view(one, other) != Some(Health::Confirmed) {
        let recorded = std::mem::take(&mut attack.recorded);
        for taken in recorded
            .iter()
            .filter(|taken| taken.to == to && relays.contains(&taken.from))
        {
            attack.replay(taken, attack.sim.addr(taken.from));
        }
        attack.recorded = recorded;
        attack.sim.run_for(SECOND);
        rounds += 1;
        assert!(rounds < 60, "it is kept alive");
    }
    assert!(
        attack
            .sim
            .run_until(30 * SECOND, |sim| sim.all_hold(other, Health::Confirmed))
    );
}
