//! Two nodes back to back: virtual time, and a network that takes no time, and loses what it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use butterfly::limits::MAX_DATAGRAM_SENT;
use butterfly::node::{Node, SEND_BUFFER};
use butterfly::wire::{self, Message, RingKey};
use butterfly::{Time, Timing};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{config, id};

pub struct Pair {
    pub nodes: [Node; 2],
    pub now: Time,
    keys: Vec<RingKey>,
    /// Datagrams that compared stores, of each.
    pub compared: [usize; 2],
    /// Pushes, of each.
    pub pushed: [usize; 2],
    /// What part of the datagrams and pushes is lost, at random.
    pub loss: f64,
    rng: StdRng,
}

fn ip(number: usize) -> std::net::IpAddr {
    [192, 0, 2, 1 + number as u8].into()
}

impl Pair {
    pub fn new(timing: Timing, keys: Vec<RingKey>) -> Pair {
        let now = Time::from_millis(1_000_000);
        let node = |number: usize| {
            let mut config = config(timing.clone());
            config.id = id(number as u32 + 1);
            config.name = "n".repeat(32);
            config.ip = Some(ip(number));
            config.reserved = butterfly::Incarnation::MAX;
            config.ring_keys = keys.clone();
            config.random_seed = [number as u8; 32];
            Node::new(config, now)
        };
        Pair {
            nodes: [node(0), node(1)],
            now,
            keys: keys.clone(),
            compared: [0; 2],
            pushed: [0; 2],
            loss: 0.0,
            rng: StdRng::seed_from_u64(1),
        }
    }

    /// The second asks the first for its ring.
    pub fn meet(&mut self) {
        let seed = SocketAddr::new(ip(0), 9638);
        self.nodes[1].join(self.now, seed).unwrap();
    }

    pub fn agree(&self) -> bool {
        self.nodes[0].rumor_checksum() == self.nodes[1].rumor_checksum()
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            while self.deliver(0) | self.deliver(1) {}
            let next = self.nodes.iter().filter_map(Node::poll_timeout).min();
            match next {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// Until both hold the same; how long that took.
    pub fn run_until_agreed(&mut self, most: Duration) -> Option<Duration> {
        let start = self.now;
        while !self.agree() {
            if self.now.since(start) >= most {
                return None;
            }
            self.run_for(Duration::from_millis(50));
        }
        Some(self.now.since(start))
    }

    fn is_lost(&mut self) -> bool {
        self.rng.random_bool(self.loss)
    }

    /// What one of them has to say comes to the other; whether there was anything.
    fn deliver(&mut self, from: usize) -> bool {
        let mut some = false;
        let mut buf = [0; SEND_BUFFER];
        while let Some(transmit) = self.nodes[from].poll_datagram(self.now, &mut buf) {
            some = true;
            let datagram = &mut buf[transmit.range];
            assert!(
                datagram.len() <= MAX_DATAGRAM_SENT,
                "{} bytes",
                datagram.len()
            );
            let mut copy = datagram.to_vec();
            let payload = wire::open(&self.keys, &mut copy).unwrap();
            if let Message::Ack { reconcile, .. } = wire::decode(payload).unwrap().message {
                self.compared[from] += usize::from(!reconcile.is_empty());
            }
            assert_eq!(transmit.to.ip(), ip(1 - from));
            let source = SocketAddr::new(ip(from), 9638);
            if !self.is_lost() {
                self.nodes[1 - from].handle_datagram(self.now, source, datagram);
            }
        }
        let mut frame = Vec::new();
        while let Some(push) = self.nodes[from].poll_push(self.now, &mut frame) {
            some = true;
            self.pushed[from] += 1;
            assert_eq!(push.to, SocketAddr::new(ip(1 - from), 9639));
            let source = || SocketAddr::new(ip(from), 0);
            if !self.is_lost() {
                self.nodes[1 - from].handle_rumor(self.now, &mut frame, source);
            }
            self.nodes[from].handle_sent(self.now, push.id, true);
        }
        while self.nodes[from].poll_event().is_some() {}
        some
    }
}
