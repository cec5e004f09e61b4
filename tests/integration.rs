//! Rings of real members on loopback: they find each other, notice who dies, and heal.

mod harness;
#[path = "integration/strangers.rs"]
mod strangers;
#[path = "integration/traces.rs"]
mod traces;

use std::time::Duration;

#[cfg(feature = "disk")]
use butterfly::Incarnation;
use butterfly::{Event, Health, Reject, RingKey, Stats};
use harness::{Mesh, PERIOD};

#[test]
fn two_members_meshed_confirm_one_member() {
    let mut mesh = Mesh::meshed("two_members", 2);
    mesh.holds_for(3, "both are Alive", |mesh| mesh.all_agree());
    mesh.get_mut(0).note("the other one dies");
    mesh.kill(1);
    mesh.await_condition("the dead one is Suspect", |mesh| {
        mesh.health(0, 1) >= Some(Health::Suspect)
    });
    mesh.await_condition("the dead one is Confirmed", |mesh| {
        mesh.health(0, 1) == Some(Health::Confirmed)
    });
}

#[test]
fn six_members_meshed_confirm_one_paused() {
    let mut mesh = Mesh::meshed("six_paused", 6);
    mesh.pause(2);
    let others = mesh.others(2);
    mesh.await_condition("all hold the paused one for Confirmed", |mesh| {
        mesh.all_hold(&others, 2, Health::Confirmed)
    });
    assert!(mesh.agree(&others), "nobody else was accused");
    assert!(
        mesh.agree(&[0, 1, 3, 4, 5]) && mesh.get(2).node().counts().alive == 6,
        "whoever is paused accuses nobody"
    );
    // Its time went on where it stopped, so it comes back without blaming anybody for its sleep.
    let mark = mesh.mark();
    mesh.resume(2);
    mesh.await_agreement();
    for event in mesh.events_since(&mark, 2) {
        assert!(!matches!(event, Event::MemberChanged { .. }), "{event:?}");
    }
}

#[test]
fn six_members_one_ignoring_another_stays_alive() {
    let mut mesh = Mesh::meshed("six_ignoring", 6);
    mesh.block(0, 1);
    let mark = mesh.mark();
    mesh.holds_for(20, "all hold each other for Alive", |mesh| mesh.all_agree());
    mesh.nobody_changed_since(&mark);
    for place in [0, 1] {
        let stats = mesh.get(place).node().stats();
        assert!(
            stats.rejected(Reject::Blocked) > 0,
            "each ignored the other"
        );
        assert!(
            stats.probes_indirect > 0 && stats.probes_failed == 0,
            "others vouched for it"
        );
    }
}

const LEFT: [usize; 3] = [0, 1, 2];
const RIGHT: [usize; 3] = [3, 4, 5];

/// Each half agrees, and holds everybody of the other one for dead.
fn parted(mesh: &Mesh) -> bool {
    let gave_up = |half: &[usize], other: &[usize]| {
        mesh.agree(half)
            && other
                .iter()
                .all(|&of| mesh.all_hold(half, of, Health::Confirmed))
    };
    gave_up(&LEFT, &RIGHT) && gave_up(&RIGHT, &LEFT)
}

#[test]
fn halves_confirm_each_other() {
    let mut mesh = Mesh::meshed("halves", 6);
    mesh.partition(&LEFT, &RIGHT);
    mesh.await_condition("each half confirms the other", parted);
    mesh.holds_for(10, "each half holds the other for Confirmed", |mesh| {
        parted(mesh)
    });
}

#[test]
fn chain_of_six_becomes_a_full_mesh_by_gossip() {
    let mut mesh = Mesh::start("chain", 6);
    mesh.chain();
    mesh.await_agreement();
    mesh.holds_for(5, "all know each other", |mesh| mesh.all_agree());
}

