//! Rumors in simulated rings: how fast and at what cost they reach everybody, and what happens to those who
//! were not there.

use std::time::Duration;

use butterfly::sim::{Index, Sim, SimConfig};
use butterfly::wire::{encode_rumor, seal_into};
use butterfly::{Event, Incarnation, Rumor, RumorId, ServiceConfig, ServiceGroup};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

const SEEDS: u64 = 20;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn group(name: &str) -> ServiceGroup {
    format!("{name}.default").parse().unwrap()
}

fn config(group: ServiceGroup, incarnation: u64) -> ServiceConfig {
    ServiceConfig::new(group, incarnation, "port = 6380\n")
}

fn apply(sim: &mut Sim, member: Index, config: ServiceConfig) {
    sim.command(member, |node, now| node.apply_config(now, config).unwrap());
}

/// A settled ring.
fn ring(seed: u64, members: usize) -> Sim {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.start_ring(members);
    assert!(sim.run_until(secs(60.0), |sim| sim.all_agree()));
    sim.run_for(secs(5.0));
    sim
}

#[test]
fn two_next_versions_at_once_end_as_one_and_the_loser_says_so() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 8);
        let group = group("redis");
        for (member, text) in [(2, "one"), (5, "another")] {
            let group = group.clone();
            sim.command(member, move |node, now| {
                let version = node.next_version(&RumorId::config(&group), 0).unwrap();
                let config = ServiceConfig::new(group, version, text);
                node.apply_config(now, config).unwrap();
            });
        }
        let mut losers = Vec::new();
        let agreed = sim.run_until(secs(30.0), |sim| {
            sim.same_rumors() && sim.node(0).rumor_count() == 1
        });
        assert!(agreed, "seed {seed}");
        for member in 0..8 {
            for (_, event) in sim.take_events(member) {
                if let Event::RumorOverruled {
                    winner, version, ..
                } = event
                {
                    losers.push((member, winner, version));
                }
            }
        }
        let held = sim.node(0).rumor(&RumorId::config(&group)).unwrap();
        let Some(Rumor::ServiceConfig(held)) = held.rumor() else {
            panic!("seed {seed}");
        };
        let (loser, winner) = if held.config == b"one" {
            (5, 2)
        } else {
            (2, 5)
        };
        let winner = Some(sim.id(winner));
        assert_eq!(losers, [(loser, winner, 1)], "seed {seed}");
    }
}

/// In how many rounds of a second the original's scheme reaches everybody: each member takes, once a second,
/// the next five of a shuffled list of the others, and pushes what it did not yet push twice to each
/// (PROTOCOL.md §3, "Heat").
fn rounds_of_the_original(members: usize, loss: f64, seed: u64) -> f64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let lists: Vec<Vec<usize>> = (0..members)
        .map(|me| {
            let mut list: Vec<_> = (0..members).filter(|other| *other != me).collect();
            list.shuffle(&mut rng);
            list
        })
        .collect();
    let mut order: Vec<(f64, usize)> = (0..members).map(|me| (rng.random(), me)).collect();
    order.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut knows = vec![false; members];
    knows[0] = true;
    // Each of the list twice, then it is cold.
    let mut pushed = vec![0; members];
    (0..100)
        .find_map(|round| {
            order.iter().find_map(|(phase, me)| {
                let left = 2 * lists[*me].len() - pushed[*me];
                for _ in 0..left.min(5).min(lists[*me].len()) * usize::from(knows[*me]) {
                    let to = lists[*me][pushed[*me] % lists[*me].len()];
                    pushed[*me] += 1;
                    knows[to] |= rng.random::<f64>() >= loss;
                }
                let done = knows.iter().all(|knows| *knows);
                done.then_some(f64::from(round) + phase)
            })
        })
        .unwrap()
}

#[derive(Clone, Copy, Default)]
struct Spread {
    /// Seconds until all have it: on average over the seeds, and at worst.
    mean: f64,
    worst: f64,
    /// Pushes a member.
    sends: f64,
}

