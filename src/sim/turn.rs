//! How a process reads, works and sends: as the loop of `net` does, on messages that come by the queue.

use std::net::SocketAddr;
use std::time::Duration;

use super::dice::Roll;
use super::fault::Fault;
use super::host::{Host, Parcel};
use super::{Index, Sim, Violation, What, place_of, watch};
use crate::limits::{DATAGRAMS_PER_WAKE, FRAMES_PER_WAKE};
use crate::node::{Node, SEND_BUFFER};
use crate::time::Time;

/// Datagrams of the past that may be replayed.
const PAST: usize = 4_096;

/// Members in a table that is looked at as a whole for a single datagram.
const FEW: usize = 100;

/// Free buffers that are kept.
const SPARE: usize = 4_096;

/// What happens next.
impl Sim {
    /// The next thing that happens, up to `end`; whether there was one.
    pub(super) fn step(&mut self, end: Time) -> bool {
        if self.queue.next().is_none_or(|next| next > end) {
            return false;
        }
        let Some((at, what)) = self.queue.pop() else {
            return false;
        };
        self.now = self.now.max(at);
        match what {
            What::Arrive { to, parcel } => self.arrive(to, parcel),
            What::Wake { member, at } => self.wake(member, at),
            What::Turn { member, at } => {
                if self.hosts[member].turn == Some(at) {
                    self.hosts[member].turn = None;
                    self.turn(member);
                }
            }
        }
        true
    }

    fn wake(&mut self, member: Index, at: Time) {
        let host = &mut self.hosts[member];
        if !host.up || host.wake != Some(at) {
            return;
        }
        host.wake = None;
        if host.frozen {
            return;
        }
        if !host.slow.is_zero() {
            return self.turn_at(member, at);
        }
        let local = host.local(self.now);
        host.node.handle_timeout(local);
        if self.config.watched
            && let Some(what) = host.watch.period(self.now, &host.node, &self.config.timing)
        {
            self.violated(member, what);
        }
        self.settle(member);
    }

    fn arrive(&mut self, to: usize, parcel: Parcel) {
        let at_home = self.places.get(to).copied().flatten();
        let Some(member) = at_home.filter(|member| self.hosts[*member].up) else {
            return self.reuse(parcel);
        };
        self.record(member, &parcel);
        if !self.hosts[member].is_late() {
            self.deliver(member, parcel);
            return self.settle(member);
        }
        let host = &self.hosts[member];
        let is_datagram = matches!(parcel, Parcel::Datagram { .. });
        if is_datagram && host.unread_datagrams() >= self.config.socket_buffer {
            self.faults.add(Fault::FullSocket);
            return self.reuse(parcel);
        }
        self.hosts[member].inbox.push_back(parcel);
        self.turn_at(member, self.now);
    }

    fn record(&mut self, member: Index, parcel: &Parcel) {
        self.trace.number(self.now.as_micros());
        self.trace.number(member as u64);
        match parcel {
            Parcel::Datagram { bytes, .. } | Parcel::Frame { bytes, .. } => self.trace.bytes(bytes),
        }
    }

    fn reuse(&mut self, parcel: Parcel) {
        let (Parcel::Datagram { bytes, .. } | Parcel::Frame { bytes, .. }) = parcel;
        if self.buffers.len() < SPARE {
            self.buffers.push(bytes);
        }
    }

    fn deliver(&mut self, member: Index, mut parcel: Parcel) {
        let host = &mut self.hosts[member];
        let local = host.local(self.now);
        match &mut parcel {
            Parcel::Datagram {
                from,
                bytes,
                tampered,
            } => {
                // It is dropped if nothing is received; that a loop is late shows at whatever comes next.
                let acted_on = |node: &Node| (node.stats().received_total(), node.stats().lags);
                let few = host.node.member_count() <= FEW;
                let before = (self.config.watched && *tampered && few)
                    .then(|| (acted_on(&host.node), host.node.fingerprint()));
                host.node.handle_datagram(local, *from, bytes);
                if let Some((acted, state)) = before
                    && acted_on(&host.node) == acted
                    && host.node.fingerprint() != state
                {
                    let what = "a datagram that was rejected changed its state".to_owned();
                    self.violated(member, what);
                }
            }
            Parcel::Frame { from, bytes } => host.node.handle_rumor(local, bytes, || *from),
        }
        self.reuse(parcel);
    }
}

/// The loop of a process.
impl Sim {
    /// Its loop comes around at this moment, or as soon after it as it can.
    pub(super) fn turn_at(&mut self, member: Index, at: Time) {
        let host = &mut self.hosts[member];
        if host.turn.is_none() && !host.frozen && host.up {
            let at = at.max(host.busy_until);
            host.turn = Some(at);
            self.queue.push(at, What::Turn { member, at });
        }
    }

