//! The dead come back by answering, and a member that hears nobody accuses nobody.

use crate::support::*;
use butterfly::Health;
use butterfly::stats::MessageKind;

/// A ring of two others, of which the second is Confirmed at incarnation 5.
fn bench_with_dead(dead: Peer) -> (Bench, Peer) {
    let mut bench = Bench::timed(plain());
    let witness = Peer::ours(1);
    bench.meet(&[witness, dead]);
    bury(&mut bench, &witness, &dead, 5);
    (bench, witness)
}

/// Others say that a member is Confirmed, and it does not answer.
fn bury(bench: &mut Bench, witness: &Peer, dead: &Peer, incarnation: u64) {
    bench.learn(witness, &[dead.said(Health::Confirmed, incarnation)]);
    bench.advance_with_living(secs(1.0), &[*witness]);
    assert_eq!(bench.held(dead), Some((Health::Confirmed, incarnation)));
    bench.sent();
}

/// The dead member's number to answer, of the pings that left.
fn asked(bench: &mut Bench, peer: &Peer) -> u64 {
    let pings = pings(&to(peer, &bench.sent()));
    pings.last().expect("it is asked").probe
}

#[test]
fn one_of_ours_is_asked_and_lives_when_it_answers() {
    let peer = Peer::ours(2);
    let (mut bench, _) = bench_with_dead(peer);
    bench.feed(&peer, peer.incarnated(6).ping(7), &[]);
    bench.feed(
        &peer,
        peer.incarnated(6).ack(0),
        &[peer.said(Health::Alive, 6)],
    );
    assert_eq!(bench.held(&peer), Some((Health::Confirmed, 5)));
    let sent = to(&peer, &bench.sent());
    let asked = pings(&sent);
    assert_eq!(asked.len(), 1, "once");
    assert_eq!(
        asked[0].says_of(&peer),
        Some((Health::Confirmed, 5)),
        "so that it refutes it"
    );
    bench.feed(&peer, peer.incarnated(6).ack(asked[0].probe + 1), &[]);
    assert_eq!(
        bench.health(&peer),
        Some(Health::Confirmed),
        "another number"
    );
    bench.feed(&peer, peer.incarnated(6).ack(asked[0].probe), &[]);
    assert_eq!(bench.held(&peer), Some((Health::Alive, 6)));
    // The others hear of it.
    assert!(bench.node.news() > 0);
}

#[test]
fn an_original_lives_by_any_message() {
    let peer = Peer::original(2);
    let (mut bench, _) = bench_with_dead(peer);
    bench.feed(&peer, peer.ping(0), &[]);
    assert_eq!(bench.held(&peer), Some((Health::Alive, 5)));
}

#[test]
fn what_others_say_of_its_return_is_believed() {
    let peer = Peer::ours(2);
    let (mut bench, witness) = bench_with_dead(peer);
    bench.learn(&witness, &[peer.said(Health::Alive, 6)]);
    assert_eq!(bench.held(&peer), Some((Health::Alive, 6)));
}

#[test]
fn who_is_said_to_live_as_it_was_when_it_died_is_asked_once_a_period() {
    let peer = Peer::ours(2);
    let (mut bench, witness) = bench_with_dead(peer);
    let alive = peer.said(Health::Alive, 5);
    bench.feed(&witness, witness.ping(0), &[alive]);
    let asked = pings(&to(&peer, &bench.sent()));
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].says_of(&peer), Some((Health::Confirmed, 5)));
    bench.feed(&witness, witness.ping(0), &[alive]);
    assert!(to(&peer, &bench.sent()).is_empty(), "once");
    // Such a record is not taken for one that was heard before and says nothing.
    bench.advance_with_living(secs(1.1), &[witness]);
    bench.feed(&witness, witness.ping(0), &[alive]);
    let sent = bench.sent();
    assert_eq!(pings(&to(&peer, &sent)).len(), 1);
    // It refutes what it hears.
    bench.feed(
        &peer,
        peer.incarnated(6).answers(&pings(&to(&peer, &sent))[0]),
        &[],
    );
    assert_eq!(bench.held(&peer), Some((Health::Alive, 6)));
    // Neither a stranger nor one that knows less has it asked.
    bury(&mut bench, &witness, &peer, 6);
    bench.advance_with_living(secs(1.1), &[witness]);
    bench.feed(&witness, witness.ping(0), &[alive]);
    let stranger = Peer::ours(9);
    bench.feed(&stranger, stranger.ping(0), &[peer.said(Health::Alive, 6)]);
    assert!(to(&peer, &bench.sent()).is_empty());
}