const LOSSES: [f64; 2] = [0.0, 0.2];

/// A rumor without loss, and then one with.
fn spread(members: usize, seeds: u64) -> [Spread; 2] {
    let mut spreads = [Spread::default(); 2];
    for seed in 0..seeds {
        let mut sim = ring(seed, members);
        for (number, (spread, loss)) in spreads.iter_mut().zip(LOSSES).enumerate() {
            sim.network_mut().loss = loss;
            let (start, pushes) = (sim.now(), sim.pushes);
            apply(&mut sim, 0, config(group(&format!("redis{number}")), 1));
            let all = |sim: &Sim| sim.up().all(|of| sim.node(of).rumor_count() == number + 1);
            assert!(sim.run_until(secs(60.0), all), "seed {seed}");
            let took = sim.now().since(start).as_secs_f64();
            spread.mean += took / seeds as f64;
            spread.worst = spread.worst.max(took);
            sim.run_for(secs(1.5));
            spread.sends += (sim.pushes - pushes) as f64 / members as f64 / seeds as f64;
            assert!(sim.up().all(|member| sim.node(member).hot_rumors() == 0));
        }
    }
    spreads
}

fn spreads_as_promised(members: usize, seeds: u64) {
    for (ours, loss) in spread(members, seeds).into_iter().zip(LOSSES) {
        let original = (0..SEEDS).map(|seed| rounds_of_the_original(members, loss, seed));
        let original = original.sum::<f64>() / SEEDS as f64;
        println!(
            "{members} members, loss {loss}: {:.3} s on average, {:.3} at worst, {:.2} sends a member; \
             the original's scheme: {original:.2} s, {} sends a member",
            ours.mean,
            ours.worst,
            ours.sends,
            2 * (members - 1)
        );
        assert!(ours.worst <= 1.2 * original);
        assert!(ours.sends <= 16.0);
    }
}

#[test]
fn a_rumor_reaches_ten_members() {
    spreads_as_promised(10, SEEDS);
}

#[test]
fn a_rumor_reaches_a_hundred_members() {
    spreads_as_promised(100, SEEDS);
}

#[test]
fn a_rumor_reaches_a_thousand_members() {
    spreads_as_promised(1_000, 1);
}

#[test]
#[ignore = "minutes: cargo test --release --test sim gossip -- --ignored --nocapture"]
fn a_rumor_reaches_a_thousand_members_with_every_seed() {
    spreads_as_promised(1_000, SEEDS);
}

fn hold(sim: &mut Sim, member: Index, rumors: u64) {
    for number in 0..rumors {
        apply(sim, member, config(group(&format!("s{number}")), 1));
    }
}

#[test]
fn who_joins_a_ring_that_holds_a_thousand_rumors_soon_has_them_all() {
    newcomers(2);
}

#[test]
#[ignore = "minutes: cargo test --release --test sim gossip -- --ignored --nocapture"]
fn who_joins_a_ring_that_holds_a_thousand_rumors_soon_has_them_all_with_every_seed() {
    newcomers(SEEDS);
}

fn newcomers(seeds: u64) {
    for seed in 0..seeds {
        let mut sim = ring(seed, 100);
        hold(&mut sim, 0, 1_000);
        assert!(sim.run_until(secs(60.0), |sim| sim.same_rumors()));
        sim.run_for(secs(10.0));
        let newcomer = sim.start();
        sim.join(newcomer, 1 + seed as usize);
        let start = sim.now();
        let has_all = |sim: &Sim| sim.node(newcomer).rumor_count() == 1_000;
        assert!(sim.run_until(secs(5.0), has_all), "seed {seed}");
        let took = sim.now().since(start).as_secs_f64();
        sim.run_for(secs(20.0));
        let received = sim.node(newcomer).stats().rumors_received;
        println!("seed {seed}: {took:.3} s, {received} received");
        assert!(received <= 4_000, "seed {seed}: {received}");
        assert!(sim.same_rumors());
    }
}

