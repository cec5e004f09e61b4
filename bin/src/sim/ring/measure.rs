//! What is measured of who knows what when.

use super::scenario::Scenario;

/// Something that members come to know, and since when that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A member knows another one, since the start.
    Acquainted,
    /// A member has all others for Alive, since the start.
    Formed,
    /// A member suspects one that crashed, or holds it for dead.
    Suspected,
    /// A member holds one that crashed for dead.
    Confirmed,
    /// The last member does, for each that crashed.
    ConfirmedByAll,
    /// A member knows that one has left.
    Left,
    /// A member has a rumor.
    Rumor,
    /// The last member has it, for each rumor.
    RumorByAll,
    /// A member holds one that stands still for dead, since it does.
    PausedDead,
    /// A member has one that stood still for Alive, since it goes on.
    PausedBack,
    /// A member holds one of the other half for dead, since the partition.
    AcrossDead,
    /// A member has one of the other half for Alive, since the partition ended.
    AcrossBack,
}

use Measure::*;

impl Measure {
    const ALL: [Measure; 12] = [
        Acquainted,
        Formed,
        Suspected,
        Confirmed,
        ConfirmedByAll,
        Left,
        Rumor,
        RumorByAll,
        PausedDead,
        PausedBack,
        AcrossDead,
        AcrossBack,
    ];

    /// Those that there are in this scenario.
    pub fn all_of(scenario: &Scenario) -> Vec<Measure> {
        let is_in = |measure: &Measure| match measure {
            Acquainted | Formed => !scenario.settled,
            Suspected | Confirmed | ConfirmedByAll => scenario.killed > 0,
            Left => scenario.leaving > 0,
            Rumor | RumorByAll => scenario.rumors > 0,
            PausedDead | PausedBack => scenario.paused > 0,
            AcrossDead | AcrossBack => scenario.partition.is_some(),
        };
        Measure::ALL.into_iter().filter(is_in).collect()
    }

    /// Its name for programs.
    pub fn key(self) -> &'static str {
        match self {
            Acquainted => "acquainted",
            Formed => "formed",
            Suspected => "suspected",
            Confirmed => "confirmed",
            ConfirmedByAll => "confirmed_by_all",
            Left => "left",
            Rumor => "rumor",
            RumorByAll => "rumor_by_all",
            PausedDead => "paused_dead",
            PausedBack => "paused_back",
            AcrossDead => "other_half_dead",
            AcrossBack => "other_half_back",
        }
    }

    /// The end of a sentence that begins with "how long until".
    pub fn title(self) -> &'static str {
        match self {
            Acquainted => "a member knows another",
            Formed => "a member has all others for alive",
            Suspected => "a crashed one is suspected by a member",
            Confirmed => "it is held for dead by a member",
            ConfirmedByAll => "it is by all",
            Left => "a member knows that one has left",
            Rumor => "a member has a rumor",
            RumorByAll => "all have it",
            PausedDead => "one that stands still is held for dead",
            PausedBack => "one that goes on is alive for a member",
            AcrossDead => "one of the other half is held for dead",
            AcrossBack => "it is alive again, once they are together",
        }
    }
}
