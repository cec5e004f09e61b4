//! One entry of the history, as JSON: written by `run`, read by the others, and kept in the data directory.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use butterfly::{Cause, Fact, FailedProbe, HistoryEntry, MemberId, Node};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::output::{count, span, who};

/// One fact about a member, as the asked one learned it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Fact"))]
pub struct HistoryRow {
    /// The run of the asked member, and the number of the entry in it, which rises by one.
    pub id: String,
    /// When, in UTC: `2026-11-30T12:00:00.000Z`.
    pub time: Moment,
    /// The member that it is about.
    #[serde(flatten)]
    pub about: Who,
    #[serde(flatten)]
    pub what: What,
    /// The same in words.
    pub text: String,
}

impl HistoryRow {
    /// Whether a member has another health by it.
    pub fn is_transition(&self) -> bool {
        use What::{Alive, Confirmed, Departed, Suspect};
        matches!(
            self.what,
            Alive(_) | Suspect(_) | Confirmed(_) | Departed(_)
        )
    }
}

/// A member, by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "MemberName"))]
pub struct Who {
    pub member: MemberIdText,
    /// Its name, if it has one and is still known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A moment as text, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Moment(pub Timestamp);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = text.parse().map(Moment);
        time.map_err(|error| format!("{text:?}: {error}"))
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> String {
        moment.0.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }
}

impl Moment {
    /// The time of day, in UTC.
    pub fn of_day(self) -> String {
        self.0.strftime("%H:%M:%S%.3f").to_string()
    }

    pub fn ms_since(self, earlier: Moment) -> u64 {
        let ms = self.0.as_millisecond() - earlier.0.as_millisecond();
        u64::try_from(ms).unwrap_or(0)
    }
}

/// An id as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "MemberId"))]
#[serde(try_from = "String", into = "String")]
pub struct MemberIdText(pub MemberId);

impl TryFrom<String> for MemberIdText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let id = text.parse().map(MemberIdText);
        id.map_err(|error| format!("{text:?}: {error}"))
    }
}

impl From<MemberIdText> for String {
    fn from(id: MemberIdText) -> String {
        id.0.to_string()
    }
}

impl Who {
    pub fn id(&self) -> MemberId {
        self.member.0
    }

    /// Whether this text is its name, or the beginning of its id.
    pub fn is_meant_by(&self, text: &str) -> bool {
        !text.is_empty() && (self.name == text || self.id().to_string().starts_with(text))
    }

    /// As people are told of it.
    pub fn shown(&self) -> String {
        who(&self.name, self.id())
    }

    /// Its name, or its short id.
    pub fn short(&self) -> String {
        match &*self.name {
            "" => crate::output::short_id(self.id()),
            name => butterfly::text::visible(name).into_owned(),
        }
    }
}

/// What happened; of a transition, the kind is the health that the member has now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "FactContent"))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    Alive(Change),
    Suspect(Change),
    Confirmed(Change),
    Departed(Change),
    Raised {
        incarnation: u64,
        before: u64,
    },
    Restarted,
    ProbeFailed(Probe),
    AnsweredLate {
        probe: String,
        after_ms: u64,
    },
    Unasked,
    Accused {
        by: Who,
        /// What the accused is, as far as its system shows: gone, stalled or silent.
        evidence: Cow<'static, str>,
    },
    LastWord {
        helpers: u8,
    },
    DeathClaimed {
        by: Who,
        incarnation: u64,
    },
    Moved {
        before: SocketAddr,
        address: SocketAddr,
    },
    Refuted {
        by: Who,
        claimed: String,
        incarnation: u64,
    },
    Lagged {
        ms: u64,
    },
    Isolated {
        ms: u64,
    },
    Reconnected {
        ms: u64,
    },
    /// Of another version of this program.
    #[serde(other)]
    Other,
}

/// A transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Transition"))]
pub struct Change {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub incarnation: u64,
    /// Why, in one word.
    pub cause: String,
    /// Who sent the record, if it was heard from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Who>,
}

/// A probe without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Probe {
    pub probe: String,
    pub began: Moment,
    pub rounds: u8,
    pub helpers: Vec<HelperRow>,
    pub unreachable: bool,
    pub heard_others: bool,
    pub lag_ms: u64,
}

/// A member that was asked to help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Helper"))]
pub struct HelperRow {
    #[serde(flatten)]
    pub who: Who,
    pub asked: u8,
    pub answered: u8,
    /// Whether it is one that answers that it was asked: peers without the extension never do.
    pub tells: bool,
}

impl Probe {
    /// None of the helpers that would have said so was heard.
    pub fn is_unheard(&self) -> bool {
        let mut tell = self.helpers.iter().filter(|helper| helper.tells).peekable();
        tell.peek().is_some() && tell.all(|helper| helper.answered == 0)
    }
}

/// In whole milliseconds.
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn number_of(probe: u64) -> String {
    format!("{probe:#x}")
}

/// Names the members of the rows that it makes.
pub struct Rows<'a> {
    pub node: &'a Node,
    /// When the node's time was zero.
    pub zero: Timestamp,
    /// The run of the member.
    pub run: u64,
}