#[test]
fn when_one_comes_back_all_the_dead_are_asked_so_many_in_a_period() {
    let dead: Vec<Peer> = (2..42).map(Peer::ours).collect();
    let witness = Peer::ours(1);
    let mut bench = Bench::timed(plain());
    bench.meet(&[witness]);
    bench.meet(&dead);
    for some in dead.chunks(10) {
        let said: Vec<_> = some
            .iter()
            .map(|peer| peer.said(Health::Confirmed, 5))
            .collect();
        bench.learn(&witness, &said);
    }
    bench.advance_with_living(secs(2.0), &[witness]);
    let all_dead = |bench: &Bench| {
        dead.iter()
            .all(|peer| bench.health(peer) == Some(Health::Confirmed))
    };
    assert!(all_dead(&bench));
    let asked = |sent: &[Sent]| {
        dead.iter()
            .filter(|peer| !pings(&to(peer, sent)).is_empty())
            .count()
    };
    assert!(asked(&bench.advance_with_living(secs(1.1), &[witness])) <= 2);
    // What a member says of them has fewer asked; that it says the same again and again uses nothing up.
    for _ in 0..20 {
        bench.feed(
            &witness,
            witness.ping(0),
            &[dead[20].said(Health::Alive, 5)],
        );
    }
    for some in dead[20..].chunks(10) {
        let said: Vec<_> = some
            .iter()
            .map(|peer| peer.said(Health::Alive, 5))
            .collect();
        bench.feed(&witness, witness.ping(0), &said);
    }
    assert_eq!(asked(&bench.sent()), 8);
    bench.advance_with_living(secs(1.1), &[witness]);
    bench.feed(&dead[0], dead[0].incarnated(6).ping(0), &[]);
    let number = self::asked(&mut bench, &dead[0]);
    bench.feed(&dead[0], dead[0].incarnated(6).ack(number), &[]);
    assert_eq!(bench.health(&dead[0]), Some(Health::Alive));
    assert_eq!(asked(&bench.sent()), 32);
    let living = [witness, dead[0].incarnated(6)];
    let rest = asked(&bench.advance_with_living(secs(1.1), &living));
    assert!((7..=9).contains(&rest), "{rest}");
    assert!(
        asked(&bench.advance_with_living(secs(1.1), &living)) <= 2,
        "once"
    );
}

#[test]
fn the_second_time_it_answers_two_probes_in_a_row() {
    let peer = Peer::ours(2);
    let (mut bench, witness) = bench_with_dead(peer);
    bench.feed(&peer, peer.incarnated(6).ping(0), &[]);
    let number = asked(&mut bench, &peer);
    bench.feed(&peer, peer.incarnated(6).ack(number), &[]);
    assert_eq!(bench.held(&peer), Some((Health::Alive, 6)));
    bury(&mut bench, &witness, &peer, 6);

    let back = peer.incarnated(7);
    bench.feed(&peer, back.ping(0), &[]);
    let number = asked(&mut bench, &peer);
    // Twice the same answer is one.
    bench.feed(&peer, back.ack(number), &[]);
    bench.feed(&peer, back.ack(number), &[]);
    assert_eq!(bench.health(&peer), Some(Health::Confirmed));
    // It is asked again a period later, and does not answer: that was not in a row.
    let later = bench.advance_with_living(secs(1.1), &[witness]);
    assert!(!pings(&to(&peer, &later)).is_empty());
    bench.advance_with_living(secs(1.1), &[witness]);

    bench.feed(&peer, back.ping(0), &[]);
    let number = asked(&mut bench, &peer);
    bench.feed(&peer, back.ack(number), &[]);
    assert_eq!(bench.health(&peer), Some(Health::Confirmed));
    let later = bench.advance_with_living(secs(1.1), &[witness]);
    let number = pings(&to(&peer, &later)).last().expect("it is asked").probe;
    bench.feed(&peer, back.ack(number), &[]);
    assert_eq!(bench.held(&peer), Some((Health::Alive, 7)));
}

/// Of three others all fall silent; then one is heard again.
#[test]
fn who_hears_nobody_accuses_nobody_until_it_hears_again() {
    let mut bench = Bench::timed(plain());
    let all = [1, 2, 3].map(Peer::ours);
    bench.meet(&all);
    bench.advance_with_living(secs(10.0), &all);
    let sent = bench.advance(secs(60.0));
    let mut accused = 0;
    for message in &sent {
        // Those whom it asks for help are told whom to ping.
        if message.kind != MessageKind::PingReq {
            accused += message
                .records
                .iter()
                .filter(|it| it.says().1 > Health::Alive)
                .count();
        }
    }
    assert!(!sent.is_empty() && accused == 0, "{accused}");
    assert!(
        all.iter()
            .all(|peer| bench.health(peer) == Some(Health::Confirmed))
    );
    let probes = probes(&sent).len();
    let requests = ping_reqs(&sent).len();
    assert!(
        requests <= 3 * probes,
        "{requests} requests, {probes} probes"
    );
    // It hears one again: now the others are told what became of the rest.
    bench.feed(&all[0], all[0].ping(0), &[]);
    let sent = bench.advance_with_living(secs(3.0), &all[..1]);
    assert_eq!(bench.health(&all[0]), Some(Health::Alive));
    let told = |peer: &Peer| {
        let says = |message: &Sent| {
            message
                .says_of(peer)
                .is_some_and(|it| it.0 == Health::Confirmed)
        };
        sent.iter().any(says)
    };
    assert!(told(&all[1]) && told(&all[2]));
}
