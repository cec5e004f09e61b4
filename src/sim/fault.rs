//! Everything that can be made to go wrong, and how often it really did.

use std::fmt;

/// One kind of fault: something that goes wrong, or what people do to a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Fault {
    /// A message is lost ([`Network::loss`](super::Network::loss)).
    Loss,
    /// A message is lost because its way is in a burst of losses.
    Burst,
    /// A message takes far longer than others.
    HeavyTail,
    /// A datagram comes twice.
    Duplicate,
    /// A datagram is overtaken by those sent after it.
    Reorder,
    /// An old datagram comes once more.
    Replay,
    /// Bits of a datagram are flipped.
    Corrupt,
    /// The end of a datagram is cut off.
    Truncate,
    /// A datagram is too large for the way that it takes.
    SizeBlackHole,
    /// A message is lost at the link of its sender or receiver.
    LinkLoss,
    /// A message comes to a link that takes none in at the moment.
    FlipFlop,
    /// A message goes a way that leads in the other direction only.
    OneWay,
    /// A datagram comes to, or from, a link that carries no UDP.
    UdpDead,
    /// A rumor comes to, or from, a link that carries no TCP.
    TcpDead,
    /// A message would cross the border of a partition.
    Partition,
    /// A process stands still for a while.
    Freeze,
    /// What comes to a process and what it sends is stuck for a while.
    Stall,
    /// A process gets to its work late.
    SlowLoop,
    /// A datagram finds the socket of a slow, stalled or frozen process full.
    FullSocket,
    /// A process ends without a word.
    Crash,
    /// It starts again with all that it knew.
    RestartKept,
    /// It starts again with nothing.
    RestartLost,
    /// It starts again with an old copy of its disk.
    RestartOlder,
    /// It starts again at another address.
    NewAddress,
    /// Two processes have changed their addresses.
    SwappedAddresses,
    /// A second process has the id of another.
    Twin,
    /// A process' clock jumps.
    ClockJump,
    /// Many members start at once.
    JoinStorm,
    /// All members end at once, and start again.
    RestartOfAll,
    /// Some members leave at once.
    MassLeave,
    /// A member is told to depart for good.
    Departure,
    /// Two members ignore each other.
    Block,
    /// A partition parts the members in two.
    Halves,
    /// A partition parts one member from all others.
    OneAlone,
    /// A partition parts the members in three or more.
    ThreeWays,
    /// A member reaches all sides of a partition.
    Bridge,
    /// A system says that nobody listens where a datagram came to it.
    Refusal,
    /// A system would say so, and has done it too often.
    RefusalLimited,
    /// A firewall rejects a message, as if nobody listened.
    Reject,
    /// Somebody forges a refusal.
    ForgedRefusal,
    /// A process ends, and its sockets stay open for a while.
    CoreDump,
    /// A connection ends, as the process at its other end did.
    ConnectionEnd,
    /// A member tests the port of a suspect.
    PortTest,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 43] = [
        Fault::Loss,
        Fault::Burst,
        Fault::HeavyTail,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Replay,
        Fault::Corrupt,
        Fault::Truncate,
        Fault::SizeBlackHole,
        Fault::LinkLoss,
        Fault::FlipFlop,
        Fault::OneWay,
        Fault::UdpDead,
        Fault::TcpDead,
        Fault::Partition,
        Fault::Freeze,
        Fault::Stall,
        Fault::SlowLoop,
        Fault::FullSocket,
        Fault::Crash,
        Fault::RestartKept,
        Fault::RestartLost,
        Fault::RestartOlder,
        Fault::NewAddress,
        Fault::SwappedAddresses,
        Fault::Twin,
        Fault::ClockJump,
        Fault::JoinStorm,
        Fault::RestartOfAll,
        Fault::MassLeave,
        Fault::Departure,
        Fault::Block,
        Fault::Halves,
        Fault::OneAlone,
        Fault::ThreeWays,
        Fault::Bridge,
        Fault::Refusal,
        Fault::RefusalLimited,
        Fault::Reject,
        Fault::ForgedRefusal,
        Fault::CoreDump,
        Fault::ConnectionEnd,
        Fault::PortTest,
    ];

    /// Its name: lowercase, words joined by `_`.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Loss => "loss",
            Fault::Burst => "burst",
            Fault::HeavyTail => "heavy_tail",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::Replay => "replay",
            Fault::Corrupt => "corrupt",
            Fault::Truncate => "truncate",
            Fault::SizeBlackHole => "size_black_hole",
            Fault::LinkLoss => "link_loss",
            Fault::FlipFlop => "flip_flop",
            Fault::OneWay => "one_way",
            Fault::UdpDead => "udp_dead",
            Fault::TcpDead => "tcp_dead",
            Fault::Partition => "partition",
            Fault::Freeze => "freeze",
            Fault::Stall => "stall",
            Fault::SlowLoop => "slow_loop",
            Fault::FullSocket => "full_socket",
            Fault::Crash => "crash",
            Fault::RestartKept => "restart_kept",
            Fault::RestartLost => "restart_lost",
            Fault::RestartOlder => "restart_older",
            Fault::NewAddress => "new_address",
            Fault::SwappedAddresses => "swapped_addresses",
            Fault::Twin => "twin",
            Fault::ClockJump => "clock_jump",
            Fault::JoinStorm => "join_storm",
            Fault::RestartOfAll => "restart_of_all",
            Fault::MassLeave => "mass_leave",
            Fault::Departure => "departure",
            Fault::Block => "block",
            Fault::Halves => "halves",
            Fault::OneAlone => "one_alone",
            Fault::ThreeWays => "three_ways",
            Fault::Bridge => "bridge",
            Fault::Refusal => "refusal",
            Fault::RefusalLimited => "refusal_limited",
            Fault::Reject => "reject",
            Fault::ForgedRefusal => "forged_refusal",
            Fault::CoreDump => "core_dump",
            Fault::ConnectionEnd => "connection_end",
            Fault::PortTest => "port_test",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often each fault really happened: a run in which one that was asked for has a count of 0 has tested
/// nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultCounts([u64; Fault::ALL.len()]);

impl Default for FaultCounts {
    /// Nothing happened.
    fn default() -> Self {
        FaultCounts([0; Fault::ALL.len()])
    }
}

impl FaultCounts {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// Adds what happened elsewhere.
    pub fn add_all(&mut self, others: &FaultCounts) {
        for (count, more) in self.0.iter_mut().zip(others.0) {
            *count += more;
        }
    }

    /// How often this one happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// All of them that happened, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        let all = Fault::ALL.into_iter().map(|fault| (fault, self.of(fault)));
        all.filter(|(_, count)| *count > 0)
    }
}

/// Which kind of partition sides of these sizes are; `None`: all are together.
pub(super) fn kind_of_partition(sizes: &[usize]) -> Option<Fault> {
    let mut sizes: Vec<_> = sizes.iter().filter(|size| **size > 0).collect();
    sizes.sort_unstable();
    match sizes.as_slice() {
        [] | [_] => None,
        [1, _] => Some(Fault::OneAlone),
        [_, _] => Some(Fault::Halves),
        _ => Some(Fault::ThreeWays),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_the_sides_tell_the_kind_of_a_partition() {
        for (sizes, kind) in [
            (&[0, 7, 0][..], None),
            (&[4, 4], Some(Fault::Halves)),
            (&[2, 0, 9], Some(Fault::Halves)),
            (&[9, 1], Some(Fault::OneAlone)),
            (&[1, 2, 3], Some(Fault::ThreeWays)),
            (&[1, 1, 1, 1], Some(Fault::ThreeWays)),
        ] {
            assert_eq!(kind_of_partition(sizes), kind, "{sizes:?}");
        }
    }

    #[test]
    fn each_fault_has_its_own_count() {
        for (place, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place, "{fault}");
            let mut counts = FaultCounts::default();
            counts.add(fault);
            assert_eq!(counts.iter().collect::<Vec<_>>(), [(fault, 1)]);
        }
    }
}