fn partition_and_rejoin(mut mesh: Mesh) {
    mesh.chain();
    mesh.await_agreement();
    mesh.partition(&LEFT, &RIGHT);
    mesh.await_condition("each half confirms the other", parted);
    mesh.heal(&LEFT, &RIGHT);
    mesh.await_agreement();
    mesh.holds_for(5, "all know each other", |mesh| mesh.all_agree());
}

#[test]
fn partition_and_rejoin_without_persistent_members() {
    partition_and_rejoin(Mesh::start("rejoin", 6));
}

#[test]
fn partition_and_rejoin_with_persistent_members() {
    let mut mesh = Mesh::new("persistent");
    for place in 0..6 {
        mesh.add(|config| config.persistent = place % 3 == 0);
    }
    partition_and_rejoin(mesh);
}

#[test]
fn a_ring_whose_halves_never_met_meets_when_one_member_joins_across() {
    let mut mesh = Mesh::start("two_rings", 6);
    for (from, to) in [(1, 0), (2, 0), (4, 3), (5, 3)] {
        mesh.join(from, to);
    }
    mesh.await_condition("two rings", |mesh| mesh.agree(&LEFT) && mesh.agree(&RIGHT));
    mesh.join(2, 4);
    mesh.await_agreement();
}

#[test]
fn graceful_leave_is_departed_and_stays_so() {
    let mut mesh = Mesh::meshed("leave", 5);
    let mark = mesh.mark();
    mesh.leave(3);
    mesh.await_condition("it has told others that it leaves", |mesh| {
        mesh.events(3).any(|event| *event == Event::Left)
    });
    let others = mesh.others(3);
    let gone = |mesh: &Mesh| mesh.all_hold(&others, 3, Health::Departed) && mesh.agree(&others);
    mesh.await_condition("all hold it for Departed", gone);
    // As long as it runs it is reached, and is Departed all the same; then it is not reached any more.
    mesh.holds_for(5, "all hold it for Departed", gone);
    mesh.kill(3);
    mesh.holds_for(10, "all hold it for Departed", gone);
    for &place in &others {
        for event in mesh.events_since(&mark, place) {
            let Event::MemberChanged { id, to, .. } = event else {
                continue;
            };
            assert!(
                *id == mesh.id(3) && *to == Health::Departed,
                "nobody was suspected: {event:?}"
            );
        }
    }
    // Under its id it only comes back with a higher incarnation than that of the leave, which it hears of.
    let id = mesh.id(3);
    mesh.restart(3, |config| config.id = Some(id));
    mesh.join(3, 0);
    mesh.await_agreement();
}

fn key(name: &str, byte: u8) -> RingKey {
    RingKey::new(name, "20260101000000", [byte; 32]).unwrap()
}

#[test]
fn sealed_ring_forms_and_keeps_strangers_out() {
    let mut mesh = Mesh::new("sealed");
    for _ in 0..4 {
        mesh.add(|config| config.ring_keys = vec![key("ring", 1)]);
    }
    let members = mesh.running();
    let other_key = mesh.add(|config| config.ring_keys = vec![key("ring", 2)]);
    let no_key = mesh.add(|_| ());
    mesh.mesh();
    let sealed = |mesh: &Mesh| {
        let alone = |place| mesh.get(place).node().members().count() == 1;
        let nobody_else = |place| mesh.get(place).node().members().count() <= members.len();
        members.iter().all(|&member| nobody_else(member)) && alone(other_key) && alone(no_key)
    };
    mesh.await_condition("the ring forms", |mesh| mesh.agree(&members));
    mesh.holds_for(15, "the ring is formed, without strangers", |mesh| {
        mesh.agree(&members) && sealed(mesh)
    });
    let rejected = |place, reason| mesh.get(place).node().stats().rejected(reason);
    for &member in &members {
        assert!(rejected(member, Reject::WrongKey) > 0);
        assert!(rejected(member, Reject::NotSealed) > 0);
    }
    assert!(rejected(other_key, Reject::WrongKey) > 0);
    assert!(rejected(other_key, Reject::NotSealed) > 0);
    assert!(
        rejected(no_key, Reject::NoKey) > 0,
        "everything of the ring is sealed"
    );
    let understood = |place: usize| mesh.get(place).node().stats().received_total();
    assert_eq!((understood(other_key), understood(no_key)), (0, 0));
}

