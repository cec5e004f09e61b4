//! What can be made to go wrong in a simulated process does go wrong, is counted, and ends. (What happens to
//! messages on their way is tested in `src/sim/way.rs`, one message at a time.)

use std::time::Duration;

use butterfly::sim::{Disk, Fault, Index, Sim, SimConfig, id_of};
use butterfly::{Event, Health, Incarnation, ServiceConfig};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many that have long known each other.
fn ring(members: usize) -> Sim {
    let mut sim = Sim::new(SimConfig::new(7));
    sim.start_settled(members);
    sim.run_for(secs(5));
    assert!(sim.all_agree());
    sim
}

fn address(sim: &Sim, of: Index, about: Index) -> String {
    let member = sim.node(of).member(id_of(about)).unwrap().member;
    member.swim_addr().to_string()
}

fn incarnation(sim: &Sim, member: Index) -> u64 {
    sim.node(member).me().member.incarnation.get()
}

fn count(sim: &Sim, fault: Fault) -> u64 {
    sim.faults().of(fault)
}

/// How often a member was found late, and lost time for it.
fn lags(sim: &mut Sim, member: Index) -> Vec<Duration> {
    let events = sim.take_events(member);
    let lag = |event| match event {
        Event::Lagged { by } => Some(by),
        _ => None,
    };
    events
        .into_iter()
        .filter_map(|(_, event)| lag(event))
        .collect()
}

fn believe(sim: &mut Sim, about: Index, health: Health) {
    let all = sim.run_until(secs(60), |sim| sim.all_hold(about, health));
    assert!(all, "not all hold {about} for {health}");
}

fn agree(sim: &mut Sim) {
    assert!(sim.run_until(secs(120), Sim::all_agree));
    assert_eq!(sim.violations(), []);
}

#[test]
fn who_crashes_is_silent_and_its_socket_is_gone() {
    let mut sim = ring(4);
    sim.crash(2);
    sim.crash(2);
    assert_eq!(count(&sim, Fault::Crash), 1);
    assert!(!sim.is_up(2) && sim.up().eq([0, 1, 3]));
    let sent = sim.node(2).stats().sent_total();
    believe(&mut sim, 2, Health::Confirmed);
    assert_eq!(sim.node(2).stats().sent_total(), sent);
}

fn config(number: u64) -> ServiceConfig {
    ServiceConfig::new("redis.default".parse().unwrap(), number, [1])
}

/// What a member knows right after it started again with this disk, on which there was, when it was copied
/// and when it crashed: members, rumors, and the incarnation.
fn restarted(disk: Disk) -> (Sim, usize, usize, u64) {
    let mut sim = ring(4);
    sim.command(2, |node, now| node.apply_config(now, config(1)).unwrap());
    sim.run_for(secs(1));
    sim.copy_disk(2);
    sim.start();
    sim.join(4, 0);
    let mut file = config(1);
    file.group = "nginx.default".parse().unwrap();
    sim.command(0, |node, now| node.apply_config(now, file).unwrap());
    agree(&mut sim);
    sim.run_for(secs(5));
    assert_eq!(sim.node(2).rumor_count(), 2);
    sim.crash(2);
    // Nobody tells it anything.
    sim.partition(|member| u8::from(member == 2));
    sim.restart_with(2, disk);
    let known = sim.node(2).members().count();
    let (rumors, number) = (sim.node(2).rumor_count(), incarnation(&sim, 2));
    (sim, known, rumors, number)
}

#[test]
fn who_restarts_with_its_disk_knows_what_it_knew() {
    let (mut sim, members, rumors, number) = restarted(Disk::Kept);
    assert_eq!((members, rumors), (5, 2));
    assert!(number > 0, "{number}");
    assert_eq!(count(&sim, Fault::RestartKept), 1);
    // Nobody has to be told where the others are.
    sim.heal();
    agree(&mut sim);
}

#[test]
fn who_restarts_without_its_disk_knows_nothing() {
    let (mut sim, members, rumors, number) = restarted(Disk::Lost);
    assert_eq!((members, rumors, number), (1, 0, 0));
    assert_eq!(count(&sim, Fault::RestartLost), 1);
    sim.heal();
    sim.join(2, 0);
    agree(&mut sim);
    assert!(sim.same_rumors());
}

