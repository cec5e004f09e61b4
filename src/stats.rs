//! Counters: plain numbers that only grow, all of them readable by name.

mod histogram;

use std::time::Duration;

use crate::error::Reject;
use crate::member::Health;
pub use histogram::Histogram;

/// The kinds of SWIM messages, as counters and traces tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum MessageKind {
    /// Are you there?
    Ping,
    /// I am.
    Ack,
    /// Ask that one for me.
    PingReq,
    /// Some say you are dead.
    ProbePing,
    /// Someone else's Ack on its way through this member.
    ForwardedAck,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [MessageKind; KINDS] = [
        MessageKind::Ping,
        MessageKind::Ack,
        MessageKind::PingReq,
        MessageKind::ProbePing,
        MessageKind::ForwardedAck,
    ];

    /// Its lowercase name, words joined by `_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageKind::Ping => "ping",
            MessageKind::Ack => "ack",
            MessageKind::PingReq => "ping_req",
            MessageKind::ProbePing => "probe_ping",
            MessageKind::ForwardedAck => "forwarded_ack",
        }
    }
}

const KINDS: usize = 5;
/// Of a member: it was not known, or its health.
const HEALTHS: usize = 1 + Health::ALL.len();
const RECEIVED: [&str; KINDS] = [
    "received_ping",
    "received_ack",
    "received_ping_req",
    "received_probe_ping",
    "received_ack_to_forward",
];
const SENT: [&str; KINDS] = [
    "sent_ping",
    "sent_ack",
    "sent_ping_req",
    "sent_probe_ping",
    "sent_forwarded_ack",
];
const REJECTED: [&str; Reject::ALL.len()] = [
    "rejected_oversized",
    "rejected_truncated",
    "rejected_malformed",
    "rejected_bad_utf8",
    "rejected_unknown_type",
    "rejected_missing_field",
    "rejected_bad_port",
    "rejected_bad_id",
    "rejected_bad_address",
    "rejected_bad_incarnation",
    "rejected_not_sealed",
    "rejected_no_key",
    "rejected_wrong_key",
    "rejected_own_id",
    "rejected_blocked",
    "rejected_rate_limited",
    "rejected_table_full",
    "rejected_paused",
    "rejected_fake",
    "rejected_bad_group",
    "rejected_store_full",
    "rejected_multipart",
    "rejected_bad_filename",
    "rejected_bad_version",
    "rejected_unknown_candidate",
    "rejected_other_ring",
    "rejected_replayed",
    "rejected_other_receiver",
    "rejected_link_local",
    "rejected_bad_tags",
    "rejected_bad_event",
    "rejected_event_flood",
];

/// How large something is, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauge {
    /// What it is: lowercase, words joined by `_`.
    pub name: &'static str,
    /// How much of it there is now.
    pub now: u64,
    /// How much of it there may be.
    pub most: u64,
}

impl Gauge {
    pub(crate) fn new(name: &'static str, now: usize, most: usize) -> Self {
        Gauge {
            name,
            now: now as u64,
            most: most as u64,
        }
    }
}

/// What became of what a member had its disk write since it started: marks and snapshots, each a file that is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskWrites {
    /// Those on disk.
    pub done: u64,
    /// Those that failed. What cannot be written is tried again.
    pub failed: u64,
}