#[test]
fn two_keys_rotate_without_anyone_dropping_out() {
    let old = key("ring", 1);
    let new = RingKey::parse(&key("ring", 2).to_file_text()).unwrap();
    let mut mesh = Mesh::new("rotate");
    for _ in 0..4 {
        mesh.add(|config| config.ring_keys = vec![old.clone()]);
    }
    mesh.mesh();
    mesh.await_agreement();
    let (members, mark) = (mesh.running(), mesh.mark());
    for keys in [
        vec![old.clone(), new.clone()],
        vec![new.clone(), old],
        vec![new.clone()],
    ] {
        for &place in &members {
            mesh.get_mut(place).set_ring_keys(keys.clone());
            mesh.holds_for(2, "all hold each other for Alive", |mesh| mesh.all_agree());
        }
    }
    mesh.nobody_changed_since(&mark);
    for &place in &members {
        let stats = mesh.get(place).node().stats();
        assert_eq!(stats.rejected_total(), 0, "each datagram was opened");
        assert_eq!(stats.probes_failed, 0);
    }
    // The ring is now sealed with the new key alone.
    let late = mesh.add(|config| config.ring_keys = vec![key("ring", 1)]);
    let newcomer = mesh.add(|config| config.ring_keys = vec![new]);
    mesh.join(late, 0);
    mesh.join(newcomer, 0);
    mesh.await_condition("who has the new key gets in", |mesh| {
        mesh.agree(&[0, 1, 2, 3, newcomer])
            && mesh.get(0).node().stats().rejected(Reject::WrongKey) > 0
    });
    assert_eq!(mesh.get(late).node().members().count(), 1);
}

/// The incarnation of a member, as another holds it.
#[cfg(feature = "disk")]
fn incarnation(mesh: &Mesh, by: usize, of: usize) -> Incarnation {
    let view = mesh.get(by).node().member(mesh.id(of)).unwrap();
    view.member.incarnation
}

#[cfg(feature = "disk")]
#[test]
fn restarted_member_with_its_data_directory_comes_back_under_its_id_with_a_higher_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::start("restarted", 3);
    mesh.add(|config| config.data_dir = Some(dir.path().to_owned()));
    mesh.mesh();
    mesh.await_agreement();
    let (id, before) = (mesh.id(3), incarnation(&mesh, 0, 3));
    mesh.kill(3);
    mesh.await_condition("it is Confirmed", |mesh| {
        mesh.all_hold(&[0, 1, 2], 3, Health::Confirmed)
    });
    mesh.restart(3, |_| ());
    mesh.join(3, 0);
    mesh.await_agreement();
    assert_eq!(mesh.id(3), id);
    let mine = incarnation(&mesh, 3, 3);
    assert!(mine > before);
    // At once, too, so that nobody has noticed that it was away.
    mesh.kill(3);
    mesh.restart(3, |_| ());
    mesh.join(3, 0);
    mesh.await_condition("all hold the newest record of it", |mesh| {
        let newest = incarnation(mesh, 3, 3);
        newest > mine && (0..3).all(|by| incarnation(mesh, by, 3) == newest) && mesh.all_agree()
    });
    assert_eq!(mesh.id(3), id);
}