#[test]
fn who_restarts_with_an_older_disk_knows_what_it_knew_then() {
    let (mut sim, members, rumors, number) = restarted(Disk::Older);
    assert_eq!((members, rumors), (4, 1));
    assert!(number > 0, "{number}");
    assert_eq!(count(&sim, Fault::RestartOlder), 1);
    sim.heal();
    agree(&mut sim);
    assert!(sim.run_until(secs(30), Sim::same_rumors));
}

#[test]
fn an_older_disk_has_an_incarnation_that_was_used() {
    let mut sim = ring(3);
    sim.copy_disk(2);
    for _ in 0..3 {
        sim.crash(2);
        sim.restart_with(2, Disk::Kept);
        sim.run_for(secs(10));
        agree(&mut sim);
    }
    let latest = incarnation(&sim, 2);
    sim.crash(2);
    sim.partition(|member| u8::from(member == 2));
    sim.restart_with(2, Disk::Older);
    assert!(incarnation(&sim, 2) < latest);
    sim.heal();
    sim.run_for(secs(10));
    agree(&mut sim);
    let now = incarnation(&sim, 2);
    assert!(
        now >= latest,
        "{now}: it goes on from its own past, {latest}"
    );
}

#[test]
fn without_a_copy_an_older_disk_is_an_empty_one() {
    let mut sim = ring(3);
    sim.crash(1);
    sim.restart_with(1, Disk::Older);
    assert_eq!(sim.node(1).members().count(), 1);
    let counts = [Fault::RestartOlder, Fault::RestartLost].map(|fault| count(&sim, fault));
    assert_eq!(counts, [0, 1]);
}

#[test]
fn who_is_down_is_not_stalled() {
    let mut sim = ring(3);
    sim.crash(1);
    sim.stall(1);
    assert_eq!(count(&sim, Fault::Stall), 0);
    sim.restart_with(1, Disk::Kept);
    agree(&mut sim);
}

#[test]
fn who_moves_is_found_at_its_new_address() {
    let mut sim = ring(4);
    let before = address(&sim, 0, 3);
    // Not while it runs.
    sim.move_away(3);
    assert_eq!(count(&sim, Fault::NewAddress), 0);
    sim.crash(3);
    sim.move_away(3);
    assert_eq!(count(&sim, Fault::NewAddress), 1);
    sim.restart_with(3, Disk::Kept);
    agree(&mut sim);
    sim.run_for(secs(10));
    let after = address(&sim, 0, 3);
    assert_ne!(before, after);
    for of in 0..3 {
        assert_eq!(address(&sim, of, 3), after);
        let events = sim.take_events(of).into_iter();
        let moves = events.filter_map(|(_, event)| match event {
            Event::MemberMoved { id, from, to, .. } => Some((id, from.to_string(), to.to_string())),
            Event::IdConflict { .. } => panic!("a move is no conflict"),
            _ => None,
        });
        let once = (id_of(3), before.clone(), after.clone());
        assert_eq!(moves.collect::<Vec<_>>(), [once]);
    }
}

#[test]
fn two_change_their_addresses() {
    let mut sim = ring(5);
    let before = (address(&sim, 0, 3), address(&sim, 0, 4));
    sim.crash(3);
    sim.swap_addresses(3, 4);
    assert_eq!(
        count(&sim, Fault::SwappedAddresses),
        0,
        "the other one runs"
    );
    sim.crash(4);
    sim.swap_addresses(3, 4);
    assert_eq!(count(&sim, Fault::SwappedAddresses), 1);
    sim.restart_with(3, Disk::Kept);
    sim.restart_with(4, Disk::Kept);
    agree(&mut sim);
    sim.run_for(secs(10));
    for of in 0..3 {
        let after = (address(&sim, of, 4), address(&sim, of, 3));
        assert_eq!(after, before);
    }
}

