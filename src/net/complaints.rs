//! Why datagrams could not be sent, for the log: each reason once in a while.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The pause between two lines with the same reason.
const PAUSE: Duration = Duration::from_secs(60);
/// Reasons that are remembered; systems have few for this.
const MOST: usize = 8;

/// Which reasons were told, by the system's number, and when.
#[derive(Default)]
pub(super) struct Complaints(Vec<(i32, Instant)>);

impl Complaints {
    /// A datagram to this address could not be sent, for this reason.
    pub fn unsent(&mut self, to: SocketAddr, errno: Option<i32>, now: Instant) {
        let Some(errno) = errno.filter(|errno| self.opens(*errno, now)) else {
            return;
        };
        let why = io::Error::from_raw_os_error(errno);
        log::warn!(
            "the system does not send to {to}: {why}: is there a route from the address on which this member listens, and does the firewall let it out?"
        );
    }

    fn opens(&mut self, errno: i32, now: Instant) -> bool {
        self.0
            .retain(|(_, told)| now.saturating_duration_since(*told) < PAUSE);
        let is_told = self.0.iter().any(|(known, _)| *known == errno);
        if is_told || self.0.len() >= MOST {
            return false;
        }
        self.0.push((errno, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::logged;

    #[test]
    fn each_reason_is_told_once_in_a_minute() {
        let mut complaints = Complaints::default();
        let to = ([192, 0, 2, 1], 9).into();
        let now = Instant::now();
        let mut lines = |errno, after| {
            let at = now + Duration::from_secs(after);
            logged::by(|| complaints.unsent(to, errno, at))
        };
        let unreachable = Some(libc::ENETUNREACH);
        let told = lines(unreachable, 0);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with(
                "WARN the system does not send to 192.0.2.1:9: Network is unreachable"
            ),
            "{told:?}"
        );
        assert!(lines(unreachable, 59).is_empty());
        assert_eq!(lines(Some(libc::EPERM), 59).len(), 1);
        assert_eq!(lines(unreachable, 60).len(), 1);
        assert!(lines(None, 60).is_empty());
    }
}
