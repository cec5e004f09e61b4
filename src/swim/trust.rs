//! What decides how far a message is trusted.

use super::advertised::Advertisers;
use super::echoes::Echoes;
use super::lives::Lives;
use super::meter::Meter;
use super::news::RowKey;
use super::refused::Refused;
use super::replay::Replay;
use super::unproved::Unproved;
use crate::stats::Gauge;

#[derive(Hash)]
pub(super) struct Trust {
    pub meter: Meter,
    pub refused: Refused,
    pub unproved: Unproved,
    pub advertisers: Advertisers,
    pub echoes: Echoes,
    pub replay: Replay,
    pub lives: Lives,
}

impl Trust {
    /// The row is another member's from now on.
    pub fn forget(&mut self, key: RowKey) {
        self.advertisers.forget(key);
        self.replay.forget(key);
        self.lives.forget(key);
        // It may come back as it was.
        self.echoes.clear();
    }

    pub fn sizes(&self) -> impl Iterator<Item = Gauge> {
        let known = self.advertisers.sizes().into_iter();
        let heard = self.replay.sizes().into_iter().chain(self.lives.sizes());
        let others = self
            .unproved
            .sizes()
            .into_iter()
            .chain(self.refused.sizes());
        known.chain(heard).chain(others)
    }
}
