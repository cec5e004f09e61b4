"""Rumors over ZeroMQ, with members of both sides in one ring."""

from __future__ import annotations

import json
import random
import socket
import time
import uuid

from contract import faults_of_datagram, faults_of_rumor, read
from gossip import ELECTIONS, FINISHED, key_of, service
from newscast_pb2 import Election, Rumor, ServiceConfig, ServiceFile
from ours import Ours, until
from peer import Peer
from ring import Ring, Scenario, alive, health
from swim import DEPARTED, Key
from swim_pb2 import Member, Membership, Ping, Swim
from swim_scenarios import known_to_nobody, seal, stranger

GROUP = "redis.default"
PKG = "core/redis/4.0.14/20261122232917"
# Numbers that nobody uses for anything else.
CONFIG, FILE, SERVICE = 811_001, 811_002, 811_003
LOWEST, HIGHEST = "00000000000040008000000000000001", "ffffffffffff4fffbffffffffffffffe"


# What a member of ours is asked; the only place that knows the program's command line.


def add_service(ours: Ours, group: str) -> None:
    ours.ask("service", "add", group, "--pkg", PKG)


def apply_config(ours: Ours, group: str, incarnation: int, file: str) -> None:
    ours.ask("config", "apply", group, str(incarnation), file)


def upload_file(ours: Ours, group: str, incarnation: int, file: str) -> None:
    ours.ask("file", "upload", group, str(incarnation), file)


def start_election(ours: Ours, suitability: int = 0) -> None:
    ours.ask("election", "start", GROUP, "--suitability", str(suitability))


def depart(ours: Ours, member: str) -> None:
    ours.ask("depart", member, "--yes", "--unknown")


def inject(ring: Ring, to: Peer, *what: str) -> None:
    """Pushes a rumor to a member without being one."""
    with to.lock:
        address = f"127.0.0.1:{to.swim.me.gossip_port}"
    ring.all_ours[0].ask("inject", "--to", address, *ring.arguments, *what, gateway=False)


def elected(ours: Ours, leader: str, kind: int = Rumor.ELECTION) -> bool:
    """Whether it holds that one for the leader."""
    name = Rumor.Type.Name(kind).lower()
    return bool(ours.rumors(kind=name, group=GROUP, status="finished", candidate=leader))


# What a peer is asked.


def keep(peer: Peer, **fields: object) -> Key:
    """Has a peer say a rumor; returns under which key it is kept."""
    with peer.lock:
        rumor = Rumor(from_id=peer.id, **fields)
        peer.store.keep(rumor)
        return key_of(rumor)


def config(peer: Peer, incarnation: int, text: bytes) -> Key:
    body = ServiceConfig(service_group=GROUP, incarnation=incarnation, encrypted=False, config=text)
    return keep(peer, type=Rumor.SERVICE_CONFIG, service_config=body)


def file(peer: Peer, incarnation: int, name: str, body: bytes) -> Key:
    file = ServiceFile(service_group=GROUP, incarnation=incarnation, encrypted=False, filename=name, body=body)
    return keep(peer, type=Rumor.SERVICE_FILE, service_file=file)


def announce(peer: Peer, incarnation: int = 0) -> Key:
    """Has a peer run a service of the group."""
    with peer.lock:
        peer.store.announce(service(peer.id, GROUP, PKG, incarnation, peer.swim.me.gossip_port))
        return (Rumor.SERVICE, GROUP, peer.id)


def held(peer: Peer, key: Key) -> Rumor | None:
    """What a peer holds under this key."""
    with peer.lock:
        rumor = peer.store.rumors.get(key)
        return rumor and Rumor.FromString(rumor.SerializeToString())


def same(one: Rumor, other: Rumor) -> bool:
    """Whether both say the same: who says a Departure does not count."""
    if one.type == Rumor.DEPARTURE:
        return one.departure == other.departure
    return one == other


def says_every_kind(peer: Peer) -> list[Key]:
    """Has a peer say one of each kind but Member."""
    keys = [announce(peer, SERVICE), config(peer, CONFIG, b"port = 6379\n"), file(peer, FILE, "motd", bytes(range(256)))]
    with peer.lock:
        for kind in ELECTIONS:
            peer.store.start_election(kind, GROUP)
        peer.store.depart(uuid.uuid4().hex)
    return [*keys, *((kind, GROUP, "election") for kind in ELECTIONS), departure_of(peer)]


