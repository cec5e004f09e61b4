//! The connections that others opened, what each of them holds, and which goes first when there is too much.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use mio::Token;
use mio::net::TcpStream;
use slab::Slab;

use super::options::Options;
use super::{Side, key_of, token};
use crate::wire::zmtp::Reader;

/// A source that has more than one in so many of all connections, or of all memory, goes first when there is too
/// much of them. So does whoever proved nothing, as long as those have more than one in so many.
const SHARE: usize = 4;

/// Of so many connections, one is closed at a time when there is no room: looking for them costs a look at all.
const BATCH: usize = 128;

/// One connection that was accepted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) token: Token,
    pub(super) reader: Reader,
    pub(super) phase: Phase,
    /// A message that the member took came on it.
    pub(super) is_proved: bool,
    /// It is among those that are to be read.
    pub(super) is_queued: bool,
    /// Something was completed since it was looked at last.
    pub(super) has_moved: bool,
    /// When it was accepted, or the last message came that the member took.
    pub(super) since: Instant,
    /// When its phase began, and when it ends.
    pub(super) began: Instant,
    pub(super) due: Instant,
    /// An answer that the peer has not taken.
    pub(super) unsent: Option<Box<[u8]>>,
    /// Memory, as it was counted last.
    held: usize,
}

/// What a connection is waited for to do until it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To finish its handshake.
    Handshake,
    /// To say anything; then it is asked for a sign of life.
    Idle,
    /// To give the sign of life that it was asked for.
    Asked,
    /// To finish a frame.
    Frame,
    /// To take an answer; it is not read meanwhile.
    Blocked,
}

/// What the connections of one source take together.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    connections: usize,
    held: usize,
}

/// All connections.
#[derive(Default)]
pub(super) struct Connections {
    slab: Slab<Connection>,
    sources: HashMap<u128, Share>,
    proved: usize,
    held: usize,
    accepted: usize,
}

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Memory that what came of frames takes, bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Connection> {
        self.slab.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Connection)> {
        self.slab.iter()
    }

    /// The connection that a token stands for; a late event of one that is closed means nobody.
    pub(super) fn key_of(&self, token: Token) -> Option<usize> {
        let key = key_of(token);
        (self.slab.get(key)?.token == token).then_some(key)
    }

    /// Where the next one will stand.
    pub(super) fn next_token(&mut self) -> Token {
        self.accepted = self.accepted.wrapping_add(1);
        token(Side::Pull, self.accepted, self.slab.vacant_key())
    }

    /// Keeps a connection, which has the token that was given last.
    pub(super) fn insert(&mut self, new: New) -> usize {
        let source = self.sources.entry(source(new.peer.ip())).or_default();
        source.connections += 1;
        self.slab.insert(Connection {
            stream: new.stream,
            peer: new.peer,
            token: new.token,
            reader: new.reader,
            phase: Phase::Handshake,
            is_proved: false,
            is_queued: false,
            has_moved: false,
            since: new.now,
            began: new.now,
            due: new.due,
            unsent: None,
            held: 0,
        })
    }

    pub(super) fn remove(&mut self, key: usize) -> Option<Connection> {
        let connection = self.slab.try_remove(key)?;
        self.proved -= usize::from(connection.is_proved);
        self.held -= connection.held;
        let source = source(connection.peer.ip());
        if let Some(share) = self.sources.get_mut(&source) {
            share.connections -= 1;
            share.held -= connection.held;
            if share.connections == 0 {
                self.sources.remove(&source);
            }
        }
        if self.slab.is_empty() {
            // What a crowd took is given back when it is gone.
            self.slab = Slab::new();
            self.sources = HashMap::new();
        }
        Some(connection)
    }

    /// A message that the member took came on this connection.
    pub(super) fn approve(&mut self, key: usize, now: Instant) {
        if let Some(connection) = self.slab.get_mut(key) {
            connection.since = now;
            self.proved += usize::from(!std::mem::replace(&mut connection.is_proved, true));
        }
    }

    /// Counts the memory of a connection anew.
    pub(super) fn measure(&mut self, key: usize) {
        let Some(connection) = self.slab.get_mut(key) else {
            return;
        };
        let unsent = connection.unsent.as_ref().map_or(0, |unsent| unsent.len());
        let (before, now) = (connection.held, connection.reader.holds() + unsent);
        connection.held = now;
        self.held = self.held - before + now;
        if before != now
            && let Some(share) = self.sources.get_mut(&source(connection.peer.ip()))
        {
            share.held = share.held - before + now;
        }
    }

    fn share(&self, connection: &Connection) -> Share {
        let share = self.sources.get(&source(connection.peer.ip()));
        share.copied().unwrap_or_default()
    }

    /// The connections that go first to make room for others: of those whose source has more than its share, then
    /// of those that proved nothing, or of the others if those are few, and of each kind the ones that are there,
    /// or silent, for longest. If the place of a proved one must not be taken, there may be none.
    pub(super) fn least_wanted(&self, may_be_proved: bool, options: &Options) -> Vec<usize> {
        let most = options.max_connections / SHARE;
        let unproved = self.slab.len() - self.proved;
        let unproved_first = !may_be_proved || unproved > self.slab.len() / SHARE;
        let rank = |(key, connection): (usize, &Connection)| {
            let is_greedy = self.share(connection).connections > most;
            let goes_later = connection.is_proved == unproved_first;
            (!is_greedy, goes_later, connection.since, key)
        };
        let may_go =
            |(_, connection): &(usize, &Connection)| may_be_proved || !connection.is_proved;
        let mut ranks: Vec<_> = self.slab.iter().filter(may_go).map(rank).collect();
        let count = (ranks.len() / BATCH).max(1);
        if count < ranks.len() {
            ranks.select_nth_unstable(count);
            ranks.truncate(count);
        }
        ranks.into_iter().map(|(.., key)| key).collect()
    }

    /// The connection that goes first to free memory, where so much may be held: the one that holds most, of those
    /// whose source holds more than its share if there are any, then of those that proved nothing.
    pub(super) fn greediest(&self, most: usize) -> Option<usize> {
        let rank = |(_, connection): &(usize, &Connection)| {
            let is_greedy = self.share(connection).held > most / SHARE;
            (is_greedy, !connection.is_proved, connection.held)
        };
        let holds = |(_, connection): &(usize, &Connection)| connection.held > 0;
        let first = self.slab.iter().filter(holds).max_by_key(rank);
        first.map(|(key, _)| key)
    }
}

