//! Connections that are kept open to see them end, and tests of a peer's port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::cuts::Report;
use super::super::options::Options;
use super::super::peer::{Peer, PortTest};
use super::PushSet;
use crate::member::MemberId;
use crate::node::Port;

/// How long a peer's system may take to answer: longer than any round trip, and shorter than what its answer is for.
const PORT_PATIENCE: Duration = Duration::from_millis(300);

/// What is kept and tested, and what came of it.
#[derive(Default)]
pub(super) struct Kept {
    by: Option<MemberId>,
    peers: Vec<SocketAddr>,
    /// Whose kept connections have ended.
    ended: Vec<SocketAddr>,
    /// What tests found, with their labels.
    found: Vec<(u64, Port)>,
}

impl PushSet {
    /// Keeps connections to these peers, and no longer to others; this member says so in them.
    pub(in crate::net::gossip) fn keep(
        &mut self,
        now: Instant,
        (by, peers): (MemberId, &[SocketAddr]),
        options: &Options,
        report: &mut Report,
    ) {
        for (_, peer) in &mut self.peers {
            if peer.link.is_kept() && !(peers.contains(&peer.addr) && self.kept.by == Some(by)) {
                peer.link.keep(None);
                peer.last_used = now;
            }
        }
        self.kept.by = Some(by);
        self.kept.peers.clear();
        self.kept.peers.extend_from_slice(peers);
        self.due = Some(now);
        self.handle_timeout(now, options, report);
    }

    /// Opens what is to be kept and is not. A connection that is there already is closed first, as only a new one can say
    /// that it is kept; but not while something waits to leave on it.
    pub(super) fn open_kept(&mut self, now: Instant, options: &Options, report: &mut Report) {
        for place in 0..self.kept.peers.len() {
            let Some(to) = self.kept.peers.get(place).copied() else {
                return;
            };
            let key = self.by_addr.get(&to).copied();
            let key = key.map_or_else(|| self.open(now, to, options, report), Ok);
            let by = self.kept.by;
            let said = key.map(|key| {
                self.tend(key, |peer| {
                    peer.link.is_kept() || peer.link.keep(by) || peer.bytes() > 0
                })
            });
            match (said, key) {
                (Ok(Some(false)), Ok(key)) => {
                    self.close(key, now, options, report);
                    if let Ok(key) = self.open(now, to, options, report) {
                        self.tend(key, |peer| peer.link.keep(by));
                        self.look_by(key);
                    } else {
                        self.wake_by(now + options.reconnect.1);
                    }
                }
                (Ok(_), Ok(key)) => self.look_by(key),
                // There is no place for it, or no socket: the next one may find one.
                _ => self.wake_by(now + options.reconnect.1),
            }
        }
    }

    /// A peer whose kept connection has ended since it was asked last.
    pub(in crate::net::gossip) fn poll_ended(&mut self) -> Option<SocketAddr> {
        self.kept.ended.pop()
    }

    /// Finds out whether somebody listens at this port: by a sign of life if there is a connection, else by opening one.
    pub(in crate::net::gossip) fn test_port(
        &mut self,
        (now, to, label): (Instant, SocketAddr, u64),
        options: &Options,
        report: &mut Report,
    ) {
        let known = self.by_addr.get(&to).copied();
        let key = known.map_or_else(|| self.open(now, to, options, report), Ok);
        let is_under_way = key.ok().and_then(|key| {
            let until = now + PORT_PATIENCE;
            let test = PortTest {
                label,
                until,
                is_alone: known.is_none(),
            };
            self.tend(key, |peer| {
                if peer.link.is_ready() {
                    peer.link.ask(now, options);
                } else {
                    peer.link.connect_now(now, options);
                }
                // An earlier one has its answer with this.
                peer.test
                    .replace(Box::new(test))
                    .map(|earlier| earlier.label)
            })
        });
        match is_under_way {
            None => self.kept.found.push((label, Port::Silent)),
            Some(Some(earlier)) => self.kept.found.push((earlier, Port::Silent)),
            Some(None) => {}
        }
        if let Ok(key) = key {
            self.wake_by(now + PORT_PATIENCE);
            self.see(key, now);
        }
    }

