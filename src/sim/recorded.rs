//! Members that are made, and what they are told, if that is recorded.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Index, Sim, address_of};
use crate::limits::{INCARNATION_RESERVE, MAX_RUMOR_BYTES};
use crate::member::{Incarnation, MemberId};
use crate::node::{Node, NodeConfig};
use crate::recording::{End, MAGIC, chunk_head};
use crate::ring_name::RingName;

impl Sim {
    pub(super) fn new_node(
        &self,
        index: Index,
        id: MemberId,
        place: usize,
        ring: Option<RingName>,
        (incarnation, epoch): (Incarnation, u64),
        life: u64,
    ) -> Node {
        // Each member has its own generator, so that what happens to one does not shift the rest.
        let seed = self.config.seed ^ (index as u64 + 1) << 32 ^ (life - 1) << 20;
        let mut rng = StdRng::seed_from_u64(seed);
        let addr = address_of(place);
        let name = if self.config.names {
            format!("m{index}")
        } else {
            String::new()
        };
        let config = NodeConfig {
            advertise: None,
            id,
            name,
            incarnation,
            reserved: incarnation.plus(INCARNATION_RESERVE),
            epoch,
            ip: Some(addr.ip()),
            swim_port: addr.port(),
            gossip_port: addr.port(),
            persistent: false,
            ring_keys: self.config.ring_keys.clone(),
            ring,
            store_limit: MAX_RUMOR_BYTES,
            timing: self.config.timing.clone(),
            random_seed: rng.random(),
        };
        match self.config.recorded {
            true => Node::new_recorded(config, self.now, Duration::ZERO),
            false => Node::new(config, self.now),
        }
    }

    /// Ends a member's recording, if it has one.
    pub(super) fn end_recording(&mut self, member: Index) {
        let node = &mut self.hosts[member].node;
        let mut file = MAGIC.to_vec();
        let chunks = std::iter::from_fn(|| node.poll_recorded()).collect::<Vec<_>>();
        let Some(last) = node.end_recording(End::Finished) else {
            return;
        };
        for chunk in chunks.into_iter().chain(last) {
            file.extend_from_slice(&chunk_head(&chunk));
            file.extend_from_slice(&chunk);
        }
        self.recordings.push(file);
    }

    /// What each process was told since it started, as files; it is recorded no more. See [`SimConfig::recorded`](super::SimConfig).
    pub fn take_recordings(&mut self) -> Vec<Vec<u8>> {
        (0..self.hosts.len()).for_each(|member| self.end_recording(member));
        std::mem::take(&mut self.recordings)
    }
}
