"""Membership, with members of both sides in one ring."""

from __future__ import annotations

import random
import subprocess
import uuid
from base64 import b64decode

from contract import Envelope
from ours import Failed, until
from peer import Peer
from ring import Ring, Scenario, alive, health, is_alive
from swim import ALIVE, CONFIRMED, DEPARTED, SUSPECT, Address
from swim_pb2 import Ack, Member, Membership, Ping, PingReq, Swim


def count(peer: Peer, what: str) -> int:
    """How often that happened at a peer."""
    with peer.lock:
        return peer.swim.counts[what]


def claim(peer: Peer, member: str, health: int) -> None:
    """Has a peer hold that of a member, whatever it hears from it, and say so to everybody."""
    with peer.lock:
        peer.deaf_to.add(peer.swim.address_of(member))
        peer.swim.accuse(member, health)


def stranger(health: int = ALIVE, address: str = "127.0.0.1") -> Membership:
    """The record of a member that nobody answers for."""
    member = Member(id=uuid.uuid4().hex, incarnation=0, address=address, swim_port=9, gossip_port=9)
    member.persistent = member.departed = member.probe_ping = False
    return Membership(member=member, health=health)


def known_to_nobody(ring: Ring) -> tuple[Peer, Membership]:
    """A member that is there and has joined nobody, with its record."""
    peer = ring.peer()
    with peer.lock:
        member = Member.FromString(peer.swim.me.SerializeToString())
    member.address = "127.0.0.1"
    return peer, Membership(member=member, health=ALIVE)


def a_peer_joins_a_ring_of_ours(ring: Ring) -> None:
    first = ring.ours()
    second = ring.ours(first)
    peer = ring.peer(first)
    ring.all_see_all()
    row = second.row(peer.id)
    assert (row["address"], row["swim_port"]) == peer.address, row
    with peer.lock:
        assert row["gossip_port"] == peer.swim.me.gossip_port, row
    for ours in (first, second):
        until("ours pings the peer", lambda: count(peer, f"received PING from {ours.id}") > 5)
        until("ours answers the peer", lambda: count(peer, f"received ACK from {ours.id}") > 1)


def ours_joins_through_a_peer(ring: Ring) -> None:
    first = ring.peer()
    ring.peer(first)
    ring.all_see_all()
    ours = ring.ours(first)
    ring.ours(first)
    ring.all_see_all()
    until("the peers probe ours", lambda: all(count(peer, "probes answered") > 2 for peer in ring.peers))
    assert ours.is_running()


def rings_of_both_sides_become_one(ring: Ring) -> None:
    ours = ring.ours()
    ring.ours(ours)
    peer = ring.peer()
    ring.peer(peer)
    until("ours see each other", lambda: all(len(one.members()) == 2 for one in ring.all_ours))
    until("the peers see each other", lambda: all(alive(one) for one in ring.peers))
    with peer.lock:
        peer.swim.ping(ours.swim, None)
    ring.all_see_all()


def datagrams_stay_small_in_a_crowd(ring: Ring) -> None:
    ours = ring.ours(timing="lan")
    listener = ring.peer(ours)
    ring.all_see_all()
    # Each comes by itself: of those who are spoken of, not everyone is asked.
    ids = {ring.peer(ours).id for _ in range(20)}
    until("ours hears of the crowd", lambda: ids <= {row["id"] for row in ours.members()})

    def has_heard() -> bool:
        with listener.lock:
            listener.swim.ping(ours.swim, ours.id)
            return len(listener.swim.table) > 12

    until("the Acks of ours tell of the crowd", has_heard)
    with listener.lock:
        assert listener.largest > 400, f"the largest datagram had {listener.largest} bytes: too small to show anything"


def ours_probes_through_a_peer(ring: Ring) -> None:
    ours = ring.ours()
    relay = ring.peer(ours)
    target = ring.peer(ours, relay)
    ring.all_see_all()
    with target.lock:
        target.deaf_to.add(ours.swim)
    before = count(relay, "forwarded")
    until("the peer passes Acks on to ours", lambda: count(relay, "forwarded") >= before + 5)
    seen: list[str | None] = []

    def proved() -> bool:
        seen.append(ours.health(target.id))
        return count(relay, "forwarded") >= before + 15

    until("the peer passes more Acks on to ours", proved)
    if "confirmed" in seen or "alive" not in seen:
        raise Failed(f"whom the relay vouches for was held for {set(seen)}")


def a_peer_probes_through_ours(ring: Ring) -> None:
    ours = ring.ours()
    prober = ring.peer(ours)
    target = ring.peer(ours)
    ring.all_see_all()
    with prober.lock:
        prober.deaf_to.add(target.address)

    def forwarded() -> list[tuple[Address, Member]]:
        with prober.lock:
            return [(source, member) for source, member in prober.swim.forwarded_to_me if member.id == target.id]

    until("ours passes the target's Acks on", lambda: len(forwarded()) >= 2)
    for source, member in forwarded():
        assert source == ours.swim, source
        assert member.address == "127.0.0.1", "the relay fills in the acker's address"
        assert (member.swim_port, member.departed) == (target.address[1], False)
    until("whom ours vouches for is Alive", lambda: is_alive(prober, target.id))