def departure_of(peer: Peer) -> Key:
    """The one departure that a peer knows."""
    with peer.lock:
        (rumor,) = peer.store.of_kind(Rumor.DEPARTURE)
        return key_of(rumor)


def group_size(peer: Peer) -> int:
    """How many members of the group a peer knows."""
    with peer.lock:
        return len(peer.store.members_of(GROUP))


def leader(peer: Peer, kind: int = Rumor.ELECTION) -> str | None:
    """Whom a peer holds for the leader of the group."""
    rumor = held(peer, (kind, GROUP, "election"))
    return rumor.election.member_id if rumor and rumor.election.status == FINISHED else None


# The scenarios that need no member of ours: the yardstick itself.


def peers_tell_each_other_every_kind(ring: Ring) -> None:
    first = ring.peer()
    second, third = ring.peer(first), ring.peer(first)
    ring.all_see_all()
    keys = says_every_kind(first)
    for peer in (second, third):
        until("a peer hears it all", lambda: all(held(peer, key) for key in keys))
        until("and of the members, too", lambda: peer.pulled["MEMBER"] > 0)


def peers_elect_one_of_them(ring: Ring) -> None:
    first = ring.peer()
    ring.peer(first), ring.peer(first)
    ring.all_see_all()
    for peer in ring.peers:
        announce(peer)
    until("all know the group", lambda: all(group_size(peer) == 3 for peer in ring.peers))
    with first.lock:
        first.store.start_election(Rumor.ELECTION, GROUP)
    winner = max(peer.id for peer in ring.peers)
    for peer in ring.peers:
        until("the highest id is elected", lambda: leader(peer) == winner)


def the_judge_is_awake(ring: Ring) -> None:
    peer = ring.peer()
    with peer.lock:
        config(peer, 1, b"")
        good = peer.gossip.rumor_of((Rumor.SERVICE_CONFIG, GROUP, "service_config"))
        me = Member()
        me.CopyFrom(peer.swim.me)
    wrap = peer.envelope.wrap

    def faults(inner: bytes) -> str:
        return " ".join(faults_of_rumor(wrap(inner), inner, read(Rumor, inner), sealed=False))

    inner = good.SerializeToString()
    assert not faults(inner)
    assert "nobody knows" in faults(inner + b"\xf8\x01\x01")
    assert "canonical" in faults(inner[2:] + inner[:2])
    implicit = Rumor(type=Rumor.SERVICE_CONFIG, from_id=me.id, service_config=ServiceConfig(service_group=GROUP))
    assert "incarnation is not explicit" in faults(implicit.SerializeToString())
    assert "type 6" in faults(Rumor(type=Rumor.FAKE, from_id=me.id).SerializeToString())

    ping = Swim(type=Swim.PING, ping=Ping())
    getattr(ping.ping, "from").CopyFrom(me)

    def judged(swim: Swim) -> str:
        return " ".join(faults_of_datagram(wrap(swim.SerializeToString()), swim, sealed=False))

    assert not judged(ping)
    ping.membership.append(Membership(member=me, health=Membership.ALIVE))
    assert "the address ''" in judged(ping)
    del ping.membership[:]
    ping.membership.extend([stranger()] * 10)
    assert "the limit is 512" in judged(ping)
    assert "encrypted=False" in " ".join(faults_of_datagram(wrap(b"x"), ping, sealed=True))


# With members of ours.


