"""What happens, a class for each kind. Ids are 32 hexadecimal digits, addresses "IP:PORT"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Optional

Health = Literal["alive", "suspect", "confirmed", "departed"]


@dataclass(frozen=True)
class Event:
    """Something that happened. A later version may have more kinds: pass over those that you don't know."""


@dataclass(frozen=True)
class MemberChanged(Event):
    """A member became known (``before`` is None), or its health changed."""

    id: str
    addr: str
    before: Optional[Health]
    health: Health
    incarnation: int
    cause: str
    """Why, in words."""
    name: str
    """Its name, empty if it has none."""


@dataclass(frozen=True)
class MemberMoved(Event):
    """A member is at another address than before, or takes gossip at another port."""

    id: str
    before: str
    addr: str
    gossip_port: int
    name: str


@dataclass(frozen=True)
class MemberRenamed(Event):
    """A member has another name than before (empty: it had none)."""

    id: str
    before: str
    name: str


@dataclass(frozen=True)
class MemberRestarted(Event):
    """A member answers as another process than before: it was started again."""

    id: str
    incarnation: int
    name: str


@dataclass(frozen=True)
class MemberForgotten(Event):
    """A dead member was forgotten, here or at the wish of another one."""

    id: str
    name: str
    """The name that it had."""


@dataclass(frozen=True)
class TagsChanged(Event):
    """A member says something else of itself than before: see ``Member.tags``."""

    id: str


@dataclass(frozen=True)
class UserEvent(Event):
    """What somebody told all members, this one's own events too: each comes once, those of one sender in its order."""

    by: str
    name: str
    payload: bytes
    lamport: int


@dataclass(frozen=True)
class Query(Event):
    """A member, maybe this one, asks this one: ``Member.answer`` within ``timeout`` seconds."""

    by: str
    query: int
    timeout: float
    name: str
    payload: bytes


@dataclass(frozen=True)
class Answer(Event):
    """What a member says to a question of this one; with neither payload nor error: it has the question."""

    query: int
    member: str
    payload: Optional[bytes]
    error: Optional[str]


@dataclass(frozen=True)
class QueryOver(Event):
    """No more answers to that question are taken."""

    query: int


@dataclass(frozen=True)
class Refuted(Event):
    """This member heard something untrue of itself, and refuted it. At most once a second."""

    claimed: Health
    incarnation: int


@dataclass(frozen=True)
class Rejected(Event):
    """Something that came was dropped. At most one in a while for each reason."""

    reason: str
    source: str
    unreported: int
    """How many of this reason were dropped without an event since the last one."""


@dataclass(frozen=True)
class NewId(Event):
    """This member goes on under a new id, as no incarnation was left for the old one."""

    before: str
    id: str


@dataclass(frozen=True)
class OtherRing(Event):
    """A member of another ring sent a message; ``ring`` is None if that ring has no name."""

    source: str
    ring: Optional[str]


@dataclass(frozen=True)
class IdConflict(Event):
    """Two processes use one id, at these addresses."""

    id: str
    one: str
    other: str


@dataclass(frozen=True)
class Lagged(Event):
    """The loop was late by so many seconds: something in it blocks."""

    seconds: float


@dataclass(frozen=True)
class _OfRumor(Event):
    kind: str
    """service, service_config, service_file, election, election_update or departure."""
    key: str
    """The service group."""
    id: str
    """The member's id, or the file's name, or a constant."""


@dataclass(frozen=True)
class RumorChanged(_OfRumor):
    """A rumor is new here, or says something else than before."""

    is_new: bool
    """It was not held before."""


@dataclass(frozen=True)
class RumorGone(_OfRumor):
    """A rumor is held no more."""


@dataclass(frozen=True)
class RumorOverruled(_OfRumor):
    """A configuration or file that was given here lost against another one of the same version."""

    version: int


@dataclass(frozen=True)
class LeaderElected(Event):
    """A service group has a leader, also if it is the one that it had, in a new term."""

    kind: str
    group: str
    leader: str
    term: int


@dataclass(frozen=True)
class Expelled(Event):
    """This member was told to depart for good: it has to end, and its id cannot be used again."""


@dataclass(frozen=True)
class Isolated(Event):
    """This member has heard no other for so many seconds, though it knows some: what it believes of them is old."""

    seconds: float


@dataclass(frozen=True)
class IsolationEnded(Event):
    """It hears another one again, or knows none any more, after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Left(Event):
    """Leaving is done."""


@dataclass(frozen=True)
class Other(Event):
    """Something for which this version has no class."""

    text: str


@dataclass(frozen=True)
class Missed(Event):
    """This iterator was not read for so long that it lost so many events, the oldest."""

    count: int


_KINDS = {
    kind.__name__: kind
    for kind in (
        MemberChanged,
        MemberMoved,
        MemberRenamed,
        MemberRestarted,
        MemberForgotten,
        TagsChanged,
        UserEvent,
        Query,
        Answer,
        QueryOver,
        Refuted,
        Rejected,
        NewId,
        OtherRing,
        IdConflict,
        Lagged,
        RumorChanged,
        RumorGone,
        RumorOverruled,
        LeaderElected,
        Isolated,
        IsolationEnded,
        Expelled,
        Left,
        Other,
    )
}


def _event(name: str, fields: dict[str, Any]) -> Event:
    return _KINDS[name](**fields)