#[test]
fn after_a_partition_of_an_hour_both_halves_hold_the_same() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 20);
        sim.partition(|member| u8::from(member % 2 == 0));
        sim.run_for(secs(1_800.0));
        for number in 0..50 {
            apply(&mut sim, 0, config(group(&format!("even{number}")), 1));
            apply(&mut sim, 1, config(group(&format!("odd{number}")), 1));
            // The same, said differently: all have to end with one of them.
            apply(
                &mut sim,
                (number % 2) as usize,
                config(group("both"), number + 1),
            );
        }
        sim.run_for(secs(1_800.0));
        assert!(!sim.same_rumors());
        sim.partition(|_| 0);
        let start = sim.now();
        assert!(
            sim.run_until(secs(60.0), |sim| sim.same_rumors()),
            "seed {seed}"
        );
        println!("seed {seed}: {:.3} s", sim.now().since(start).as_secs_f64());
        assert_eq!(sim.node(0).rumor_count(), 101);
    }
}

#[test]
fn a_quiet_ring_sends_no_rumors() {
    let mut sim = ring(1, 50);
    hold(&mut sim, 0, 100);
    assert!(sim.run_until(secs(60.0), |sim| sim.same_rumors()));
    sim.run_for(secs(60.0));
    let (pushes, comparisons) = (sim.pushes, sum(&sim, |stats| stats.comparisons));
    sim.run_for(secs(900.0));
    assert_eq!(sim.pushes, pushes);
    assert_eq!(sum(&sim, |stats| stats.comparisons), comparisons);
}

fn sum(sim: &Sim, of: impl Fn(&butterfly::Stats) -> u64) -> u64 {
    sim.up().map(|member| of(sim.node(member).stats())).sum()
}

#[test]
fn who_was_down_gets_what_it_missed() {
    for seed in 0..SEEDS {
        let mut sim = ring(seed, 10);
        sim.crash(3);
        hold(&mut sim, 0, 20);
        assert!(
            sim.run_until(secs(2.0), |sim| sim.same_rumors()),
            "it delays nobody"
        );
        sim.run_for(secs(60.0));
        sim.restart(3, Incarnation::new(5).unwrap());
        sim.join(3, 0);
        assert!(
            sim.run_until(secs(5.0), |sim| sim.same_rumors()),
            "seed {seed}"
        );
    }
}

#[test]
fn what_others_do_not_keep_is_not_pushed_at_them_for_ever() {
    let mut sim = ring(3, 5);
    let mut stray = butterfly::Service::new(group("redis"), "core/redis/7.0.0/20260101000000");
    stray.member = butterfly::MemberId::from_bytes([9; 16]);
    stray.incarnation = 1;
    // Four know that a member is gone for good, and one that was not there knows its service.
    sim.partition(|member| u8::from(member == 4));
    let gone = stray.member;
    sim.command(0, |node, now| node.depart(now, gone).unwrap());
    let rumor = butterfly::Rumor::Service(stray);
    let bytes = butterfly::wire::encode_rumor(&rumor, "").bytes;
    sim.command(4, |node, _| node.restore_rumor(&bytes).unwrap());
    sim.run_for(secs(1.0));
    let pushes = sim.pushes;
    sim.partition(|_| 0);
    assert!(sim.run_until(secs(10.0), |sim| sim.same_rumors()));
    sim.run_for(secs(20.0));
    assert!(sim.pushes - pushes < 50, "{}", sim.pushes - pushes);
}

