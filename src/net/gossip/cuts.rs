//! Connections that we close: how often, why, and whose.

use std::net::SocketAddr;
use std::time::Instant;

use super::counters::Counters;
use crate::limits::REJECT_LOG_INTERVAL;
use crate::wire::zmtp::Fault;

/// Why we closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Cut {
    /// What the peer sent is not what belongs there.
    Fault(Fault),
    /// The handshake was not done in time.
    Handshake,
    /// A frame came too slowly.
    Stalled,
    /// The peer gave no sign of life when it was asked for one.
    Silent,
    /// The peer does not take our answers.
    Deaf,
    /// There were too many connections.
    Surplus,
    /// What has come of frames took too much memory.
    Budget,
    /// The process had no descriptor left.
    NoDescriptor,
}

impl Cut {
    pub(super) const COUNT: usize = Cut::ALL.len();

    pub(super) const ALL: [Cut; 7 + Fault::COUNT] = {
        let mut all = [Cut::Handshake; 7 + Fault::COUNT];
        let others = [
            Cut::Handshake,
            Cut::Stalled,
            Cut::Silent,
            Cut::Deaf,
            Cut::Surplus,
            Cut::Budget,
            Cut::NoDescriptor,
        ];
        let mut at = 0;
        while at < all.len() {
            all[at] = if at < Fault::COUNT {
                Cut::Fault(Fault::ALL[at])
            } else {
                others[at - Fault::COUNT]
            };
            at += 1;
        }
        all
    };

    pub(super) fn index(self) -> usize {
        match self {
            Cut::Fault(fault) => fault as usize,
            Cut::Handshake => Fault::COUNT,
            Cut::Stalled => Fault::COUNT + 1,
            Cut::Silent => Fault::COUNT + 2,
            Cut::Deaf => Fault::COUNT + 3,
            Cut::Surplus => Fault::COUNT + 4,
            Cut::Budget => Fault::COUNT + 5,
            Cut::NoDescriptor => Fault::COUNT + 6,
        }
    }

    /// Its counter's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Cut::Fault(Fault::Signature) => "connections_cut_signature",
            Cut::Fault(Fault::Version) => "connections_cut_version",
            Cut::Fault(Fault::Mechanism) => "connections_cut_mechanism",
            Cut::Fault(Fault::SocketType) => "connections_cut_socket_type",
            Cut::Fault(Fault::Ring) => "connections_cut_ring",
            Cut::Fault(Fault::NotReady) => "connections_cut_not_ready",
            Cut::Fault(Fault::Parts) => "connections_cut_parts",
            Cut::Fault(Fault::TooLarge) => "connections_cut_too_large",
            Cut::Fault(Fault::Command) => "connections_cut_command",
            Cut::Fault(Fault::Message) => "connections_cut_message",
            Cut::Fault(Fault::Refused) => "connections_cut_refused",
            Cut::Handshake => "connections_cut_handshake",
            Cut::Stalled => "connections_cut_stalled",
            Cut::Silent => "connections_cut_silent",
            Cut::Deaf => "connections_cut_deaf",
            Cut::Surplus => "connections_cut_surplus",
            Cut::Budget => "connections_cut_budget",
            Cut::NoDescriptor => "connections_cut_no_descriptor",
        }
    }

    /// What the peer did, and what to do if it should not be cut off.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Cut::Fault(Fault::Signature) => {
                "it does not speak ZMTP: is it no gossip port, or no member?"
            }
            Cut::Fault(Fault::Version) => {
                "it speaks ZMTP 1 or 2, and at least 3 is needed: ZeroMQ 4 has it"
            }
            Cut::Fault(Fault::Mechanism) => {
                "it asks for a security mechanism, and gossip uses NULL"
            }
            Cut::Fault(Fault::SocketType) => {
                "its socket is not of the type that gossip uses (PUSH to PULL)"
            }
            Cut::Fault(Fault::Ring) => {
                "it belongs to another ring: rings that meet need other names (--ring), and one ring the same"
            }
            Cut::Fault(Fault::NotReady) => "it sent something else before READY",
            Cut::Fault(Fault::Parts) => "it began a message of several parts, and a rumor has one",
            Cut::Fault(Fault::TooLarge) => "it announced a message larger than any rumor",
            Cut::Fault(Fault::Command) => {
                "it sent a command that is unknown, malformed or out of place"
            }
            Cut::Fault(Fault::Message) => "it sent a message the wrong way, from PULL to PUSH",
            Cut::Fault(Fault::Refused) => "it refused us with ERROR",
            Cut::Handshake => "its handshake was not done in time",
            Cut::Stalled => "it sent a message too slowly",
            Cut::Silent => "it gave no sign of life when asked for one",
            Cut::Deaf => "it does not read our answers",
            Cut::Surplus => "there are too many connections, and others matter more",
            Cut::Budget => "unfinished messages take too much memory, and its own took most",
            Cut::NoDescriptor => "the process has no descriptor left: raise the limit (ulimit -n)",
        }
    }
}