impl Rows<'_> {
    fn who(&self, id: MemberId) -> Who {
        let name = self.node.member(id).map(|view| view.name.to_owned());
        Who {
            member: MemberIdText(id),
            name: name.unwrap_or_default(),
        }
    }

    fn at(&self, time: butterfly::Time) -> Moment {
        let since = i64::try_from(time.as_micros() / 1_000).unwrap_or(i64::MAX);
        let at = self.zero.as_millisecond().saturating_add(since);
        Moment(Timestamp::from_millisecond(at).unwrap_or(self.zero))
    }

    /// The entry as a row.
    pub fn row(&self, entry: &HistoryEntry) -> HistoryRow {
        let about = self.who(entry.member);
        let what = self.what(&entry.fact);
        let text = text(&about, &what, self.node.id());
        HistoryRow {
            id: format!("{:x}-{}", self.run, entry.number),
            time: self.at(entry.time),
            about,
            what,
            text,
        }
    }

    fn what(&self, fact: &Fact) -> What {
        match fact {
            Fact::Changed {
                from,
                to,
                incarnation,
                cause,
                ..
            } => {
                let change = Change {
                    from: from.map(|from| from.to_string()),
                    incarnation: incarnation.get(),
                    cause: word_of(*cause).to_owned(),
                    by: match cause {
                        Cause::Record { via, .. } => Some(self.who(*via)),
                        _ => None,
                    },
                };
                match to {
                    butterfly::Health::Alive => What::Alive(change),
                    butterfly::Health::Suspect => What::Suspect(change),
                    butterfly::Health::Confirmed => What::Confirmed(change),
                    butterfly::Health::Departed => What::Departed(change),
                }
            }
            Fact::Raised { from, to, .. } => What::Raised {
                incarnation: to.get(),
                before: from.get(),
            },
            Fact::Restarted => What::Restarted,
            Fact::ProbeFailed(probe) => What::ProbeFailed(self.probe(probe)),
            Fact::AnsweredLate { number, after, .. } => What::AnsweredLate {
                probe: number_of(*number),
                after_ms: ms(*after),
            },
            Fact::SpokeUnasked => What::Unasked,
            Fact::Accused { by, evidence, .. } => What::Accused {
                by: self.who(*by),
                evidence: evidence.as_str().into(),
            },
            Fact::LastWord { helpers, .. } => What::LastWord { helpers: *helpers },
            Fact::DeathClaimed {
                by, incarnation, ..
            } => What::DeathClaimed {
                by: self.who(*by),
                incarnation: incarnation.get(),
            },
            Fact::Moved { from, to, .. } => What::Moved {
                before: *from,
                address: *to,
            },
            Fact::Refuted {
                by,
                claimed,
                incarnation,
                ..
            } => What::Refuted {
                by: self.who(*by),
                claimed: claimed.to_string(),
                incarnation: incarnation.get(),
            },
            Fact::Lagged { by, .. } => What::Lagged { ms: ms(*by) },
            Fact::Isolated { silent, .. } => What::Isolated { ms: ms(*silent) },
            Fact::IsolationEnded { lasted, .. } => What::Reconnected { ms: ms(*lasted) },
            _ => What::Other,
        }
    }

    fn probe(&self, probe: &FailedProbe) -> Probe {
        let helper = |helper: &butterfly::Helper| HelperRow {
            who: self.who(helper.id),
            asked: helper.asked,
            answered: helper.answered,
            tells: helper.tells,
        };
        Probe {
            probe: number_of(probe.number),
            began: self.at(probe.began),
            rounds: probe.rounds,
            helpers: probe.helpers.iter().map(helper).collect(),
            unreachable: probe.unreachable,
            heard_others: probe.heard_others,
            lag_ms: ms(probe.lag),
        }
    }
}

/// The cause in one word.
fn word_of(cause: Cause) -> &'static str {
    match cause {
        Cause::ProofOfLife => "proof_of_life",
        Cause::ItsLeave => "its_leave",
        Cause::Record { .. } => "record",
        Cause::ProbeFailed => "probe_failed",
        Cause::AddressTaken => "address_taken",
        Cause::SuspicionTimeout => "suspicion_timeout",
        Cause::VerdictBelieved => "verdict_believed",
        Cause::DeadTooLong => "dead_too_long",
        Cause::Departure => "departure",
        Cause::Replaced => "replaced",
        Cause::Refused => "refused",
        _ => "other",
    }
}

