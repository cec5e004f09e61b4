"""Services and elections of groups in which both sides run services: peers write what they relay anew, without our
fields, and have election rules of their own."""

from __future__ import annotations

import time

from gossip import FINISHED
from gossip_scenarios import (
    GROUP,
    HIGHEST,
    LOWEST,
    PKG,
    a_group,
    add_service,
    agree_on,
    announce,
    elected,
    group_size,
    held,
    leader,
    start_election,
)
from newscast_pb2 import Election, Rumor
from ours import Ours, until
from peer import Peer
from ring import Ring, Scenario, health
from swim import CONFIRMED

ELECTION = (Rumor.ELECTION, GROUP, "election")
# Several rounds in which peers push, seconds.
A_WHILE = 4.0


def remove_service(ours: Ours) -> None:
    ours.ask("service", "remove", GROUP)


def service_at(peer: Peer, member: str) -> tuple[str, int]:
    """What a peer holds of a member's service: its package and incarnation."""
    rumor = held(peer, (Rumor.SERVICE, GROUP, member))
    return (rumor.service.pkg, rumor.service.incarnation) if rumor else ("", -1)


def a_withdrawn_service_settles(ring: Ring) -> None:
    first, second, peer = a_group(ring, LOWEST)
    ring.peer(second)
    ring.all_see_all()
    remove_service(first)
    withdrawn = PKG.rsplit("/", 1)[0] + "/withdrawn"
    until("the peer knows", lambda: service_at(peer, first.id)[0] == withdrawn)
    incarnation = service_at(peer, first.id)[1]
    # Nothing is to happen, which cannot be awaited.
    time.sleep(A_WHILE)
    assert service_at(peer, first.id) == (withdrawn, incarnation)
    for ours in (first, second):
        assert ours.rumors(kind="service", member=first.id, incarnation=incarnation, withdrawn=True)


def a_group_elects_after_one_withdrew(ring: Ring) -> None:
    first, second, peer = a_group(ring, HIGHEST)
    remove_service(first)
    until("the peer knows", lambda: service_at(peer, first.id)[0].endswith("/withdrawn"))
    assert group_size(peer) == 3, "it still counts among the voters"
    start_election(second)
    agree_on(peer.id, [first, second], peer, (Rumor.ELECTION,))


def a_leader_of_ours_withdraws_and_a_peer_is_elected(ring: Ring) -> None:
    first, second, peer = a_group(ring, HIGHEST)
    start_election(first, 70)
    agree_on(first.id, [first, second], peer, (Rumor.ELECTION,))
    remove_service(first)
    agree_on(peer.id, [first, second], peer, (Rumor.ELECTION,))


def a_peer_that_led_was_away_for_a_while(ring: Ring) -> None:
    first, second, away = a_group(ring, HIGHEST)
    follower = ring.peer(first, id=LOWEST)
    ring.all_see_all()
    announce(follower)
    for ours in (first, second):
        until("ours knows the follower's service", lambda: ours.rumors(kind="service", member=follower.id))
    until("they know each other's", lambda: group_size(away) == group_size(follower) == 4)
    start_election(first)
    agree_on(away.id, [first, second], follower, (Rumor.ELECTION,))
    away.silent = True
    until("a term begins without it", lambda: ours_term(first) > 0)
    until("it is dead for all", lambda: health(follower, away.id) == CONFIRMED)
    away.silent = False
    agree(ring, [away, follower])


def peers_follow_a_deposed_leader_of_ours_to_the_next(ring: Ring) -> None:
    first, second, peer = a_group(ring, LOWEST)
    start_election(first, 70)
    agree_on(first.id, [first, second], peer, (Rumor.ELECTION,))
    won = Election(member_id=second.id, service_group=GROUP, term=3, suitability=1, status=FINISHED, votes=[second.id])
    with peer.lock:
        peer.push(second.gossip, Rumor(type=Rumor.ELECTION, from_id=second.id, election=won))
    agree_on(second.id, [first, second], peer, (Rumor.ELECTION,))
    assert held(peer, ELECTION).election.term == 3


def a_service_after_a_crash_is_newer(ring: Ring) -> None:
    first = ring.ours(gossip=True)
    ring.arguments = ["--data-dir", str(ring.directory / "data")]
    crashing = ring.ours(first, gossip=True)
    peer = ring.peer(first)
    ring.all_see_all()
    for _ in range(5):
        add_service(crashing, GROUP)
    until("the peer has the last change", lambda: service_at(peer, crashing.id)[1] >= 5)
    incarnation = service_at(peer, crashing.id)[1]
    ring.all_ours.remove(crashing)
    crashing.kill()
    again = ring.ours(first, gossip=True)
    assert again.id == crashing.id
    add_service(again, GROUP)
    until("the peer takes what is said now", lambda: service_at(peer, again.id)[1] > incarnation)


def ours_term(ours: Ours) -> int:
    """The term of the group's election, as ours hold it."""
    return max((row["term"] for row in ours.rumors(kind="election", group=GROUP)), default=-1)


def agree(ring: Ring, peers: list[Peer]) -> None:
    """Waits until all agree on some leader and its term."""

    def leaders() -> set[tuple[str | None, int]]:
        of_peers = {(leader(peer), held(peer, ELECTION).election.term) for peer in peers}
        of_ours = {
            (row["candidate"] if elected(ours, row["candidate"]) else None, row["term"])
            for ours in ring.all_ours
            for row in ours.rumors(kind="election", group=GROUP)
        }
        return of_peers | of_ours

    until("all agree on one leader", lambda: len(leaders()) == 1 and None not in next(iter(leaders())))


ALL: list[Scenario] = [
    a_withdrawn_service_settles,
    a_group_elects_after_one_withdrew,
    a_leader_of_ours_withdraws_and_a_peer_is_elected,
    a_peer_that_led_was_away_for_a_while,
    peers_follow_a_deposed_leader_of_ours_to_the_next,
    a_service_after_a_crash_is_newer,
]
