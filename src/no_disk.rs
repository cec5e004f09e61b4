//! Stands in the place of `disk` without that feature: there is no data directory, and no code for one.

use std::convert::Infallible;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::member::{Incarnation, MemberId};
use crate::node::Node;
use crate::stats::DiskWrites;
use crate::wire::Serial;

/// There is none.
pub(crate) enum DataDir {}

/// It never comes to that.
#[derive(Debug)]
pub enum DiskError {}

impl fmt::Display for DiskError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for DiskError {}

/// With what a member starts.
pub(crate) struct StoredIdentity {
    pub id: MemberId,
    pub incarnation: Incarnation,
    pub mark: Incarnation,
    pub epoch: u64,
}

/// What the clock says, in milliseconds since 1970, as an epoch.
pub(crate) fn by_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).map_or(Serial::MOST, |millis| millis.clamp(1, Serial::MOST))
}

impl DataDir {
    pub fn open(
        dir: Infallible,
        _: Option<MemberId>,
        _: MemberId,
    ) -> Result<(Self, StoredIdentity), DiskError> {
        match dir {}
    }

    pub fn restore(&self, _: &mut Node) -> Result<(), DiskError> {
        match *self {}
    }

    pub fn tell(&self, _: impl Fn() + Send + Sync + 'static) {
        match *self {}
    }

    pub fn store_id(&mut self, _: MemberId) {
        match *self {}
    }

    pub fn store_mark(&self, _: Incarnation) {
        match *self {}
    }

    pub fn answered_mark(&self) -> Option<Incarnation> {
        match *self {}
    }

    pub fn writes(&self) -> DiskWrites {
        match *self {}
    }

    pub fn store_state(&mut self, _: &Node) {
        match *self {}
    }

    pub fn load_history(&self) -> Result<Vec<u8>, DiskError> {
        match *self {}
    }

    pub fn store_history(&self, _: Vec<u8>) {
        match *self {}
    }

    pub fn load_tags(&self) -> Result<Vec<u8>, DiskError> {
        match *self {}
    }

    pub fn store_tags(&self, _: Vec<u8>) {
        match *self {}
    }

    pub fn load_keys(&self) -> Result<Vec<u8>, DiskError> {
        match *self {}
    }

    pub fn store_keys(&self, _: Vec<u8>) {
        match *self {}
    }

    pub fn keys_outcome(&self) -> Option<Result<(), String>> {
        match *self {}
    }

    pub fn end(&self) {
        match *self {}
    }

    pub fn outcome(&self, _: Duration) -> Option<Result<(), DiskError>> {
        match *self {}
    }

    pub fn abandon(&mut self) {
        match *self {}
    }
}
