//! Stands in the place of `gossiping` without the feature `gossip`: nobody but membership is there to be told anything.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Node;
use crate::env::Timer;
use crate::error::Reject;
use crate::recording::Input;
use crate::rumor::RumorKind;
use crate::time::Time;

impl Node {
    pub(super) fn gossip_due(&mut self, timer: Timer) {
        self.gossip.handle_timer(&mut self.env, &self.swim, timer);
    }

    #[inline]
    pub(super) fn settle(&mut self) {
        while self.swim.poll_notice().is_some() {}
        self.swim.trim_outbox(&mut self.env);
    }

    /// It says of its rumors what a member says that has none.
    pub(super) fn tell_rumors(&mut self) {
        let starting = false;
        self.swim.set_rumors([0; 2], starting);
    }

    pub(super) fn next_talk(&mut self, _: &mut [u8], _: usize) -> Option<(SocketAddr, usize)> {
        None
    }

    pub(crate) fn hurry_rumors(&mut self, now: Time) {
        self.record(now, || Input::HurryRumors);
    }

    pub(crate) fn encoded_rumors(&self) -> impl Iterator<Item = (RumorKind, Arc<[u8]>)> {
        std::iter::empty()
    }

    /// What the disk holds of rumors is not taken up.
    pub(crate) fn restore_rumor(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        self.record(None, || Input::RestoredRumor { bytes });
        Ok(())
    }
}
