//! What somebody can make a whole ring do who receives nothing at the addresses that it names.

use std::net::SocketAddr;
use std::time::Duration;

use butterfly::limits::{DATAGRAM_HEADERS, STRANGER_AMPLIFICATION};
use butterfly::sim::{Index, Sim, SimConfig, id_of};
use butterfly::wire::{
    Accusers, Encoder, HEADROOM, MemberRecord, MembershipRecord, Message, feature, seal,
};
use butterfly::{Health, Incarnation, MemberId};

const SECOND: Duration = Duration::from_secs(1);

fn victim(number: u32) -> SocketAddr {
    let ip = std::net::Ipv4Addr::from(u32::from(std::net::Ipv4Addr::new(10, 99, 0, 0)) + number);
    SocketAddr::new(ip.into(), 7)
}

fn member(number: u32, addr: SocketAddr) -> MemberRecord<'static> {
    let mut id = [0xab; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    MemberRecord {
        id: MemberId::from_bytes(id),
        incarnation: Incarnation::ZERO,
        address: Some(addr.ip()),
        swim_port: addr.port(),
        gossip_port: addr.port(),
        persistent: false,
        departed: false,
        probe_ping: false,
        features: 0,
        name: "",
    }
}

fn said(number: u32, health: Health) -> MembershipRecord<'static> {
    MembershipRecord {
        member: member(number, victim(number)),
        health,
        accusers: Accusers::NONE,
    }
}

fn ping(from: MemberRecord<'static>) -> Message<'static> {
    let from = MemberRecord {
        address: None,
        ..from
    };
    Message::Ping {
        from,
        forward_to: None,
        probe: 0,
        digest: 0,
    }
}

fn datagram(message: &Message<'_>, records: &[MembershipRecord<'_>]) -> Vec<u8> {
    let mut buf = vec![0; HEADROOM + 65_507];
    let mut out = Encoder::new(&mut buf[HEADROOM..], message).unwrap();
    let limit = 65_500;
    assert!(records.iter().all(|record| out.push(record, limit)));
    let len = out.finish();
    let range = seal(None, &mut buf, len);
    buf[range].to_vec()
}

fn settled(seed: u64, members: usize) -> (Sim, Vec<Index>) {
    let mut sim = Sim::new(SimConfig::new(seed));
    let all = sim.start_settled(members);
    sim.run_for(5 * SECOND);
    (sim, all)
}

/// An attacker that says all this to members of a ring, and receives nothing.
struct Attack {
    sim: Sim,
    bytes: u64,
}

impl Attack {
    fn send(&mut self, from: SocketAddr, to: Index, datagram: &[u8]) {
        self.bytes += (datagram.len() + DATAGRAM_HEADERS) as u64;
        self.sim.forge(from, to, datagram);
        self.sim.run_for(Duration::from_millis(1));
    }

    /// Nothing went anywhere that is more than this many times the attacker's bytes, nor any TCP connection.
    fn is_bounded(&self) {
        let strayed = self.sim.strayed();
        let most = STRANGER_AMPLIFICATION as u64 * self.bytes;
        assert!(
            strayed.bytes <= most,
            "{strayed:?} for {} bytes",
            self.bytes
        );
        assert_eq!(strayed.pushes, 0);
        assert_eq!(self.sim.violations(), []);
    }
}

#[test]
fn a_forged_ping_has_the_whole_ring_send_three_times_its_bytes_at_most() {
    for members in [5, 25] {
        for features in [0, feature::EXTENSIONS | feature::VOUCHES] {
            for told in [1, members] {
                let (sim, all) = settled(1, members);
                let mut attack = Attack { sim, bytes: 0 };
                let from = MemberRecord {
                    features,
                    ..member(1, victim(1))
                };
                for to in &all[..told] {
                    attack.send(victim(1), *to, &datagram(&ping(from), &[]));
                }
                attack.sim.run_for(60 * SECOND);
                attack.is_bounded();
                let strayed = attack.sim.strayed_to(victim(1));
                assert!(strayed.datagrams > 0, "it is answered");
                assert!(attack.sim.all_agree());
            }
        }
    }
}

/// The id and the address of a member that is there, of which an attacker knows.
#[test]
fn a_ping_forged_in_a_members_name_moves_nobody() {
    let (sim, all) = settled(1, 25);
    let mut attack = Attack { sim, bytes: 0 };
    let from = MemberRecord {
        id: id_of(3),
        incarnation: Incarnation::new(9).unwrap(),
        ..member(1, victim(1))
    };
    for to in &all {
        attack.send(victim(1), *to, &datagram(&ping(from), &[]));
    }
    attack.sim.run_for(60 * SECOND);
    attack.is_bounded();
    assert!(attack.sim.all_agree());
}

