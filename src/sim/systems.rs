//! What the systems of members do by themselves: they refuse datagrams for which no process listens, as far as Linux's
//! limits let them, and end the connections of processes that ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::fault::Fault;
use super::host::Parcel;
use super::{Index, Sim, What, address_of, place_of};
use crate::node::{Port, PortTest};
use crate::time::Time;

/// Linux quotes so many bytes of what it refuses.
const QUOTED: usize = 520;

/// A lost segment of a connection is sent again after this.
const RESENT: Duration = Duration::from_millis(200);

/// A process' connections end so long before its other sockets are closed.
const CLOSES: Duration = Duration::from_micros(1_500);

/// How many refusals a system may send: to each address 6 at once and then one a second, to all 50 at once and then 1,000 a
/// second (`icmp_ratelimit`, `icmp_msgs_per_sec`, `icmp_msgs_burst`).
#[derive(Default)]
pub(super) struct Limits {
    /// Credit in microseconds, and when it was that.
    all: Option<(u64, Time)>,
    to: BTreeMap<usize, (u64, Time)>,
}

/// Takes `price` of a credit that grows with time up to `most`.
fn pay(credit: Option<(u64, Time)>, now: Time, price: u64, most: u64) -> (bool, u64) {
    let has = credit.map_or(most, |(credit, at)| {
        (credit + now.since(at).as_micros() as u64).min(most)
    });
    match has.checked_sub(price) {
        Some(left) => (true, left),
        None => (false, has),
    }
}

impl Limits {
    fn allow(&mut self, now: Time, to: usize) -> bool {
        const EACH: u64 = 1_000_000;
        const ALL: u64 = 1_000;
        let (may, left) = pay(self.to.get(&to).copied(), now, EACH, 6 * EACH);
        if !may {
            return false;
        }
        let (may, all) = pay(self.all, now, ALL, 50 * ALL);
        self.all = Some((all, now));
        if may {
            self.to.insert(to, (left, now));
        }
        may
    }
}

/// What systems do.
impl Sim {
    /// A datagram comes to a system where no process takes it.
    pub(super) fn nobody_listens(&mut self, at: usize, parcel: &Parcel) {
        let (Some(member), Parcel::Datagram { from, bytes }) =
            (self.places.get(at).copied().flatten(), parcel)
        else {
            return;
        };
        let host = &self.hosts[member];
        if self.config.network.icmp && !host.lost && self.now >= host.closed_at {
            self.refuse(member, *from, bytes);
        }
    }

    /// Whether a member's firewall rejects what this address sends; it then says so.
    pub(super) fn rejects(&mut self, member: Index, parcel: &Parcel) -> bool {
        let (Parcel::Datagram { from, .. } | Parcel::Frame { from, .. }) = parcel else {
            return false;
        };
        let sender = place_of(*from).and_then(|place| self.places.get(place).copied().flatten());
        if !sender.is_some_and(|sender| self.rejected.contains(&(sender, member))) {
            return false;
        }
        self.faults.add(Fault::Reject);
        if let Parcel::Datagram { from, bytes } = parcel {
            self.refuse(member, *from, bytes);
        }
        true
    }

    /// The system of a member tells a source that nobody listens.
    fn refuse(&mut self, member: Index, source: SocketAddr, datagram: &[u8]) {
        let Some(place) = place_of(source) else {
            return;
        };
        let now = self.now;
        if !self.hosts[member].limits.allow(now, place) {
            return self.faults.add(Fault::RefusalLimited);
        }
        self.faults.add(Fault::Refusal);
        let number = self.hosts[member].next_number(member);
        let roll = self.dice.roll(number);
        if let Some(fault) = self.stopped(member, source, Some(0), roll) {
            return self.faults.add(fault);
        }
        let delay = self.config.network.delay(roll, &mut self.faults);
        let at = self.hosts[member].addr();
        self.queue_refusal(place, at, datagram, delay);
    }

    fn queue_refusal(&mut self, place: usize, at: SocketAddr, datagram: &[u8], after: Duration) {
        let bytes = datagram[..datagram.len().min(QUOTED)].to_vec();
        let parcel = Parcel::Refused { at, bytes };
        let what = What::Arrive { to: place, parcel };
        self.queue.push(self.now + after, what);
    }

