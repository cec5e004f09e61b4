//! The way of a message: what it meets between the process that sends it and the one that reads it.

use std::net::SocketAddr;

use super::dice::Roll;
use super::fault::Fault;
use super::host::{Held, Host, Parcel, Unit};
use super::{Index, Sim, What, place_of};
use crate::time::Time;

/// Datagrams of the past that may be replayed.
const PAST: usize = 4_096;

impl Sim {
    /// Keeps what a stalled process sends; whether it is one.
    fn hold(&mut self, from: Index, to: SocketAddr, bytes: &[u8], what: Unit) -> bool {
        let host = &mut self.hosts[from];
        if host.stalled && host.held.len() < self.config.socket_buffer {
            let bytes = bytes.to_vec();
            host.held.push(Held { to, bytes, what });
        } else if host.stalled {
            self.faults.add(Fault::FullSocket);
        }
        host.stalled
    }

    /// What a process sent while it was stalled leaves.
    pub(super) fn release(&mut self, from: Index) {
        for Held { to, bytes, what } in std::mem::take(&mut self.hosts[from].held) {
            match what {
                Unit::Datagram => self.send(from, to, &bytes),
                Unit::Frame => _ = self.push(from, to, &bytes),
            }
        }
    }

    pub(super) fn send(&mut self, from: Index, to: SocketAddr, datagram: &[u8]) {
        if self.hold(from, to, datagram, Unit::Datagram) {
            return;
        }
        self.datagrams += 1;
        self.datagram_bytes += datagram.len() as u64;
        self.datagram_strays(to, datagram.len());
        self.datagram_is_recorded(from, to, datagram);
        let number = self.hosts[from].next_number(from);
        let roll = self.dice.roll(number);
        let source = self.hosts[from].addr();
        if let Some(fault) = self.stopped(from, to, Some(datagram.len()), roll) {
            self.lost += 1;
            return self.faults.add(fault);
        }
        self.dispatch(source, to, datagram, roll);
        self.forge_refusal(from, to, datagram, self.config.network.forged);
        if roll.hits(Fault::Duplicate, self.config.network.duplicate) {
            self.faults.add(Fault::Duplicate);
            self.dispatch(source, to, datagram, roll.again());
        }
        self.replay(source, to, datagram, roll);
    }

    /// Puts a datagram on its way.
    fn dispatch(&mut self, source: SocketAddr, to: SocketAddr, datagram: &[u8], roll: Roll) {
        let Some(place) = place_of(to) else { return };
        let network = &self.config.network;
        let delay =
            network.delay(roll, &mut self.faults) + network.held_back(roll, &mut self.faults);
        let mut bytes = self.buffers.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(datagram);
        network.tamper(&mut bytes, roll, &mut self.faults);
        let from = source;
        let parcel = Parcel::Datagram { from, bytes };
        let what = What::Arrive { to: place, parcel };
        self.queue.push(self.now + delay, what);
    }

    /// Remembers the datagram, and may send one of the past again.
    fn replay(&mut self, source: SocketAddr, to: SocketAddr, datagram: &[u8], roll: Roll) {
        if self.config.network.replay <= 0.0 {
            return;
        }
        if roll.hits(Fault::Replay, self.config.network.replay) && !self.past.is_empty() {
            let place = roll.again().bits(Fault::Replay) as usize % self.past.len();
            let (source, to, old) = self.past[place].clone();
            self.faults.add(Fault::Replay);
            self.dispatch(source, to, &old, roll.again().again());
        }
        let kept = (source, to, datagram.to_vec());
        match self.past.len() {
            PAST => self.past[roll.bits(Fault::Replay) as usize % PAST] = kept,
            _ => self.past.push(kept),
        }
    }

