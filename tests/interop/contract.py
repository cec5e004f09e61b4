"""The wire contract, read strictly: the envelope, and what is wrong with a message. docs/PROTOCOL.md §1-§3."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

import common_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from newscast_pb2 import Rumor
from swim_pb2 import Member, Swim

MAX_DATAGRAM = 1024
MAX_ORDINARY = 512
ID = re.compile(r"[0-9a-f]{32}")
GROUP = re.compile(r"(?:[^#@.]+\.[^#@.]+#)?([^#@.]+\.[^#@.]+(?:@[^#@.]+)?)")
PAYLOAD_OF_SWIM = {Swim.PING: "ping", Swim.ACK: "ack", Swim.PINGREQ: "pingreq", Swim.PROBEPING: "probeping"}
PAYLOAD_OF_RUMOR = {
    Rumor.MEMBER: "member",
    Rumor.SERVICE: "service",
    Rumor.SERVICE_CONFIG: "service_config",
    Rumor.SERVICE_FILE: "service_file",
    Rumor.ELECTION: "election",
    Rumor.ELECTION_UPDATE: "election",
    Rumor.DEPARTURE: "departure",
}
NEEDED = {
    "Ping": ("from",),
    "Ack": ("from",),
    "PingReq": ("from", "target"),
    "ProbePing": ("from",),
    "Membership": ("member",),
    "Service": ("sys",),
}
# What a receiver fills in with just what is left out: brief answers to sources that are yet to prove their address.
FILLED_IN = {"Member": ("incarnation", "address", "persistent", "departed", "probe_ping")}


class Unreadable(Exception):
    """Bytes that a peer drops."""


class Envelope:
    """Wraps payloads and opens them, sealed if there is a ring key."""

    def __init__(self, key: bytes | None = None) -> None:
        self.box = SecretBox(key) if key else None

    def wrap(self, payload: bytes) -> bytes:
        """The bytes of a Wire with this payload."""
        if not self.box:
            return common_pb2.Wire(encrypted=False, payload=payload).SerializeToString()
        sealed = self.box.encrypt(payload)
        return common_pb2.Wire(encrypted=True, nonce=sealed.nonce, payload=sealed.ciphertext).SerializeToString()

    def open(self, data: bytes) -> bytes:
        """The payload in these bytes."""
        wire = read(common_pb2.Wire, data)
        if not wire.HasField("payload"):
            raise Unreadable("a Wire without payload")
        if not self.box:
            return wire.payload
        try:
            return self.box.decrypt(wire.payload, wire.nonce)
        except (CryptoError, ValueError) as error:
            raise Unreadable(f"it does not open: {error}") from error


def read(kind: type[Message], data: bytes) -> Message:
    """The message in these bytes."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Unreadable(f"no {kind.DESCRIPTOR.name}: {error}") from error
    if not message.IsInitialized():
        raise Unreadable(f"a {kind.DESCRIPTOR.name} without what is required")
    return message


def sender(message: Message) -> Member:
    """The `from` of a Ping, Ack, PingReq or ProbePing, which is no word in Python."""
    return getattr(message, "from")


def payload(message: Swim | Rumor, names: dict[int, str]) -> Message:
    """The payload that belongs to the message's type."""
    name = names.get(message.type)
    if name is None or not message.HasField(name):
        raise Unreadable(f"type {message.type} with the payload {message.WhichOneof('payload')}")
    return getattr(message, name)


def group_of(text: str) -> str | None:
    """The service group without its old prefix; None: it is none."""
    match = GROUP.fullmatch(text)
    return match and match[1]


def faults_of_datagram(data: bytes, swim: Swim, sealed: bool) -> Iterator[str]:
    """What a datagram does that no peer would."""
    yield from faults_of_wire(data, sealed)
    body = payload(swim, PAYLOAD_OF_SWIM)
    limit = MAX_DATAGRAM if swim.type == Swim.ACK else MAX_ORDINARY
    if len(data) > limit:
        yield f"a datagram of {len(data)} bytes, the limit is {limit}"
    yield from faults_of_message(swim)
    yield from faults_of_member(sender(body), may_lack_address=True)
    for name in ("forward_to", "target"):
        if name in body.DESCRIPTOR.fields_by_name and body.HasField(name):
            other = getattr(body, name)
            # Who asks for itself gets the Ack without a relay that would fill in its address.
            yield from faults_of_member(other, may_lack_address=other.id == sender(body).id)
    if sender(body).probe_ping != (swim.type == Swim.PROBEPING):
        yield "probe_ping belongs into a ProbePing, and only there"
    for membership in swim.membership:
        yield from faults_of_member(membership.member, may_lack_address=False)