#[test]
fn two_with_one_id_are_one_member_until_one_stops() {
    let mut sim = ring(3);
    let home = address(&sim, 0, 1);
    let twin = sim.start_twin(1);
    assert_eq!((sim.id(twin), count(&sim, Fault::Twin)), (id_of(1), 1));
    sim.join(twin, 0);
    sim.run_for(secs(1));
    assert_ne!(address(&sim, 0, 1), home, "who spoke last is believed");
    sim.run_for(secs(30));
    sim.crash(twin);
    sim.run_for(secs(60));
    agree(&mut sim);
    let calm = incarnation(&sim, 1);
    sim.run_for(secs(60));
    assert_eq!(incarnation(&sim, 1), calm);
    assert!([0, 2].iter().all(|of| address(&sim, *of, 1) == home));
}

#[test]
fn who_is_frozen_is_confirmed_and_accuses_nobody_when_it_goes_on() {
    let mut sim = ring(5);
    sim.take_events(2);
    let before = (sim.node(2).stats().clone(), sim.node(2).now());
    sim.freeze(2);
    sim.freeze(2);
    assert_eq!(count(&sim, Fault::Freeze), 1);
    believe(&mut sim, 2, Health::Confirmed);
    assert_eq!((sim.node(2).stats().clone(), sim.node(2).now()), before);
    let stood = sim.now();
    sim.thaw(2);
    sim.run_for(secs(1));
    let lag: Duration = lags(&mut sim, 2).into_iter().sum();
    assert!(lag > secs(3) && lag < stood.since(before.1), "{lag:?}");
    agree(&mut sim);
    for (_, event) in sim.take_events(2) {
        if let Event::MemberChanged { to, .. } = event {
            assert!(to < Health::Confirmed);
        }
    }
}

/// What comes to who does not read lies in its socket until that is full.
#[test]
fn a_frozen_process_finds_what_came_when_it_thaws() {
    let mut config = SimConfig::new(7);
    config.socket_buffer = 3;
    let mut sim = Sim::new(config);
    sim.start_settled(4);
    sim.freeze(1);
    sim.run_for(secs(30));
    assert!(count(&sim, Fault::FullSocket) > 0);
    let received = sim.node(1).stats().received_total();
    sim.thaw(1);
    sim.run_for(Duration::from_micros(10));
    assert_eq!(sim.node(1).stats().received_total(), received + 3);
    agree(&mut sim);
}

#[test]
fn a_slow_process_answers_late_and_is_prompt_again() {
    let mut sim = ring(3);
    let longest_rtt = |sim: &Sim| {
        let rtt = |of: Index| sim.node(of).member(id_of(1)).unwrap().rtt.unwrap();
        rtt(0).max(rtt(2))
    };
    assert!(longest_rtt(&sim) < Duration::from_millis(10));
    sim.slow_down(1, Duration::from_millis(200));
    sim.run_for(secs(10));
    assert!(count(&sim, Fault::SlowLoop) > 20);
    assert!(longest_rtt(&sim) > Duration::from_millis(20));
    sim.slow_down(1, Duration::ZERO);
    let slow = count(&sim, Fault::SlowLoop);
    sim.run_for(secs(10));
    assert_eq!(count(&sim, Fault::SlowLoop), slow);
    assert!(longest_rtt(&sim) < Duration::from_millis(10));
    agree(&mut sim);
}

#[test]
fn a_clock_that_jumps_ahead_is_lag_and_harms_nobody() {
    let mut sim = ring(5);
    (0..5).for_each(|member| drop(sim.take_events(member)));
    sim.jump_clock(1, 3_600_000_000);
    assert_eq!(count(&sim, Fault::ClockJump), 1);
    sim.run_for(secs(60));
    let lag = lags(&mut sim, 1);
    assert!(lag.len() == 1 && lag[0] > secs(3_590), "{lag:?}");
    for member in 0..5 {
        for (_, event) in sim.take_events(member) {
            let Event::MemberChanged { to, .. } = event else {
                continue;
            };
            assert!(to < Health::Confirmed);
        }
    }
    agree(&mut sim);
}

/// It goes on probing and judging at its pace.
#[test]
fn a_clock_that_jumps_back_stops_nothing() {
    let mut sim = ring(3);
    sim.run_for(secs(60));
    sim.jump_clock(1, -50_000_000);
    let probes = sim.node(1).stats().probes;
    sim.run_for(secs(10));
    let more = sim.node(1).stats().probes - probes;
    assert!((8..=12).contains(&more), "{more} probes in ten periods");
    agree(&mut sim);
}

