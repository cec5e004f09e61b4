//! User events in simulated rings: who gets them, when, and in which order.

use std::collections::BTreeMap;
use std::time::Duration;

use butterfly::sim::{Index, Sim, SimConfig};
use butterfly::{Event, MemberId, Time, UserEvent};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn send(sim: &mut Sim, member: Index, payload: impl Into<Vec<u8>>) {
    let event = UserEvent::new("deploy", payload);
    sim.command(member, |node, now| node.send_event(now, event).unwrap());
}

/// What was delivered at a member: when, whose, and which number.
fn delivered(sim: &mut Sim, member: Index) -> Vec<(Time, MemberId, u64)> {
    let events = sim.take_events(member).into_iter();
    let delivered = events.filter_map(|(at, event)| match event {
        Event::UserEvent(event) => Some((at, event.by, event.number)),
        _ => None,
    });
    delivered.collect()
}

/// How long until all of so many members have an event of so many bytes.
fn time_to_all(seed: u64, members: usize, payload: usize) -> Duration {
    let mut sim = Sim::new(SimConfig::new(seed));
    sim.network_mut().loss = 0.01;
    sim.start_settled(members);
    // Younger members look at the clock.
    sim.run_for(secs(61.0));
    for member in 0..members {
        sim.take_events(member);
    }
    let sent = sim.now();
    send(&mut sim, 0, vec![7; payload]);
    sim.run_for(secs(20.0));
    let came: Vec<_> = (0..members)
        .map(|member| delivered(&mut sim, member))
        .collect();
    assert!(came.iter().all(|came| came.len() == 1), "seed {seed}");
    let last = came.iter().map(|came| came[0].0).max().unwrap();
    last.since(sent)
}

#[test]
fn all_get_an_event_in_seconds_whatever_its_size() {
    for (members, payload, most) in [
        (10, 10, 1.0),
        (50, 10, 2.0),
        (200, 10, 3.0),
        (50, 64 << 10, 3.0),
    ] {
        let took = time_to_all(1, members, payload);
        println!("{members} members, {payload} bytes: {took:?}");
        assert!(took < secs(most), "{members} members: {took:?}");
    }
}

#[test]
#[ignore = "minutes: cargo test --release --test sim user_events -- --ignored --nocapture"]
fn a_thousand_get_an_event() {
    for payload in [10, 64 << 10] {
        let took = time_to_all(1, 1_000, payload);
        println!("1000 members, {payload} bytes: {took:?}");
        assert!(took < secs(5.0), "{took:?}");
    }
}

#[test]
fn each_member_gets_each_event_once_and_in_order_though_much_is_lost() {
    for seed in 0..3 {
        let mut sim = Sim::new(SimConfig::new(seed));
        sim.network_mut().loss = 0.1;
        let members = sim.start_settled(30);
        sim.run_for(secs(61.0));
        for round in 0..20 {
            for sender in [3, 4, 5] {
                send(&mut sim, sender, format!("{round}"));
            }
            sim.run_for(secs(0.05 * f64::from(round % 4)));
        }
        sim.run_for(secs(20.0));
        for member in members {
            let mut last = BTreeMap::new();
            let came = delivered(&mut sim, member);
            for (_, by, number) in &came {
                let before = last.insert(*by, *number).unwrap_or(0);
                assert!(*number > before, "seed {seed}: member {member}: {came:?}");
            }
            let skipped = sim.node(member).stats().user_events_skipped;
            let all = came.len() as u64 + skipped;
            assert_eq!(all, 60, "seed {seed}: member {member} skipped {skipped}");
            assert!(
                skipped <= 1,
                "seed {seed}: member {member} skipped {skipped}"
            );
        }
    }
}

#[test]
fn a_member_that_starts_gets_what_still_lasts_and_no_more() {
    let mut sim = Sim::new(SimConfig::new(3));
    sim.start_settled(10);
    sim.run_for(secs(61.0));
    send(&mut sim, 2, "early");
    sim.run_for(secs(40.0));
    let in_time = sim.start();
    sim.join(in_time, 0);
    sim.run_for(secs(21.0));
    assert_eq!(delivered(&mut sim, in_time).len(), 1);
    // It would hold it for ever, if each newcomer held it for as long as the first members do.
    let late = sim.start();
    sim.join(late, in_time);
    sim.run_for(secs(120.0));
    assert_eq!(delivered(&mut sim, late).len(), 0);
    assert!(sim.up().all(|member| sim.node(member).rumor_count() == 0));
}

/// A member whose user sends as fast as it can, and somebody who speaks for many members that do.
#[test]
fn a_flood_leaves_probes_alone() {
    let mut sim = Sim::new(SimConfig::new(4));
    let members = sim.start_settled(30);
    sim.run_for(secs(61.0));
    let before: Vec<_> = (members.iter())
        .map(|member| sim.node(*member).stats().clone())
        .collect();
    let mut refused = 0;
    for _ in 0..1_000 {
        for _ in 0..100 {
            let event = UserEvent::new("flood", [9; 100]);
            let sent = sim.command(7, |node, now| node.send_event(now, event));
            refused += u64::from(sent.is_err());
        }
        sim.run_for(secs(0.01));
    }
    sim.run_for(secs(20.0));
    assert!(refused > 99_000, "{refused}");
    for (member, before) in members.iter().zip(before) {
        let stats = sim.node(*member).stats();
        assert_eq!(stats.probes_failed, before.probes_failed);
        let came = delivered(&mut sim, *member);
        assert_eq!(came.len() as u64 + refused, 100_000, "member {member}");
    }
    assert!(sim.violations().is_empty(), "{:?}", sim.violations());
}