def ours_takes_every_kind(ring: Ring) -> None:
    first = ring.ours(gossip=True)
    second = ring.ours(first, gossip=True)
    peer = ring.peer(first)
    ring.all_see_all()
    keys = says_every_kind(peer)
    _, whisper = known_to_nobody(ring)
    with peer.lock:
        # By ZeroMQ alone.
        rumor = Rumor(type=Rumor.MEMBER, from_id=peer.id, member=whisper)
        peer.push(first.gossip, rumor)
    until("ours knows the member that it heard of by ZeroMQ", lambda: first.row(whisper.member.id))
    for ours in (first, second):
        for wanted in (
            {"kind": "service", "group": GROUP, "member": peer.id, "incarnation": SERVICE, "pkg": PKG},
            {"kind": "service_config", "group": GROUP, "incarnation": CONFIG, "config": "port = 6379\n"},
            {"kind": "service_file", "group": GROUP, "incarnation": FILE, "filename": "motd", "length": 256},
            {"kind": "election", "group": GROUP, "candidate": peer.id},
            {"kind": "election_update", "group": GROUP, "candidate": peer.id},
            {"kind": "departure", "member": departure_of(peer)[2]},
        ):
            until(f"ours holds {wanted}", lambda: ours.rumors(**wanted))
        # Members of ours have tags, too, of which the peer hears nothing.
        printed = [row for row in json.loads(ours.ask("rumors", "-o", "json")) if row["kind"] != "tags"]
        assert len(printed) == 6, f"a command prints other rumors than it holds: {printed}"
    # What ours passes on is what came in.
    late = ring.peer(second)
    for key in keys:
        until(f"a newcomer holds the same under {key}", lambda: held(late, key) and same(held(late, key), held(peer, key)))


def sealed_ours_takes_every_kind(ring: Ring) -> None:
    seal(ring)
    ours_takes_every_kind(ring)


def a_newcomer_pulls_every_kind(ring: Ring) -> None:
    first = ring.ours(gossip=True)
    second = ring.ours(first, gossip=True)
    ring.all_see_all()
    path = ring.directory / "settings.toml"
    path.write_bytes(b"port = 6379\n")
    gone = uuid.uuid4().hex
    add_service(first, GROUP)
    apply_config(first, GROUP, CONFIG, str(path))
    upload_file(first, GROUP, FILE, str(path))
    start_election(first)
    depart(first, gone)
    helper = ring.peer(first)
    with helper.lock:
        port = helper.swim.me.gossip_port
        helper.store.announce(service(helper.id, "other.default", PKG, SERVICE, port))
        helper.store.start_election(Rumor.ELECTION_UPDATE, "other.default")
    until("ours has the update", lambda: second.rumors(kind="election_update", group="other.default"))
    helper.silent = True
    ring.peers.remove(helper)
    try:
        late = ring.peer(second)
        for kind in ("MEMBER", "SERVICE", "SERVICE_CONFIG", "SERVICE_FILE", "ELECTION", "ELECTION_UPDATE", "DEPARTURE"):
            until(f"a newcomer pulls {kind}", lambda: late.pulled[kind] > 0)
    finally:
        helper.stop()
    assert held(late, (Rumor.SERVICE_CONFIG, GROUP, "service_config")).service_config.config == path.read_bytes()
    body = held(late, (Rumor.SERVICE_FILE, GROUP, path.name)).service_file
    assert (body.body, body.incarnation, body.encrypted) == (path.read_bytes(), FILE, False)
    assert held(late, (Rumor.SERVICE, GROUP, first.id)).service.pkg == PKG
    assert held(late, (Rumor.DEPARTURE, "departure", gone))


def the_newer_incarnation_wins(ring: Ring) -> None:
    ours = ring.ours(gossip=True)
    peer, reader = ring.peer(ours), ring.peer(ours)
    ring.all_see_all()
    key = config(peer, CONFIG + 1, b"new = true\n")
    until("ours shows it", lambda: ours.rumors(kind="service_config", incarnation=CONFIG + 1))
    until("it is passed on", lambda: held(reader, key))
    # Straight into ours: an older one, then something newer of another kind as the sign that both arrived.
    config(peer, CONFIG, b"old = true\n")
    with peer.lock:
        peer.push(ours.gossip, peer.store.rumors[key])
        sign = peer.store.rumors[file(peer, FILE, "sign", b"")]
        peer.push(ours.gossip, sign)
    until("the sign arrives", lambda: ours.rumors(filename="sign"))
    rows = ours.rumors(kind="service_config")
    assert [row["incarnation"] for row in rows] == [CONFIG + 1], rows