    /// Reads what came, up to a bound, then serves the timers.
    fn turn(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        if !host.up || host.frozen {
            return;
        }
        if !host.slow.is_zero() {
            self.faults.add(Fault::SlowLoop);
        }
        host.busy_until = self.now + host.slow;
        for _ in 0..DATAGRAMS_PER_WAKE.min(FRAMES_PER_WAKE) {
            let Some(parcel) = self.hosts[member].inbox.pop_front() else {
                break;
            };
            self.deliver(member, parcel);
            self.settle(member);
        }
        let host = &mut self.hosts[member];
        let local = host.local(self.now);
        let unread = !host.inbox.is_empty();
        host.node.handle_backlog(unread);
        host.node.handle_timeout(local);
        self.settle(member);
        if unread {
            // The system does other things, too.
            self.turn_at(member, self.now + Duration::from_micros(1));
        }
    }

    /// Takes from a member what it has to say, and when it wants to be woken.
    pub(super) fn settle(&mut self, member: Index) {
        let host = &self.hosts[member];
        if !host.up || host.frozen {
            return;
        }
        let local = host.local(self.now);
        let mut buf = [0; SEND_BUFFER];
        while let Some(transmit) = self.hosts[member].node.poll_datagram(local, &mut buf) {
            self.send(member, transmit.to, &buf[transmit.range]);
        }
        let mut frame = self.buffers.pop().unwrap_or_default();
        while let Some(push) = self.hosts[member].node.poll_push(local, &mut frame) {
            let taken = self.push(member, push.to, &frame);
            let node = &mut self.hosts[member].node;
            node.handle_sent(local, push.id, taken);
        }
        self.buffers.push(frame);
        self.take_notes(member);
        self.schedule_wake(member);
    }

    /// Takes a member's events and its mark.
    fn take_notes(&mut self, member: Index) {
        let (now, watched) = (self.now, self.config.watched);
        let host = &mut self.hosts[member];
        let mut wrong = None;
        while let Some(event) = host.node.poll_event() {
            if watched {
                wrong = wrong.or(host.watch.event(&host.node, &event));
            }
            if self.config.events {
                host.events.push_back((now, event));
            }
        }
        if let Some(mark) = host.node.poll_reserve() {
            host.mark = mark;
        }
        if watched {
            wrong = wrong.or(host.watch.state(&host.node));
        }
        if let Some(what) = wrong {
            self.violated(member, what);
        }
    }

    fn schedule_wake(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        let wake = host.node.poll_timeout();
        let wake = wake.map(|local| host.global(local).max(self.now));
        if wake != host.wake {
            host.wake = wake;
            if let Some(at) = wake {
                self.queue.push(at, What::Wake { member, at });
            }
        }
    }

    pub(super) fn violated(&mut self, member: Index, what: String) {
        /// More would say nothing new.
        const MOST: usize = 100;
        if self.violations.len() < MOST {
            let at = self.now;
            self.violations.push(Violation { at, member, what });
        }
    }
}

/// The way of a message.
impl Sim {
    fn send(&mut self, from: Index, to: SocketAddr, datagram: &[u8]) {
        self.datagrams += 1;
        self.datagram_bytes += datagram.len() as u64;
        if self.config.watched
            && let Some(what) = watch::datagram(datagram, &self.config.ring_keys)
        {
            self.violated(from, what);
        }
        let number = self.hosts[from].next_number(from);
        let roll = self.dice.roll(number);
        let source = self.hosts[from].addr();
        if let Some(fault) = self.stopped(from, to, Some(datagram.len()), roll) {
            self.lost += 1;
            return self.faults.add(fault);
        }
        self.dispatch(source, to, datagram, roll);
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
        let tampered = network.tamper(&mut bytes, roll, &mut self.faults);
        let parcel = Parcel::Datagram {
            from: source,
            bytes,
            tampered,
        };
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
    fn push(&mut self, from: Index, to: SocketAddr, frame: &[u8]) -> bool {
        self.pushes += 1;
        self.push_bytes += frame.len() as u64;
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
    fn stopped(
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
        if network.burst > 0.0 && self.in_burst(sender, to) {
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
        if roll.again().hits(Fault::LinkLoss, peer.link.loss_in) {
            return Some(Fault::LinkLoss);
        }
        peer.link.is_shut(self.now).then_some(Fault::FlipFlop)
    }

    /// Whether the way between two addresses loses everything at the moment.
    fn in_burst(&self, sender: &Host, to: SocketAddr) -> bool {
        let network = &self.config.network;
        let length = network.burst_length.as_micros().max(1) as u64;
        let way = (sender.place as u64) << 32 | place_of(to).unwrap_or_default() as u64;
        let moment = self.now.as_micros() / length;
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
