"""Membership as the original does it: docs/PROTOCOL.md §2, without one line about this project's decisions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from contract import PAYLOAD_OF_SWIM, payload, sender
from newscast_pb2 import Rumor
from swim_pb2 import Ack, Member, Membership, Ping, PingReq, ProbePing, Swim

Address = tuple[str, int]
Key = tuple[int, str, str]
ALIVE, SUSPECT, CONFIRMED, DEPARTED = (
    Membership.ALIVE,
    Membership.SUSPECT,
    Membership.CONFIRMED,
    Membership.DEPARTED,
)


@dataclass(frozen=True)
class Timing:
    """The original's proportions, three times as fast, in seconds; gossip as it is."""

    period: float = 1.0
    ack: float = 0.33
    suspicion: float = 3.0
    probe_ping: float = 0.33
    gossip: float = 1.0


class Heat:
    """Which rumors each member still has to be told: each twice."""

    SHARE_LIMIT = 2

    def __init__(self) -> None:
        self.told: dict[Key, Counter[str]] = {}

    def start(self, key: Key) -> None:
        """It changed: everybody has to be told anew."""
        self.told[key] = Counter()

    def hot_for(self, member: str) -> list[Key]:
        """What it has to be told, the most-told first."""
        hot = [key for key, told in self.told.items() if told[member] < self.SHARE_LIMIT]
        return sorted(hot, key=lambda key: -self.told[key][member])

    def tell(self, key: Key, member: str) -> None:
        """It was told."""
        self.told[key][member] += 1


@dataclass
class Probe:
    """The member that is probed, and until when what is waited for."""

    target: str
    began: float
    indirect: bool = False


