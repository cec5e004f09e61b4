//! What is told of an event to those who follow them.

use std::net::SocketAddr;

use butterfly::text::visible;
use butterfly::{
    Cause, Event, Health, Incarnation, MemberId, Node, Rumor, RumorId, RumorKind, TagsView,
    UserEvent,
};

use super::Says;
use crate::agent::keys::RING_KEY;
use crate::output::{self, how_far, short_id, who};
use crate::table::listed_tags;

/// Puts into words what happens to this node.
#[derive(Clone, Copy)]
pub struct Teller<'n>(pub &'n Node);

impl Teller<'_> {
    /// A member, by its name if that is known.
    pub fn who(self, id: MemberId) -> String {
        match self.0.member(id) {
            Some(view) => who(view.name, id),
            None => short_id(id),
        }
    }

    /// A transition in words.
    pub fn change(
        self,
        id: MemberId,
        addr: SocketAddr,
        from: Option<Health>,
        to: Health,
        incarnation: Incarnation,
        cause: Cause,
    ) -> String {
        let change = match from {
            Some(from) => format!("{from} -> {to}"),
            None => format!("new, {to}"),
        };
        let (who, why) = (self.who(id), self.why(cause));
        format!("{who} {addr}: {change}, incarnation {incarnation}: {why}")
    }

    fn why(self, cause: Cause) -> String {
        match cause {
            Cause::Record { via, .. } if via == self.0.id() => {
                "it was known when this member ended last".to_owned()
            }
            Cause::Record { via, .. } => format!("heard from {}", self.who(via)),
            cause => cause.to_string(),
        }
    }

    /// A member that is elsewhere, in words.
    pub fn moved(self, id: MemberId, from: SocketAddr, to: SocketAddr, gossip_port: u16) -> String {
        let who = self.who(id);
        match from == to {
            true => format!("{who} takes gossip at port {gossip_port} now"),
            false => format!("{who} moved from {from} to {to}"),
        }
    }

    /// What a member says of itself, in words.
    pub fn tags_of(self, id: MemberId) -> String {
        let tags = self.0.tags(id);
        let pairs = tags.iter().flat_map(TagsView::iter);
        let tags = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tags = listed_tags(&tags.collect());
        format!("{} says of itself: {tags}", self.who(id))
    }

    /// A rumor as people are told of it, with the name of the member that it is about.
    pub fn rumor(self, id: &RumorId) -> String {
        match (id.kind, id.id.parse()) {
            (RumorKind::Service, Ok(member)) => {
                format!("service {} of {}", id.key, self.who(member))
            }
            (RumorKind::Departure, Ok(member)) => {
                format!("departure for good of {}", self.who(member))
            }
            _ => output::rumor(id),
        }
    }

    /// What is told of an event, if anything is.
    pub fn says(self, event: &Event) -> Option<Says> {
        let own = self.0.id();
        let says = match event {
            Event::MemberChanged {
                id,
                addr,
                from,
                to,
                incarnation,
                cause,
                ..
            } => Says {
                address: Some(*addr),
                from: from.map(|from| from.to_string()),
                incarnation: Some(incarnation.get()),
                ..self.about(to.as_str(), *id, self.change(*id, *addr, *from, *to, *incarnation, *cause))
            },
            Event::MemberMoved {
                id,
                from,
                to,
                gossip_port,
                ..
            } => Says {
                address: Some(*to),
                ..self.about("moved", *id, self.moved(*id, *from, *to, *gossip_port))
            },
            // One that became known says its name a little later.
            Event::MemberRenamed { before, .. } if before.is_empty() => return None,
            Event::MemberRenamed { id, before, name, .. } => {
                self.about("renamed", *id, format!("{} is named {} now{}", short_id(*id), visible(name), was(before)))
            }
            Event::MemberRestarted { id, incarnation, .. } => Says {
                incarnation: Some(incarnation.get()),
                ..self.about("restarted", *id, format!("{} was started again", self.who(*id)))
            },
            Event::IdConflict { id, one, other, .. } => self.about(
                "conflict",
                *id,
                format!("two processes use the id of {}, at {one} and at {other}", self.who(*id)),
            ),
            Event::LeaderElected {
                kind,
                group,
                leader,
                term,
                ..
            } => Says {
                group: Some(group.to_string()),
                ..self.about(
                    "leader",
                    *leader,
                    format!("{kind} of {group}: {} was elected, term {term}", self.who(*leader)),
                )
            },
            // That has an event of its own.
            Event::RumorChanged { id, .. } if id.kind >= RumorKind::Tags => return None,
            Event::RumorGone(id) if id.kind == RumorKind::Forgotten => return None,
            Event::MemberForgotten { id, name, .. } => Says {
                name: Some(name.to_string()).filter(|name| !name.is_empty()),
                ..self.about("forgotten", *id, format!("{} was forgotten", who(name, *id)))
            },
            Event::UserEvent(event) => Says {
                user_event: Some(event.name.clone()),
                payload: short_text(&event.payload),
                payload_bytes: Some(event.payload.len()),
                lamport: Some(event.lamport),
                ..self.about("user", event.by, self.user_event(event))
            },
            // It holds a key.
            Event::Query(event) if event.name == RING_KEY => return None,
            Event::Query(event) => Says {
                user_event: Some(event.name.clone()),
                payload: short_text(&event.payload),
                payload_bytes: Some(event.payload.len()),
                lamport: Some(event.lamport),
                ..self.about("query", event.by, self.question(event))
            },
            Event::TagsChanged { id, .. } => self.about("tags", *id, self.tags_of(*id)),
            Event::RumorChanged { id, is_new, .. } => {
                let held = self.0.rumor(id);
                let version = held.as_ref().filter(|_| id.kind != RumorKind::Departure).map(|held| held.version);
                let removed = held.as_ref().is_some_and(|held| held.removed);
                let what = match (version, removed) {
                    (None, _) => self.rumor(id),
                    (Some(version), _) if id.kind.is_election() => {
                        let held = held.as_ref().and_then(|held| held.rumor());
                        format!("{}: {}", self.rumor(id), stands(held.as_ref(), version))
                    }
                    (Some(version), false) => format!("{}: incarnation {version}", self.rumor(id)),
                    (Some(version), true) => format!("{}: removed, incarnation {version}", self.rumor(id)),
                };
                let what = format!("{what}{}", if *is_new { " (new)" } else { "" });
                Says {
                    incarnation: version.filter(|_| !id.kind.is_election()),
                    ..self.about_rumor(kind_of(id.kind), id, what)
                }
            }
            Event::RumorGone(id) => self.about_rumor("gone", id, format!("{}: gone", self.rumor(id))),
            Event::RumorOverruled { id, version, .. } => Says {
                incarnation: Some(*version),
                ..self.about_rumor(
                    "overruled",
                    id,
                    format!("{}: incarnation {version} that this member was given is lost", self.rumor(id)),
                )
            },
            Event::Isolated { silent, .. } => {
                self.about("isolated", own, format!("this member has heard no other for {silent:.1?}"))
            }
            Event::IsolationEnded { lasted, .. } => {
                self.about("reconnected", own, format!("no longer isolated: that lasted {lasted:.1?}"))
            }
            Event::Refuted { claimed, incarnation } => Says {
                incarnation: Some(incarnation.get()),
                ..self.about(
                    "refuted",
                    own,
                    format!("someone said that this member is {claimed}: refuted with incarnation {incarnation}"),
                )
            },
            Event::Lagged { by } => self.about("lagged", own, format!("this member was late by {by:.1?}")),
            Event::AddressLearned { ip, .. } => {
                self.about("address", own, format!("others know this member at {ip}"))
            }
            Event::SeenElsewhere { told, seen, .. } => self.about(
                "address",
                own,
                format!("others see this member at {seen}, and it says that it is at {told}"),
            ),
            Event::Rejected {
                reason,
                from,
                unreported,
            } => Says {
                address: Some(*from),
                ..nobody(
                    "rejected",
                    format!("dropped what came from {from}: {reason} ({unreported} more since the last)"),
                )
            },
            Event::OtherRing { from, .. } => Says {
                address: Some(*from),
                ..nobody("other_ring", format!("the member at {from} belongs to another ring"))
            },
            Event::NewId { before, id } => {
                self.about("new_id", *id, format!("member {before} has left, and goes on as {id}"))
            }
            Event::Expelled => self.about("expelled", own, "this member was told to depart for good".into()),
            Event::Left => self.about("left", own, "this member has left".into()),
            _ => return None,
        };
        Some(says)
    }

    /// A user event as people are told of it.
    pub fn user_event(self, event: &UserEvent) -> String {
        let bytes = output::count(event.payload.len(), "byte");
        format!(
            "event {} from {}, {bytes}",
            visible(&event.name),
            self.who(event.by)
        )
    }

    pub fn question(self, event: &UserEvent) -> String {
        format!("query {} from {}", visible(&event.name), self.who(event.by))
    }

    fn about(self, kind: &str, id: MemberId, text: String) -> Says {
        let view = self.0.member(id);
        let name = view.map(|view| view.name.to_owned());
        Says {
            member: Some(id.to_string()),
            name: name.filter(|name| !name.is_empty()),
            ..nobody(kind, text)
        }
    }

    fn about_rumor(self, kind: &str, id: &butterfly::RumorId, text: String) -> Says {
        let (member, group) = match id.kind {
            RumorKind::Service => (Some(&*id.id), Some(&*id.key)),
            RumorKind::Departure | RumorKind::Tags => (Some(&*id.id), None),
            _ => (None, Some(&*id.key)),
        };
        let about = match member.and_then(|member| member.parse().ok()) {
            Some(member) => self.about(kind, member, text),
            None => nobody(kind, text),
        };
        Says {
            group: group.map(str::to_owned),
            ..about
        }
    }
}

