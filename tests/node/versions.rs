//! Versions, terms and incarnations at one node: which it takes from others and from its user, how what is stuck is
//! set back, and what a removal is.

use crate::support::rumors::{config, file, group, service};
use crate::support::*;
use butterfly::error::{CommandError, Reject};
use butterfly::limits::{MAX_LEAP, MAX_TERM, MAX_VERSION};
use butterfly::rumor::{Election, ElectionStatus, Rumor, RumorId, RumorKind};
use butterfly::{Event, Health, Timing, wire};

fn gossiping() -> Timing {
    let mut timing = plain();
    timing.gossip_interval = secs(0.05);
    timing.drip = std::time::Duration::ZERO;
    timing
}

fn bench() -> Bench {
    Bench::timed(gossiping())
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("2^") {
        None => text.parse().unwrap(),
        Some(power) => {
            let (power, less) = power.split_once('-').unwrap_or((power, "0"));
            let number = (1_u128 << power.parse::<u32>().unwrap()) - less.parse::<u128>().unwrap();
            u64::try_from(number).unwrap()
        }
    }
}

fn election(candidate: &Peer, term: u64, status: ElectionStatus) -> Election {
    let mut election = Election::new(group("default"), candidate.id);
    election.term = term;
    election.status = status;
    election
}

/// The bytes of an Ack that says this of a member at this incarnation, which the types of the library do not let be.
fn ack_saying(by: &Peer, of: &Peer, health: Health, incarnation: u64) -> Vec<u8> {
    use butterfly_protocols::{common::Wire, swim};
    use protobuf::{EnumOrUnknown, Message, MessageField};
    let member = |peer: &Peer| {
        let mut member = swim::Member::new();
        member.set_id(peer.id.to_string());
        member.set_incarnation(peer.incarnation);
        member.set_address(peer.addr.ip().to_string());
        member.set_swim_port(peer.addr.port().into());
        member.set_gossip_port(peer.gossip_port.into());
        member
    };
    let mut membership = swim::Membership::new();
    let mut said = member(of);
    said.set_incarnation(incarnation);
    membership.member = MessageField::some(said);
    membership.health = Some(EnumOrUnknown::from_i32(health as i32));
    let mut ack = swim::Ack::new();
    ack.from = MessageField::some(member(by));
    let mut message = swim::Swim::new();
    message.type_ = Some(EnumOrUnknown::from_i32(2));
    message.set_ack(ack);
    message.membership.push(membership);
    let mut envelope = Wire::new();
    envelope.set_payload(message.write_to_bytes().unwrap());
    envelope.write_to_bytes().unwrap()
}

#[test]
fn what_is_too_high_is_refused_whatever_is_held() {
    let table = include_str!("../tables/version_at_merge.txt");
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<_> = line.split_whitespace().collect();
        let [what, text, result] = cells[..] else {
            assert!(cells.is_empty(), "{line}");
            continue;
        };
        rows += 1;
        let (number, mut bench, peer) = (number(text), bench(), Peer::ours(1));
        bench.meet(&[peer]);
        bench.hear(&Rumor::Service(service(peer.id, "default", 1)), peer.id);
        let health = match what {
            "alive" => Some(Health::Alive),
            "suspect" => Some(Health::Suspect),
            _ => None,
        };
        let taken = if let Some(health) = health {
            let other = Peer::ours(2);
            bench.meet(&[other]);
            let mut datagram = ack_saying(&peer, &other, health, number);
            bench.feed_bytes(peer.addr, &mut datagram);
            let reason = Reject::BadIncarnation;
            let counted = bench.node.stats().rejected(reason) == 1;
            assert_eq!(counted, result == "refused", "{line}");
            let held = bench.node.member(other.id).unwrap();
            (held.health, held.member.incarnation.get()) == (health, number)
        } else {
            let term = |kind: fn(Election) -> Rumor| {
                kind(election(&peer, number, ElectionStatus::Finished))
            };
            let rumor = match what {
                "service" => Rumor::Service(service(peer.id, "other", number)),
                "service_config" => Rumor::ServiceConfig(config("default", number, "a")),
                "service_file" => Rumor::ServiceFile(file("f", number, 1)),
                "election" => term(Rumor::Election),
                "election_update" => term(Rumor::ElectionUpdate),
                other => panic!("{other}"),
            };
            bench.hear(&rumor, peer.id);
            let counted = bench.node.stats().rejected(Reject::BadVersion) == 1;
            assert_eq!(counted, result == "refused", "{line}");
            let told = bench.events().into_iter().any(|event| {
                matches!(event, Event::Rejected { reason: Reject::BadVersion, from, .. }
                    if from == "10.9.9.9:0".parse().unwrap())
            });
            assert_eq!(told, counted, "{line}");
            bench.holds(&rumor)
        };
        assert_eq!(taken, result == "taken", "in the row: {line}");
    }
    assert!(rows > 20, "only {rows} rows");
}

