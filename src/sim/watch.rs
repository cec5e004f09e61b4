//! What must hold of every member after every event, whatever goes wrong around it.

use std::collections::{BTreeMap, BTreeSet};

use super::allowance::Allowance;
use super::{Disk, Index};
use crate::error::Reject;
use crate::event::{Cause, Event};
use crate::member::{Health, Incarnation, MemberId};
use crate::node::Node;
use crate::rumor::RumorKind;
use crate::stats::Gauge;
use crate::time::Time;

/// Something that must not happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// When.
    pub at: Time,
    /// At which member.
    pub member: Index,
    /// What.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: member {}: {}", self.at, self.member, self.what)
    }
}

/// What one life of a member is held to.
#[derive(Default)]
pub(super) struct Watch {
    /// The highest incarnation that it had.
    incarnation: Incarnation,
    /// Whom it holds for dead, and at which incarnation.
    dead: BTreeMap<MemberId, Incarnation>,
    /// Who departed for good, by the rumors that it holds.
    departed: BTreeSet<MemberId>,
    /// What it may send.
    pub allowance: Allowance,
}

impl Watch {
    /// It starts with this incarnation, which may not be below what it had unless its disk is another.
    pub fn begins(&mut self, now: Time, incarnation: Incarnation, disk: Disk) -> Option<String> {
        let had = self.incarnation;
        *self = Watch {
            incarnation,
            allowance: Allowance::since(now),
            ..Watch::default()
        };
        (disk == Disk::Kept && incarnation <= had)
            .then(|| format!("it starts with incarnation {incarnation}, and had {had}"))
    }

    /// Something happened at the member.
    pub fn event(&mut self, event: &Event) -> Option<String> {
        let Event::MemberChanged {
            id,
            from,
            to,
            incarnation,
            cause,
            ..
        } = event
        else {
            self.departure(event);
            return None;
        };
        if self.departed.contains(id) && *to != Health::Departed {
            return Some(format!("{id} departed by a rumor, and is {to}: {cause}"));
        }
        self.allowance.came.changes += 1;
        if *to >= Health::Confirmed {
            self.dead.insert(*id, *incarnation);
            return None;
        }
        let died = self.dead.remove(id)?;
        // Who was forgotten is new, whatever was known of it.
        let proved = from.is_none() || matches!(cause, Cause::ProofOfLife | Cause::ItsLeave);
        (*incarnation <= died && !proved)
            .then(|| format!("{id} died at {died}, and is {to} at {incarnation}: {cause}"))
    }

    /// Notes departures for good as rumors come, and go: there may be too many, and the oldest is pardoned.
    fn departure(&mut self, event: &Event) {
        let (Event::RumorChanged { id: rumor, .. } | Event::RumorGone(rumor)) = event else {
            return;
        };
        if rumor.kind != RumorKind::Departure {
            return;
        }
        if let Ok(id) = rumor.id.parse() {
            match event {
                Event::RumorGone(_) => self.departed.remove(&id),
                _ => self.departed.insert(id),
            };
        }
    }

    /// The member has done all that was to do at this moment.
    pub fn state(&mut self, node: &Node) -> Option<String> {
        let incarnation = node.incarnation();
        let had = std::mem::replace(&mut self.incarnation, incarnation);
        if incarnation < had {
            return Some(format!("its incarnation fell from {had} to {incarnation}"));
        }
        over(node.sizes())
    }
}

/// What is larger than it may be.
fn over(mut sizes: impl Iterator<Item = Gauge>) -> Option<String> {
    let over = sizes.find(|size| size.now > size.most)?;
    Some(format!(
        "{} of {}, at most {}",
        over.now, over.name, over.most
    ))
}

/// A member before or after something came to it.
#[derive(Clone, Copy)]
pub(super) struct Snap {
    understood: u64,
    rejected: u64,
    /// Of those that were understood, but not let in.
    shut_out: u64,
    full: u64,
    records: u64,
    lags: u64,
    state: u64,
}

impl Snap {
    pub fn of(node: &Node) -> Self {
        let stats = node.stats();
        Snap {
            understood: stats.received_total(),
            rejected: stats.rejected_total(),
            shut_out: stats.rejected(Reject::Blocked) + stats.rejected(Reject::RateLimited),
            full: stats.rejected(Reject::StoreFull),
            records: stats.records_received,
            lags: stats.lags,
            state: node.fingerprint(),
        }
    }

    /// Whether a datagram that was rejected as a whole left something behind.
    pub fn datagram(&self, after: &Snap) -> Option<String> {
        let unread = after.records == self.records;
        let shut_out = after.shut_out > self.shut_out && unread;
        let rejected = after.understood == self.understood || shut_out;
        self.changed(after, rejected, "datagram")
    }

    /// Whether a frame that was rejected left something behind. Of one for which there is no room it is remembered that it
    /// need not be asked for again.
    pub fn frame(&self, after: &Snap) -> Option<String> {
        let rejected = after.rejected > self.rejected && after.full == self.full;
        self.changed(after, rejected, "frame")
    }

    fn changed(&self, after: &Snap, rejected: bool, what: &str) -> Option<String> {
        // That its loop is late shows at whatever comes next, and changes its state, too.
        let late = after.lags != self.lags;
        (rejected && !late && after.state != self.state)
            .then(|| format!("a {what} that was rejected changed its state"))
    }
}

