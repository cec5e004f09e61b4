//! What strangers on a ring without a key cannot do to a member, however often they try.

use crate::support::*;
use butterfly::Health;

fn ring() -> (Bench, Vec<Peer>) {
    let mut bench = Bench::timed(doubtful());
    let all: Vec<_> = (1..=5).map(Peer::ours).collect();
    bench.meet(&all);
    for peer in &all {
        bench.prove(peer, &all);
    }
    bench.advance_with_living(secs(60.0), &all);
    (bench, all)
}

#[test]
fn strangers_do_not_use_up_the_news_of_the_members() {
    let (mut bench, all) = ring();
    let news = Peer::ours(50);
    bench.learn(&all[0], &[news.said(Health::Alive, 1)]);
    for number in 0..60 {
        let stranger = Peer::ours(1_000).at(&format!("203.0.113.9:{}", 4_000 + number));
        bench.feed(&stranger, stranger.ping(1), &[news.said(Health::Alive, 1)]);
    }
    bench.sent();
    bench.feed(&all[1], all[1].ping(1), &[]);
    assert!(bench.sent()[0].says_of(&news).is_some());
}

#[test]
fn a_stranger_does_not_make_a_member_slow() {
    let (mut bench, all) = ring();
    let stranger = Peer::ours(1_000);
    for _ in 0..60 {
        bench.feed(&stranger, stranger.probe_ping(), &[]);
        bench.advance_with_living(secs(1.0), &all);
    }
    assert!(
        bench.node.local_health() <= 1,
        "{}",
        bench.node.local_health()
    );
}
