//! Each fault of the simulator does what it says, and is counted.

use std::time::Duration;

use butterfly::sim::{Disk, Fault, Sim, SimConfig};
use butterfly::{Health, ServiceConfig};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A ring that knows itself, in which nothing has gone wrong yet.
fn ring(members: usize) -> Sim {
    let mut sim = Sim::new(SimConfig::new(1));
    sim.start_settled(members);
    assert!(sim.all_agree());
    sim.run_for(secs(5.0));
    assert_eq!(sim.faults().iter().count(), 0);
    sim
}

/// A rumor at this member, which is pushed to others.
fn gossip(sim: &mut Sim, member: usize, incarnation: u64) {
    let config = ServiceConfig {
        group: "web.default".parse().unwrap(),
        incarnation,
        encrypted: false,
        config: b"port = 80".to_vec(),
    };
    sim.command(member, |node, now| node.apply_config(now, config).unwrap());
}

#[track_caller]
fn assert_unharmed(sim: &mut Sim) {
    sim.heal();
    assert!(sim.run_until(secs(120.0), |sim| sim.all_agree() && sim.same_rumors()));
    assert_eq!(sim.violations(), []);
}

#[test]
fn who_starts_settled_knows_all_and_asks_nobody_for_its_table() {
    let mut sim = ring(20);
    let before = sim.datagrams;
    sim.run_for(secs(60.0));
    let each = (sim.datagrams - before) as f64 / 20.0 / 60.0;
    assert!((1.9..2.1).contains(&each), "{each}");
}

#[test]
fn what_befalls_all_messages_alike() {
    type Knob = fn(&mut butterfly::sim::Network) -> &mut f64;
    let knobs: [(Fault, Knob); 8] = [
        (Fault::Loss, |network| &mut network.loss),
        (Fault::Burst, |network| &mut network.burst),
        (Fault::HeavyTail, |network| &mut network.heavy_tail),
        (Fault::Duplicate, |network| &mut network.duplicate),
        (Fault::Reorder, |network| &mut network.reorder),
        (Fault::Replay, |network| &mut network.replay),
        (Fault::Corrupt, |network| &mut network.corrupt),
        (Fault::Truncate, |network| &mut network.truncate),
    ];
    for (fault, knob) in knobs {
        let mut sim = ring(5);
        *knob(sim.network_mut()) = 0.1;
        let before = sim.datagrams;
        sim.run_for(secs(300.0));
        let (sent, hit) = (sim.datagrams - before, sim.faults().of(fault));
        let share = hit as f64 / sent as f64;
        assert!((0.05..0.2).contains(&share), "{fault}: {hit} of {sent}");
        let others = sim.faults().iter().filter(|(other, _)| *other != fault);
        assert_eq!(others.count(), 0, "{fault}");
        // Without a key, flipped bits make up members.
        if fault != Fault::Corrupt {
            assert_unharmed(&mut sim);
        }
    }
}

#[test]
fn a_burst_loses_all_on_one_way_and_then_nothing_for_a_while() {
    let mut sim = ring(2);
    sim.network_mut().burst = 0.5;
    sim.network_mut().burst_length = secs(100.0);
    let mut shares = Vec::new();
    for _ in 0..20 {
        let (before, lost) = (sim.datagrams, sim.lost);
        sim.run_for(secs(100.0));
        shares.push((sim.lost - lost) as f64 / (sim.datagrams - before) as f64);
    }
    let some = |range: std::ops::Range<f64>| shares.iter().filter(|it| range.contains(it)).count();
    assert!(some(0.0..0.1) > 0 && some(0.9..1.1) > 0, "{shares:?}");
}

#[test]
fn a_fault_switched_on_does_not_shift_anothers_chance() {
    let lost = |duplicate| {
        let mut sim = ring(2);
        sim.network_mut().loss = 0.2;
        sim.network_mut().duplicate = duplicate;
        // Before the first copy comes, both runs have sent the same.
        while sim.faults().of(Fault::Loss) == 0 {
            sim.run_for(Duration::from_micros(100));
        }
        (sim.now(), sim.datagrams)
    };
    assert_eq!(lost(0.0), lost(0.000_001));
}

#[test]
fn one_members_link_is_bad() {
    for fault in [
        Fault::LinkLoss,
        Fault::FlipFlop,
        Fault::UdpDead,
        Fault::TcpDead,
        Fault::SizeBlackHole,
    ] {
        let mut sim = ring(6);
        let link = sim.link_mut(2);
        match fault {
            Fault::LinkLoss => link.loss_out = 0.5,
            Fault::FlipFlop => link.flip_flop = Some(secs(3.0)),
            Fault::UdpDead => link.udp = false,
            Fault::TcpDead => link.tcp = false,
            _ => link.largest = 120,
        }
        gossip(&mut sim, 2, 1);
        sim.run_for(secs(60.0));
        let count = sim.faults().of(fault);
        assert!(count > 2, "{fault}: {count}");
        let others = sim.faults().iter().filter(|(other, _)| *other != fault);
        assert_eq!(others.count(), 0, "{fault}");
        assert_unharmed(&mut sim);
    }
}

#[test]
fn without_tcp_a_member_lives_and_without_udp_it_is_dead() {
    for (tcp, view) in [(false, Health::Alive), (true, Health::Confirmed)] {
        let mut sim = ring(6);
        sim.link_mut(2).tcp = tcp;
        sim.link_mut(2).udp = !tcp;
        sim.run_for(secs(60.0));
        for other in [0, 1, 3, 4, 5] {
            assert_eq!(sim.view(other, 2), Some(view));
        }
    }
}