#[test]
fn a_command_that_leaps_is_refused_unless_it_is_forced() {
    let mut bench = bench();
    let now = bench.now;
    bench
        .node
        .apply_config(now, config("default", 7, "a"))
        .unwrap();
    let far = 8 + MAX_LEAP;
    let refused = bench.node.apply_config(now, config("default", far, "b"));
    assert_eq!(
        refused,
        Err(CommandError::Leap {
            given: far,
            held: 7
        })
    );
    let text = CommandError::Leap {
        given: far,
        held: 7,
    }
    .to_string();
    assert!(
        text.contains(&far.to_string()) && text.contains("--force"),
        "{text}"
    );
    let refused = bench.node.apply_file(now, file("f", MAX_LEAP + 1, 1));
    let leap = CommandError::Leap {
        given: MAX_LEAP + 1,
        held: 0,
    };
    assert_eq!(refused, Err(leap));
    let refused = bench
        .node
        .announce(now, service(id(ME), "default", MAX_LEAP + 1));
    assert_eq!(refused, Err(leap));
    let beyond = Err(CommandError::Beyond { given: u64::MAX });
    assert_eq!(
        bench
            .node
            .apply_config(now, config("default", u64::MAX, "b")),
        beyond
    );
    assert!(bench.holds(&Rumor::ServiceConfig(config("default", 7, "a"))));
    assert_eq!(bench.node.rumor_count(), 1);

    let forced = [
        Rumor::ServiceConfig(config("default", far, "b")),
        Rumor::ServiceFile(file("f", MAX_VERSION, 1)),
        Rumor::Service(service(id(ME), "default", MAX_LEAP + 1)),
    ];
    for rumor in forced {
        bench.node.force(now, rumor.clone()).unwrap();
        assert!(
            bench.holds(&rumor) && bench.is_hot(&rumor.id()),
            "{rumor:?}"
        );
    }
    let beyond = Rumor::ServiceConfig(config("default", MAX_VERSION + 1, "b"));
    let refused = bench.node.force(now, beyond);
    assert_eq!(
        refused,
        Err(CommandError::Beyond {
            given: MAX_VERSION + 1
        })
    );
    let departure = bench.node.force(now, Rumor::Departure(id(9)));
    assert_eq!(
        departure,
        Err(CommandError::NotForced(RumorKind::Departure))
    );
}

/// Two that were both stuck, and both set back by their operators.
#[test]
fn what_is_stuck_is_set_back_at_every_member_and_stays_so() {
    let stuck = Rumor::ServiceConfig(config("default", MAX_VERSION, "forged"));
    let again = Rumor::ServiceConfig(config("default", MAX_VERSION, "z: forged again"));
    let mut benches = [bench(), bench()];
    for (bench, version) in benches.iter_mut().zip([1_000, 1_001]) {
        let now = bench.now;
        bench.hear(&stuck, id(1));
        assert!(bench.holds(&stuck));
        let good = config("default", version, "good");
        let refused = bench.node.apply_config(now, good.clone());
        assert_eq!(refused, Err(CommandError::Stuck { held: MAX_VERSION }));
        let refused = bench.node.remove_config(now, &group("default"));
        assert_eq!(refused, Err(CommandError::Stuck { held: MAX_VERSION }));
        let good = Rumor::ServiceConfig(good);
        bench.node.force(now, good.clone()).unwrap();
        assert!(bench.holds(&good) && bench.is_hot(&good.id()));
        // One that was not set back yet tells it again.
        for forged in [&stuck, &again] {
            bench.hear(forged, id(1));
            assert!(bench.holds(&good));
        }
        assert_eq!(bench.node.stats().rejected(Reject::BadVersion), 2);
        // Only what is stuck: nothing else can be lowered.
        let lower = Rumor::ServiceConfig(config("default", 1, "old"));
        let refused = bench.node.force(now, lower);
        assert_eq!(
            refused,
            Err(CommandError::NotNewer {
                given: 1,
                held: version
            })
        );
    }
    let [one, other] = &mut benches;
    let newest = Rumor::ServiceConfig(config("default", 1_001, "good"));
    one.hear(&newest, id(2));
    assert!(one.holds(&newest) && other.holds(&newest));
    assert_eq!(one.node.rumor_checksum(), other.node.rumor_checksum());
    one.node
        .apply_config(one.now, config("default", 1_002, "next"))
        .unwrap();
}

