//! What a ring costs: datagrams and bytes, for a member, in a stretch of the run.

use std::time::Duration;

use butterfly::Stats;
use butterfly::sim::{Index, Sim};
use serde_json::{Value, json};

/// What some members sent and received in a stretch of time.
#[derive(Clone, Debug)]
pub struct Load {
    pub from: Duration,
    pub to: Duration,
    /// Members, those of all runs.
    members: u64,
    sent: u64,
    received: u64,
    bytes_sent: u64,
    bytes_received: u64,
    pushes: u64,
    push_bytes: u64,
    /// Probes begun, those in which others were asked, and those that failed.
    probes: u64,
    indirect: u64,
    failed: u64,
    /// What the busiest member sent.
    busiest: u64,
}

impl Load {
    /// Of these members, which had counted `before` when the stretch began.
    pub fn of(
        sim: &Sim,
        members: &[Index],
        before: &[Stats],
        from: Duration,
        to: Duration,
    ) -> Self {
        let mut load = Load {
            from,
            to,
            members: members.len() as u64,
            sent: 0,
            received: 0,
            bytes_sent: 0,
            bytes_received: 0,
            pushes: 0,
            push_bytes: 0,
            probes: 0,
            indirect: 0,
            failed: 0,
            busiest: 0,
        };
        for (member, before) in members.iter().zip(before) {
            let now = sim.node(*member).stats();
            let sent = now.sent_total() - before.sent_total();
            load.sent += sent;
            load.busiest = load.busiest.max(sent);
            load.received += now.received_total() - before.received_total();
            load.bytes_sent += now.bytes_sent - before.bytes_sent;
            load.bytes_received += now.bytes_received - before.bytes_received;
            load.pushes += now.rumors_sent - before.rumors_sent;
            load.push_bytes += now.rumor_bytes_sent - before.rumor_bytes_sent;
            load.probes += now.probes - before.probes;
            load.indirect += now.probes_indirect - before.probes_indirect;
            load.failed += now.probes_failed - before.probes_failed;
        }
        load
    }

    /// The same stretch of another run.
    pub fn merge(&mut self, other: &Load) {
        self.members += other.members;
        self.sent += other.sent;
        self.received += other.received;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.pushes += other.pushes;
        self.push_bytes += other.push_bytes;
        self.probes += other.probes;
        self.indirect += other.indirect;
        self.failed += other.failed;
        self.busiest = self.busiest.max(other.busiest);
    }

    /// What a member has of it in so much time.
    pub fn rates(&self, period: Duration) -> Rates {
        let length = self.to.saturating_sub(self.from).as_secs_f64();
        let seconds = self.members as f64 * length;
        let periods = seconds / period.as_secs_f64();
        let per = |count: u64, of: f64| if of > 0.0 { count as f64 / of } else { 0.0 };
        Rates {
            sent: per(self.sent, periods),
            received: per(self.received, periods),
            busiest: per(self.busiest, length / period.as_secs_f64()),
            bytes_sent: per(self.bytes_sent, seconds),
            bytes_received: per(self.bytes_received, seconds),
            pushes: per(self.pushes, self.members as f64),
            push_bytes: per(self.push_bytes, self.members as f64),
            indirect: per(self.indirect, self.probes as f64),
            failed: per(self.failed, self.probes as f64),
        }
    }
}

/// Means over all members and the whole stretch.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Datagrams that a member sends in a period.
    pub sent: f64,
    /// Datagrams that it receives and understands in a period.
    pub received: f64,
    /// Datagrams that the busiest member sends in a period.
    pub busiest: f64,
    /// Bytes of datagrams that a member sends in a second.
    pub bytes_sent: f64,
    /// The same of those it receives.
    pub bytes_received: f64,
    /// Rumors that a member pushes in the whole stretch.
    pub pushes: f64,
    /// Their bytes.
    pub push_bytes: f64,
    /// The share of all probes in which others were asked, as their target was late.
    pub indirect: f64,
    /// The share of those that failed.
    pub failed: f64,
}

impl Rates {
    pub fn json(&self) -> Value {
        json!({
            "datagrams_sent_per_period": self.sent,
            "datagrams_received_per_period": self.received,
            "datagrams_sent_per_period_by_the_busiest": self.busiest,
            "bytes_sent_per_second": self.bytes_sent,
            "bytes_received_per_second": self.bytes_received,
            "rumors_pushed": self.pushes,
            "rumor_bytes_pushed": self.push_bytes,
            "probes_indirect_percent": 100.0 * self.indirect,
            "probes_failed_percent": 100.0 * self.failed,
        })
    }
}