    /// A connection takes rumors only while its other end can be reached; what it took may be lost with it.
    pub(super) fn push(&mut self, from: Index, to: SocketAddr, frame: &[u8]) -> bool {
        if self.hold(from, to, frame, Unit::Frame) {
            return true;
        }
        self.pushes += 1;
        self.push_bytes += frame.len() as u64;
        self.push_strays(to);
        let number = self.hosts[from].next_number(from);
        let roll = self.dice.roll(number);
        let source = self.hosts[from].addr();
        let Some(place) = place_of(to) else {
            return false;
        };
        let peer = self.places.get(place).copied().flatten();
        if !peer.is_some_and(|peer| self.hosts[peer].up) {
            return false;
        }
        // As their connection's handshake finds.
        if peer.is_some_and(|peer| self.hosts[peer].node.ring() != self.hosts[from].node.ring()) {
            return false;
        }
        if let Some(fault) = self.stopped(from, to, None, roll) {
            self.faults.add(fault);
            return matches!(fault, Fault::Loss | Fault::LinkLoss | Fault::Burst);
        }
        let delay = self.config.network.delay(roll, &mut self.faults);
        let bytes = frame.to_vec();
        let parcel = Parcel::Frame {
            from: source,
            bytes,
        };
        let what = What::Arrive { to: place, parcel };
        self.queue.push(self.now + delay, what);
        true
    }

    /// What stops a message on its way; `datagram`: its size, if it is one.
    pub(super) fn stopped(
        &self,
        from: Index,
        to: SocketAddr,
        datagram: Option<usize>,
        roll: Roll,
    ) -> Option<Fault> {
        let network = &self.config.network;
        let sender = &self.hosts[from];
        let peer = place_of(to).and_then(|place| self.places.get(place).copied().flatten());
        if roll.hits(Fault::Loss, network.loss) {
            return Some(Fault::Loss);
        }
        if network.burst > 0.0 && self.in_burst(sender, to, self.now) {
            return Some(Fault::Burst);
        }
        if let Some(fault) = at_link(sender, datagram) {
            return Some(fault);
        }
        if roll.hits(Fault::LinkLoss, sender.link.loss_out) {
            return Some(Fault::LinkLoss);
        }
        let index = peer?;
        let peer = &self.hosts[index];
        if sender.sides & peer.sides == 0 {
            return Some(Fault::Partition);
        }
        if self.cuts.contains(&(from, index)) {
            return Some(Fault::OneWay);
        }
        if let Some(fault) = at_link(peer, datagram) {
            return Some(fault);
        }
        if datagram.is_some() && !peer.link.udp_in {
            return Some(Fault::UdpDead);
        }
        if roll.again().hits(Fault::LinkLoss, peer.link.loss_in) {
            return Some(Fault::LinkLoss);
        }
        peer.link.is_shut(self.now).then_some(Fault::FlipFlop)
    }

    /// Whether the way between two addresses loses everything at that time.
    fn in_burst(&self, sender: &Host, to: SocketAddr, at: Time) -> bool {
        let network = &self.config.network;
        let length = network.burst_length.as_micros().max(1) as u64;
        let way = (sender.place as u64) << 32 | place_of(to).unwrap_or_default() as u64;
        let moment = at.as_micros() / length;
        let roll = self.dice.roll(super::dice::mix(way) ^ moment << 1 ^ 1);
        roll.hits(Fault::Burst, network.burst)
    }
}

/// What a link does to every message of this kind.
fn at_link(host: &Host, datagram: Option<usize>) -> Option<Fault> {
    match datagram {
        Some(_) if !host.link.udp => Some(Fault::UdpDead),
        Some(bytes) if bytes > host.link.largest => Some(Fault::SizeBlackHole),
        None if !host.link.tcp => Some(Fault::TcpDead),
        _ => None,
    }
}