#[test]
fn what_an_older_version_kept_beyond_the_limits_is_left_out() {
    let mut bench = bench();
    for (rumor, reason) in [
        (
            Rumor::ServiceConfig(config("default", u64::MAX, "a")),
            Reject::BadVersion,
        ),
        (
            Rumor::Election(election(
                &Peer::ours(1),
                MAX_TERM + 1,
                ElectionStatus::Finished,
            )),
            Reject::BadVersion,
        ),
    ] {
        let bytes = wire::encode_rumor(&rumor, "somebody").bytes;
        assert_eq!(bench.node.restore_rumor(&bytes), Err(reason));
    }
    assert_eq!(bench.node.rumor_count(), 0);
}

// ---------------------------------------------------------------- removing

#[test]
fn the_next_version_with_an_empty_body_is_the_removal() {
    let mut bench = bench();
    let (now, default) = (bench.now, group("default"));
    assert_eq!(
        bench.node.remove_config(now, &default),
        Ok(false),
        "there is none"
    );
    bench
        .node
        .apply_config(now, config("default", 7, "port = 1"))
        .unwrap();
    bench.node.apply_file(now, file("f", 3, 1 << 20)).unwrap();
    assert_eq!(bench.node.remove_config(now, &default), Ok(true));
    assert_eq!(bench.node.remove_file(now, &default, "f"), Ok(true));
    for (id, removal) in [
        (
            RumorId::config(&default),
            Rumor::ServiceConfig(config("default", 8, "")),
        ),
        (
            RumorId::file(&default, "f"),
            Rumor::ServiceFile(file("f", 4, 0)),
        ),
    ] {
        assert!(bench.holds(&removal) && bench.is_hot(&id));
        assert!(bench.node.rumor(&id).unwrap().removed);
    }
    assert!(
        bench.node.rumor_bytes() < 300,
        "{}",
        bench.node.rumor_bytes()
    );
    assert_eq!(
        bench.node.remove_config(now, &default),
        Ok(false),
        "it is gone"
    );
    // What others still hold does not bring it back, and a newer one does.
    bench.hear(
        &Rumor::ServiceConfig(config("default", 7, "port = 1")),
        id(1),
    );
    assert!(
        bench
            .node
            .rumor(&RumorId::config(&default))
            .unwrap()
            .removed
    );
    bench
        .node
        .apply_config(now, config("default", 9, "port = 2"))
        .unwrap();
    assert!(
        !bench
            .node
            .rumor(&RumorId::config(&default))
            .unwrap()
            .removed
    );
}

#[test]
fn an_empty_body_is_no_way_to_apply_one() {
    let mut bench = bench();
    let now = bench.now;
    let refusals = [
        bench.node.apply_config(now, config("default", 1, "")),
        bench
            .node
            .force(now, Rumor::ServiceConfig(config("default", 1, ""))),
        bench.node.apply_file(now, file("f", 1, 0)),
        bench.node.force(now, Rumor::ServiceFile(file("f", 1, 0))),
    ];
    for refused in refusals {
        let Err(error @ CommandError::EmptyBody(_)) = refused else {
            panic!("{refused:?}");
        };
        assert!(error.to_string().contains("remove"), "{error}");
    }
    assert_eq!(bench.node.rumor_count(), 0);
}

#[test]
fn others_removals_are_held_and_the_oldest_goes_when_there_are_too_many() {
    use butterfly::limits::MAX_REMOVED;
    let mut bench = bench();
    let removal = |number: usize| Rumor::ServiceFile(file(&format!("f{number}"), 2, 0));
    for number in 0..=MAX_REMOVED {
        bench.hear(&removal(number), id(1));
    }
    let held = |bench: &Bench, number: usize| bench.node.rumor(&removal(number).id()).is_some();
    assert!(!held(&bench, 0) && held(&bench, 1) && held(&bench, MAX_REMOVED));
    assert_eq!(bench.node.rumor_count(), MAX_REMOVED);
    // It is not taken again from those who still hold it.
    bench.hear(&removal(0), id(1));
    assert!(!held(&bench, 0));
}

// ---------------------------------------------------------------- a full store