def faults_of_rumor(data: bytes, wire_payload: bytes, rumor: Rumor, sealed: bool) -> Iterator[str]:
    """What a rumor does that no peer would."""
    yield from faults_of_wire(data, sealed)
    if rumor.type not in PAYLOAD_OF_RUMOR:
        yield f"a rumor of type {rumor.type}"
        return
    body = payload(rumor, PAYLOAD_OF_RUMOR)
    yield from faults_of_message(rumor)
    if rumor.tag:
        yield "tags"
    if rumor.type == Rumor.MEMBER:
        yield from faults_of_member(body.member, may_lack_address=False)
    elif rumor.type != Rumor.DEPARTURE and group_of(body.service_group) != body.service_group:
        yield f"the service group {body.service_group!r}"
    # Who is no member may say some things, too.
    may_be_anybody = rumor.type in (Rumor.SERVICE_CONFIG, Rumor.SERVICE_FILE, Rumor.DEPARTURE)
    if not (ID.fullmatch(rumor.from_id) or (may_be_anybody and rumor.from_id)):
        yield f"from_id {rumor.from_id!r}"
    if rumor.type in (Rumor.SERVICE, Rumor.DEPARTURE, Rumor.ELECTION, Rumor.ELECTION_UPDATE):
        if not ID.fullmatch(body.member_id):
            yield f"member_id {body.member_id!r}"
    if not has_unknown(rumor) and rumor.SerializeToString(deterministic=True) != wire_payload:
        yield "its encoding is not the canonical one"


def faults_of_wire(data: bytes, sealed: bool) -> Iterator[str]:
    wire = read(common_pb2.Wire, data)
    # Who seals nothing writes neither.
    if wire.encrypted != sealed or len(wire.nonce) != (24 if sealed else 0):
        yield f"encrypted={wire.encrypted} and a nonce of {len(wire.nonce)} bytes"


def faults_of_message(message: Message) -> Iterator[str]:
    """Scalars that are not explicit, what is missing, and numbers that are nobody's, at any depth."""
    name = message.DESCRIPTOR.name
    for unknown in UnknownFieldSet(message):
        if unknown.field_number < 100:
            yield f"{name} has a field {unknown.field_number}, or a value of it, that nobody knows"
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            if not field.is_repeated and not message.HasField(field.name) and field.name not in FILLED_IN.get(name, ()):
                yield f"{name}.{field.name} is not explicit"
        elif field.is_repeated:
            for part in getattr(message, field.name):
                yield from faults_of_message(part)
        elif message.HasField(field.name):
            yield from faults_of_message(getattr(message, field.name))
        elif field.name in NEEDED.get(name, ()):
            yield f"{name} lacks {field.name}"


def has_unknown(message: Message) -> bool:
    """Whether it has fields that the contract does not know, at any depth."""
    bare = type(message)()
    bare.CopyFrom(message)
    bare.DiscardUnknownFields()
    return bare.ByteSize() != message.ByteSize()


def faults_of_member(member: Member, may_lack_address: bool) -> Iterator[str]:
    if not ID.fullmatch(member.id):
        yield f"the id {member.id!r}"
    if member.incarnation >= 2**63:
        yield f"the incarnation {member.incarnation}"
    for port in (member.swim_port, member.gossip_port):
        if not 0 <= port <= 65535:
            yield f"the port {port}"
    if not (may_lack_address and member.address == "") and not is_ip(member.address):
        yield f"the address {member.address!r} of {member.id}"


def is_ip(text: str) -> bool:
    """Whether it is an address that a peer's failure detector survives: IPv4."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
