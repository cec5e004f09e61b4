"""Rumors as the original does them: docs/PROTOCOL.md §3, without one line about this project's decisions."""

from __future__ import annotations

import random
from collections.abc import Callable

from contract import PAYLOAD_OF_RUMOR, group_of, payload
from newscast_pb2 import Departure, Election, Rumor, Service, SysInfo
from swim import ALIVE, CONFIRMED, DEPARTED, Address, Heat, Key, SwimPeer

ELECTIONS = (Rumor.ELECTION, Rumor.ELECTION_UPDATE)
RUNNING, NO_QUORUM, FINISHED = Election.RUNNING, Election.NO_QUORUM, Election.FINISHED
HIGHEST = 2**64 - 1
# What every Departure is from; no id.
FROM_ID_OF_DEPARTURE = "butterfly"


def key_of(rumor: Rumor) -> Key:
    """Under which it is kept."""
    body = payload(rumor, PAYLOAD_OF_RUMOR)
    if rumor.type == Rumor.SERVICE:
        return (rumor.type, body.service_group, body.member_id)
    if rumor.type == Rumor.SERVICE_CONFIG:
        return (rumor.type, body.service_group, "service_config")
    if rumor.type == Rumor.SERVICE_FILE:
        return (rumor.type, body.service_group, body.filename)
    if rumor.type == Rumor.DEPARTURE:
        return (rumor.type, "departure", body.member_id)
    if rumor.type in ELECTIONS:
        return (rumor.type, body.service_group, "election")
    return (rumor.type, "", body.member.id)


class RumorStore:
    """All rumors but the members', with elections among them."""

    def __init__(self, swim: SwimPeer, heat: Heat) -> None:
        self.swim = swim
        self.heat = heat
        self.rumors: dict[Key, Rumor] = {}

    def of_kind(self, kind: int) -> list[Rumor]:
        """All rumors of a type."""
        return [rumor for key, rumor in self.rumors.items() if key[0] == kind]

    def keep(self, rumor: Rumor) -> None:
        """Holds it from now on; everybody has to hear of it."""
        self.rumors[key_of(rumor)] = rumor
        self.heat.start(key_of(rumor))

    def insert(self, rumor: Rumor) -> None:
        """Takes in a rumor that came, if it is newer."""
        body = payload(rumor, PAYLOAD_OF_RUMOR)
        if rumor.type == Rumor.MEMBER:
            self.swim.merge(body)
        elif rumor.type in ELECTIONS:
            self.insert_election(rumor)
        elif rumor.type == Rumor.DEPARTURE:
            self.insert_departure(rumor)
        else:
            group = group_of(body.service_group)
            if group is None:
                return
            body.service_group = group
            held = self.rumors.get(key_of(rumor))
            if held is None or body.incarnation > payload(held, PAYLOAD_OF_RUMOR).incarnation:
                self.keep(rumor)

    def insert_departure(self, rumor: Rumor) -> None:
        """Somebody is gone for good, perhaps this member itself."""
        if key_of(rumor) in self.rumors:
            return
        self.keep(rumor)
        gone = rumor.departure.member_id
        if gone == self.swim.me.id:
            self.swim.me.departed = True
        elif gone in self.swim.table:
            self.swim.accuse(gone, DEPARTED)

    # What this member says itself.

    def announce(self, service: Service) -> None:
        """It runs this service."""
        self.keep(Rumor(type=Rumor.SERVICE, from_id=self.swim.me.id, service=service))

    def depart(self, member: str) -> None:
        """That member is gone for good."""
        departure = Departure(member_id=member)
        self.insert(Rumor(type=Rumor.DEPARTURE, from_id=FROM_ID_OF_DEPARTURE, departure=departure))

    # Elections.

    def members_of(self, group: str) -> list[str]:
        """Who runs a service of the group."""
        return [rumor.service.member_id for rumor in self.of_kind(Rumor.SERVICE) if rumor.service.service_group == group]

    def electorate(self, group: str) -> set[str]:
        """The Alive members of the group."""
        me = self.swim.me.id
        return {member for member in self.members_of(group) if member == me or self.swim.health(member) == ALIVE}

    def has_quorum(self, group: str) -> bool:
        """Whether more than half of those who are not Departed are Alive."""
        population = [member for member in self.members_of(group) if self.swim.health(member) != DEPARTED]
        return len(self.electorate(group)) > len(population) / 2

    def start_election(self, kind: int, group: str, term: int = 0, suitability: int = 0) -> None:
        """Stands as a candidate."""
        me = self.swim.me.id
        status = RUNNING if self.has_quorum(group) else NO_QUORUM
        election = Election(
            member_id=me, service_group=group, term=term, suitability=suitability, status=status, votes=[me]
        )
        self.keep(Rumor(type=kind, from_id=me, election=election))

    def insert_election(self, rumor: Rumor) -> None:
        """Merges an election that came, and sees whether it is won."""
        key, other, me = key_of(rumor), rumor.election, self.swim.me.id
        is_mine = me in self.members_of(other.service_group)
        held = self.rumors.get(key)
        if held is None and not is_mine:
            self.keep(rumor)
            return
        if held is None:
            self.start_election(rumor.type, other.service_group, other.term)
        elif other.term > held.election.term and is_mine:
            if rumor.type == Rumor.ELECTION_UPDATE:
                self.start_election(rumor.type, other.service_group, other.term)
            elif held.election.member_id == me:
                self.start_election(rumor.type, other.service_group, other.term, HIGHEST)
            elif held.election.member_id == other.member_id:
                self.start_election(rumor.type, other.service_group, other.term)
            else:
                return
        if self.merge_elections(self.rumors[key].election, other):
            self.heat.start(key)
            self.rumors[key].from_id = self.rumors[key].election.member_id
        if is_mine:
            self.judge(key)

    @staticmethod
    def merge_elections(mine: Election, other: Election) -> bool:
        """Merges the other into mine; whether it has to be told."""
        if mine == other:
            return False
        if other.term >= mine.term and other.status == FINISHED:
            mine.CopyFrom(other)
            return True
        if other.term == mine.term and mine.status == FINISHED:
            return take_votes(mine, other)
        if mine.term > other.term:
            return True
        if (mine.suitability, mine.member_id) >= (other.suitability, other.member_id):
            take_votes(mine, other)
        else:
            votes = list(mine.votes)
            mine.CopyFrom(other)
            mine.votes.extend(vote for vote in votes if vote not in mine.votes)
        return True

    def judge(self, key: Key) -> None:
        """Votes, and makes it Finished if it is won."""
        election = self.rumors[key].election
        if election.status == FINISHED:
            return
        before = election.SerializeToString()
        me = self.swim.me.id
        if me not in election.votes:
            election.votes.append(me)
        election.status = RUNNING if self.has_quorum(election.service_group) else NO_QUORUM
        has_won = self.electorate(election.service_group) <= set(election.votes)
        if election.member_id == me and election.status == RUNNING and has_won:
            election.status = FINISHED
        if election.SerializeToString() != before:
            self.heat.start(key)

    def tick(self) -> None:
        """Elects anew where the leader is gone."""
        for key, rumor in list(self.rumors.items()):
            if key[0] not in ELECTIONS or rumor.election.status != FINISHED:
                continue
            group, leader, me = rumor.election.service_group, rumor.election.member_id, self.swim.me.id
            if me not in self.members_of(group):
                continue
            if leader == me and not self.has_quorum(group):
                suitability = HIGHEST if key[0] == Rumor.ELECTION else 0
                self.start_election(key[0], group, rumor.election.term + 1, suitability)
            elif leader != me and self.swim.health(leader) in (None, CONFIRMED, DEPARTED):
                self.start_election(key[0], group, rumor.election.term + 1)