#[test]
fn a_store_that_is_full_says_how_full_and_what_helps() {
    let mut config = crate::support::config(gossiping());
    config.store_limit = 64 << 10;
    let mut bench = Bench::with(config);
    let now = bench.now;
    assert_eq!(bench.node.rumor_limit(), 64 << 10);
    bench
        .node
        .apply_file(now, file("large", 1, 60 << 10))
        .unwrap();
    let held = bench.node.rumor_bytes();
    let refused = bench.node.apply_file(now, file("more", 1, 5 << 10));
    let Err(error @ CommandError::StoreFull { .. }) = refused else {
        panic!("{refused:?}");
    };
    let text = error.to_string();
    for part in [&held.to_string(), "65536", "--store-limit", "file remove"] {
        assert!(text.contains(part), "{text}");
    }
    // What others say does not fit either: counted, and told once in a while, with its source.
    bench.hear(&Rumor::ServiceFile(file("more", 1, 5 << 10)), id(1));
    bench.hear(&Rumor::ServiceFile(file("more", 1, 6 << 10)), id(1));
    assert_eq!(bench.node.stats().rejected(Reject::StoreFull), 2);
    let full = |event: &Event| {
        matches!(
            event,
            Event::Rejected {
                reason: Reject::StoreFull,
                ..
            }
        )
    };
    assert_eq!(bench.events().iter().filter(|event| full(event)).count(), 1);
    // Removing makes room, also in a store that is full.
    assert_eq!(
        bench.node.remove_file(now, &group("default"), "large"),
        Ok(true)
    );
    bench
        .node
        .apply_file(now, file("more", 1, 5 << 10))
        .unwrap();
    let gauge = bench.node.sizes().find(|gauge| gauge.name == "rumor_bytes");
    assert_eq!(gauge.map(|gauge| gauge.most), Some(64 << 10));
}

#[test]
fn the_next_version_follows_the_one_held() {
    let mut bench = bench();
    let (now, id) = (bench.now, RumorId::config(&group("default")));
    let next = |bench: &Bench, at_least, forced| match forced {
        true => bench.node.next_forced_version(&id, at_least),
        false => bench.node.next_version(&id, at_least),
    };
    assert_eq!(next(&bench, 0, false), Ok(1), "nothing is held");
    assert_eq!(next(&bench, 1_900_000_000, false), Ok(1_900_000_000));
    // Two at once, and two within a second.
    for (at_least, expected) in [(0, 1), (0, 2), (1_900, 1_900), (1_900, 1_901), (0, 1_902)] {
        let version = next(&bench, at_least, false).unwrap();
        assert_eq!(version, expected);
        let config = config("default", version, "a");
        bench.node.apply_config(now, config).unwrap();
    }
    // A clock that ran ahead, elsewhere.
    bench.hear(
        &Rumor::ServiceConfig(config("default", 5_000, "b")),
        self::id(3),
    );
    assert_eq!(next(&bench, 1_950, false), Ok(5_001));
    assert_eq!(bench.node.remove_config(now, &group("default")), Ok(true));
    assert_eq!(
        next(&bench, 0, false),
        Ok(5_002),
        "a removal is a version, too"
    );
    // What is stuck can only be forced, from the beginning.
    bench.hear(
        &Rumor::ServiceConfig(config("default", MAX_VERSION, "c")),
        self::id(3),
    );
    assert_eq!(
        next(&bench, 0, false),
        Err(CommandError::Stuck { held: MAX_VERSION })
    );
    assert_eq!(next(&bench, 7, true), Ok(7));
    assert_eq!(
        next(&bench, MAX_VERSION + 1, true),
        Err(CommandError::Beyond {
            given: MAX_VERSION + 1
        })
    );
}

#[test]
fn who_is_overruled_in_its_own_version_says_so() {
    let mut bench = bench();
    let now = bench.now;
    let overruled = |bench: &mut Bench| {
        let events = bench.events().into_iter();
        let all: Vec<_> = events
            .filter_map(|event| match event {
                Event::RumorOverruled {
                    id,
                    version,
                    winner,
                    ..
                } => Some((id.id.to_string(), version, winner)),
                _ => None,
            })
            .collect();
        all
    };
    bench
        .node
        .apply_config(now, config("default", 1, "b"))
        .unwrap();
    bench.node.apply_file(now, file("f", 1, 5)).unwrap();
    // One that loses, one that is newer, and one of the same content are no loss.
    bench.hear(&Rumor::ServiceConfig(config("default", 1, "a")), id(3));
    bench.hear(&Rumor::ServiceConfig(config("default", 1, "b")), id(3));
    bench.hear(&Rumor::ServiceFile(file("f", 2, 5)), id(3));
    bench.hear(&Rumor::ServiceFile(file("f", 2, 9)), id(4));
    assert_eq!(overruled(&mut bench), []);
    bench.hear(&Rumor::ServiceConfig(config("default", 1, "c")), id(3));
    assert_eq!(
        overruled(&mut bench),
        [("service_config".to_owned(), 1, Some(id(3)))]
    );
    bench.hear(&Rumor::ServiceConfig(config("default", 1, "d")), id(4));
    assert_eq!(overruled(&mut bench), [], "it was another's that lost");
}