    /// Somebody on the way of a datagram forges a refusal of it.
    pub(super) fn forge_refusal(
        &mut self,
        from: Index,
        to: SocketAddr,
        datagram: &[u8],
        share: f64,
    ) {
        let on_way = place_of(to)
            .and_then(|place| self.places.get(place).copied().flatten())
            .is_some_and(|peer| self.hosts[peer].link.forged);
        let number = self.hosts[from].sent;
        let roll = self.dice.roll((from as u64) << 40 | number);
        if on_way || roll.hits(Fault::ForgedRefusal, share) {
            self.faults.add(Fault::ForgedRefusal);
            let place = self.hosts[from].place;
            self.queue_refusal(place, to, datagram, Duration::from_micros(100));
        }
    }

    /// The process of a member ended at that time: its connections end, and then its sockets are closed.
    pub(super) fn close_sockets(&mut self, member: Index, at: Time) {
        let number = self.hosts[member].next_number(member);
        let share = self.dice.roll(number).share(Fault::ConnectionEnd);
        self.hosts[member].closed_at = at + CLOSES.mul_f64(share);
        if !self.config.network.icmp {
            return;
        }
        let id = self.hosts[member].id;
        let watches = |host: &super::Host, id| host.watched.iter().any(|(other, _)| *other == id);
        let others: Vec<_> = (0..self.hosts.len())
            .filter(|other| *other != member && self.hosts[*other].up)
            .filter(|other| {
                let host = &self.hosts[*other];
                watches(host, id) || watches(&self.hosts[member], host.id)
            })
            .collect();
        self.hosts[member].watched.clear();
        for other in others {
            self.end_connection(member, other, at);
        }
    }

    fn end_connection(&mut self, from: Index, to: Index, at: Time) {
        /// Then the other end has long given up.
        const TRIES: u32 = 5;
        let peer = self.hosts[to].addr();
        for again in 0..TRIES {
            let number = self.hosts[from].next_number(from);
            let roll = self.dice.roll(number);
            match self.stopped(from, peer, None, roll) {
                Some(Fault::Loss | Fault::LinkLoss | Fault::Burst) => {}
                Some(fault) => return self.faults.add(fault),
                None => {
                    self.faults.add(Fault::ConnectionEnd);
                    let delay = self.config.network.delay(roll, &mut self.faults);
                    let parcel = Parcel::Ended {
                        id: self.hosts[from].id,
                    };
                    let to = self.hosts[to].place;
                    let when = at + delay + RESENT * ((1 << again) - 1);
                    return self.queue.push(when, What::Arrive { to, parcel });
                }
            }
        }
    }

    /// A member tests a port: what the system there answers.
    pub(super) fn test_port(&mut self, member: Index, test: PortTest) {
        /// Then it is given up.
        const PATIENCE: Duration = Duration::from_secs(1);
        let number = self.hosts[member].next_number(member);
        let roll = self.dice.roll(number);
        let there = place_of(test.addr).and_then(|place| self.places.get(place).copied().flatten());
        let stopped = self.stopped(member, test.addr, None, roll);
        let answers = there.filter(|there| {
            let lost = matches!(stopped, Some(Fault::Loss | Fault::LinkLoss | Fault::Burst));
            (stopped.is_none() || lost) && self.config.network.icmp && !self.hosts[*there].lost
        });
        let network = &self.config.network;
        let mut after = network.delay(roll, &mut self.faults);
        after += network.delay(roll.again(), &mut self.faults);
        if stopped.is_some() {
            after += RESENT;
        }
        let (port, after) = match answers {
            None => (Port::Silent, PATIENCE),
            Some(there) if self.hosts[there].up || self.now < self.hosts[there].closed_at => {
                (Port::Open, after)
            }
            Some(_) => (Port::Closed, after),
        };
        self.faults.add(Fault::PortTest);
        let (to, parcel) = (self.hosts[member].place, Parcel::Tested { test, port });
        self.queue
            .push(self.now + after, What::Arrive { to, parcel });
    }

    /// A refusal comes to a member that none of its ways forged, as from somebody who sees nothing of what it sends.
    pub fn forge_refused(&mut self, member: Index, of: Index, quoted: &[u8]) {
        self.faults.add(Fault::ForgedRefusal);
        let (place, at) = (self.hosts[member].place, address_of(self.hosts[of].place));
        self.queue_refusal(place, at, quoted, Duration::ZERO);
    }