def whoever_is_no_member_injects(ring: Ring) -> None:
    ring.ours(gossip=True)
    peer = ring.peer()
    path = ring.directory / "settings.toml"
    path.write_bytes(b"port = 1\n")
    gone = uuid.uuid4().hex
    inject(ring, peer, "config", GROUP, str(CONFIG), str(path))
    inject(ring, peer, "file", GROUP, str(FILE), str(path))
    inject(ring, peer, "depart", gone)
    for key in (
        (Rumor.SERVICE_CONFIG, GROUP, "service_config"),
        (Rumor.SERVICE_FILE, GROUP, path.name),
        (Rumor.DEPARTURE, "departure", gone),
    ):
        until(f"the peer is told {key}", lambda: held(peer, key))


def sealed_whoever_is_no_member_injects(ring: Ring) -> None:
    seal(ring)
    whoever_is_no_member_injects(ring)


def a_group(ring: Ring, peer_id: str) -> tuple[Ours, Ours, Peer]:
    """Two of ours and a peer that run a service of one group, and know it of each other."""
    first = ring.ours(gossip=True)
    second = ring.ours(first, gossip=True)
    peer = ring.peer(first, id=peer_id)
    ring.all_see_all()
    add_service(first, GROUP)
    add_service(second, GROUP)
    announce(peer)
    for ours in (first, second):
        until(
            "ours knows all of the group",
            lambda: all(ours.rumors(kind="service", group=GROUP, member=one.id) for one in (first, second, peer)),
        )
    until("the peer knows all of the group", lambda: group_size(peer) == 3)
    return first, second, peer


def elect(ring: Ring, peer_id: str) -> tuple[Ours, Ours, Peer]:
    """Elections of both kinds among two of ours and a peer: the highest id wins. Returns the three."""
    first, second, peer = a_group(ring, peer_id)
    start_election(first)
    with peer.lock:
        peer.store.start_election(Rumor.ELECTION_UPDATE, GROUP)
    agree_on(max(first.id, second.id, peer.id), [first, second], peer)
    return first, second, peer


def agree_on(winner: str, all_ours: list[Ours], peer: Peer, kinds: tuple[int, ...] = ELECTIONS) -> None:
    """Waits until all hold that one for the leader."""
    for kind in kinds:
        for ours in all_ours:
            until(f"ours holds the winner for the leader, {kind=}", lambda: elected(ours, winner, kind))
        until(f"the peer holds the winner for the leader, {kind=}", lambda: leader(peer, kind) == winner)


def a_peer_is_elected(ring: Ring) -> None:
    elect(ring, HIGHEST)


def a_fitter_peer_is_elected(ring: Ring) -> None:
    first, second, peer = a_group(ring, LOWEST)
    # The peer first: unasked it would stand as the least fit.
    with peer.lock:
        peer.store.start_election(Rumor.ELECTION, GROUP, suitability=70)
    for ours in (first, second):
        start_election(ours, 7)
    agree_on(peer.id, [first, second], peer, (Rumor.ELECTION,))


def fitter_ours_is_elected(ring: Ring) -> None:
    first, second, peer = a_group(ring, HIGHEST)
    start_election(first, 70)
    agree_on(first.id, [first, second], peer, (Rumor.ELECTION,))
    until("a command shows it", lambda: first.id[:8] in second.ask("election", "show", GROUP))


def ours_is_elected_and_dies(ring: Ring) -> None:
    first, second, peer = elect(ring, LOWEST)
    dead, other = (first, second) if first.id > second.id else (second, first)
    ring.all_ours.remove(dead)
    dead.kill()
    agree_on(other.id, [other], peer)
    for kind in ELECTIONS:
        assert held(peer, (kind, GROUP, "election")).election.term > 0


def an_elected_peer_dies(ring: Ring) -> None:
    first, second, peer = elect(ring, HIGHEST)
    witness = ring.peer(first)
    ring.all_see_all()
    peer.silent = True
    agree_on(max(first.id, second.id), [first, second], witness)


def ours_departs_a_peer(ring: Ring) -> None:
    first = ring.ours(gossip=True)
    second = ring.ours(first, gossip=True)
    peer, witness = ring.peer(first), ring.peer(first)
    ring.all_see_all()
    depart(second, peer.id)
    until("the peer hears of its own departure", lambda: peer.swim.me.departed)
    for ours in (first, second):
        until("ours holds it for Departed", lambda: ours.health(peer.id) == "departed")
    # Others of its kind may have told it before the rumor came, which it refuted: then ours tell them in a while.
    until("so does another peer", lambda: health(witness, peer.id) == DEPARTED)
    # It comes back under its id: no ping undoes that, and ours tell it again.
    again = ring.peer(first, second, id=peer.id)
    until("it hears of its departure again", lambda: again.swim.me.departed)
    for ours in (first, second):
        assert ours.health(peer.id) == "departed"


