//! How a process reads, works and sends: as the loop of `net` does, on messages that come by the queue.

use std::time::Duration;

use super::fault::Fault;
use super::host::Parcel;
use super::watch::Snap;
use super::{Index, Sim, Violation, What};
use crate::limits::{DATAGRAMS_PER_WAKE, FRAMES_PER_WAKE};
use crate::node::SEND_BUFFER;
use crate::time::Time;

/// Members in a table that is looked at as a whole for a single message.
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
        if !host.slow.is_zero() && !host.stalled {
            return self.turn_at(member, at);
        }
        self.serve_timers(member);
    }

    fn arrive(&mut self, to: usize, parcel: Parcel) {
        let at_home = self.places.get(to).copied().flatten();
        let Some(member) = at_home.filter(|member| self.hosts[*member].up) else {
            self.nobody_listens(to, &parcel);
            return self.reuse(parcel);
        };
        if self.rejects(member, &parcel) {
            return self.reuse(parcel);
        }
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
            Parcel::Datagram { bytes, .. }
            | Parcel::Frame { bytes, .. }
            | Parcel::Refused { bytes, .. } => self.trace.bytes(bytes),
            Parcel::Ended { id } => self.trace.bytes(id.as_bytes()),
            Parcel::Tested { test, .. } => self.trace.bytes(test.id.as_bytes()),
        }
    }

    fn reuse(&mut self, parcel: Parcel) {
        let (Parcel::Datagram { bytes, .. }
        | Parcel::Frame { bytes, .. }
        | Parcel::Refused { bytes, .. }) = parcel
        else {
            return;
        };
        if self.buffers.len() < SPARE {
            self.buffers.push(bytes);
        }
    }

    fn deliver(&mut self, member: Index, mut parcel: Parcel) {
        let host = &mut self.hosts[member];
        let local = host.local(self.now);
        let few = host.node.member_count() <= FEW;
        let before = (self.config.watched && few).then(|| Snap::of(&host.node));
        if self.config.watched {
            let allowance = &mut host.watch.allowance;
            match &parcel {
                Parcel::Datagram { bytes, .. } => {
                    allowance
                        .came
                        .got
                        .got(host.id, bytes, &self.config.ring_keys)
                }
                Parcel::Frame { .. } => allowance.came.frames += 1,
                Parcel::Refused { .. } | Parcel::Ended { .. } | Parcel::Tested { .. } => {}
            }
        }
        let wrong = match &mut parcel {
            Parcel::Datagram { from, bytes } => {
                host.node.handle_datagram(local, *from, bytes);
                before.and_then(|before| before.datagram(&Snap::of(&host.node)))
            }
            Parcel::Frame { from, bytes } => {
                host.node.handle_rumor(local, bytes, || *from);
                before.and_then(|before| before.frame(&Snap::of(&host.node)))
            }
            Parcel::Refused { at, bytes } => {
                host.node.handle_refused(local, *at, bytes);
                None
            }
            Parcel::Ended { id } => {
                host.node.handle_hint(local, *id);
                None
            }
            Parcel::Tested { test, port } => {
                host.node.handle_port_test(local, *test, *port);
                None
            }
        };
        if let Some(what) = wrong {
            self.violated(member, what);
        }
        self.reuse(parcel);
    }
}

/// The loop of a process.
impl Sim {
    /// Its loop comes around at this moment, or as soon after it as it can.
    pub(super) fn turn_at(&mut self, member: Index, at: Time) {
        let host = &mut self.hosts[member];
        if host.turn.is_none() && !host.frozen && !host.stalled && host.up {
            let at = at.max(host.busy_until);
            host.turn = Some(at);
            self.queue.push(at, What::Turn { member, at });
        }
    }

