//! Members of other rings that spoke to this one.

use std::net::SocketAddr;
use std::time::Instant;

use log::warn;

use super::{Agent, and_more};

impl Agent {
    /// One line for each member of another ring, unless there are too many.
    pub(super) fn log_foreigner(&mut self, from: SocketAddr, named: bool, theirs: &str) {
        let Some(more) = self.foreigners.admit_with_count(Instant::now()) else {
            return;
        };
        let theirs = match (named, theirs) {
            (false, _) => "a ring without a name".to_owned(),
            (true, "") => "a ring of another name".to_owned(),
            (true, name) => format!("ring {name:?}"),
        };
        let ours = match self.member.node().ring() {
            Some(name) => format!("ring {:?}", name.as_str()),
            None => "a ring without a name".to_owned(),
        };
        warn!(
            "the member at {from} belongs to {theirs}, and this one to {ours}: neither takes the other in (all members of a \
             ring need the same --ring){}",
            and_more(more)
        );
    }
}
