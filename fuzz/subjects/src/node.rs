//! One member, fed a sequence of datagrams, rumors, time and commands.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use butterfly::node::{NodeConfig, SEND_BUFFER};
use butterfly::wire::{self, RingKey};
use butterfly::{Node, RumorKind, Service, ServiceConfig, ServiceFile, Time};

use crate::input::Input;
use crate::said::{self, FILES, GROUPS, ME, addr, id};

/// Steps of one run: enough for any sequence of few kinds, and a bound on the time it takes.
const STEPS: usize = 300;
/// Timers that may run out in one step; a member that is late does not do over what it missed.
const TIMERS: usize = 10_000;
/// Its own datagrams that are kept, to be sent back to it.
const KEPT: usize = 16;

/// A plain or a sealed member, as the first byte says, and all that the others do to it.
pub fn node(data: &[u8]) {
    let mut input = Input::new(data);
    let mut run = Run::new(input.byte());
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
        run.drain();
        check_sizes(&run.node);
    }
}

/// Nothing is larger than it may be.
pub fn check_sizes(node: &Node) {
    for gauge in node.sizes() {
        assert!(
            gauge.now <= gauge.most,
            "{}: {} of {}",
            gauge.name,
            gauge.now,
            gauge.most
        );
    }
}

struct Run {
    node: Node,
    now: Time,
    keys: Vec<RingKey>,
    nonce: u8,
    own: VecDeque<Vec<u8>>,
}