    /// Reads what came, up to a bound, then serves the timers.
    fn turn(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        if !host.up || host.frozen || host.stalled {
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
        let unread = !host.inbox.is_empty();
        host.node.handle_backlog(unread);
        self.serve_timers(member);
        if unread {
            // The system does other things, too.
            self.turn_at(member, self.now + Duration::from_micros(1));
        }
    }

    fn serve_timers(&mut self, member: Index) {
        let host = &mut self.hosts[member];
        let local = host.local(self.now);
        host.node.handle_timeout(local);
        self.settle(member);
        // With what was to be said at this moment.
        let host = &mut self.hosts[member];
        let watched = self.config.watched && host.up && !host.frozen;
        let allowance = &mut host.watch.allowance;
        if watched && let Some(what) = allowance.period(self.now, &host.node, &self.config.timing) {
            self.violated(member, what);
        }
    }

    /// A member sends this.
    fn watch_sent(&mut self, member: Index, datagram: &[u8]) {
        let host = &mut self.hosts[member];
        let sent = &mut host.watch.allowance.sent;
        if self.config.watched
            && let Some(what) = sent.sent(host.id, datagram, &self.config.ring_keys)
        {
            self.violated(member, what);
        }
    }

    /// Takes from a member what it has to say, and when it wants to be woken.
    pub(super) fn settle(&mut self, member: Index) {
        let host = &self.hosts[member];
        if !host.up || host.frozen {
            return;
        }
        let local = host.local(self.now);
        self.store_mark(member, local);
        let mut buf = [0; SEND_BUFFER];
        while let Some(transmit) = self.hosts[member].node.poll_datagram(local, &mut buf) {
            let datagram = &buf[transmit.range];
            self.watch_sent(member, datagram);
            self.send(member, transmit.to, datagram);
        }
        let mut frame = self.buffers.pop().unwrap_or_default();
        while let Some(push) = self.hosts[member].node.poll_push(local, &mut frame) {
            self.hosts[member].watch.allowance.pushed += 1;
            let taken = self.push(member, push.to, &frame);
            let node = &mut self.hosts[member].node;
            node.handle_sent(local, push.id, taken);
        }
        self.buffers.push(frame);
        if let Some(watched) = self.hosts[member].node.poll_watched() {
            let watched = watched.to_vec();
            self.hosts[member].watched = watched;
        }
        while let Some(test) = self.hosts[member].node.poll_port_test() {
            self.test_port(member, test);
        }
        self.take_notes(member);
        self.schedule_wake(member);
    }

    /// Its disk is as fast as anything.
    fn store_mark(&mut self, member: Index, local: Time) {
        let host = &mut self.hosts[member];
        if let Some(mark) = host.node.poll_reserve() {
            host.mark = mark;
            host.node.handle_stored(local, mark);
        }
    }

    /// Takes a member's events.
    fn take_notes(&mut self, member: Index) {
        let (now, watched) = (self.now, self.config.watched);
        let host = &mut self.hosts[member];
        let mut wrong = None;
        while let Some(event) = host.node.poll_event() {
            if watched {
                wrong = wrong.or(host.watch.event(&event));
            }
            if self.config.events {
                host.events.push_back((now, event));
            }
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

#[cfg(test)]
mod tests {
    use crate::rumor::{Rumor, ServiceConfig};
    use crate::sim::{Sim, SimConfig, address_of};
    use crate::wire::{self, RingKey, encode_rumor};

    use super::Parcel;

    fn key(bytes: u8) -> RingKey {
        RingKey::new("ring", "20260101000000", [bytes; 32]).unwrap()
    }

    /// A frame cut off after each of its bytes, and with a bit of each flipped.
    fn garbled(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
        let cut = (0..frame.len()).map(|len| frame[..len].to_vec());
        let flipped = (0..frame.len()).map(|at| {
            let mut copy = frame.to_vec();
            copy[at] ^= 1 << (at % 8);
            copy
        });
        cut.chain(flipped)
    }

    /// Chaos has hardly any: rumors go by TCP, and come from members.
    #[test]
    fn a_frame_that_is_rejected_leaves_no_trace() {
        for keys in [vec![], vec![key(1)]] {
            let mut config = SimConfig::new(1);
            config.ring_keys = keys.clone();
            let mut sim = Sim::new(config);
            sim.start_settled(3);
            let group = "web.default".parse().unwrap();
            let config = Rumor::ServiceConfig(ServiceConfig::new(group, 7, b"port = 1".to_vec()));
            let payload = encode_rumor(&config, "somebody").bytes;
            let sealed_by = |key: Option<&RingKey>| {
                let mut frame = Vec::new();
                wire::seal_into(key.map(|key| (key, [3; 24])), &payload, &mut frame);
                frame
            };
            let good = sealed_by(keys.first());
            let others = [sealed_by(Some(&key(2))), sealed_by(None), vec![0xff; 99]];
            let others = others.into_iter().filter(|frame| *frame != good);
            let mut frames = 0;
            for bytes in garbled(&good).chain(others) {
                let from = address_of(9);
                sim.deliver(0, Parcel::Frame { from, bytes });
                frames += 1;
            }
            let rejected = sim.node(0).stats().rejected_total();
            assert!(rejected > frames / 2, "{rejected} of {frames}");
            assert_eq!(sim.violations(), []);
        }
    }
}