/// What happened: counters, and a log line for each kind once in a while.
#[derive(Debug, Default)]
pub(in crate::net) struct Report {
    pub counters: Counters,
    told: [Option<Told>; Cut::COUNT],
}

/// The last log line of a kind.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    /// Of this kind, since then.
    untold: u64,
}

impl Report {
    /// A connection was closed by us.
    pub(super) fn cut(&mut self, now: Instant, why: Cut, peer: SocketAddr) {
        let index = why.index();
        if let Some(count) = self.counters.cuts.get_mut(index) {
            *count += 1;
        }
        let Some(told) = self.told.get_mut(index) else {
            return;
        };
        let untold = match told {
            Some(told) if told.at + REJECT_LOG_INTERVAL > now => return told.untold += 1,
            Some(told) => told.untold,
            None => 0,
        };
        *told = Some(Told { at: now, untold: 0 });
        let reason = why.reason();
        let others = match untold {
            0 => String::new(),
            _ => format!("; {untold} others went the same way since the last such line"),
        };
        log::warn!("closed the gossip connection with {peer}: {reason}{others}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;
    use crate::net::logged;

    #[test]
    fn each_kind_has_its_place_and_its_name() {
        let names: HashSet<_> = Cut::ALL.into_iter().map(Cut::name).collect();
        assert_eq!(names.len(), Cut::COUNT);
        for (place, cut) in Cut::ALL.into_iter().enumerate() {
            assert_eq!(cut.index(), place, "{cut:?}");
        }
    }

    #[test]
    fn each_kind_is_told_once_in_a_while_and_counted_always() {
        let mut report = Report::default();
        let (start, peer) = (Instant::now(), ([127, 0, 0, 1], 1).into());
        let told =
            |report: &Report, cut: Cut| report.told[cut.index()].map(|it| (it.at, it.untold));
        let first = logged::by(|| {
            for millis in 0..100 {
                report.cut(start + Duration::from_millis(millis), Cut::Surplus, peer);
            }
        });
        let reason = Cut::Surplus.reason();
        assert_eq!(
            first,
            [format!(
                "WARN closed the gossip connection with {peer}: {reason}"
            )]
        );
        assert_eq!(told(&report, Cut::Surplus), Some((start, 99)));
        assert_eq!(told(&report, Cut::Budget), None);
        let later = start + REJECT_LOG_INTERVAL;
        report.cut(later, Cut::Budget, peer);
        let next = logged::by(|| report.cut(later, Cut::Surplus, peer));
        let others = "; 99 others went the same way since the last such line";
        assert_eq!(next, [first[0].clone() + others]);
        let foreign = logged::by(|| report.cut(later, Cut::Fault(Fault::Ring), peer));
        assert!(foreign[0].starts_with(&format!(
            "WARN closed the gossip connection with {peer}: it belongs to another ring"
        )));
        assert_eq!(told(&report, Cut::Surplus), Some((later, 0)));
        assert_eq!(report.counters.cut(Cut::Surplus), 101);
        assert_eq!(report.counters.cut(Cut::Budget), 1);
    }
}