/// Messages from one member to another whose process stands still: its socket shows what came.
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;
    use std::time::Duration;

    use super::*;
    use crate::sim::{Link, Network, SimConfig, address_of};

    /// Two members that know nobody, so that they say nothing themselves; the second reads nothing.
    fn two(network: Network) -> Sim {
        let mut config = SimConfig::new(7);
        config.network = network;
        config.socket_buffer = usize::MAX;
        let mut sim = Sim::new(config);
        for _ in 0..2 {
            sim.start();
        }
        sim.freeze(1);
        sim
    }

    fn network(change: impl FnOnce(&mut Network)) -> Network {
        let mut network = Network::default();
        change(&mut network);
        network
    }

    /// Sends datagrams of four bytes, numbered, one each millisecond.
    fn send(sim: &mut Sim, numbers: Range<u32>) {
        for number in numbers {
            sim.send(0, address_of(1), &number.to_be_bytes());
            sim.run_for(Duration::from_millis(1));
        }
    }

    /// What lies in the socket of the second, once all is there: when it came is its order.
    fn arrived(sim: &mut Sim) -> Vec<Vec<u8>> {
        sim.run_for(Duration::from_secs(20));
        let inbox = std::mem::take(&mut sim.hosts[1].inbox);
        inbox
            .into_iter()
            .map(|parcel| match parcel {
                Parcel::Datagram { bytes, .. }
                | Parcel::Frame { bytes, .. }
                | Parcel::Refused { bytes, .. } => bytes,
                Parcel::Ended { id } => id.as_bytes().to_vec(),
                Parcel::Tested { .. } => Vec::new(),
            })
            .collect()
    }

    fn numbers(datagrams: &[Vec<u8>]) -> Vec<u32> {
        let number = |bytes: &Vec<u8>| u32::from_be_bytes(bytes[..4].try_into().unwrap());
        datagrams.iter().map(number).collect()
    }

    /// Of so many numbered datagrams, those that came, in their order.
    fn passed(network: Network, count: u32) -> (Vec<u32>, Sim) {
        let mut sim = two(network);
        send(&mut sim, 0..count);
        let came = arrived(&mut sim);
        (numbers(&came), sim)
    }

    /// Those that did not come.
    fn missing(came: &[u32], count: u32) -> BTreeSet<u32> {
        let came: BTreeSet<_> = came.iter().copied().collect();
        (0..count).filter(|number| !came.contains(number)).collect()
    }

    /// Those that came more than once.
    fn repeated(came: &[u32]) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        came.iter()
            .copied()
            .filter(|number| !seen.insert(*number))
            .collect()
    }

    #[test]
    fn a_perfect_network_brings_everything_once_and_counts_nothing() {
        let (mut came, sim) = passed(Network::default(), 1_000);
        came.sort_unstable();
        assert_eq!(came, (0..1_000).collect::<Vec<_>>());
        assert_eq!((sim.faults.iter().count(), sim.lost), (1, 0), "the freeze");
    }

    #[test]
    fn loss_takes_its_share_each_by_itself() {
        let (came, sim) = passed(network(|it| it.loss = 0.3), 2_000);
        let lost = missing(&came, 2_000);
        assert!((500..700).contains(&lost.len()), "{}", lost.len());
        assert_eq!(sim.faults.of(Fault::Loss), lost.len() as u64);
        assert_eq!(sim.lost, lost.len() as u64);
        // Two in a row are lost as often as chance has it.
        let pairs = lost.iter().filter(|number| lost.contains(&(*number + 1)));
        assert!((120..240).contains(&pairs.count()));
    }

    #[test]
    fn bursts_take_all_for_a_while() {
        let (came, sim) = passed(
            network(|it| {
                it.burst = 0.3;
                it.burst_length = Duration::from_millis(100);
            }),
            20_000,
        );
        let lost = missing(&came, 20_000);
        assert_eq!(sim.faults.of(Fault::Burst), lost.len() as u64);
        assert!((4_000..8_000).contains(&lost.len()), "{}", lost.len());
        // Of the hundred datagrams of a burst's time all are lost or none.
        for burst in 0..200 {
            let share = lost.range(burst * 100..(burst + 1) * 100).count();
            assert!(share == 0 || share == 100, "{share} in burst {burst}");
        }
    }

    #[test]
    fn the_two_ways_between_two_members_have_their_bursts_each() {
        let sim = two(network(|it| it.burst = 0.5));
        let bursts = |from: usize, to| -> Vec<_> {
            let at = |burst: u64| Time::from_millis(burst * 2_000);
            (0..100)
                .map(|burst| sim.in_burst(&sim.hosts[from], address_of(to), at(burst)))
                .collect()
        };
        let (there, back) = (bursts(0, 1), bursts(1, 0));
        assert_ne!(there, back);
        let half = |bursts: &[bool]| (30..70).contains(&bursts.iter().filter(|it| **it).count());
        assert!(half(&there) && half(&back));
    }

    /// How long a datagram takes, in microseconds, for each of many.
    fn delays(network: Network) -> (Vec<u64>, Sim) {
        let mut sim = two(network);
        let mut delays = Vec::new();
        for number in 0..1_000_u32 {
            let sent = sim.now;
            sim.send(0, address_of(1), &number.to_be_bytes());
            while sim.hosts[1].inbox.is_empty() {
                let next = sim.queue.next().unwrap();
                assert!(sim.step(next));
            }
            sim.hosts[1].inbox.clear();
            delays.push(sim.now.since(sent).as_micros() as u64);
        }
        delays.sort_unstable();
        (delays, sim)
    }

    #[test]
    fn a_message_takes_the_delay_and_the_jitter_on_top() {
        let (fixed, _) = delays(network(|it| {
            it.delay = Duration::from_millis(30);
            it.jitter = Duration::ZERO;
        }));
        assert_eq!((fixed[0], fixed[999]), (30_000, 30_000));
        let (spread, sim) = delays(network(|it| it.jitter = Duration::from_millis(10)));
        let mean = spread.iter().sum::<u64>() / 1_000;
        assert!(
            spread[0] >= 500 && (9_500..11_500).contains(&mean),
            "{mean}"
        );
        // An exponential distribution's median.
        assert!((6_600..8_300).contains(&spread[500]), "{}", spread[500]);
        assert_eq!(sim.faults.of(Fault::HeavyTail), 0);
    }

    #[test]
    fn a_heavy_tail_makes_some_take_far_longer() {
        let (spread, sim) = delays(network(|it| it.heavy_tail = 0.1));
        let tail = sim.faults.of(Fault::HeavyTail);
        assert!((70..130).contains(&tail), "{tail}");
        let longest = spread[999];
        assert!((100_000..=10_000_000).contains(&longest), "{longest}");
        assert!(spread[500] < 2_000, "most take what they took");
    }

    #[test]
    fn some_come_twice() {
        let (came, sim) = passed(network(|it| it.duplicate = 0.2), 1_000);
        let twice = repeated(&came);
        assert!((150..250).contains(&twice.len()), "{}", twice.len());
        assert_eq!(came.len(), 1_000 + twice.len());
        assert_eq!(sim.faults.of(Fault::Duplicate), twice.len() as u64);
    }

    #[test]
    fn what_is_held_back_is_overtaken() {
        let overtaken = |network: Network| {
            let (came, sim) = passed(network, 1_000);
            assert_eq!(came.len(), 1_000);
            let mut latest = 0;
            let late = came.iter().filter(|number| {
                latest = latest.max(**number);
                **number + 5 < latest
            });
            (late.count(), sim.faults.of(Fault::Reorder))
        };
        assert_eq!(overtaken(Network::default()), (0, 0));
        let (late, counted) = overtaken(network(|it| it.reorder = 0.1));
        assert!((60..140).contains(&counted), "{counted}");
        // Most of those that are held back, for 0 to 100 ms, are overtaken by more than five.
        assert!(late as u64 * 3 > counted * 2, "{late} of {counted}");
    }

    #[test]
    fn old_datagrams_come_once_more_from_where_they_came() {
        let mut sim = two(Network::default());
        send(&mut sim, 0..100);
        // What went before the fault was switched on is not remembered.
        sim.network_mut().replay = 0.2;
        send(&mut sim, 100..1_100);
        let came = numbers(&arrived(&mut sim));
        let replays = sim.faults.of(Fault::Replay);
        assert!((150..250).contains(&replays), "{replays}");
        assert_eq!(came.len() as u64, 1_100 + replays);
        let again = repeated(&came);
        assert!(again.len() > 50 && again.iter().all(|number| *number >= 100));
    }

    #[test]
    fn bits_are_flipped_and_ends_are_cut_off() {
        let sent: Vec<u8> = (0..32).collect();
        let damaged = |network: Network, fault: Fault| {
            let mut sim = two(network);
            for _ in 0..500 {
                sim.send(0, address_of(1), &sent);
            }
            let came = arrived(&mut sim);
            assert_eq!(came.len(), 500);
            let damaged: Vec<_> = came.into_iter().filter(|bytes| *bytes != sent).collect();
            let count = damaged.len() as u64;
            assert!((60..140).contains(&count), "{count}");
            // Flipping the same bit twice leaves it as it was.
            assert!((count..count + 5).contains(&sim.faults.of(fault)));
            damaged
        };
        for bytes in damaged(network(|it| it.corrupt = 0.2), Fault::Corrupt) {
            assert_eq!(bytes.len(), sent.len());
            let flipped = bytes.iter().zip(&sent).map(|(a, b)| (a ^ b).count_ones());
            assert!((1..=8).contains(&flipped.sum::<u32>()));
        }
        for bytes in damaged(network(|it| it.truncate = 0.2), Fault::Truncate) {
            assert!(bytes.len() < sent.len() && sent.starts_with(&bytes));
        }
    }

    /// Switching one fault on does not shift another's rolls.
    #[test]
    fn each_fault_has_its_own_chance() {
        let alone = |change: fn(&mut Network)| passed(network(change), 1_000).0;
        let lost = missing(&alone(|it| it.loss = 0.2), 1_000);
        let twice = repeated(&alone(|it| it.duplicate = 0.2));
        let (came, sim) = passed(
            network(|it| {
                (it.loss, it.duplicate, it.reorder) = (0.2, 0.2, 0.3);
                (it.heavy_tail, it.replay) = (0.1, 0.2);
                it.jitter = Duration::from_millis(9);
            }),
            1_000,
        );
        assert_eq!(missing(&came, 1_000), lost);
        let both: BTreeSet<_> = twice.difference(&lost).copied().collect();
        assert!(both.is_subset(&repeated(&came)));
        assert_eq!(sim.faults.of(Fault::Duplicate), both.len() as u64);
    }

    /// Of 100 datagrams, and of so many pushes, how many came, with this done to the sender's link and that
    /// to the receiver's.
    fn through(out: impl FnOnce(&mut Link), into: impl FnOnce(&mut Link)) -> (usize, usize, Sim) {
        let mut sim = two(Network::default());
        out(sim.link_mut(0));
        into(sim.link_mut(1));
        send(&mut sim, 0..100);
        let datagrams = arrived(&mut sim).len();
        let taken = (0..100).filter(|_| sim.push(0, address_of(1), &[1]));
        let taken = taken.count();
        let frames = arrived(&mut sim).len();
        assert!(frames <= taken, "what was not taken did not come");
        (datagrams, frames, sim)
    }

    #[test]
    fn a_link_may_carry_one_protocol_alone() {
        let (datagrams, frames, sim) = through(|link| link.udp = false, |_| {});
        assert_eq!((datagrams, frames), (0, 100));
        assert_eq!(sim.faults.of(Fault::UdpDead), 100);
        // One that gets no datagrams may send them.
        let (datagrams, frames, _) = through(|_| {}, |link| link.udp_in = false);
        assert_eq!((datagrams, frames), (0, 100));
        let (datagrams, frames, _) = through(|link| link.udp_in = false, |_| {});
        assert_eq!((datagrams, frames), (100, 100));
        let (datagrams, frames, sim) = through(|_| {}, |link| link.tcp = false);
        assert_eq!((datagrams, frames), (100, 0));
        assert_eq!(sim.faults.of(Fault::TcpDead), 100);
    }

    #[test]
    fn a_link_loses_on_its_own_in_each_direction() {
        let (datagrams, frames, sim) = through(|link| link.loss_out = 0.5, |_| {});
        assert!((30..70).contains(&datagrams) && (30..70).contains(&frames));
        let lost = sim.faults.of(Fault::LinkLoss);
        assert_eq!(lost, 200 - (datagrams + frames) as u64);
        let (datagrams, frames, _) = through(|_| {}, |link| link.loss_in = 0.5);
        assert!((30..70).contains(&datagrams) && (30..70).contains(&frames));
        // The other direction is another one's.
        let (datagrams, frames, _) = through(|link| link.loss_in = 0.5, |link| link.loss_out = 0.5);
        assert_eq!((datagrams, frames), (100, 100));
    }

    #[test]
    fn large_datagrams_vanish_at_a_narrow_link() {
        for narrow in [0, 1] {
            let mut sim = two(Network::default());
            sim.link_mut(narrow).largest = 500;
            sim.send(0, address_of(1), &[0; 500]);
            sim.send(0, address_of(1), &[0; 501]);
            assert!(
                sim.push(0, address_of(1), &[0; 9_000]),
                "a stream has no size"
            );
            let came: Vec<_> = arrived(&mut sim).iter().map(Vec::len).collect();
            assert_eq!(came.len(), 2, "{came:?}");
            assert!(!came.contains(&501));
            assert_eq!(sim.faults.of(Fault::SizeBlackHole), 1);
        }
    }

    #[test]
    fn a_link_that_flips_takes_all_in_and_then_nothing() {
        let mut sim = two(Network::default());
        sim.link_mut(1).flip_flop = Some(Duration::from_millis(100));
        send(&mut sim, 0..400);
        let came = numbers(&arrived(&mut sim));
        let expected = (100..200).chain(300..400);
        assert_eq!(came.len(), 200);
        assert!(missing(&came, 400).is_disjoint(&expected.collect()));
        assert_eq!(sim.faults.of(Fault::FlipFlop), 200);
        // What it sends itself goes through.
        let (datagrams, _, _) = through(|link| link.flip_flop = Some(Duration::MAX), |_| {});
        assert_eq!(datagrams, 100);
    }

    #[test]
    fn a_cut_goes_one_way_until_it_is_mended() {
        let mut sim = two(Network::default());
        sim.cut(1, 0);
        send(&mut sim, 0..10);
        assert_eq!(arrived(&mut sim).len(), 10);
        sim.cut(0, 1);
        send(&mut sim, 0..10);
        assert!(!sim.push(0, address_of(1), &[1]));
        assert_eq!(arrived(&mut sim).len(), 0);
        assert_eq!(sim.faults.of(Fault::OneWay), 11);
        sim.mend(0, 1);
        send(&mut sim, 0..10);
        assert_eq!(arrived(&mut sim).len(), 10);
    }

    #[test]
    fn a_partition_stops_what_would_cross_its_border_but_at_a_bridge() {
        let mut sim = two(Network::default());
        sim.partition(|member| member as u8);
        send(&mut sim, 0..10);
        assert!(!sim.push(0, address_of(1), &[1]));
        assert_eq!(arrived(&mut sim).len(), 0);
        assert_eq!(sim.faults.of(Fault::Partition), 11);
        sim.bridge(1);
        send(&mut sim, 0..10);
        assert_eq!(arrived(&mut sim).len(), 10);
    }

    #[test]
    fn what_finds_the_socket_full_is_lost() {
        let mut sim = two(network(|it| it.jitter = Duration::ZERO));
        sim.config.socket_buffer = 10;
        send(&mut sim, 0..25);
        assert!(
            sim.push(0, address_of(1), &[1]),
            "a stream waits with its sender"
        );
        let came = arrived(&mut sim);
        assert_eq!(numbers(&came[..10]), (0..10).collect::<Vec<_>>());
        assert_eq!((came.len(), sim.faults.of(Fault::FullSocket)), (11, 15));
    }

    #[test]
    fn healing_ends_everything_on_the_way() {
        let mut sim = two(network(|it| {
            (it.loss, it.burst, it.heavy_tail, it.duplicate) = (0.5, 0.5, 0.5, 0.5);
            (it.reorder, it.replay, it.corrupt, it.truncate) = (0.5, 0.5, 0.5, 0.5);
        }));
        send(&mut sim, 0..50);
        let link = sim.link_mut(1);
        (link.loss_in, link.udp, link.largest) = (1.0, false, 0);
        (sim.link_mut(0).loss_out, sim.link_mut(0).tcp) = (1.0, false);
        sim.cut(0, 1);
        sim.partition(|member| member as u8);
        arrived(&mut sim);
        sim.heal();
        sim.freeze(1);
        let before: Vec<_> = sim.faults.iter().collect();
        send(&mut sim, 0..100);
        let came = numbers(&arrived(&mut sim));
        assert_eq!((came.len(), missing(&came, 100).len()), (100, 0));
        assert!(sim.push(0, address_of(1), &[1]));
        assert_eq!(sim.faults.iter().collect::<Vec<_>>(), before);
    }
}