/// Each can be broken.
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::name::Name;
    use crate::rumor::RumorId;
    use crate::sim::{Sim, SimConfig, id_of};

    /// A ring of three.
    fn ring() -> Sim {
        let mut sim = Sim::new(SimConfig::new(1));
        sim.start_settled(3);
        sim
    }

    fn incarnation(number: u64) -> Incarnation {
        Incarnation::new(number).unwrap()
    }

    fn change(to: Health, number: u64, cause: Cause) -> Event {
        Event::MemberChanged {
            id: id_of(1),
            addr: "10.0.0.2:9638".parse().unwrap(),
            from: Some(Health::Alive),
            to,
            incarnation: incarnation(number),
            cause,
            name: Name::default(),
        }
    }

    #[test]
    fn an_incarnation_must_not_fall_nor_be_used_again_with_the_same_disk() {
        let sim = ring();
        let mut watch = Watch::default();
        assert_eq!(watch.state(sim.node(0)), None);
        watch.incarnation = incarnation(1);
        assert!(watch.state(sim.node(0)).is_some());
        for (number, disk, wrong) in [
            (7, Disk::Kept, true),
            (7, Disk::Lost, false),
            (8, Disk::Kept, false),
            (0, Disk::Lost, false),
        ] {
            watch.incarnation = incarnation(7);
            let began = watch.begins(Time::ZERO, incarnation(number), disk);
            assert_eq!(began.is_some(), wrong, "{number}, {disk:?}");
        }
    }

    #[test]
    fn who_died_must_not_live_again_without_a_proof_or_a_refutation() {
        let hearsay = Cause::Record { via: id_of(2) };
        for (number, cause, wrong) in [
            (4, hearsay, true),
            (3, hearsay, true),
            (5, hearsay, false),
            (4, Cause::ProofOfLife, false),
        ] {
            for dead in [Health::Confirmed, Health::Departed] {
                let mut watch = Watch::default();
                let died = change(dead, 4, Cause::SuspicionTimeout);
                assert_eq!(watch.event(&died), None);
                let lives = change(Health::Alive, number, cause);
                assert_eq!(watch.event(&lives).is_some(), wrong, "{number} {cause}");
                // It lives: that it goes on doing so is nothing.
                assert_eq!(watch.event(&lives), None);
            }
        }
        // Who was forgotten meanwhile is new.
        let mut watch = Watch::default();
        watch.event(&change(Health::Departed, 4, Cause::DeadTooLong));
        let mut again = change(Health::Alive, 4, hearsay);
        if let Event::MemberChanged { from, .. } = &mut again {
            *from = None;
        }
        assert_eq!(watch.event(&again), None);
    }

    #[test]
    fn who_departed_by_a_rumor_must_not_come_back() {
        let rumor = Arc::new(RumorId::departure(id_of(1)));
        let departs = Event::RumorChanged {
            id: Arc::clone(&rumor),
            is_new: true,
        };
        let departed = change(Health::Departed, 0, Cause::Departure);
        for (to, cause) in [
            (Health::Alive, Cause::ProofOfLife),
            (Health::Suspect, Cause::ProbeFailed),
            (Health::Confirmed, Cause::SuspicionTimeout),
        ] {
            let back = change(to, 99, cause);
            let mut watch = Watch::default();
            assert_eq!(watch.event(&back), None, "it knows of no departure");
            assert_eq!(watch.event(&departs), None);
            assert_eq!(watch.event(&departed), None);
            assert!(watch.event(&back).is_some(), "{to}");
            assert!(watch.event(&back).is_some(), "{to}, for good");
            // Of too many departures the oldest is forgotten.
            watch.event(&Event::RumorGone(Arc::clone(&rumor)));
            assert_eq!(watch.event(&back), None);
        }
    }

    #[test]
    fn a_departure_is_known_by_its_rumor() {
        let mut sim = ring();
        sim.command(0, |node, now| node.depart(now, id_of(1)).unwrap());
        assert!(sim.hosts[0].watch.departed.contains(&id_of(1)));
        assert!(sim.hosts[2].watch.departed.is_empty());
        assert_eq!(sim.violations(), []);
    }

    #[test]
    fn nothing_may_be_larger_than_its_cap() {
        let size = |now| [Gauge::new("news", 0, 1), Gauge::new("members", now, 5)].into_iter();
        assert_eq!(over(size(5)), None);
        assert!(over(size(6)).is_some());
        assert_eq!(Watch::default().state(ring().node(0)), None);
    }

    #[test]
    fn a_rejected_datagram_must_leave_no_trace() {
        let before = Snap {
            understood: 1,
            rejected: 1,
            shut_out: 1,
            full: 1,
            records: 1,
            lags: 1,
            state: 1,
        };
        let rejected = Snap {
            rejected: 2,
            state: 2,
            ..before
        };
        let understood = Snap {
            understood: 2,
            ..rejected
        };
        let wrong = |after: Snap| {
            let found = [before.datagram(&after), before.frame(&after)];
            found.map(|what| what.is_some())
        };
        assert_eq!(wrong(before), [false, false]);
        assert_eq!(wrong(rejected), [true, true]);
        assert_eq!(
            wrong(Snap {
                state: 1,
                ..rejected
            }),
            [false, false]
        );
        assert_eq!(
            wrong(Snap {
                lags: 2,
                ..rejected
            }),
            [false, false]
        );
        assert_eq!(
            wrong(Snap {
                full: 2,
                ..rejected
            }),
            [true, false]
        );
        assert_eq!(wrong(understood), [false, true], "a record of it was");
        let shut_out = Snap {
            shut_out: 2,
            ..understood
        };
        assert_eq!(wrong(shut_out), [true, true]);
        let of_a_record = Snap {
            records: 2,
            ..shut_out
        };
        assert_eq!(wrong(of_a_record), [false, true]);
        // What stands for the state does change with it.
        let mut sim = ring();
        let before = Snap::of(sim.node(0));
        sim.command(0, |node, now| node.depart(now, id_of(1)).unwrap());
        assert!(before.datagram(&Snap::of(sim.node(0))).is_some());
    }
}