#[test]
fn what_finds_no_agreement_is_not_pushed_for_ever_either() {
    let mut sim = ring(3, 3);
    sim.command(2, |node, now| {
        let service = butterfly::Service::new(group("redis"), "core/redis/7.0.0/20260101000000");
        node.announce(now, service).unwrap();
    });
    assert!(sim.run_until(secs(5.0), |sim| sim.same_rumors()));
    let kept = sim.node(0).rumors().next().unwrap().bytes().to_vec();
    sim.command(2, |node, now| node.leave(now));
    sim.run_for(secs(2.0));
    sim.crash(2);
    // Who comes now knows the service from its disk, and nothing of who left.
    let late = sim.start();
    sim.command(late, |node, _| node.restore_rumor(&kept).unwrap());
    sim.join(late, 0);
    let pushes = sim.pushes;
    sim.run_for(secs(30.0));
    assert!(sim.pushes - pushes < 20, "{}", sim.pushes - pushes);
    // Two sweeps of services that nobody speaks for.
    sim.run_for(secs(120.0));
    assert!(sim.same_rumors());
}

#[test]
fn files_are_told_to_all_and_pushed_to_each_about_once() {
    let mut sim = ring(4, 50);
    let (start, bytes) = (sim.now(), sim.push_bytes);
    let body = vec![7; 1 << 20];
    let file = butterfly::ServiceFile::new(group("redis"), 1, "big", body);
    sim.command(0, |node, now| node.apply_file(now, file).unwrap());
    assert!(sim.run_until(secs(60.0), |sim| sim.same_rumors()));
    sim.run_for(secs(5.0));
    let copies = (sim.push_bytes - bytes) as f64 / f64::from(1 << 20) / 49.0;
    println!(
        "{:.3} s, {copies:.2} copies a member",
        sim.now().since(start).as_secs_f64() - 5.0
    );
    assert!(copies < 2.0, "{copies}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut sim = ring(seed, 10);
        hold(&mut sim, 0, 30);
        sim.run_for(secs(30.0));
        sim.trace_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// A stranger pushes a configuration to its last version and beyond, at one member: what is beyond is nowhere, and
/// what is held stays.
#[test]
fn versions_beyond_the_limit_do_no_harm_to_a_ring() {
    use butterfly::limits::MAX_VERSION;
    let mut sim = ring(3, 10);
    let held = config(group("redis"), 7);
    apply(&mut sim, 0, held.clone());
    sim.run_for(secs(2.0));
    for version in [MAX_VERSION + 1, 1 << 63, u64::MAX] {
        let forged = Rumor::ServiceConfig(config(group("redis"), version));
        let bytes = encode_rumor(&forged, "nobody").bytes;
        for member in 0..10 {
            sim.command(member, |node, now| {
                let mut frame = Vec::new();
                seal_into(None, &bytes, &mut frame);
                node.handle_rumor(now, &mut frame, || "10.9.9.9:0".parse().unwrap());
            });
        }
    }
    sim.run_for(secs(5.0));
    let id = RumorId::config(&group("redis"));
    for member in sim.up() {
        let view = sim.node(member).rumor(&id).unwrap();
        assert_eq!(view.rumor(), Some(Rumor::ServiceConfig(held.clone())));
    }
    apply(&mut sim, 9, config(group("redis"), 8));
    sim.run_for(secs(2.0));
    assert!(sim.same_rumors());
}

/// A removal reaches all, those that were away too, and what they held does not come back.
#[test]
fn what_is_removed_stays_removed_when_a_member_with_an_older_copy_returns() {
    let mut sim = ring(4, 10);
    apply(&mut sim, 0, config(group("redis"), 7));
    sim.run_for(secs(2.0));
    sim.partition(|member| u8::from(member == 9));
    sim.run_for(secs(30.0));
    sim.command(3, |node, now| {
        assert_eq!(node.remove_config(now, &group("redis")), Ok(true));
    });
    sim.run_for(secs(30.0));
    let id = RumorId::config(&group("redis"));
    let removed = |sim: &Sim, member: Index| sim.node(member).rumor(&id).unwrap().removed;
    assert!((0..9).all(|member| removed(&sim, member)) && !removed(&sim, 9));
    sim.partition(|_| 0);
    let all = |sim: &Sim| sim.up().all(|member| removed(sim, member));
    assert!(sim.run_until(secs(120.0), all));
    sim.run_for(secs(10.0));
    assert!(all(&sim) && sim.same_rumors());
}
