"""A member as the original is: a UDP socket, a PULL socket, and a PUSH socket to each that it tells."""

from __future__ import annotations

import select
import socket
import threading
import time
import uuid
from collections import Counter

import zmq
from contract import PAYLOAD_OF_RUMOR, PAYLOAD_OF_SWIM, Envelope, Unreadable
from contract import faults_of_datagram, faults_of_rumor, payload, read, sender
from gossip import Gossip, RumorStore
from newscast_pb2 import Rumor
from swim import Address, Heat, SwimPeer, Timing
from swim_pb2 import Member, Swim

# Milliseconds that it sleeps at most.
TURN = 20


def pull_socket() -> zmq.Socket[bytes]:
    """A PULL socket that is nowhere yet."""
    pull: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    pull.linger = 0
    return pull


class Peer:
    """Runs in its own thread; whoever looks at it or steers it holds its `lock`."""

    def __init__(self, key: bytes | None = None, timing: Timing = Timing(), id: str | None = None, incarnation: int = 0) -> None:
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.lock = threading.RLock()
        self.envelope = Envelope(key)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self.pull: zmq.Socket[bytes] | None = pull_socket()
        gossip_port = self.pull.bind_to_random_port("tcp://127.0.0.1")
        self.pushes: dict[Address, zmq.Socket[bytes]] = {}
        member = Member(id=id or uuid.uuid4().hex, incarnation=incarnation, address="", swim_port=self.address[1])
        member.gossip_port, member.persistent, member.departed, member.probe_ping = gossip_port, False, False, False
        self.heat = Heat()
        self.swim = SwimPeer(member, timing, self.heat, self.send)
        self.store = RumorStore(self.swim, self.heat)
        self.gossip = Gossip(self.store, self.push)
        self.heat.start((Rumor.MEMBER, "", member.id))
        # What a test does to it: says and hears nothing; nobody can push to it; hears nothing from there.
        self.silent = False
        self.hears_gossip = True
        self.deaf_to: set[Address] = set()
        # What a test asks it: what came, how often, and what was wrong with it.
        self.pulled: Counter[str] = Counter()
        self.pulled_members: set[str] = set()
        self.dropped = 0
        self.largest = 0
        self.violations: list[str] = []
        self.stopping = False
        self.thread.start()

    @property
    def address(self) -> Address:
        """Where its SWIM messages come from and go to."""
        return self.udp.getsockname()

    @property
    def id(self) -> str:
        return self.swim.me.id

    def join(self, *addresses: Address) -> None:
        """Asks these for their ring."""
        with self.lock:
            self.swim.initial.extend(addresses)
            for address in addresses:
                self.swim.ping(address, None)

    def stop(self) -> None:
        """Ends it without a word, and closes its sockets."""
        self.stopping = True
        self.thread.join()
        for push in self.pushes.values():
            push.close(linger=0)
        if self.pull:
            self.pull.close()
        self.udp.close()

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.udp, select.POLLIN)
        poller.register(self.pull, zmq.POLLIN)
        while not self.stopping:
            poller.poll(TURN)
            with self.lock:
                self.open_or_close(poller)
                self.turn(time.monotonic())

    def open_or_close(self, poller: zmq.Poller) -> None:
        """Has a PULL socket, or none, as it should."""
        if self.pull and not self.hears_gossip:
            poller.unregister(self.pull)
            self.pull.close()
            self.pull = None
        elif self.hears_gossip and not self.pull:
            pull = pull_socket()
            try:
                pull.bind(f"tcp://127.0.0.1:{self.swim.me.gossip_port}")
            except zmq.ZMQError:
                # The old one is not quite gone yet.
                pull.close()
                return
            self.pull = pull
            poller.register(pull, zmq.POLLIN)

    def turn(self, now: float) -> None:
        """Takes in what came, then does what is due."""
        while (datagram := self.next_datagram()) is not None:
            self.receive(*datagram, now)
        while (frames := self.next_frames()) is not None:
            self.pull_in(frames)
        if not (self.silent or self.swim.me.departed):
            self.swim.tick(now)
            self.gossip.tick(now)

    def next_datagram(self) -> tuple[bytes, Address] | None:
        try:
            return self.udp.recvfrom(1 << 16)
        except (BlockingIOError, ConnectionError):
            return None

    def next_frames(self) -> list[bytes] | None:
        if self.pull is None:
            return None
        try:
            return self.pull.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Judges a datagram and takes it in."""
        if self.silent or source in self.deaf_to or self.swim.me.departed:
            return
        try:
            swim = read(Swim, self.envelope.open(data))
            faults = list(faults_of_datagram(data, swim, self.envelope.box is not None))
            self.largest = max(self.largest, len(data))
            what = f"{Swim.Type.Name(swim.type)} from {sender(payload(swim, PAYLOAD_OF_SWIM)).id}"
            self.violations += [f"{what}: {fault}" for fault in faults]
            swim.DiscardUnknownFields()
            self.swim.receive(swim, source, now)
        except Unreadable as error:
            self.violations.append(f"a datagram that cannot be read: {error}")

    def pull_in(self, frames: list[bytes]) -> None:
        """Judges a ZeroMQ message and takes in its rumor."""
        if self.silent or self.swim.me.departed:
            return
        if len(frames) != 1:
            self.violations.append(f"a rumor in {len(frames)} frames")
            return
        try:
            inner = self.envelope.open(frames[0])
            rumor = read(Rumor, inner)
            faults = list(faults_of_rumor(frames[0], inner, rumor, self.envelope.box is not None))
            payload(rumor, PAYLOAD_OF_RUMOR)
        except Unreadable as error:
            self.violations.append(f"a rumor that cannot be read: {error}")
            return
        self.violations += [f"{Rumor.Type.Name(rumor.type)} rumor: {fault}" for fault in faults]
        self.pulled[Rumor.Type.Name(rumor.type)] += 1
        if rumor.type == Rumor.MEMBER:
            self.pulled_members.add(rumor.member.member.id)
        rumor.DiscardUnknownFields()
        if rumor.from_id not in self.swim.blocked:
            self.store.insert(rumor)

    def send(self, to: Address, swim: Swim) -> None:
        """Sends a datagram."""
        self.send_raw(to, self.envelope.wrap(swim.SerializeToString()))

    def send_raw(self, to: Address, data: bytes) -> None:
        """Sends these bytes."""
        if not self.silent:
            try:
                self.udp.sendto(data, to)
            except OSError:
                # As if it were lost.
                self.dropped += 1

    def push(self, to: Address, rumor: Rumor) -> None:
        """Pushes a rumor."""
        self.push_raw(to, [self.envelope.wrap(rumor.SerializeToString())])

    def push_raw(self, to: Address, frames: list[bytes]) -> None:
        """Pushes these frames as one message."""
        if to not in self.pushes:
            self.pushes[to] = zmq.Context.instance().socket(zmq.PUSH)
            self.pushes[to].connect("tcp://{}:{}".format(*to))
        try:
            self.pushes[to].send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1