@dataclass
class SwimPeer:
    """The member table, and what changes it. `send` takes an address and a message."""

    me: Member
    timing: Timing
    heat: Heat
    send: Callable[[Address, Swim], None]
    table: dict[str, Membership] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    initial: list[Address] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    suspected: dict[str, float] = field(default_factory=dict)
    verdicts: dict[str, tuple[float, Membership]] = field(default_factory=dict)
    forwarded_to_me: list[tuple[Address, Member]] = field(default_factory=list)
    round: list[str] = field(default_factory=list)
    probe: Probe | None = None
    next_period: float = 0.0
    now: float = 0.0

    def health(self, member: str) -> int | None:
        """What it holds of a member."""
        held = self.table.get(member)
        return held and held.health

    def address_of(self, member: str) -> Address:
        """Where probes of a member go."""
        record = self.table[member].member
        return (record.address, record.swim_port)

    def alive(self) -> list[str]:
        """The others that are Alive."""
        return [member for member, held in self.table.items() if held.health == ALIVE]

    def pingable(self) -> list[str]:
        """The others that are probed, and told rumors."""
        return [
            member
            for member, held in self.table.items()
            if held.health in (ALIVE, SUSPECT) or held.member.persistent
        ]

    # What comes in.

    def receive(self, swim: Swim, source: Address, now: float) -> None:
        """Takes in a message that came from there."""
        self.now = now
        body = payload(swim, PAYLOAD_OF_SWIM)
        is_for_another = swim.type == Swim.ACK and body.HasField("forward_to") and body.forward_to.id != self.me.id
        was_forwarded = swim.type == Swim.ACK and body.HasField("forward_to") and not is_for_another
        if sender(body).id in self.blocked and not (is_for_another or was_forwarded):
            return
        what = f"received {Swim.Type.Name(swim.type)}"
        self.counts.update([what, f"{what} from {sender(body).id}"])
        if is_for_another:
            self.forward(swim, source)
        elif swim.type == Swim.PING:
            ack = Ack()
            if body.HasField("forward_to"):
                ack.forward_to.CopyFrom(body.forward_to)
            self.answer(ack, source, sender(body).id)
            self.take_memberships(swim)
            self.take_sender(sender(body), source)
        elif swim.type == Swim.ACK:
            if was_forwarded:
                self.forwarded_to_me.append((source, sender(body)))
            self.take_ack(sender(body), source)
            self.take_memberships(swim)
        elif swim.type == Swim.PINGREQ:
            if body.target.id in self.table:
                asker = Member()
                asker.CopyFrom(sender(body))
                asker.address = source[0]
                self.ping(self.address_of(body.target.id), body.target.id, asker)
        else:
            self.raise_incarnation(self.me.incarnation + 1)
            self.answer(Ack(), source, sender(body).id)
            self.take_sender(sender(body), source)

    def forward(self, swim: Swim, source: Address) -> None:
        """Passes an Ack on to who asked for it."""
        getattr(swim.ack, "from").address = source[0]
        self.counts["forwarded"] += 1
        self.send((swim.ack.forward_to.address, swim.ack.forward_to.swim_port), swim)

    def take_ack(self, member: Member, source: Address) -> None:
        """Any Ack proves that its sender lives."""
        if self.probe and self.probe.target == member.id:
            self.probe = None
            self.counts["probes answered"] += 1
        self.take_sender(member, (member.address, source[1]) if member.address else source)

    def take_sender(self, direct: Member, source: Address) -> None:
        """Direct proof of life, or of leaving: replaces the whole record."""
        member = Member()
        member.CopyFrom(direct)
        member.address = source[0]
        member.probe_ping = False
        self.verdicts.pop(member.id, None)
        held = self.table.get(member.id)
        if held and held.member.departed and member.incarnation <= held.member.incarnation:
            return
        self.adopt(Membership(member=member, health=DEPARTED if member.departed else ALIVE))

    def take_memberships(self, swim: Swim) -> None:
        for membership in swim.membership:
            self.merge(membership)

    def merge(self, told: Membership) -> None:
        """Takes in what another says about a member."""
        member = told.member.id
        if member == self.me.id:
            if told.health != ALIVE and told.member.incarnation >= self.me.incarnation:
                self.counts["refuted"] += 1
                self.raise_incarnation(told.member.incarnation + 1)
            return
        held = self.table.get(member)
        if held and (told.member.incarnation, told.health) <= (held.member.incarnation, held.health):
            return
        if held and told.health == CONFIRMED and held.health in (ALIVE, SUSPECT):
            if member not in self.verdicts:
                copy = Membership()
                copy.CopyFrom(told)
                self.verdicts[member] = (self.now + self.timing.probe_ping, copy)
                self.send_probe_ping(self.address_of(member))
            return
        self.adopt(told)

    def adopt(self, membership: Membership) -> None:
        """Holds this record from now on; news, if it differs from what it held."""
        member = membership.member.id
        copy = Membership()
        copy.CopyFrom(membership)
        if self.table.get(member) != copy:
            self.table[member] = copy
            self.heat.start((Rumor.MEMBER, "", member))
        if membership.health == SUSPECT:
            self.suspected.setdefault(member, self.now)
        else:
            self.suspected.pop(member, None)

    def raise_incarnation(self, to: int) -> None:
        """Has a new incarnation, which everybody has to hear of."""
        self.me.incarnation = to
        self.heat.start((Rumor.MEMBER, "", self.me.id))

    def record_of(self, member: str) -> Membership | None:
        """The membership that is told of a member, itself included."""
        if member != self.me.id:
            return self.table.get(member)
        mine = Membership(member=self.me, health=DEPARTED if self.me.departed else ALIVE)
        mine.member.address = "127.0.0.1"
        return mine

    # What goes out.

    def ping(self, to: Address, member: str | None, forward_to: Member | None = None) -> None:
        """Pings there, with memberships if it knows whom."""
        ping = Ping(forward_to=forward_to)
        self.post(to, Swim(type=Swim.PING, ping=ping), member, member)

    def answer(self, ack: Ack, to: Address, member: str) -> None:
        self.post(to, Swim(type=Swim.ACK, ack=ack), member, member)

    def send_ping_req(self, to: Address, relay: str, target: str) -> None:
        """Asks one member to ping another."""
        request = PingReq(target=self.table[target].member)
        self.post(to, Swim(type=Swim.PINGREQ, pingreq=request), relay, target)

    def send_probe_ping(self, to: Address) -> None:
        """Tells somebody that others hold it for dead."""
        swim = Swim(type=Swim.PROBEPING, probeping=ProbePing())
        getattr(swim.probeping, "from").CopyFrom(self.me)
        getattr(swim.probeping, "from").probe_ping = True
        self.send(to, swim)

    def post(self, to: Address, swim: Swim, told: str | None, first: str | None) -> None:
        """Sends a message with memberships: that of `first`, then up to five that are hot for `told`."""
        getattr(payload(swim, PAYLOAD_OF_SWIM), "from").CopyFrom(self.me)
        if told is not None:
            own = self.record_of(first) if first else None
            hot = [key for key in self.heat.hot_for(told) if key[0] == Rumor.MEMBER]
            keys = [key for key in hot if key[2] != first][:5]
            records = [own, *(self.record_of(key[2]) for key in keys)]
            swim.membership.extend(record for record in records if record)
            for key in keys:
                self.heat.tell(key, told)
        self.send(to, swim)

    def leave(self) -> None:
        """Tells up to ten at once that it goes."""
        self.me.departed = True
        self.raise_incarnation(self.me.incarnation + 1)
        for member in self.pingable()[:10]:
            self.answer(Ack(), self.address_of(member), member)

    # What is due.

    def tick(self, now: float) -> None:
        """Does what is due."""
        self.now = now
        for member, (until, told) in list(self.verdicts.items()):
            if now >= until:
                del self.verdicts[member]
                self.adopt(told)
        for member, since in list(self.suspected.items()):
            if now >= since + self.timing.suspicion:
                self.accuse(member, CONFIRMED)
        if self.probe and not self.probe.indirect and now >= self.probe.began + self.timing.ack:
            self.probe.indirect = True
            relays = [member for member in self.alive() if member != self.probe.target]
            for relay in random.sample(relays, min(5, len(relays))):
                self.send_ping_req(self.address_of(relay), relay, self.probe.target)
        if now >= self.next_period:
            self.next_period = now + self.timing.period
            self.begin_period(now)

    def begin_period(self, now: float) -> None:
        """Ends one probe and begins the next."""
        if self.probe and self.health(self.probe.target) == ALIVE:
            self.accuse(self.probe.target, SUSPECT)
        self.probe = None
        if 2 * len(self.table) <= len(self.initial):
            for address in self.initial:
                self.ping(address, None)
        pingable = set(self.pingable())
        self.round = [member for member in self.round if member in pingable]
        if not self.round:
            self.round = random.sample(sorted(pingable), len(pingable))
        if self.round:
            target = self.round.pop()
            self.probe = Probe(target, now)
            self.ping(self.address_of(target), target)

    def accuse(self, member: str, health: int) -> None:
        """Holds it for worse, and says so."""
        held = self.table[member]
        self.adopt(Membership(member=held.member, health=health))