/// What a member did since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    received: [u64; KINDS],
    sent: [u64; KINDS],
    rejected: [u64; Reject::ALL.len()],
    transitions: [[u64; HEALTHS]; HEALTHS],
    /// Bytes of all datagrams received, the dropped ones too.
    pub bytes_received: u64,
    /// Bytes of all datagrams handed out.
    pub bytes_sent: u64,
    /// Probes begun.
    pub probes: u64,
    /// Probes that were not answered in time by the member itself, so that others were asked.
    pub probes_indirect: u64,
    /// Probes that were answered before others had to be asked.
    pub probes_answered: u64,
    /// Probes that were answered after others had been asked, by the member itself or through them.
    pub probes_answered_late: u64,
    /// Probes that failed.
    pub probes_failed: u64,
    /// Times that the system of a pinged member said that nobody listens there.
    pub refusals: u64,
    /// Of those, such as quote nothing that this member sent there and waits for: without effect.
    pub refusals_ignored: u64,
    /// Hints that a member ended, as a connection with it did.
    pub hints: u64,
    /// Memberships received.
    pub records_received: u64,
    /// Memberships received that changed something, and accusations told again, as nobody was heard meanwhile.
    pub records_adopted: u64,
    /// Memberships sent.
    pub records_sent: u64,
    /// Times this member refuted something said of it.
    pub refutations: u64,
    /// Times that a member which proved its address said that this one is elsewhere than where it says itself.
    pub seen_elsewhere: u64,
    /// Rumors received, the dropped ones too.
    pub rumors_received: u64,
    /// Bytes of all frames of rumors received.
    pub rumor_bytes_received: u64,
    /// Rumors received, or put in here, that changed something.
    pub rumors_adopted: u64,
    /// Rumors received that are older than what is held, or about who is gone.
    pub rumors_stale: u64,
    /// Rumors from the disk that a copy of the ring's replaced, as it said something else in the same version.
    pub rumors_corrected: u64,
    /// Rumors that a peer's connection took.
    pub rumors_sent: u64,
    /// Rumors that none took: the peer cannot be reached, or is slow.
    pub rumors_not_taken: u64,
    /// Bytes of all frames of rumors handed out.
    pub rumor_bytes_sent: u64,
    /// Times this member began to compare its rumors with another's.
    pub comparisons: u64,
    /// User events that this member sent.
    pub user_events_sent: u64,
    /// User events that were delivered here, its own too.
    pub user_events: u64,
    /// User events that did not come in time: those of the same sender that came after them were delivered.
    pub user_events_skipped: u64,
    /// User events that were held no longer as there were too many, delivered or not.
    pub user_events_dropped: u64,
    /// Answers to others' questions that their askers did not take.
    pub answers_lost: u64,
    /// Questions of others that were not answered: of one that is no member of ours, too many, or from before the start.
    pub queries_refused: u64,
    /// User events that were not delivered, as a later one of the same name was.
    pub user_events_coalesced: u64,
    /// Times that two processes with one id were seen: one of them answered after the other had.
    pub id_conflicts: u64,
    /// Times the loop was late by more than its tolerance.
    pub lags: u64,
    /// Datagrams dropped before they were sent, because too many were waiting.
    pub datagrams_lost: u64,
    /// Events dropped because nobody took them.
    pub events_lost: u64,
    /// Traces dropped because nobody took them.
    pub traces_lost: u64,
    /// Datagrams that the system would not send.
    pub send_errors: u64,
    /// Times that reading from the socket failed.
    pub receive_errors: u64,
    /// What the system said of datagrams that did not arrive, but for refusals by their target's own host: without effect.
    pub stray_errors: u64,
    /// Round trips of probes that were answered directly.
    pub probe_rtt: Histogram,
    /// For how long members were Suspect here that then became Confirmed: by this member's own time-out, or by others' word.
    pub detection: Histogram,
    /// How late timers were served, of those that were not on time: what the loop was busy with, or slept through.
    pub loop_lag: Histogram,
}

/// One more of those in this place.
#[inline]
fn count(counts: &mut [u64], place: usize) {
    if let Some(count) = counts.get_mut(place) {
        *count += 1;
    }
}

fn counted(counts: &[u64], place: usize) -> u64 {
    counts.get(place).copied().unwrap_or(0)
}

impl Stats {
    pub(crate) fn count_received(&mut self, kind: MessageKind) {
        count(&mut self.received, kind as usize);
    }

    pub(crate) fn count_sent(&mut self, kind: MessageKind, bytes: usize) {
        count(&mut self.sent, kind as usize);
        self.bytes_sent += bytes as u64;
    }

    pub(crate) fn count_rejected(&mut self, reason: Reject) {
        count(&mut self.rejected, reason as usize);
    }

    /// So many user events were not waited for any longer.
    pub(crate) fn count_skipped(&mut self, skipped: u64) {
        self.user_events_skipped = self.user_events_skipped.saturating_add(skipped);
    }

    /// A probe was answered, after others had been asked or before.
    pub(crate) fn count_answer(&mut self, late: bool) {
        if late {
            self.probes_answered_late += 1;
        } else {
            self.probes_answered += 1;
        }
    }

    /// A member was learned of, or its health changed after so long.
    pub(crate) fn count_transition(&mut self, from: Option<(Health, Duration)>, to: Health) {
        let before = from.map_or(0, |(health, _)| health as usize);
        if let Some(after) = self.transitions.get_mut(before) {
            count(after, to as usize);
        }
        if let (Some((Health::Suspect, suspected)), Health::Confirmed) = (from, to) {
            self.detection.record(suspected);
        }
    }

    /// How often members came from the one health to the other; from `None`: were learned of.
    pub fn transitions(&self, from: Option<Health>, to: Health) -> u64 {
        let before = self
            .transitions
            .get(from.map_or(0, |health| health as usize));
        before.map_or(0, |after| counted(after, to as usize))
    }