#[test]
fn a_clock_that_jumps_back_holds_up_no_verdict() {
    let mut sim = ring(3);
    sim.run_for(secs(100));
    sim.crash(0);
    sim.run_for(secs(1));
    sim.jump_clock(1, -100_000_000);
    sim.jump_clock(2, -40_000_000);
    believe(&mut sim, 0, Health::Confirmed);
}

#[test]
fn what_happens_to_processes_ends_when_all_is_healed() {
    let mut sim = ring(4);
    sim.freeze(1);
    sim.slow_down(2, Duration::from_millis(300));
    sim.partition(|member| member as u8);
    sim.run_for(secs(60));
    assert!(!sim.all_agree());
    sim.heal();
    let counts: Vec<_> = sim.faults().iter().collect();
    agree(&mut sim);
    assert_eq!(sim.faults().iter().collect::<Vec<_>>(), counts);
}

/// Nobody talks over the border, but through a member that is on all sides all live.
#[test]
fn a_bridge_keeps_both_sides_alive() {
    let mut sim = ring(7);
    sim.partition(|member| u8::from(member < 3));
    sim.bridge(6);
    (0..7).for_each(|member| drop(sim.take_events(member)));
    sim.run_for(secs(120));
    assert!(count(&sim, Fault::Partition) > 100);
    for member in 0..7 {
        for (at, event) in sim.take_events(member) {
            if let Event::MemberChanged { id, to, .. } = event {
                assert!(to < Health::Confirmed, "{at}: {member} holds {id} for {to}");
            }
        }
    }
}

/// Gossip falls back on nothing, and membership does not need it.
#[test]
fn with_tcp_dead_members_live_and_rumors_wait() {
    let mut sim = ring(3);
    sim.link_mut(2).tcp = false;
    sim.command(0, |node, now| node.apply_config(now, config(1)).unwrap());
    sim.run_for(secs(30));
    assert!(count(&sim, Fault::TcpDead) > 0);
    assert!(sim.all_agree());
    assert_eq!(
        (sim.node(1).rumor_count(), sim.node(2).rumor_count()),
        (1, 0)
    );
    sim.heal();
    assert!(sim.run_until(secs(30), Sim::same_rumors));
}

#[test]
fn with_udp_dead_a_member_is_confirmed_though_rumors_reach_it() {
    let mut sim = ring(3);
    sim.link_mut(2).udp = false;
    sim.command(0, |node, now| node.apply_config(now, config(1)).unwrap());
    sim.run_for(secs(1));
    assert_eq!(sim.node(2).rumor_count(), 1);
    believe(&mut sim, 2, Health::Confirmed);
    assert!(count(&sim, Fault::UdpDead) > 0);
    sim.heal();
    agree(&mut sim);
}

#[test]
fn a_plain_restart_asks_for_its_incarnation() {
    let mut sim = ring(3);
    sim.crash(1);
    sim.restart(1, Incarnation::new(5).unwrap());
    assert_eq!(
        (incarnation(&sim, 1), sim.node(1).members().count()),
        (5, 1)
    );
}

/// Who is alone, and how many sides there are, tells them apart.
#[test]
fn each_kind_of_partition_is_counted_when_it_is_made() {
    let mut sim = ring(7);
    let kinds = [
        Fault::Halves,
        Fault::OneAlone,
        Fault::ThreeWays,
        Fault::Bridge,
    ];
    let counts = |sim: &Sim| kinds.map(|kind| count(sim, kind));
    // On a whole ring there is nothing to bridge.
    sim.partition(|_| 3);
    sim.bridge(6);
    sim.heal();
    assert_eq!(counts(&sim), [0; 4]);
    sim.partition(|member| (member % 2) as u8);
    assert_eq!(counts(&sim), [1, 0, 0, 0]);
    sim.bridge(6);
    assert_eq!(counts(&sim), [1, 0, 0, 1]);
    sim.partition(|member| u8::from(member == 4));
    sim.partition(|member| (member % 3) as u8);
    sim.heal();
    assert_eq!(counts(&sim), [1, 1, 1, 1]);
}