#[cfg(feature = "disk")]
#[test]
fn member_that_lost_its_disk_wins_back_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::start("lost_disk", 3);
    // It has been around for a while: its incarnation is far above where a member begins.
    std::fs::write(dir.path().join("INCARNATION"), "1000").unwrap();
    mesh.add(|config| config.data_dir = Some(dir.path().to_owned()));
    mesh.mesh();
    mesh.await_agreement();
    let (id, addr, before) = (mesh.id(3), mesh.addr(3), incarnation(&mesh, 0, 3));
    assert!(before.get() > 1_000);
    let back = |mesh: &Mesh| {
        let held = |by: usize| mesh.get(by).node().member(id).unwrap().member;
        (0..3).all(|by| held(by).incarnation >= before && held(by).swim_addr() == mesh.addr(3))
            && mesh.all_agree()
    };
    // Once it was given up, and once before anybody noticed; at its old address, and at a new one.
    mesh.kill(3);
    mesh.await_condition("it is Confirmed", |mesh| {
        mesh.all_hold(&[0, 1, 2], 3, Health::Confirmed)
    });
    mesh.restart(3, |config| {
        (config.data_dir, config.id, config.listen) = (None, Some(id), addr);
    });
    mesh.join(3, 0);
    mesh.await_condition("it won its id back", back);
    mesh.kill(3);
    mesh.restart(3, |config| config.listen.set_port(0));
    mesh.join(3, 0);
    mesh.await_condition("it won its id back, elsewhere", back);
    mesh.holds_for(5, "it has its id back", back);
}

/// What the thread has spent of the processor's time, if the system says.
fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn sum(mesh: &Mesh, count: impl Fn(&Stats) -> u64) -> u64 {
    let running = mesh.running();
    running
        .iter()
        .map(|&place| count(mesh.get(place).node().stats()))
        .sum()
}

#[test]
fn fifty_members_on_one_thread_agree_in_seconds_and_idle_cheaply() {
    const MEMBERS: usize = 50;
    let mut mesh = Mesh::start("fifty", MEMBERS);
    mesh.set_tracing(false);
    for place in 1..MEMBERS {
        mesh.join(place, 0);
    }
    let (agreed, cpu) = (mesh.await_agreement(), thread_cpu());
    println!("fifty members agree after {agreed:?}; the thread ran for {cpu:?}");
    assert!(agreed < Duration::from_secs(10), "{agreed:?}");

    mesh.await_condition("nothing is news any more", |mesh| {
        (0..MEMBERS).all(|place| mesh.get(place).node().news() == 0)
    });

    let (wakes, cpu) = (mesh.wakes(), thread_cpu());
    let (sent, bytes) = (
        sum(&mesh, Stats::sent_total),
        sum(&mesh, |stats| stats.bytes_sent),
    );
    let (probes, began) = (sum(&mesh, |stats| stats.probes), std::time::Instant::now());
    mesh.holds_for(20, "all know each other", |mesh| {
        mesh.get(0).node().counts().alive == MEMBERS
    });
    let seconds = began.elapsed().as_secs_f64();
    let cpu = thread_cpu()
        .zip(cpu)
        .map(|(now, then)| (now - then).as_secs_f64() / seconds / MEMBERS as f64);
    assert!(mesh.all_agree());

    let each = |now: u64, then: u64| (now - then) as f64 / seconds / MEMBERS as f64;
    let (wakes, probes) = (
        each(mesh.wakes(), wakes),
        each(sum(&mesh, |stats| stats.probes), probes),
    );
    let (sent, bytes) = (
        each(sum(&mesh, Stats::sent_total), sent),
        each(sum(&mesh, |stats| stats.bytes_sent), bytes),
    );
    println!(
        "idle for {seconds:.2} s, a member and second: {wakes:.1} wakes, {probes:.1} probes, {sent:.1} datagrams, \
         {bytes:.0} bytes, {:.2} % of a core",
        cpu.unwrap_or(f64::NAN) * 100.0
    );
    // A member probes, and is probed, ten times a second, each a ping and an Ack. Its wakes: one for the
    // period and one for each datagram that comes.
    assert!(sent < 30.0, "{sent} datagrams");
    assert!(wakes < 60.0, "{wakes} wakes");
    assert!(cpu.is_none_or(|cpu| cpu < 0.02), "{cpu:?}");
    let bound = Duration::from_secs(1).as_secs_f64() / PERIOD.as_secs_f64();
    assert!(probes < bound * 1.2, "{probes} probes");
}