def take_votes(mine: Election, other: Election) -> bool:
    """Takes over the other's votes, unless it is Finished; whether there was a new one."""
    new = [vote for vote in other.votes if vote not in mine.votes]
    if other.status == FINISHED or not new:
        return False
    mine.votes.extend(new)
    return True


class Gossip:
    """Each second the next five members are pushed all that is hot for each."""

    FANOUT = 5

    def __init__(self, store: RumorStore, push: Callable[[Address, Rumor], None]) -> None:
        self.store = store
        self.swim = store.swim
        self.push = push
        self.round: list[str] = []
        self.next_push = 0.0

    def tick(self, now: float) -> None:
        """Pushes, if it is time."""
        if now < self.next_push:
            return
        self.next_push = now + self.swim.timing.gossip
        self.store.tick()
        if not self.round:
            self.round = random.sample(sorted(self.swim.pingable()), len(self.swim.pingable()))
        these, self.round = self.round[: self.FANOUT], self.round[self.FANOUT :]
        for member in these:
            if member in self.swim.table and member not in self.swim.blocked:
                self.push_all(member)

    def push_all(self, member: str) -> None:
        """Pushes all that is hot for that member."""
        record = self.swim.table[member].member
        for key in self.store.heat.hot_for(member):
            rumor = self.rumor_of(key)
            if rumor is not None:
                self.push((record.address, record.gossip_port), rumor)
                self.store.heat.tell(key, member)

    def rumor_of(self, key: Key) -> Rumor | None:
        """The rumor under this key."""
        if key[0] != Rumor.MEMBER:
            return self.store.rumors[key]
        membership = self.swim.record_of(key[2])
        return membership and Rumor(type=Rumor.MEMBER, from_id=self.swim.me.id, member=membership)


def service(member: str, group: str, pkg: str, incarnation: int, gossip_port: int) -> Service:
    """A service as an original member announces it, everything explicit."""
    sys = SysInfo(ip="127.0.0.1", hostname="interop", gossip_ip="127.0.0.1", gossip_port=gossip_port)
    sys.http_gateway_ip, sys.http_gateway_port = "127.0.0.1", 9631
    sys.ctl_gateway_ip, sys.ctl_gateway_port = "127.0.0.1", 9632
    return Service(
        member_id=member,
        service_group=group,
        incarnation=incarnation,
        initialized=True,
        pkg=pkg,
        cfg=b"port = 1\n",
        sys=sys,
        pkg_incarnation=0,
    )
