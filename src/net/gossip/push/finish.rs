//! Ending: what was taken leaves first.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::backend::Home;
use super::super::cuts::Report;
use super::super::options::Options;
use super::PushSet;

/// No call waits for less.
const PAUSE: Duration = Duration::from_millis(1);

impl PushSet {
    /// Closes all connections, and waits until what was taken is with the kernel, which delivers it: as long as
    /// connections may linger at most. What waits for a peer that is just shaking hands waits for many round
    /// trips, and no longer: the peer may be a member of this very thread.
    pub(in crate::net::gossip) fn finish(
        &mut self,
        now: Instant,
        options: &Options,
        report: &mut Report,
    ) {
        let handshakes_end = now + options.grace.min(options.linger);
        let end = now + options.linger;
        self.close_settled(now, now >= handshakes_end, options, report);
        if !self.is_under_way() {
            return;
        }
        let mut events = mio::Events::with_capacity(64);
        let poll = mio::Poll::new().and_then(|poll| {
            self.rehome(&Arc::new(poll.registry().try_clone()?))?;
            Ok(poll)
        });
        if let Ok(mut poll) = poll {
            while self.is_under_way() {
                let now = Instant::now();
                let until = if self.peers.is_empty() {
                    end
                } else {
                    handshakes_end
                };
                if now >= end {
                    break;
                }
                let left = until.saturating_duration_since(now).max(PAUSE);
                if poll.poll(&mut events, Some(left)).is_err() {
                    continue;
                }
                for event in events.iter() {
                    self.wake(event.token(), options, report);
                }
                let now = Instant::now();
                self.close_settled(now, now >= handshakes_end, options, report);
            }
        }
        self.close_all(Instant::now(), options, report);
    }

    /// Closes the peers for which nothing waits, or which are not worth waiting for.
    fn close_settled(
        &mut self,
        now: Instant,
        is_over: bool,
        options: &Options,
        report: &mut Report,
    ) {
        for key in self.keys() {
            self.hand_over(key, options, report);
            if let Some(peer) = self.peers.get(key)
                && (is_over
                    || peer.link.is_ready()
                    || peer.link.is_off()
                    || peer.waiting_since().is_none())
            {
                self.close(key, now, options, report);
            }
        }
    }

    fn is_under_way(&self) -> bool {
        !self.peers.is_empty() || self.closing.iter().any(|it| it.unsent() > 0)
    }

    fn rehome(&mut self, home: &Home) -> io::Result<()> {
        for (_, peer) in &mut self.peers {
            peer.link.rehome(home)?;
        }
        for lingering in &mut self.closing {
            lingering.rehome(home)?;
        }
        self.home = Arc::clone(home);
        Ok(())
    }
}