    /// The member's host ends with it: nothing answers any more.
    pub fn lose_host(&mut self, member: Index) {
        self.hosts[member].lost = true;
        self.crash(member);
    }

    /// The member stops, but its system writes an image of its memory for so long before it closes its sockets.
    pub fn dump_core(&mut self, member: Index, takes: Duration) {
        if self.hosts[member].up {
            self.faults.add(Fault::CoreDump);
            let closes = self.now + takes;
            self.end_process(member);
            self.close_sockets(member, closes);
        }
    }

    /// The firewall of one member rejects all that another sends from now on.
    pub fn reject(&mut self, from: Index, to: Index) {
        self.rejected.insert((from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimConfig;

    #[test]
    fn a_system_refuses_six_at_once_and_then_one_a_second_to_each() {
        let mut limits = Limits::default();
        let at = |millis: u64| Time::from_millis(1_000_000 + millis);
        let at_once = (0..40).filter(|_| limits.allow(at(0), 1)).count();
        assert_eq!(at_once, 6);
        // Ten a second for six seconds.
        let later = (1..=60).filter(|tenth| limits.allow(at(*tenth * 100), 1));
        assert_eq!(later.count(), 6);
        assert!(limits.allow(at(6_000), 2), "another address has its own");
    }

    #[test]
    fn a_system_refuses_fifty_at_once_to_all_and_then_one_a_millisecond() {
        let mut limits = Limits::default();
        let at = |millis: u64| Time::from_millis(1_000_000 + millis);
        let round = |limits: &mut Limits, at| (0..300).filter(|to| limits.allow(at, *to)).count();
        assert_eq!(round(&mut limits, at(0)), 50);
        assert_eq!(round(&mut limits, at(20)), 20);
    }

    /// How many refusals came to the first of two members that know nobody, for so many datagrams to the second.
    fn refused(change: impl FnOnce(&mut Sim), count: u32) -> (u64, Sim) {
        let mut config = SimConfig::new(3);
        config.network.icmp = true;
        let mut sim = Sim::new(config);
        sim.start();
        sim.start();
        change(&mut sim);
        sim.run_for(Duration::from_millis(5));
        for _ in 0..count {
            sim.send(0, address_of(1), &[7; 900]);
        }
        sim.run_for(Duration::from_secs(1));
        (sim.node(0).stats().refusals, sim)
    }

    #[test]
    fn who_refuses_is_a_system_without_its_process() {
        assert_eq!(refused(|_| {}, 10).0, 0, "the process runs");
        let (came, sim) = refused(|sim| sim.crash(1), 10);
        let of = |fault| sim.faults().of(fault);
        assert_eq!(
            (came, of(Fault::Refusal), of(Fault::RefusalLimited)),
            (6, 6, 4)
        );
        assert_eq!(refused(|sim| sim.freeze(1), 10).0, 0);
        assert_eq!(refused(|sim| sim.lose_host(1), 10).0, 0);
        assert_eq!(
            refused(|sim| sim.dump_core(1, Duration::from_secs(9)), 10).0,
            0
        );
        assert_eq!(refused(|sim| sim.dump_core(1, Duration::ZERO), 10).0, 6);
        assert_eq!(refused(|sim| sim.reject(0, 1), 10).0, 6);
        assert_eq!(refused(|sim| sim.link_mut(1).forged = true, 10).0, 10);
        let without = |sim: &mut Sim| {
            sim.network_mut().icmp = false;
            sim.crash(1);
        };
        assert_eq!(refused(without, 10).0, 0);
    }

    #[test]
    fn a_process_that_ends_ends_its_connections_first() {
        let mut config = SimConfig::new(3);
        config.network.icmp = true;
        let mut sim = Sim::new(config);
        sim.start_settled(10);
        sim.run_for(Duration::from_secs(3));
        sim.crash(4);
        sim.run_for(Duration::from_millis(300));
        // Two watch it, and it watched two.
        let hints = |sim: &Sim| -> Vec<_> {
            (0..10)
                .map(|member| sim.node(member).stats().hints)
                .collect()
        };
        assert_eq!(hints(&sim), [0, 0, 1, 1, 0, 1, 1, 0, 0, 0]);
        assert_eq!(sim.faults().of(Fault::ConnectionEnd), 4);
        sim.lose_host(8);
        sim.run_for(Duration::from_millis(300));
        assert_eq!(hints(&sim).iter().sum::<u64>(), 4);
    }
}