/// What of a payload people and programs are shown.
fn short_text(payload: &[u8]) -> Option<String> {
    const MOST: usize = 4 << 10;
    let text = std::str::from_utf8(payload).ok()?;
    (text.len() <= MOST).then(|| text.to_owned())
}

fn nobody(kind: &str, text: String) -> Says {
    Says {
        kind: kind.to_owned(),
        text,
        ..Says::default()
    }
}

fn kind_of(kind: RumorKind) -> &'static str {
    match kind {
        RumorKind::Service => "service",
        RumorKind::ServiceConfig => "config",
        RumorKind::ServiceFile => "file",
        RumorKind::Election | RumorKind::ElectionUpdate => "election",
        RumorKind::Departure => "departure",
        RumorKind::Tags => "tags",
        RumorKind::Forgotten => "forgotten",
        RumorKind::UserEvent => "user",
        kind => kind.as_str(),
    }
}

/// What it was named before, if it had a name.
pub fn was(before: &str) -> String {
    match before {
        "" => String::new(),
        before => format!(", and was {}", visible(before)),
    }
}

/// How an election stands, and why nobody has won it if so.
fn stands(election: Option<&Rumor>, term: u64) -> String {
    election
        .and_then(how_far)
        .unwrap_or_else(|| format!("decided in term {term}"))
}