impl Run {
    fn new(bits: u8) -> Self {
        let key = || RingKey::new("ring", "20260101000000", [7; 32]);
        let keys: Vec<_> = (bits & 1 != 0)
            .then(key)
            .and_then(Result::ok)
            .into_iter()
            .collect();
        let mut config = NodeConfig::new(id(ME), 1, [7; 32]);
        config.ip = (bits & 2 != 0).then(|| addr(ME).ip());
        config.swim_port = addr(ME).port();
        config.gossip_port = config.swim_port;
        config.persistent = bits & 4 != 0;
        config.ring_keys.clone_from(&keys);
        let mut node = Node::new(config, Time::ZERO);
        node.set_tracing(bits & 8 != 0);
        Run {
            node,
            now: Time::ZERO,
            keys,
            nonce: 0,
            own: VecDeque::new(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 | 1 => {
                let (from, message) = (input.byte() & 7, said::swim(input));
                let datagram = self.wrapped(&message);
                self.hear(addr(from), datagram);
            }
            2 => {
                let frame = said::rumor(input);
                let mut frame = self.wrapped(&frame);
                self.node.handle_rumor(self.now, &mut frame, || addr(1));
            }
            3 => {
                let (from, datagram) = (input.byte() & 7, input.bytes().to_vec());
                self.hear(addr(from), datagram);
            }
            4 => {
                let (from, message) = (input.byte() & 7, input.bytes());
                let datagram = self.wrapped(message);
                self.hear(addr(from), datagram);
            }
            5 => {
                let mut frame = self.wrapped(input.bytes());
                self.node.handle_rumor(self.now, &mut frame, || addr(1));
            }
            // Its own words come back to it, from anywhere, whole or with a bit that flipped.
            6 => {
                let (from, which, flip) = (input.byte() & 7, input.below(KEPT), input.byte());
                if let Some(datagram) = self.own.get(which) {
                    let mut datagram = datagram.clone();
                    let at = usize::from(flip >> 3);
                    if let Some(byte) = datagram.get_mut(at).filter(|_| flip != 0) {
                        *byte ^= 1 << (flip & 7);
                    }
                    self.hear(addr(from), datagram);
                }
            }
            7 | 8 => {
                let step = match input.byte() {
                    short @ 0..=199 => Duration::from_millis(u64::from(short) * 20),
                    long => Duration::from_secs(u64::from(long - 199) * 3_600),
                };
                self.wait(step);
            }
            9 | 10 => self.command(input),
            _ => {
                let bytes = input.bytes();
                // Whatever is wrong with it.
                let _ = match input.flag() {
                    true => self.node.restore_member(bytes),
                    false => self.node.restore_rumor(bytes),
                };
            }
        }
    }

    fn hear(&mut self, from: SocketAddr, mut datagram: Vec<u8>) {
        self.node.handle_datagram(self.now, from, &mut datagram);
    }

    fn wrapped(&mut self, payload: &[u8]) -> Vec<u8> {
        self.nonce = self.nonce.wrapping_add(1);
        let key = self.keys.first().map(|key| (key, [self.nonce; 24]));
        let mut frame = Vec::new();
        wire::seal_into(key, payload, &mut frame);
        frame
    }

    /// Time passes: each timer at its time, so long as they are few, then all at once.
    fn wait(&mut self, step: Duration) {
        let end = self.now + step;
        for _ in 0..50 {
            match self.node.poll_timeout() {
                Some(at) if at <= end => {
                    self.now = self.now.max(at);
                    self.node.handle_timeout(self.now);
                    self.drain();
                }
                _ => break,
            }
        }
        self.now = end;
        self.node.handle_timeout(self.now);
    }

    fn command(&mut self, input: &mut Input<'_>) {
        let (now, kind, whom) = (self.now, input.byte() % 14, id(input.byte() & 7));
        let incarnation = input.number();
        let group = input.pick(&GROUPS).parse();
        let node = &mut self.node;
        // Every refusal is fine; that nothing breaks is what counts.
        let _ = match (kind, group) {
            (0, _) => node.join(now, addr(input.byte() & 7)).map(drop),
            (1, _) => node.block(whom),
            (2, _) => {
                node.unblock(whom);
                Ok(())
            }
            (3, _) => node.depart(now, whom),
            (4, _) => {
                node.pause(now);
                Ok(())
            }
            (5, _) => {
                node.resume(now);
                Ok(())
            }
            (6, _) if input.below(8) == 0 => {
                node.leave(now);
                Ok(())
            }
            (7, Ok(group)) => {
                let mut service = Service::new(group, "acme/web/1/2");
                service.incarnation = incarnation;
                node.announce(now, service)
            }
            (8, Ok(group)) => node.withdraw(now, &group).map(drop),
            (9, Ok(group)) => {
                node.apply_config(now, ServiceConfig::new(group, incarnation, input.bytes()))
            }
            (10, Ok(group)) => {
                let name = input.pick(&FILES);
                node.apply_file(
                    now,
                    ServiceFile::new(group, incarnation, name, input.bytes()),
                )
            }
            (11, Ok(group)) => {
                let kind = match input.flag() {
                    true => RumorKind::Election,
                    false => RumorKind::ElectionUpdate,
                };
                node.start_election(now, kind, &group, incarnation)
            }
            (12, _) => {
                node.handle_unreachable(now, addr(input.byte() & 7));
                Ok(())
            }
            _ => {
                node.note(&String::from_utf8_lossy(input.bytes()));
                Ok(())
            }
        };
    }

    /// Takes all that it has to say, which has to be what any member reads.
    fn drain(&mut self) {
        let mut buf = [0; SEND_BUFFER];
        for _ in 0..TIMERS {
            let Some(sent) = self.node.poll_datagram(self.now, &mut buf) else {
                break;
            };
            let mut datagram = buf.get(sent.range).unwrap_or_default().to_vec();
            assert!(
                (1..=1024).contains(&datagram.len()),
                "{} bytes",
                datagram.len()
            );
            self.own.push_back(datagram.clone());
            if self.own.len() > KEPT {
                self.own.pop_front();
            }
            let payload = wire::open(&self.keys, &mut datagram);
            let said = payload.and_then(wire::decode);
            assert!(said.is_ok(), "{said:?}");
        }
        let mut frame = Vec::new();
        for turn in 0..TIMERS {
            let Some(push) = self.node.poll_push(self.now, &mut frame) else {
                break;
            };
            let payload = wire::open(&self.keys, &mut frame);
            let rumor = payload.and_then(wire::read_rumor);
            let rumor = rumor.map(|rumor| match rumor.kind {
                Some(_) => rumor.rumor().map(drop),
                None => rumor.membership().map(drop),
            });
            assert!(matches!(rumor, Ok(Ok(()))), "{rumor:?}");
            self.node.handle_sent(self.now, push.id, turn % 3 != 0);
        }
        while self.node.poll_event().is_some() {}
        while let Some(trace) = self.node.poll_trace() {
            crate::trace::check_trace(&trace);
        }
        while self.node.poll_reserve().is_some() {}
        while self.node.poll_gone().is_some() {}
    }
}
