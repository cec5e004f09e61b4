//! In the steady state a member allocates nothing, however long it runs.

mod wire;

use kit::counting;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use butterfly::node::SEND_BUFFER;
use butterfly::stats::MessageKind;
use butterfly::{Node, RingKey, Time};
use kit::world::{
    World, addr_of, config_frame, datagram, keys, node, number_of, ping_from, ping_with_six,
    recorded_node, table, told_as_news,
};

#[global_allocator]
static ALLOCATOR: kit::counting::Counting = kit::counting::Counting;

const MEMBERS: u32 = 8;

/// A datagram on its way: where from, where to, and how much of the buffer it takes.
type Letter = (SocketAddr, SocketAddr, usize, [u8; SEND_BUFFER]);

/// Nodes that exchange datagrams through a queue which is never too short, and the time.
struct Ring {
    nodes: Vec<Node>,
    mail: VecDeque<Letter>,
    now: Time,
}

impl Ring {
    fn new(sealed: bool) -> Self {
        Ring::of(sealed, node)
    }

    fn of(sealed: bool, node: fn(u32, &[RingKey], Time) -> Node) -> Self {
        let (now, keys) = (Time::ZERO, keys(sealed));
        let mut nodes: Vec<_> = (0..MEMBERS)
            .map(|number| node(number, &keys, now))
            .collect();
        for node in &mut nodes[1..] {
            node.join(now, addr_of(0)).unwrap();
        }
        Ring {
            nodes,
            mail: VecDeque::with_capacity(1_024),
            now,
        }
    }

    /// Lets time pass, from deadline to deadline; a datagram arrives at once.
    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            while let Some((from, to, len, mut bytes)) = self.mail.pop_front() {
                let to = number_of(to) as usize;
                self.nodes[to].handle_datagram(self.now, from, &mut bytes[..len]);
                self.collect(to);
            }
            let next = self
                .nodes
                .iter()
                .filter_map(Node::poll_timeout)
                .min()
                .unwrap();
            if next > end {
                return self.now = end;
            }
            self.now = next.max(self.now);
            for number in 0..self.nodes.len() {
                self.nodes[number].handle_timeout(self.now);
                self.collect(number);
            }
        }
    }

    /// Takes what a node has to say.
    fn collect(&mut self, number: usize) {
        let mut bytes = [0; SEND_BUFFER];
        while let Some(transmit) = self.nodes[number].poll_datagram(self.now, &mut bytes) {
            let len = transmit.range.len();
            bytes.copy_within(transmit.range, 0);
            assert!(self.mail.len() < self.mail.capacity());
            self.mail
                .push_back((addr_of(number as u32), transmit.to, len, bytes));
        }
        let node = &mut self.nodes[number];
        while node.poll_event().is_some() {}
        // As the thread that writes it does.
        while let Some(chunk) = node.poll_recorded() {
            node.reuse_recorded(chunk);
        }
    }

    fn acks(&self) -> u64 {
        let stats = self.nodes.iter().map(Node::stats);
        stats.map(|stats| stats.received(MessageKind::Ack)).sum()
    }
}

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = counting::calls();
    work();
    counting::calls() - before
}

#[test]
fn a_ring_probes_without_allocating() {
    for sealed in [false, true] {
        let mut ring = Ring::new(sealed);
        ring.run_for(Duration::from_secs(120));
        for node in &ring.nodes {
            assert_eq!((node.counts().alive, node.news()), (MEMBERS as usize, 0));
        }
        let acks = ring.acks();
        let allocations = allocations_of(|| ring.run_for(Duration::from_secs(100)));
        assert_eq!(allocations, 0, "sealed: {sealed}");
        assert!(ring.acks() - acks >= 99 * u64::from(MEMBERS));
    }
}

#[test]
fn a_ring_is_recorded_without_allocating() {
    for sealed in [false, true] {
        let mut ring = Ring::of(sealed, recorded_node);
        // Long enough for the buffers to have come round.
        ring.run_for(Duration::from_secs(1_000));
        let acks = ring.acks();
        let allocations = allocations_of(|| ring.run_for(Duration::from_secs(300)));
        assert_eq!(allocations, 0, "sealed: {sealed}");
        assert!(ring.acks() - acks >= 299 * u64::from(MEMBERS));
        assert!(ring.nodes.iter().all(Node::is_recording));
    }
}

#[test]
fn a_ping_is_answered_without_allocating() {
    for sealed in [false, true] {
        let mut world = World::settled(sealed, 10);
        let mut bare = datagram(world.keys(), &ping_from(2), &mut (0..0), 512);
        let mut six = [0; 3].map(|_| ping_with_six(world.keys(), 2, 3));
        let [first, six, again] = &mut six;
        // From the first on they are known, for which there has to be room.
        world.hear(addr_of(2), first);
        while world.take().is_some() {}
        for (name, ping) in [("bare", &mut bare), ("six", six), ("six again", again)] {
            let acks = world.node.stats().sent(MessageKind::Ack);
            let allocations = allocations_of(|| {
                world.hear(addr_of(2), ping);
                while world.take().is_some() {}
            });
            assert_eq!(allocations, 0, "{name}, sealed: {sealed}");
            assert_eq!(world.node.stats().sent(MessageKind::Ack), acks + 1);
        }
        assert_eq!(world.node.stats().records_received, 18);
    }
}