def a_ping_req_for_whom_ours_does_not_know_is_harmless(ring: Ring) -> None:
    ours = ring.ours()
    peer = ring.peer(ours)
    ring.all_see_all()
    with peer.lock:
        request = PingReq(target=stranger().member)
        getattr(request, "from").CopyFrom(peer.swim.me)
        peer.send(ours.swim, Swim(type=Swim.PINGREQ, pingreq=request))
    before = count(peer, "received PING")
    until("ours goes on", lambda: count(peer, "received PING") > before + 2)


def a_probe_ping_has_ours_raise_its_incarnation(ring: Ring) -> None:
    ours = ring.ours()
    peer = ring.peer(ours)
    ring.all_see_all()
    before = ours.incarnation(ours.id)
    with peer.lock:
        peer.swim.send_probe_ping(ours.swim)
    until("ours raises its incarnation", lambda: ours.incarnation(ours.id) == before + 1)
    until("the peer hears of it", lambda: peer.swim.table[ours.id].member.incarnation == before + 1)


def a_peer_falls_silent_and_comes_back(ring: Ring) -> None:
    first = ring.ours()
    second = ring.ours(first)
    peer = ring.peer(first)
    ring.all_see_all()
    seen: list[str | None] = []

    def is_confirmed() -> bool:
        seen.append(first.health(peer.id))
        return seen[-1] == "confirmed"

    peer.silent = True
    until("the silent peer is Confirmed", is_confirmed)
    assert "suspect" in seen, sorted(set(map(str, seen)))
    until("by both", lambda: second.health(peer.id) == "confirmed")
    peer.silent = False
    ring.all_see_all()


def ours_dies(ring: Ring) -> None:
    first = ring.ours()
    second = ring.ours(first)
    peer, other = ring.peer(first), ring.peer(first)
    ring.all_see_all()
    ring.all_ours.remove(second)
    second.kill()
    for one in (peer, other):
        until("the peers confirm the dead", lambda: health(one, second.id) == CONFIRMED)
    until("ours confirms the dead", lambda: first.health(second.id) == "confirmed")


def a_peer_leaves(ring: Ring) -> None:
    first = ring.ours()
    second = ring.ours(first)
    peer = ring.peer(first)
    ring.all_see_all()
    with peer.lock:
        peer.swim.leave()
    for ours in (first, second):
        until("who left is Departed", lambda: ours.health(peer.id) == "departed")


def ours_leaves(ring: Ring) -> None:
    first = ring.ours()
    second = ring.ours(first)
    peer, other = ring.peer(first), ring.peer(second)
    ring.all_see_all()
    first.ask("leave")
    until("it ends", lambda: not first.is_running())
    for one in (peer, other):
        until("who left is Departed", lambda: health(one, first.id) == DEPARTED)
        with one.lock:
            assert one.swim.table[first.id].member.departed
    until("ours knows, too", lambda: second.health(first.id) == "departed")


def a_suspected_peer_refutes(ring: Ring) -> None:
    first = ring.ours()
    second = ring.ours(first)
    peer, accuser = ring.peer(first), ring.peer(first)
    ring.all_see_all()
    with peer.lock:
        peer.deaf_to.add(accuser.address)
    claim(accuser, peer.id, SUSPECT)
    until("the peer hears of it through ours", lambda: count(peer, "refuted") > 0)
    with peer.lock:
        incarnation = peer.swim.me.incarnation
    for ours in (first, second):
        until(
            "the refutation is believed",
            lambda: ours.health(peer.id) == "alive" and ours.incarnation(peer.id) >= incarnation,
        )


def suspected_ours_refutes(ring: Ring) -> None:
    first = ring.ours()
    second = ring.ours(first)
    accuser, witness = ring.peer(first), ring.peer(first)
    ring.all_see_all()
    before = second.incarnation(second.id)
    claim(accuser, second.id, SUSPECT)
    until("ours raises its incarnation", lambda: second.incarnation(second.id) > before)
    for one in (accuser, witness):
        until(
            "the refutation is believed",
            lambda: is_alive(one, second.id) and one.swim.table[second.id].member.incarnation > before,
        )
    until("by ours, too", lambda: first.health(second.id) == "alive")


def a_false_death_is_checked(ring: Ring) -> None:
    ours = ring.ours()
    peer, liar = ring.peer(ours), ring.peer(ours)
    ring.all_see_all()
    before = count(peer, "received PROBEPING")
    claim(liar, peer.id, CONFIRMED)
    until("ours asks the peer itself", lambda: count(peer, "received PROBEPING") > before)
    until("the peer lives for ours", lambda: ours.health(peer.id) == "alive" and ours.incarnation(peer.id) > 0)
    ring.all_see_all()


