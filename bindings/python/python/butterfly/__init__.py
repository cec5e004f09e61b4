"""SWIM membership and gossip of rumors, as a member in your asyncio loop.

``async with Member(...)`` starts a member and leaves the ring at its end; ``async for event in member.events()`` tells what
happens. A member uses the loop's ``add_reader`` and ``call_later``, and no thread but one that writes its data directory, if
it has one. It belongs to the loop and the thread that started it.
"""

from ._butterfly import ClosedError, Error, RefusedError, StartError, __version__
from ._events import (
    Event,
    Expelled,
    IdConflict,
    Isolated,
    IsolationEnded,
    Lagged,
    LeaderElected,
    Left,
    MemberChanged,
    MemberForgotten,
    MemberMoved,
    MemberRenamed,
    MemberRestarted,
    Missed,
    NewId,
    Other,
    OtherRing,
    Refuted,
    Rejected,
    RumorChanged,
    RumorGone,
    RumorOverruled,
    TagsChanged,
)
from ._member import Counts, Events, Health, Member, MemberView, ServiceView

__all__ = [
    "ClosedError",
    "Counts",
    "Error",
    "Event",
    "Events",
    "Expelled",
    "Health",
    "IdConflict",
    "Isolated",
    "IsolationEnded",
    "Lagged",
    "LeaderElected",
    "Left",
    "Member",
    "MemberChanged",
    "MemberForgotten",
    "MemberMoved",
    "MemberRenamed",
    "MemberRestarted",
    "MemberView",
    "Missed",
    "NewId",
    "Other",
    "OtherRing",
    "RefusedError",
    "Refuted",
    "Rejected",
    "RumorChanged",
    "RumorGone",
    "RumorOverruled",
    "ServiceView",
    "StartError",
    "TagsChanged",
    "__version__",
]
