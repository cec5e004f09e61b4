//! What the fuzzers call of the program.

use crate::gateway;

/// Any bytes come to the gateway.
pub fn gateway(data: &[u8]) {
    gateway::fuzz::requests(data);
}