#[test]
fn ways_that_lead_in_one_direction() {
    let mut sim = ring(2);
    sim.cut(0, 1);
    sim.run_for(secs(10.0));
    let heard = |sim: &Sim, member| sim.node(member).stats().received_total();
    let (before, others) = (heard(&sim, 1), heard(&sim, 0));
    sim.run_for(secs(10.0));
    assert_eq!(heard(&sim, 1), before);
    assert!(heard(&sim, 0) > others);
    assert!(sim.faults().of(Fault::OneWay) > 0);
    assert_unharmed(&mut sim);
}

#[test]
fn a_bridge_keeps_the_sides_of_a_partition_together() {
    let mut sim = ring(9);
    sim.partition(|member| (member % 2) as u8);
    sim.bridge(4);
    sim.run_for(secs(60.0));
    assert!(sim.faults().of(Fault::Partition) > 10);
    // Each side accuses the other's members, and the bridge hears them refute it.
    for other in [1, 2] {
        assert!(sim.view(4, other) <= Some(Health::Suspect));
    }
    assert_unharmed(&mut sim);
}

#[test]
fn a_frozen_process_finds_a_full_socket_and_holds_its_sleep_against_nobody() {
    let mut sim = ring(30);
    sim.freeze(3);
    sim.run_for(secs(300.0));
    sim.thaw(3);
    sim.take_events(3);
    sim.run_for(secs(60.0));
    assert_eq!(sim.faults().of(Fault::Freeze), 1);
    for (_, event) in sim.take_events(3) {
        if let butterfly::Event::MemberChanged { to, .. } = event {
            assert!(to <= Health::Suspect, "{event:?}");
        }
    }
    assert_unharmed(&mut sim);
}

#[test]
fn what_finds_a_socket_full_is_lost() {
    let mut config = SimConfig::new(1);
    config.socket_buffer = 2;
    let mut sim = Sim::new(config);
    sim.start_settled(10);
    sim.freeze(3);
    sim.run_for(secs(30.0));
    assert!(sim.faults().of(Fault::FullSocket) > 5);
    sim.thaw(3);
    assert_unharmed(&mut sim);
}

#[test]
fn a_slow_loop_is_late_and_still_alive() {
    let mut sim = ring(10);
    sim.slow_down(3, secs(0.1));
    sim.run_for(secs(120.0));
    assert!(sim.faults().of(Fault::SlowLoop) > 100);
    assert!(sim.all_agree());
    assert_unharmed(&mut sim);
}

#[test]
fn clocks_that_jump_accuse_nobody() {
    for micros in [30_000_000, -30_000_000] {
        let mut sim = ring(10);
        sim.run_for(secs(60.0));
        sim.jump_clock(3, micros);
        sim.run_for(secs(120.0));
        assert_eq!(sim.faults().of(Fault::ClockJump), 1);
        assert!(sim.all_agree(), "{micros}");
        assert_unharmed(&mut sim);
    }
}

#[test]
fn restarts_with_each_kind_of_disk() {
    for (disk, fault) in [
        (Disk::Kept, Fault::RestartKept),
        (Disk::Lost, Fault::RestartLost),
        (Disk::Older, Fault::RestartOlder),
    ] {
        let mut sim = ring(8);
        gossip(&mut sim, 0, 1);
        sim.run_for(secs(2.0));
        sim.copy_disk(3);
        gossip(&mut sim, 0, 2);
        sim.run_for(secs(2.0));
        sim.crash(3);
        sim.run_for(secs(30.0));
        sim.restart_with(3, disk);
        let version = sim.node(3).rumors().next().map(|rumor| rumor.version);
        let expected = match disk {
            Disk::Kept => Some(2),
            Disk::Lost => None,
            Disk::Older => Some(1),
        };
        assert_eq!(version, expected, "{disk:?}");
        sim.join(3, 0);
        assert_eq!(sim.faults().of(fault), 1);
        assert_unharmed(&mut sim);
    }
}

#[test]
fn members_that_come_back_at_other_addresses() {
    let mut sim = ring(8);
    for member in [3, 4, 5] {
        sim.crash(member);
    }
    sim.move_away(3);
    sim.swap_addresses(4, 5);
    for member in [3, 4, 5] {
        sim.restart_with(member, Disk::Kept);
    }
    assert_eq!(sim.faults().of(Fault::NewAddress), 1);
    assert_eq!(sim.faults().of(Fault::SwappedAddresses), 1);
    let addr = |sim: &Sim, of: usize, about: usize| {
        let member = sim.node(of).member(sim.id(about)).map(|view| view.member);
        member.map(|member| member.ip)
    };
    let found = |sim: &Sim| {
        let mut moved = [3, 4, 5].into_iter();
        moved.all(|about| {
            sim.up()
                .all(|of| addr(sim, of, about) == addr(sim, about, about))
        })
    };
    assert!(sim.run_until(secs(30.0), found));
    assert_eq!(addr(&sim, 0, 4), "10.0.0.6".parse().ok());
    assert_unharmed(&mut sim);
}

#[test]
fn a_twin_leaves_no_trace_when_it_ends() {
    let mut sim = ring(8);
    let twin = sim.start_twin(3);
    sim.join(twin, 0);
    let where_is_3 = |sim: &Sim| {
        let seen = sim.node(0).member(sim.id(3)).map(|view| view.member.ip);
        seen.map(|ip| ip.to_string())
    };
    let at = |ip: &'static str| move |sim: &Sim| where_is_3(sim).as_deref() == Some(ip);
    assert!(sim.run_until(secs(20.0), at("10.0.0.9")));
    assert_eq!(sim.faults().of(Fault::Twin), 1);
    sim.crash(twin);
    assert!(sim.run_until(secs(60.0), at("10.0.0.4")));
    assert_unharmed(&mut sim);
}