    /// Messages of this kind received and understood.
    pub fn received(&self, kind: MessageKind) -> u64 {
        counted(&self.received, kind as usize)
    }

    /// Messages of this kind handed out.
    pub fn sent(&self, kind: MessageKind) -> u64 {
        counted(&self.sent, kind as usize)
    }

    /// All messages handed out.
    pub fn sent_total(&self) -> u64 {
        self.sent.iter().sum()
    }

    /// All messages received and understood.
    pub fn received_total(&self) -> u64 {
        self.received.iter().sum()
    }

    /// What was dropped for this reason.
    pub fn rejected(&self, reason: Reject) -> u64 {
        counted(&self.rejected, reason as usize)
    }

    /// All that was dropped.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// All counters with their names, lowercase, words joined by `_`.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let plain = [
            ("bytes_received", self.bytes_received),
            ("bytes_sent", self.bytes_sent),
            ("probes", self.probes),
            ("probes_indirect", self.probes_indirect),
            ("probes_answered", self.probes_answered),
            ("probes_answered_late", self.probes_answered_late),
            ("probes_failed", self.probes_failed),
            ("refusals", self.refusals),
            ("refusals_ignored", self.refusals_ignored),
            ("hints", self.hints),
            ("records_received", self.records_received),
            ("records_adopted", self.records_adopted),
            ("records_sent", self.records_sent),
            ("refutations", self.refutations),
            ("seen_elsewhere", self.seen_elsewhere),
            ("rumors_received", self.rumors_received),
            ("rumor_bytes_received", self.rumor_bytes_received),
            ("rumors_adopted", self.rumors_adopted),
            ("rumors_stale", self.rumors_stale),
            ("rumors_corrected", self.rumors_corrected),
            ("rumors_sent", self.rumors_sent),
            ("rumors_not_taken", self.rumors_not_taken),
            ("rumor_bytes_sent", self.rumor_bytes_sent),
            ("comparisons", self.comparisons),
            ("user_events_sent", self.user_events_sent),
            ("user_events", self.user_events),
            ("user_events_skipped", self.user_events_skipped),
            ("user_events_dropped", self.user_events_dropped),
            ("user_events_coalesced", self.user_events_coalesced),
            ("answers_lost", self.answers_lost),
            ("queries_refused", self.queries_refused),
            ("id_conflicts", self.id_conflicts),
            ("lags", self.lags),
            ("datagrams_lost", self.datagrams_lost),
            ("events_lost", self.events_lost),
            ("traces_lost", self.traces_lost),
            ("send_errors", self.send_errors),
            ("receive_errors", self.receive_errors),
            ("stray_errors", self.stray_errors),
        ];
        let named = |names: &'static [&'static str], counts: &'_ [u64]| {
            names
                .iter()
                .copied()
                .zip(counts.to_vec())
                .collect::<Vec<_>>()
        };
        named(&RECEIVED, &self.received)
            .into_iter()
            .chain(named(&SENT, &self.sent))
            .chain(named(&REJECTED, &self.rejected))
            .chain(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_name() {
        for &reason in Reject::ALL {
            let mut stats = Stats::default();
            stats.count_rejected(reason);
            let counted: Vec<_> = stats.iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(
                counted,
                [(format!("rejected_{}", reason.name()).as_str(), 1)]
            );
        }
    }

    #[test]
    fn a_suspicion_that_ends_in_death_is_a_detection() {
        let mut stats = Stats::default();
        let second = Duration::from_secs(1);
        let suspect = Some((Health::Suspect, second));
        stats.count_transition(None, Health::Alive);
        stats.count_transition(suspect, Health::Alive);
        stats.count_transition(Some((Health::Alive, second)), Health::Confirmed);
        assert_eq!(stats.detection.count(), 0);
        stats.count_transition(suspect, Health::Confirmed);
        assert_eq!(
            (stats.detection.count(), stats.detection.sum()),
            (1, second)
        );
        let healths = || Health::ALL.into_iter();
        let all = healths().flat_map(|to| {
            let from = healths().map(Some).chain([None]);
            from.map(move |from| (from, to))
        });
        let counted = all
            .map(|(from, to)| stats.transitions(from, to))
            .sum::<u64>();
        assert_eq!(counted, 4);
        assert_eq!(stats.transitions(None, Health::Alive), 1);
        assert_eq!(
            stats.transitions(Some(Health::Suspect), Health::Confirmed),
            1
        );
    }
}