#[test]
fn an_ack_that_carries_stale_memberships_ends_a_probe_round_without_allocating() {
    for sealed in [false, true] {
        let mut world = World::settled(sealed, 10);
        // In the first rounds they are heard for the first time, for which there has to be room.
        for round in 0..20 {
            let mut ping = None;
            let begun = allocations_of(|| ping = world.begin_round());
            let ping = ping.unwrap();
            let mut ack = world.ack_with_six(&ping, 3);
            let (acks, records) = (
                world.node.stats().received(MessageKind::Ack),
                world.node.stats().records_received,
            );
            let ended = allocations_of(|| {
                world.end_round(ping.to, &mut ack);
                while world.take().is_some() {}
            });
            let stats = world.node.stats();
            assert_eq!(stats.received(MessageKind::Ack), acks + 1);
            assert_eq!(stats.records_received, records + 6);
            if round >= 10 {
                assert_eq!((begun, ended), (0, 0), "round {round}, sealed: {sealed}");
            }
        }
        assert_eq!(world.node.stats().probes_failed, 0);
    }
}

#[test]
fn a_rumor_that_is_held_already_is_heard_without_allocating() {
    for sealed in [false, true] {
        let mut world = World::holding(sealed, 10, 100);
        let frame = config_frame(world.keys(), 7, 1);
        let mut again = frame.clone();
        let adopted = world.node.stats().rumors_adopted;
        let allocations = allocations_of(|| {
            for _ in 0..10 {
                // Opening it writes over it.
                again.copy_from_slice(&frame);
                world.hear_rumor(&mut again);
            }
        });
        assert_eq!(allocations, 0, "sealed: {sealed}");
        let stats = world.node.stats();
        assert_eq!(
            (stats.rumors_received, stats.rumors_adopted),
            (110, adopted)
        );
    }
}

/// What a node takes for a member at most, bytes: so that ten thousand nodes, each of which knows all others,
/// fit in 16 GiB.
const MOST_FOR_A_MEMBER: f64 = 110.0;

/// On a sealed ring, where its datagrams are remembered that were heard.
const MOST_FOR_A_MEMBER_SEALED: f64 = 145.0;

fn assert_small(how: &str, members: u32, before: i64, most: f64) {
    let each = (counting::live() - before) as f64 / f64::from(members);
    println!("{members} members, {how}: {each:.1} bytes each");
    assert!(each <= most, "{members}, {how}: {each}");
}

#[test]
fn a_known_member_takes_little_memory() {
    // At fifteen thousand the index has just doubled.
    for members in [1_000, 10_000, 15_000, 100_000] {
        let mut parts = [table(&[], members), table(&[], members)];
        let before = counting::live();
        let mut world = World::new(false);
        for parts in &mut parts {
            world.hear_table(parts);
        }
        assert_eq!(world.node.counts().alive, members as usize);
        assert_small("told as a table", members, before, MOST_FOR_A_MEMBER);
    }
}

#[test]
fn a_member_that_was_heard_on_a_sealed_ring_takes_little_more() {
    for members in [1_000, 10_000, 15_000, 100_000] {
        let mut parts = table(&keys(true), members);
        let before = counting::live();
        let mut world = World::new(true);
        world.hear_table(&mut parts);
        for number in 1..members {
            world.know_heard(number);
        }
        assert_eq!(world.node.counts().alive, members as usize);
        let how = "told as a table, sealed, and heard";
        assert_small(how, members, before, MOST_FOR_A_MEMBER_SEALED);
        let windows = world
            .node
            .sizes()
            .find(|size| size.name == "replay_windows");
        assert_eq!(windows.unwrap().now, u64::from(members));
    }
}

#[test]
fn a_member_that_was_news_takes_no_more_when_it_is_none() {
    const MEMBERS: u32 = 10_000;
    let mut ping = datagram(&[], &ping_from(1), &mut (0..0), 512);
    let mut parts = told_as_news(MEMBERS);
    let before = counting::live();
    let mut world = World::new(false);
    world.hear_table(&mut parts);
    let known = world.node.counts().alive;
    assert_eq!(known, MEMBERS as usize);
    assert!(world.node.news() > known / 2, "{}", world.node.news());
    while world.node.news() > 0 {
        world.hear(addr_of(1), &mut ping);
        while world.take().is_some() {}
    }
    assert_small("told as news", MEMBERS, before, MOST_FOR_A_MEMBER);
}

#[test]
fn the_counter_counts() {
    assert_eq!(
        allocations_of(|| drop(std::hint::black_box(Box::new(1)))),
        1
    );
    let before = counting::live();
    let held = vec![0u8; 1_000];
    assert_eq!(counting::live() - before, 1_000);
    drop(held);
    assert_eq!(counting::live(), before);
}
