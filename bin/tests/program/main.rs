//! The program as its users meet it: real processes on loopback.

mod disks;
mod endings;
mod events;
mod exposition;
mod forgetting;
mod gateway;
mod gossip;
mod handlers;
mod harness;
mod history;
mod membership;
mod metrics;
mod recording;
mod rumors;
mod scorecard;
mod settings;
mod sim;
mod stalled;
mod store;
mod tags;
mod text;
mod tools;
mod top;
mod versions;
mod warnings;
