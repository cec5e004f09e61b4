"""What a scenario is given: members of both sides, ended and judged when it is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ours import Ours, until
from peer import Peer
from swim import ALIVE


class Ring:
    """The members of one scenario."""

    def __init__(self, binary: Path) -> None:
        self.binary = binary
        self.all_ours: list[Ours] = []
        self.peers: list[Peer] = []
        self.key: bytes | None = None
        self.temporary = TemporaryDirectory(prefix="butterfly-interop-")
        self.directory = Path(self.temporary.name)
        self.arguments: list[str] = []

    def ours(self, *joins: Ours | Peer, gossip: bool = False, timing: str = "local") -> Ours:
        """Starts a member of ours that joins through these."""
        arguments = list(self.arguments)
        for other in joins:
            host, port = other.swim if isinstance(other, Ours) else other.address
            arguments += ["--peer", f"{host}:{port}"]
        self.all_ours.append(Ours(self.binary, *arguments, gossip=gossip, timing=timing))
        return self.all_ours[-1]

    def peer(self, *joins: Ours | Peer, id: str | None = None, incarnation: int = 0) -> Peer:
        """Starts a peer that joins through these."""
        peer = Peer(self.key, id=id, incarnation=incarnation)
        self.peers.append(peer)
        peer.join(*(other.swim if isinstance(other, Ours) else other.address for other in joins))
        return peer

    def all_see_all(self) -> None:
        """Waits until everybody holds everybody for Alive."""
        ids = {member.id for member in [*self.all_ours, *self.peers]}
        for ours in self.all_ours:
            until(
                "a member of ours sees all Alive",
                lambda: ids <= {row["id"] for row in ours.members() if row["health"] == "alive"},
            )
        for peer in self.peers:
            until("a peer sees all Alive", lambda: ids <= {peer.id, *alive(peer)})

    def faults(self) -> list[str]:
        """What ours did to break the contract, or to itself."""
        faults = [fault for ours in self.all_ours for fault in ours.faults()]
        for peer in self.peers:
            with peer.lock:
                seen = dict.fromkeys(peer.violations)
            faults += [f"the contract is broken: {violation}" for violation in list(seen)[:10]]
            if not peer.thread.is_alive() and not peer.stopping:
                faults.append("a peer broke down: its trace is on standard error")
        return faults

    def logs(self) -> list[str]:
        """What ours said."""
        return [f"log of {ours.id}:\n{ours.said()}" for ours in self.all_ours]

    def close(self) -> None:
        """Ends everybody."""
        for ours in self.all_ours:
            ours.kill()
        for peer in self.peers:
            peer.stop()
        self.temporary.cleanup()


Scenario = Callable[[Ring], None]


def alive(peer: Peer) -> list[str]:
    """Whom a peer holds for Alive."""
    with peer.lock:
        return peer.swim.alive()


def health(peer: Peer, member: str) -> int | None:
    """What a peer holds of a member."""
    with peer.lock:
        return peer.swim.health(member)


def is_alive(peer: Peer, member: str) -> bool:
    return health(peer, member) == ALIVE