def a_sealed_ring(ring: Ring) -> None:
    ring.peer()
    seal(ring)
    ours = ring.ours()
    ring.ours(ours)
    peer = ring.peer(ours)
    outsider = ring.peers.pop(0)
    try:
        outsider.join(ours.swim)
        ring.all_see_all()
        before = count(outsider, "received ACK")
        until("sealed members probe each other", lambda: count(peer, "probes answered") > 2)
        assert (before, count(outsider, "received ACK")) == (0, 0), "an outsider was answered"
        assert not ours.row(outsider.id), "an outsider was taken in"
        assert not outsider.violations, "an outsider was told something"
    finally:
        outsider.stop()
    with peer.lock:
        peer.swim.leave()
    until("who left is Departed", lambda: ours.health(peer.id) == "departed")


def seal(ring: Ring) -> None:
    """Makes a ring key by the program; who is started from now on has it."""
    command = [str(ring.binary), "ring-key", "generate", "interop", "--dir", str(ring.directory)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = ring.directory.glob("interop-*.sym.key")
    version, name, empty, key = file.read_text(encoding="ascii").split("\n")
    assert (version, f"{name}.sym.key", empty) == ("SYM-SEC-1", file.name, "")
    assert file.stat().st_mode & 0o777 == 0o400, oct(file.stat().st_mode)
    ring.key = b64decode(key, validate=True)
    assert len(ring.key) == 32
    ring.arguments = ["--ring-key", str(file)]


def nonsense_does_no_harm(ring: Ring) -> None:
    ours = ring.ours()
    peer, witness = ring.peer(ours), ring.peer(ours)
    ring.all_see_all()
    with peer.lock:
        for datagram in nonsense(peer):
            peer.send_raw(ours.swim, datagram)
    before = count(witness, "received PING")
    until("ours goes on", lambda: count(witness, "received PING") > before + 20)
    ring.all_see_all()
    ids = {row["id"] for row in ours.members()}
    assert ids == {ours.id, peer.id, witness.id}, f"somebody was made up: {ids}"


def nonsense(peer: Peer) -> list[bytes]:
    """Datagrams that no peer sends."""
    envelope = Envelope()
    dice = random.Random(4)
    with peer.lock:
        me = Member()
        me.CopyFrom(peer.swim.me)
    good = Swim(type=Swim.PING, ping=Ping())
    getattr(good.ping, "from").CopyFrom(me)
    inner = good.SerializeToString()
    wire = envelope.wrap(inner)

    def changed(**fields: object) -> bytes:
        swim = Swim(type=Swim.PING, ping=Ping())
        other = getattr(swim.ping, "from")
        other.CopyFrom(me)
        for name, value in fields.items():
            setattr(other, name, value)
        return envelope.wrap(swim.SerializeToString())

    def told(membership: Membership) -> bytes:
        swim = Swim(type=Swim.ACK, ack=Ack(), membership=[membership])
        getattr(swim.ack, "from").CopyFrom(me)
        return envelope.wrap(swim.SerializePartialToString())

    found = [b"", b"\0", b"\xff" * 1024, b"\x1a" + b"\xff" * 9, dice.randbytes(60_000), envelope.wrap(b"")]
    found += [dice.randbytes(size) for size in (1, 7, 40, 200, 900, 1024)]
    found += [wire[:cut] for cut in range(0, len(wire), 7)]
    # A type that nobody knows, or that does not fit its payload, or is missing.
    found += [envelope.wrap(bytes([8, kind]) + inner[2:]) for kind in (0, 2, 3, 4, 5, 9, 127)]
    found += [envelope.wrap(inner[2:]), envelope.wrap(inner[:2])]
    # An id that is none; ports beyond 65535, or negative; an incarnation that could not be raised.
    found += [changed(id=text) for text in ("", "abc", "A" * 32, "g" * 32, "0" * 31, "0" * 400)]
    found += [changed(id=uuid.uuid4().hex, swim_port=port) for port in (-1, 65536, 2**31 - 1)]
    found += [changed(id=uuid.uuid4().hex, incarnation=2**64 - 1)]
    # Memberships without an address, or none that parses.
    found += [told(stranger(address=address)) for address in ("", "nowhere", "127.0.0.1:9", "999.1.1.1", "\0")]
    found += [told(Membership(health=ALIVE)), told(Membership())]
    for _ in range(300):
        spoiled = bytearray(wire)
        # Not in the id or the ports: they would make up members.
        spoiled[dice.choice([*range(10), *range(len(wire) - 8, len(wire))])] = dice.randrange(256)
        found.append(bytes(spoiled))
    return found


ALL: list[Scenario] = [
    a_peer_joins_a_ring_of_ours,
    ours_joins_through_a_peer,
    rings_of_both_sides_become_one,
    datagrams_stay_small_in_a_crowd,
    ours_probes_through_a_peer,
    a_peer_probes_through_ours,
    a_ping_req_for_whom_ours_does_not_know_is_harmless,
    a_probe_ping_has_ours_raise_its_incarnation,
    a_peer_falls_silent_and_comes_back,
    ours_dies,
    a_peer_leaves,
    ours_leaves,
    a_suspected_peer_refutes,
    suspected_ours_refutes,
    a_false_death_is_checked,
    a_sealed_ring,
    nonsense_does_no_harm,
]