    /// What a test found, with its label.
    pub(in crate::net::gossip) fn poll_tested(&mut self) -> Option<(u64, Port)> {
        self.kept.found.pop()
    }

    pub(super) fn has_news(&self) -> bool {
        !(self.kept.ended.is_empty() && self.kept.found.is_empty())
    }

    /// Looks what became of a peer's connection: whether a kept one ended, and what a test found.
    pub(super) fn see(&mut self, key: usize, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.link.take_end() {
            self.kept.ended.push(peer.addr);
        }
        let Some(test) = &peer.test else {
            return;
        };
        let found = peer.link.port();
        let Some(port) = found.or_else(|| (test.until <= now).then(|| peer.link.port_at_last()))
        else {
            let until = test.until;
            return self.wake_by(until);
        };
        self.kept.found.push((test.label, port));
        // Whoever stands still has a bounded number of places for those who knock.
        if test.is_alone && is_idle(peer) {
            peer.link.reset();
        }
        peer.test = None;
    }
}

fn is_idle(peer: &Peer) -> bool {
    peer.bytes() == 0 && !peer.link.is_kept()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::super::super::tests::{Member, PATIENCE, closed_port, member};
    use super::super::super::{Ended, Gossip};
    use super::*;
    use crate::wire::zmtp::{Role, hello};

    const ME: MemberId = MemberId::from_bytes([1; 16]);
    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A member that keeps a connection to another, and that other.
    fn pair() -> (Member, Member) {
        let (mut keeper, mut kept) = (member(|_| {}), member(|_| {}));
        keeper.gossip.keep(Instant::now(), ME, &[kept.addr()]);
        keeper.until_with(&mut kept, "they shake hands", |keeper, kept| {
            is_kept(&keeper.gossip, kept.addr()) && kept.sizes().connections == 1
        });
        // The other end has read who keeps it.
        let greeted = |_: &Member, it: &Member| it.gossip.report.counters.greeted == 1;
        keeper.until_with(&mut kept, "it is greeted", greeted);
        (keeper, kept)
    }

    fn is_kept(gossip: &Gossip, addr: SocketAddr) -> bool {
        let key = gossip.push.by_addr.get(&addr);
        let peer = key.and_then(|key| gossip.push.peers.get(*key));
        peer.is_some_and(|peer| peer.link.is_kept() && peer.link.is_ready())
    }

    fn await_end(member: &mut Member) -> Ended {
        let start = Instant::now();
        loop {
            if let Some(ended) = member.gossip.poll_ended() {
                return ended;
            }
            assert!(start.elapsed() < PATIENCE, "no end was seen");
            member.turn(Duration::from_millis(2));
        }
    }

    #[test]
    fn either_end_sees_the_other_end() {
        let (mut keeper, kept) = pair();
        let addr = kept.addr();
        drop(kept);
        assert_eq!(await_end(&mut keeper), Ended::To(addr));
        assert_eq!(keeper.gossip.poll_ended(), None);

        let (keeper, mut kept) = pair();
        drop(keeper);
        assert_eq!(await_end(&mut kept), Ended::From(ME, LOCALHOST));
        assert_eq!(kept.gossip.poll_ended(), None);
    }

    #[test]
    fn what_is_kept_is_not_idle_and_is_tried_again() {
        let (mut keeper, mut kept) = pair();
        keeper.gossip.options.idle = Duration::ZERO;
        let far = Instant::now() + keeper.gossip.options.heartbeat * 2;
        keeper.gossip.handle_timeout(far);
        assert!(is_kept(&keeper.gossip, kept.addr()));
        assert_eq!(
            keeper.gossip.push.bytes(),
            0,
            "nor is it asked for signs of life"
        );
        // Others are.
        keeper.push(kept.addr(), 1, b"news");
        keeper.gossip.keep(Instant::now(), ME, &[]);
        keeper.until_with(&mut kept, "it is closed", |keeper, _| {
            keeper.sizes().push_sockets == 0
        });

        let mut keeper = member(|_| {});
        let port = closed_port();
        let to = (Ipv4Addr::LOCALHOST, port).into();
        keeper.gossip.keep(Instant::now(), ME, &[to]);
        keeper.poll_until("it is refused", |it| {
            it.gossip
                .push
                .peers
                .iter()
                .all(|(_, peer)| peer.link.is_off())
        });
        let listener = TcpListener::bind(to).unwrap();
        listener.set_nonblocking(true).unwrap();
        keeper.poll_until("it comes back", |_| listener.accept().is_ok());
        assert_eq!(
            keeper.gossip.poll_ended(),
            None,
            "what never stood has no end"
        );
    }

    #[test]
    fn whoever_takes_a_connection_and_cuts_it_is_tried_ever_more_seldom() {
        let mut keeper = member(|options| {
            options.reconnect = (Duration::from_millis(10), Duration::from_secs(20));
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        keeper
            .gossip
            .keep(Instant::now(), ME, &[listener.local_addr().unwrap()]);
        let addr = listener.local_addr().unwrap();
        let (mut came, mut held) = (Vec::new(), None);
        keeper.poll_until("it came five times", |it| {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.write_all(&hello(Role::Pull)).unwrap();
                came.push(Instant::now());
                held = Some(stream);
            }
            if is_kept(&it.gossip, addr) {
                held = None;
            }
            came.len() == 5
        });
        let pauses: Vec<_> = came.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(pauses[3] >= Duration::from_millis(80), "{pauses:?}");
    }

    #[test]
    fn a_connection_that_is_there_already_is_opened_anew_to_say_who_keeps_it() {
        let (mut keeper, mut kept) = (member(|_| {}), member(|_| {}));
        keeper.push(kept.addr(), 7, b"news");
        keeper.until_with(&mut kept, "it arrives", |_, kept| kept.received.len() == 1);
        keeper.gossip.keep(Instant::now(), ME, &[kept.addr()]);
        let greeted = |keeper: &Member, it: &Member| {
            is_kept(&keeper.gossip, it.addr()) && it.gossip.report.counters.greeted == 2
        };
        keeper.until_with(&mut kept, "it is kept", greeted);
        keeper.push(kept.addr(), 8, b"more");
        keeper.until_with(&mut kept, "it is used", |_, kept| kept.received.len() == 2);
        drop(keeper);
        assert_eq!(await_end(&mut kept), Ended::From(ME, LOCALHOST));
    }

    fn tested(member: &mut Member, to: SocketAddr) -> Port {
        member.gossip.test_port(Instant::now(), to, 9);
        let start = Instant::now();
        loop {
            if let Some((label, port)) = member.gossip.poll_tested() {
                assert_eq!(label, 9);
                return port;
            }
            assert!(start.elapsed() < PATIENCE, "no answer");
            let due = member.gossip.deadline();
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            member.turn(left.unwrap_or(PATIENCE).min(PATIENCE));
        }
    }

    #[test]
    fn a_port_is_closed_open_or_silent() {
        let mut tester = member(|_| {});
        let closed = (Ipv4Addr::LOCALHOST, closed_port()).into();
        assert_eq!(tested(&mut tester, closed), Port::Closed);
        // Whoever stands still accepts nothing, but its system does.
        let still = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(tested(&mut tester, still.local_addr().unwrap()), Port::Open);
        // And it has a bounded number of places for those who knock.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        full.listen(0).unwrap();
        let to = full.local_addr().unwrap();
        let knocks = [(); 8].map(|()| {
            let knock = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            knock.set_nonblocking(true).unwrap();
            let _ = knock.connect(&to);
            knock
        });
        let to = to.as_socket().unwrap();
        assert_eq!(tested(&mut tester, to), Port::Silent);
        drop(knocks);
    }

    #[test]
    fn a_connection_that_is_open_tells_who_stands_still() {
        let (mut keeper, kept) = pair();
        // `kept` has no turn from here on.
        assert_eq!(tested(&mut keeper, kept.addr()), Port::Open);
        assert!(is_kept(&keeper.gossip, kept.addr()), "it stays");
    }
}