def a_peer_departs_ours(ring: Ring) -> None:
    first = ring.ours(gossip=True)
    second = ring.ours(first, gossip=True)
    peer = ring.peer(first)
    ring.all_see_all()
    with peer.lock:
        peer.store.depart(second.id)
    until("ours stops", lambda: not second.is_running())
    assert "panicked" not in second.said()
    ring.all_ours.remove(second)
    second.kill()
    until("the other one knows", lambda: first.health(second.id) == "departed")


def ring_with_rumors(ring: Ring) -> tuple[Ours, Ours, list[Key]]:
    """Two of ours, not in a hurry to tell anything again, and what they know."""
    first = ring.ours(gossip=True, timing="lan")
    second = ring.ours(first, gossip=True, timing="lan")
    ring.all_see_all()
    path = ring.directory / "settings.toml"
    path.write_bytes(b"port = 6379\n")
    gone = uuid.uuid4().hex
    add_service(first, GROUP)
    apply_config(second, GROUP, CONFIG, str(path))
    upload_file(first, GROUP, FILE, str(path))
    depart(second, gone)
    return first, second, [
        (Rumor.SERVICE, GROUP, first.id),
        (Rumor.SERVICE_CONFIG, GROUP, "service_config"),
        (Rumor.SERVICE_FILE, GROUP, path.name),
        (Rumor.DEPARTURE, "departure", gone),
    ]


def a_peer_restarts(ring: Ring) -> None:
    first, second, keys = ring_with_rumors(ring)
    peer = ring.peer(first)
    until("a peer gets everything", lambda: all(held(peer, key) for key in keys))
    until("nothing is told any more", lambda: not any(row["hot"] for ours in (first, second) for row in ours.rumors()))
    # At once, so that nobody misses it; it remembers its id and incarnation, and nothing else.
    peer.stop()
    ring.peers.remove(peer)
    again = ring.peer(second, id=peer.id, incarnation=peer.swim.me.incarnation + 1)
    until("it gets everything again", lambda: all(held(again, key) for key in keys))
    until("and the members", lambda: {first.id, second.id} <= set(alive(again)))


def a_peer_cannot_be_pushed_to_for_a_while(ring: Ring) -> None:
    first, second, keys = ring_with_rumors(ring)
    peer = ring.peer(first)
    until("a peer gets everything", lambda: all(held(peer, key) for key in keys))
    peer.hears_gossip = False
    until("its socket is closed", lambda: peer.pull is None)
    path = ring.directory / "more.toml"
    path.write_bytes(b"more = true\n")
    apply_config(first, GROUP, CONFIG + 1, str(path))
    for number in range(20):
        apply_config(second, f"more{number}.default", CONFIG, str(path))
    time.sleep(1.5)
    assert first.health(peer.id) == "alive"
    peer.hears_gossip = True
    until("its socket is open again", lambda: peer.pull is not None)

    def incarnation() -> int:
        return held(peer, (Rumor.SERVICE_CONFIG, GROUP, "service_config")).service_config.incarnation

    until("it hears what is newer", lambda: incarnation() == CONFIG + 1)
    missed = [(Rumor.SERVICE_CONFIG, f"more{number}.default", "service_config") for number in range(20)]
    until("it hears what it missed", lambda: all(held(peer, key) for key in missed))


def a_peer_joins_a_crowd(ring: Ring) -> None:
    crowd = [ring.ours(gossip=True, timing="lan")]
    while len(crowd) < 30:
        crowd.append(ring.ours(crowd[0], gossip=True, timing="lan"))
    until("the last one sees all", lambda: len(crowd[-1].members()) == len(crowd))
    peer = ring.peer(crowd[0])
    everybody = {ours.id for ours in crowd}
    until("it hears of everybody by ZeroMQ", lambda: everybody <= peer.pulled_members)
    until("it holds everybody for Alive", lambda: everybody <= set(alive(peer)))
    key = config(peer, CONFIG, b"port = 1\n")
    for ours in crowd:
        until("all hear of its rumor", lambda: ours.rumors(kind="service_config", incarnation=CONFIG))
    assert held(peer, key)


