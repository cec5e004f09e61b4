//! What the virtual network does to a datagram.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// Loss and delay, the same between all members.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Network {
    /// The share of datagrams that is lost, 0 to 1.
    pub loss: f64,
    /// What every datagram takes at least.
    pub delay: Duration,
    /// The mean of what it takes on top, exponentially distributed.
    pub jitter: Duration,
}

impl Default for Network {
    /// No loss; 0.5 ms and on average another 0.5 ms.
    fn default() -> Self {
        let half = Duration::from_micros(500);
        Network {
            loss: 0.0,
            delay: half,
            jitter: half,
        }
    }
}

impl Network {
    /// How long a datagram takes; `None`: it is lost. Draws the same numbers whatever the settings, so
    /// that another setting does not shift the rest of a run.
    pub(super) fn delay(&self, rng: &mut StdRng) -> Option<Duration> {
        let (fate, share): (f64, f64) = (rng.random(), rng.random());
        let delay = self.delay + self.jitter.mul_f64(-(1.0 - share).ln());
        (fate >= self.loss).then_some(delay)
    }
}