/// What a connection begins with.
pub(super) struct New {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) token: Token,
    pub(super) reader: Reader,
    pub(super) now: Instant,
    pub(super) due: Instant,
}

/// Who can be taken for one: an IPv4 address, or the IPv6 network that a site has at least.
fn source(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::wire::zmtp::Role;

    /// Connections of these sources, one after the other, of which some proved themselves.
    fn connections(sources: &[([u8; 4], bool)]) -> Connections {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (mut all, start) = (Connections::default(), Instant::now());
        for (number, &(ip, is_proved)) in sources.iter().enumerate() {
            let now = start + Duration::from_millis(number as u64);
            let token = all.next_token();
            let key = all.insert(New {
                // Whether it gets there does not matter here.
                stream: TcpStream::connect(to).unwrap(),
                peer: (ip, 1).into(),
                token,
                reader: Reader::new(Role::Pull, 1 << 20),
                now,
                due: now,
            });
            assert_eq!((key, all.key_of(token)), (number, Some(number)));
            if is_proved {
                all.approve(key, now);
            }
        }
        all
    }

    fn most(max_connections: usize) -> Options {
        Options {
            max_connections,
            ..Options::default()
        }
    }

    /// In which order they would all go.
    fn order(mut all: Connections, may_be_proved: bool, max_connections: usize) -> Vec<usize> {
        let mut order = Vec::new();
        while let [key] = all.least_wanted(may_be_proved, &most(max_connections))[..] {
            all.remove(key).unwrap();
            order.push(key);
        }
        order
    }

    const A: [u8; 4] = [10, 0, 0, 1];
    const B: [u8; 4] = [10, 0, 0, 2];
    const C: [u8; 4] = [10, 0, 0, 3];

    #[test]
    fn who_proved_nothing_goes_first_and_the_oldest_of_them() {
        let all = connections(&[
            (A, true),
            (B, false),
            (A, true),
            (C, false),
            (B, false),
            (A, true),
            (C, true),
            (B, true),
        ]);
        // Once a quarter or less proved nothing, newcomers among them get their time.
        assert_eq!(order(all, true, 100), [1, 3, 0, 2, 5, 4, 6, 7]);
        let all = connections(&[(A, true), (B, false), (A, true), (C, false)]);
        assert_eq!(order(all, false, 100), [1, 3]);
    }

    #[test]
    fn a_source_with_more_than_its_share_goes_before_all_others() {
        let all = connections(&[
            (C, false),
            (A, true),
            (A, true),
            (A, false),
            (A, true),
            (B, true),
        ]);
        // Four are its share of sixteen; one is of four.
        assert_eq!(order(all, true, 4)[..3], [3, 1, 2]);
        let all = connections(&[(C, false), (A, true), (A, true), (A, false), (A, true)]);
        assert_eq!(order(all, true, 16)[0], 0);
    }

    #[test]
    fn many_go_at_once_where_there_are_many() {
        let all = connections(&[(A, false); 300]);
        let mut first = all.least_wanted(true, &most(300));
        first.sort_unstable();
        assert_eq!(first, [0, 1]);
    }

    /// Feeds a connection so many bytes of a message.
    fn hold(all: &mut Connections, key: usize, bytes: usize) {
        let connection = all.get_mut(key).unwrap();
        let mut stream = crate::wire::zmtp::hello(Role::Push).to_vec();
        crate::wire::zmtp::header(1 << 20, &mut stream);
        stream.resize(stream.len() + bytes, 0);
        let mut at = 0;
        while at < stream.len() {
            at += connection.reader.read(&stream[at..]).unwrap().0;
        }
        all.measure(key);
    }

    #[test]
    fn who_holds_most_goes_first_of_those_that_proved_nothing() {
        let mut all = connections(&[(A, true), (B, false), (C, false), (A, false)]);
        assert_eq!(all.greediest(1 << 20), None);
        for (key, bytes) in [(0, 50_000), (1, 1_000), (2, 2_000)] {
            hold(&mut all, key, bytes);
        }
        assert_eq!(all.held(), 53_000);
        assert_eq!(all.greediest(1 << 20), Some(2));
        // The first one's source holds more than a quarter.
        assert_eq!(all.greediest(100_000), Some(0));
        for key in 0..3 {
            all.remove(key);
        }
        assert_eq!((all.held(), all.greediest(0)), (0, None));
    }

    #[test]
    fn a_site_is_one_source() {
        let of = |ip: &str| source(ip.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_ne!(of("10.0.0.1"), of("::1"));
    }
}