def nonsense_by_zeromq_does_no_harm(ring: Ring) -> None:
    ours = ring.ours(gossip=True)
    peer = ring.peer(ours)
    ring.all_see_all()
    for frames in nonsense(peer):
        with peer.lock:
            peer.push_raw(ours.gossip, frames)
    # No ZeroMQ at all.
    for text in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, random.Random(5).randbytes(4096)):
        with socket.create_connection(ours.gossip) as raw:
            raw.sendall(text)
    with peer.lock:
        peer.push(ours.gossip, peer.store.rumors[file(peer, FILE, "after", b"all")])
    until("ours still takes rumors", lambda: ours.rumors(filename="after", incarnation=FILE))
    late = ring.peer(ours)
    until("ours still passes them on", lambda: held(late, (Rumor.SERVICE_FILE, GROUP, "after")))
    spoiled = [row for row in ours.rumors() if "spoiled" in json.dumps(row)]
    assert not spoiled, f"a rumor that is none was taken in: {spoiled}"


def nonsense(peer: Peer) -> list[list[bytes]]:
    """ZeroMQ messages that no peer sends; what could be taken for a rumor of them is called spoiled."""
    wrap, dice = peer.envelope.wrap, random.Random(6)
    body = ServiceConfig(service_group="spoiled.default", incarnation=1, encrypted=False, config=b"")
    inner = Rumor(type=Rumor.SERVICE_CONFIG, from_id=peer.id, service_config=body).SerializeToString()
    found = [[b""], [b"\0"], [wrap(b"")], [dice.randbytes(2000)], [dice.randbytes(1 << 20)]]
    found += [[b"", b""], [wrap(inner[:9]), wrap(inner[9:])], [b"a"] * 100]
    found += [[wrap(inner[:cut])] for cut in range(0, len(inner) - 1, 5)]
    # A type that does not fit its payload; Fake, Fake2 and what nobody knows; none at all.
    found += [[wrap(bytes([8, kind]) + inner[2:])] for kind in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 127)]
    found += [[wrap(inner[2:])], [wrap(inner[:2])]]
    # Groups that are none.
    for group in ("", "spoiled", "spoiled.", ".spoiled", "spoiled.a.b", "spoiled.a@", "spoiled.a#b", "spoiled.a@b@c"):
        bad = ServiceConfig(service_group=group, incarnation=1, encrypted=False, config=b"")
        found.append([wrap(Rumor(type=Rumor.SERVICE_CONFIG, from_id=peer.id, service_config=bad).SerializeToString())])
        election = Election(member_id=peer.id, service_group=group, votes=[peer.id])
        found.append([wrap(Rumor(type=Rumor.ELECTION, from_id=peer.id, election=election).SerializeToString())])
    # A service without what it needs, and members that cannot be.
    bare = service(peer.id, "spoiled.default", PKG, 1, 9)
    bare.ClearField("sys")
    found.append([wrap(Rumor(type=Rumor.SERVICE, from_id=peer.id, service=bare).SerializeToString())])
    for address in ("", "spoiled", "127.0.0.1:9"):
        rumor = Rumor(type=Rumor.MEMBER, from_id=peer.id, member=stranger(address=address))
        found.append([wrap(rumor.SerializeToString())])
    return found


YARDSTICK: list[Scenario] = [the_judge_is_awake, peers_tell_each_other_every_kind, peers_elect_one_of_them]
ALL: list[Scenario] = [
    ours_takes_every_kind,
    sealed_ours_takes_every_kind,
    a_newcomer_pulls_every_kind,
    the_newer_incarnation_wins,
    whoever_is_no_member_injects,
    sealed_whoever_is_no_member_injects,
    a_peer_is_elected,
    a_fitter_peer_is_elected,
    fitter_ours_is_elected,
    ours_is_elected_and_dies,
    an_elected_peer_dies,
    ours_departs_a_peer,
    a_peer_departs_ours,
    a_peer_restarts,
    a_peer_cannot_be_pushed_to_for_a_while,
    a_peer_joins_a_crowd,
    nonsense_by_zeromq_does_no_harm,
]
