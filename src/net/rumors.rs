//! What a [`Butterfly`] is told of rumors by its user.

use super::Butterfly;
use crate::error::CommandError;
use crate::member::MemberId;
use crate::rumor::{RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup};

/// Commanding: rumors.
impl Butterfly {
    /// This member runs a service. Its `member` is filled in; an incarnation of 0 stands for the next one.
    ///
    /// # Errors
    /// See [`Node::announce`](crate::Node::announce).
    pub fn announce(&mut self, service: Service) -> Result<(), CommandError> {
        self.node.announce(self.clock(), service)
    }

    /// This member runs no service of the group any more; whether it did.
    ///
    /// # Errors
    /// See [`Node::withdraw`](crate::Node::withdraw).
    pub fn withdraw(&mut self, group: &ServiceGroup) -> Result<bool, CommandError> {
        self.node.withdraw(self.clock(), group)
    }

    /// Gives a service group this configuration.
    ///
    /// # Errors
    /// See [`Node::apply_config`](crate::Node::apply_config).
    pub fn apply_config(&mut self, config: ServiceConfig) -> Result<(), CommandError> {
        self.node.apply_config(self.clock(), config)
    }

    /// Gives a service group this file.
    ///
    /// # Errors
    /// See [`Node::apply_file`](crate::Node::apply_file).
    pub fn apply_file(&mut self, file: ServiceFile) -> Result<(), CommandError> {
        self.node.apply_file(self.clock(), file)
    }

    /// Has a service group elect a leader.
    ///
    /// # Errors
    /// See [`Node::start_election`](crate::Node::start_election).
    pub fn start_election(
        &mut self,
        kind: RumorKind,
        group: &ServiceGroup,
        suitability: u64,
    ) -> Result<(), CommandError> {
        let now = self.clock();
        self.node.start_election(now, kind, group, suitability)
    }

    /// Has a member depart for good: it stops, and its id is not accepted again.
    ///
    /// # Errors
    /// See [`Node::depart`](crate::Node::depart).
    pub fn depart(&mut self, member: MemberId) -> Result<(), CommandError> {
        self.node.depart(self.clock(), member)
    }
}
