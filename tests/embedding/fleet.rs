//! Many members behind one descriptor and one deadline.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use butterfly::{Butterfly, Config, Event, Fleet, FleetKey, Timing};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::alone;
use crate::harness::PATIENCE;

/// Members that join through the first.
fn fleet(members: usize) -> (Fleet, Vec<FleetKey>) {
    let mut fleet = Fleet::new().unwrap();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap());
    config.timing = Timing::local();
    let mut seed = None;
    let mut keys = Vec::new();
    for _ in 0..members {
        let mut member = Butterfly::bind(config.clone()).unwrap();
        match seed {
            Some(seed) => _ = member.join(seed).unwrap(),
            None => seed = Some(member.local_addr()),
        }
        keys.push(fleet.add(member).unwrap());
    }
    (fleet, keys)
}

fn work(_: FleetKey, member: &mut Butterfly) -> io::Result<()> {
    member.process()?;
    while member.poll_event().is_some() {}
    Ok(())
}

fn agree(fleet: &Fleet) -> bool {
    let members = fleet.len();
    fleet
        .iter()
        .all(|(_, member)| member.node().counts().alive == members)
}

/// Drives a fleet until it is so.
fn until(fleet: &mut Fleet, what: &str, is_so: impl Fn(&Fleet) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(fleet) {
        assert!(Instant::now() < end, "not in time: {what}");
        fleet.turn(Some(end), work).unwrap();
    }
}

#[test]
fn a_fleet_is_one_descriptor_and_one_deadline() {
    let _alone = alone();
    let (mut fleet, _) = fleet(20);
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
    let fd = fleet.as_raw_fd();
    let registry = poll.registry();
    registry
        .register(&mut SourceFd(&fd), Token(7), Interest::READABLE)
        .unwrap();
    let end = Instant::now() + PATIENCE;
    while !agree(&fleet) {
        assert!(Instant::now() < end, "they do not agree");
        let timeout = fleet
            .deadline()
            .map(|due| due.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, timeout).unwrap();
        let due = fleet.deadline().is_some_and(|due| due <= Instant::now());
        // Whoever is served for nothing is a wake that is not needed.
        assert!(due || !events.is_empty());
        fleet.turn(Some(Instant::now()), work).unwrap();
    }
}

#[test]
fn members_keep_their_turn_if_another_one_fails() {
    let _alone = alone();
    let (mut fleet, keys) = fleet(3);
    let mut served = Vec::new();
    for failing in [true, false] {
        let outcome = fleet.turn(Some(Instant::now()), |key, member| {
            served.push(key);
            work(key, member)?;
            if failing && key == keys[0] {
                return Err(io::Error::other("planned"));
            }
            Ok(())
        });
        assert_eq!(outcome.is_err(), failing);
    }
    assert_eq!(served[..3], keys[..], "each in its turn, none twice");
}

#[test]
fn a_removed_member_goes_on_elsewhere() {
    let _alone = alone();
    let (mut fleet, keys) = fleet(3);
    until(&mut fleet, "all agree", agree);
    let mut removed = fleet.remove(keys[1]).unwrap();
    assert!(fleet.get(keys[1]).is_none() && fleet.remove(keys[1]).is_none());
    let id = removed.node().id();
    removed.leave();
    let end = Instant::now() + PATIENCE;
    let mut left = false;
    while !left {
        assert!(Instant::now() < end, "it does not leave");
        removed.process().unwrap();
        while let Some(event) = removed.poll_event() {
            left |= matches!(event, Event::Left);
        }
        let soon = Instant::now() + Duration::from_millis(5);
        fleet
            .turn(Some(soon), |key, member| {
                assert_ne!(key, keys[1]);
                work(key, member)
            })
            .unwrap();
    }
    until(&mut fleet, "the others know", |fleet| {
        fleet
            .iter()
            .all(|(_, member)| member.node().health_of(id) == Some(butterfly::Health::Departed))
    });
}

#[test]
fn a_fleet_runs_until_the_callback_breaks() {
    let _alone = alone();
    let (mut fleet, keys) = fleet(4);
    let mut alive = 0;
    let ran = fleet.run(|key, _, event| {
        alive += usize::from(key == keys[3] && matches!(event, Event::MemberChanged { .. }));
        if alive == 3 {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    ran.unwrap();
    assert_eq!(alive, 3);
}