/// Why, in words.
pub fn why(change: &Change, own: MemberId) -> String {
    match (&*change.cause, &change.by) {
        ("record", Some(by)) if by.id() == own => {
            "it was known when this member ended last".to_owned()
        }
        ("record", Some(by)) => format!("{} said so", by.short()),
        ("proof_of_life", _) => "a message came from it".to_owned(),
        ("its_leave", _) => "it said that it leaves".to_owned(),
        ("probe_failed", _) => {
            "it answered neither this member's ping nor those of helpers".to_owned()
        }
        ("refused", _) => "its system says that nobody listens at its port".to_owned(),
        ("address_taken", _) => "another member answered at its address".to_owned(),
        ("suspicion_timeout", _) => "no refutation arrived in time".to_owned(),
        ("verdict_believed", _) => "others said that it is dead, and it did not answer".to_owned(),
        ("dead_too_long", _) => "it was dead for too long".to_owned(),
        ("departure", _) => "it is gone for good, by a departure rumor".to_owned(),
        ("replaced", _) => "another member took its place in its service group".to_owned(),
        (word, _) => word.to_owned(),
    }
}

/// Milliseconds as people read them.
pub fn shown_ms(ms: u64) -> String {
    match ms {
        0..1_000 => span(Duration::from_millis(ms)),
        _ => format!("{:.1} s", ms as f64 / 1_000.0),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What a failed probe had of help.
pub fn help(probe: &Probe) -> String {
    let names = |answered: bool| -> Vec<String> {
        let helpers = probe.helpers.iter();
        let of = helpers.filter(|helper| (helper.answered > 0 || !helper.tells) == answered);
        of.map(|helper| helper.who.short()).collect()
    };
    let (heard, silent) = (names(true), names(false));
    let rounds = count(probe.rounds.into(), "round");
    match (heard.as_slice(), silent.as_slice()) {
        ([], []) => "there was no other member to ask for help".to_owned(),
        ([], _) => format!(
            "{rounds} through {}, of which this member heard nothing either",
            listed(&silent)
        ),
        ([_], []) => format!(
            "{rounds} through {}, which could not reach it either",
            listed(&heard)
        ),
        (_, []) => format!(
            "{rounds} through {}, none of which could reach it either",
            listed(&heard)
        ),
        _ => format!(
            "{rounds} through {}, which could not reach it either, and {}, which did not answer",
            listed(&heard),
            listed(&silent)
        ),
    }
}

/// What happened, in words.
fn text(about: &Who, what: &What, own: MemberId) -> String {
    let shown = about.shown();
    let changed = |to: &str, change: &Change| {
        let from = match &change.from {
            Some(from) => format!("{from} -> {to}"),
            None => format!("new, {to}"),
        };
        let why = why(change, own);
        format!("{shown}: {from}, incarnation {}: {why}", change.incarnation)
    };
    match what {
        What::Alive(change) => changed("alive", change),
        What::Suspect(change) => changed("suspect", change),
        What::Confirmed(change) => changed("confirmed", change),
        What::Departed(change) => changed("departed", change),
        What::Raised {
            incarnation,
            before,
        } => format!("{shown} raised its incarnation from {before} to {incarnation}"),
        What::Restarted => format!("{shown} answers as another process: it was started again"),
        What::ProbeFailed(probe) => format!(
            "{shown} missed probe {}: no answer directly, and {}{}; {}",
            probe.probe,
            help(probe),
            if probe.unreachable {
                "; the system said that nobody is there"
            } else {
                ""
            },
            lag(probe.lag_ms),
        ),
        What::AnsweredLate { probe, after_ms } => format!(
            "{shown} answered probe {probe} after {}",
            shown_ms(*after_ms)
        ),
        What::Unasked => format!("{shown} sent a message by itself, though it answered no probe"),
        What::Accused { by, evidence } => {
            let who = match by.id() == own {
                true => "this member".to_owned(),
                false => by.short(),
            };
            let why = match &**evidence {
                "gone" => ": its system says that nobody listens at its port",
                "stalled" => {
                    return format!(
                        "{who} found that {shown} stands still: its system answers in its place"
                    );
                }
                _ => "",
            };
            format!("{who} accused {shown}{why}")
        }
        What::LastWord { helpers } => format!(
            "{shown} was asked once more, directly and through {}",
            count((*helpers).into(), "helper")
        ),
        What::DeathClaimed { by, incarnation } => format!(
            "{} said that {shown} is dead, at incarnation {incarnation}: it was asked, directly and through helpers",
            by.short()
        ),
        What::Moved { before, address } => format!("{shown} moved from {before} to {address}"),
        What::Refuted {
            by,
            claimed,
            incarnation,
        } => format!(
            "{} said that this member is {claimed}: refuted with incarnation {incarnation}",
            by.short()
        ),
        What::Lagged { ms } => format!("this member's own loop was {} late", shown_ms(*ms)),
        What::Isolated { ms } => format!("this member had heard no other for {}", shown_ms(*ms)),
        What::Reconnected { ms } => {
            format!("this member heard others again, after {}", shown_ms(*ms))
        }
        What::Other => format!("{shown}: something that this version does not know"),
    }
}

/// How late this member's own loop was.
pub fn lag(lag_ms: u64) -> String {
    match lag_ms {
        0..ON_TIME_MS => "this member's own loop was on time".to_owned(),
        _ => format!(
            "this member's own loop was {} late meanwhile",
            shown_ms(lag_ms)
        ),
    }
}

/// A loop that is late by less is on time: a tenth of the shortest preset's time-out for data centres.
pub const ON_TIME_MS: u64 = 20;