fn records(first: u32, count: u32, health: Health) -> Vec<MembershipRecord<'static>> {
    (first..first + count)
        .map(|number| said(number, health))
        .collect()
}

/// How long it takes until all know that the last of 25 died.
fn until_all_know(sim: &mut Sim, all: &[Index]) -> f64 {
    let (last, began) = (*all.last().unwrap(), sim.now());
    sim.crash(last);
    let known = sim.run_until(120 * SECOND, |sim| sim.all_hold(last, Health::Confirmed));
    assert!(known, "not within two minutes");
    sim.now().since(began).as_secs_f64()
}

/// The mean of some seeds, with what is done to the ring before.
fn detection(disturb: impl Fn(Sim, &[Index]) -> Sim) -> f64 {
    const SEEDS: u64 = 20;
    let times = (0..SEEDS).map(|seed| {
        let (sim, all) = settled(seed, 25);
        let mut sim = disturb(sim, &all);
        until_all_know(&mut sim, &all)
    });
    times.sum::<f64>() / SEEDS as f64
}

/// One datagram, four, and as many as hold a hundred thousand, by strangers: each has as many as fit.
#[test]
fn made_up_records_do_not_delay_the_detection_of_a_death() {
    let calm = detection(|sim, _| sim);
    for datagrams in [1, 4, 105] {
        let full: Vec<_> = (0..datagrams)
            .map(|number| {
                let records = records(number * 960, 960, Health::Alive);
                datagram(&ping(member(number, victim(number))), &records)
            })
            .collect();
        let disturbed = detection(|sim, all| {
            let mut attack = Attack { sim, bytes: 0 };
            let told = if datagrams > 4 { &all[..3] } else { all };
            for (to, datagram) in told
                .iter()
                .flat_map(|to| full.iter().map(move |it| (to, it)))
            {
                attack.send(victim(7), *to, datagram);
            }
            attack.is_bounded();
            attack.sim
        });
        assert!(disturbed <= 1.2 * calm, "{disturbed} s, else {calm} s");
    }
}

/// A member says it, which is in the ring under its own address.
#[test]
fn made_up_records_of_a_member_neither_spread_nor_delay_anything() {
    let calm = detection(|sim, _| sim);
    let disturbed = detection(|sim, all| {
        let mut attack = Attack { sim, bytes: 0 };
        let from = MemberRecord {
            id: id_of(0),
            features: feature::EXTENSIONS | feature::VOUCHES,
            ..member(0, attack.sim.addr(0))
        };
        for round in 0..5 {
            for to in &all[1..] {
                let made_up = records(round * 300, 300, Health::Alive);
                let source = attack.sim.addr(0);
                attack.send(source, *to, &datagram(&ping(from), &made_up));
            }
            attack.sim.run_for(SECOND);
        }
        attack.is_bounded();
        assert!(attack.sim.all_agree(), "nobody took in any of them");
        attack.sim
    });
    assert!(disturbed <= 1.2 * calm, "{disturbed} s, else {calm} s");
}

/// All at one address: that gets three times what was said of it.
#[test]
fn members_made_up_at_one_address_have_it_sent_three_times_the_bytes_at_most() {
    let (sim, all) = settled(1, 25);
    let mut attack = Attack { sim, bytes: 0 };
    let from = MemberRecord {
        id: id_of(0),
        features: feature::EXTENSIONS | feature::VOUCHES,
        ..member(0, attack.sim.addr(0))
    };
    let made_up: Vec<_> = (0..60)
        .map(|number| MembershipRecord {
            member: member(number, victim(1)),
            ..said(number, Health::Alive)
        })
        .collect();
    let (source, message) = (attack.sim.addr(0), datagram(&ping(from), &made_up));
    for to in &all[1..] {
        attack.send(source, *to, &message);
    }
    attack.sim.run_for(120 * SECOND);
    attack.is_bounded();
    assert!(attack.sim.strayed_to(victim(1)).datagrams > 0);
    assert!(attack.sim.all_agree());
}

/// Before, it filled the tables for ten days.
#[test]
fn newcomers_join_however_many_members_are_made_up() {
    let (sim, all) = settled(1, 5);
    let mut attack = Attack { sim, bytes: 0 };
    for number in 0..160 {
        let records = records(number * 960, 960, Health::Alive);
        let from = member(number, victim(number));
        for to in &all {
            attack.send(victim(number), *to, &datagram(&ping(from), &records));
        }
    }
    attack.is_bounded();
    let newcomer = attack.sim.start();
    attack.sim.join(newcomer, all[0]);
    let mut sim = attack.sim;
    assert!(sim.run_until(5 * SECOND, |sim| sim.all_agree()));
    assert_eq!(sim.node(all[0]).members().count(), 6);
}
