"""A member in an asyncio loop."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Optional, Union

from . import _butterfly
from ._butterfly import ClosedError, Error, RefusedError, StartError
from ._events import Answer, Event, Health, Left, Missed, Query, QueryOver, _event

_MOST_EVENTS = 10_000
"""Events that wait for a reader who does not come; then the oldest go."""

_LEAVE_PATIENCE = 10.0

_MOST_NAME = 64
"""Bytes of a member's name."""


class Counts(NamedTuple):
    """How many members there are of each health, this one included."""

    alive: int
    suspect: int
    confirmed: int
    departed: int


@dataclass(frozen=True)
class MemberView:
    """A member as this one sees it."""

    id: str
    name: str
    addr: str
    gossip_port: int
    """0: it does not gossip."""
    health: Health
    incarnation: int
    is_self: bool
    persistent: bool
    rtt: Optional[float]
    """The last direct round trip in seconds; None: never measured."""


@dataclass(frozen=True)
class ServiceView:
    """A service that a member runs."""

    member: str
    health: Optional[Health]
    """How that member fares; None: it is not known here."""
    group: str
    package: str
    ip: str
    hostname: str
    config: bytes
    """What it tells the other services, in TOML."""
    incarnation: int


class Events:
    """What happens, from the moment on at which ``Member.events()`` made it, until the member is closed."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._missed = 0
        self._wakes = asyncio.Event()
        self._ended = False

    def _give(self, event: Event) -> None:
        if len(self._events) >= _MOST_EVENTS:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self._wakes.set()

    def _end(self) -> None:
        self._ended = True
        self._wakes.set()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._missed:
                missed, self._missed = self._missed, 0
                return Missed(missed)
            if self._events:
                return self._events.popleft()
            if self._ended:
                raise StopAsyncIteration
            self._wakes.clear()
            await self._wakes.wait()


class Member:
    """A member of a ring.

    ``listen`` is the UDP address to bind, "IP:PORT"; port 0 lets the system choose. ``ring_keys`` are texts of ring key
    files: the first seals, any opens. ``name`` has at most 64 bytes; a longer one is cut, with a warning. ``timing`` is
    "lan", "wan", "habitat" or "local", the same at all members.
    """

    def __init__(
        self,
        listen: str,
        *,
        advertise: Optional[str] = None,
        name: str = "",
        id: Optional[str] = None,
        ring: Optional[str] = None,
        timing: str = "lan",
        data_dir: Union[str, os.PathLike[str], None] = None,
        ring_keys: Sequence[str] = (),
        gossip: bool = True,
        gossip_port: Optional[int] = None,
        persistent: bool = False,
        store_limit: Optional[int] = None,
    ) -> None:
        length = len(name.encode())
        if length > _MOST_NAME:
            warnings.warn(f"the name {name!r} has {length} bytes, and the most are {_MOST_NAME}: it is cut", stacklevel=2)
        self._listen = listen
        self._config: dict[str, Any] = {
            "advertise": advertise,
            "name": name,
            "id": id,
            "ring": ring,
            "timing": timing,
            "data_dir": data_dir,
            "ring_keys": _keys(ring_keys),
            "gossip": gossip,
            "gossip_port": gossip_port,
            "persistent": persistent,
            "store_limit": store_limit,
        }
        self._native: Optional[_butterfly.Member] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._readers: weakref.WeakSet[Events] = weakref.WeakSet()
        self._names: dict[int, tuple[str, int]] = {}
        self._joined: dict[str, int] = {}
        self._resolving: set[asyncio.Task[None]] = set()
        self._left = False

    async def __aenter__(self) -> Member:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            if self._native is not None and not self._left:
                await asyncio.wait_for(self.leave(), _LEAVE_PATIENCE)
        except asyncio.TimeoutError:
            pass
        finally:
            self.close()

    def start(self) -> None:
        """Binds and takes part, in the running loop. ``async with`` does it.

        Raises ValueError if an argument does not read, and StartError if the member cannot start.
        """
        if self._native is not None:
            raise StartError("the member was started already")
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._native = _butterfly.Member(self._listen, **self._config)
        self._left = False
        self._timer = None
        self._names.clear()
        self._joined.clear()
        self._loop.add_reader(self._native.fileno(), self._process)
        self._schedule()

    def close(self) -> None:
        """Ends the member without leaving the ring, once its data directory has what it is to keep."""
        native, self._native = self._native, None
        if native is None:
            return
        self._loop.remove_reader(native.fileno())
        if self._timer is not None:
            self._timer.cancel()
        for task in self._resolving:
            task.cancel()
        for reader in list(self._readers):
            reader._end()
        native.close()

    def _open(self) -> _butterfly.Member:
        if self._native is not None and threading.get_ident() != self._thread:
            raise Error("a member belongs to the thread that started it: use its loop's call_soon_threadsafe")
        if self._native is None:
            raise ClosedError("the member is not started, or was closed")
        return self._native

    def _process(self) -> None:
        native = self._native
        if native is None:
            return
        try:
            native.process()
            while (told := native.next_event()) is not None:
                self._tell(*told)
            self._schedule()
        except BaseException:
            # Nothing would drive it any more: who waits is told.
            self.close()
            raise

    def _schedule(self) -> None:
        """The deadline is another one after each call."""
        if self._timer is not None:
            self._timer.cancel()
        timeout = self._open().timeout()
        self._timer = None if timeout is None else self._loop.call_later(timeout, self._process)

    def _tell(self, name: str, fields: dict[str, Any]) -> None:
        if name == "SeedDue":
            task = self._loop.create_task(self._resolve(fields["seed"]))
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)
            return
        event = _event(name, fields)
        self._left |= isinstance(event, Left)
        for reader in list(self._readers):
            reader._give(event)

    async def _resolve(self, seed: int) -> None:
        if seed not in self._names:
            return
        host, port = self._names[seed]
        try:
            found = await self._loop.getaddrinfo(host, port)
        except (OSError, UnicodeError):
            found = []
        addrs = {_addr(str(where[0]), int(where[1])) for *_, where in found}
        if self._native is not None and seed in self._names:
            self._native.seed_resolved(seed, sorted(addrs))
            self._schedule()

    def events(self) -> Events:
        """What happens from now on, until the member is closed. Each such iterator has all of it.

        One that is not read keeps the latest 10,000 events, and tells by Missed how many it lost.
        """
        self._open()
        events = Events()
        self._readers.add(events)
        return events

    async def join(self, peer: str) -> None:
        """Asks this peer, "HOST:PORT", for members of the ring, from now on, ever more slowly. It waits for nobody."""
        host, colon, port = peer.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65_535:
            raise ValueError(f"peer: {peer!r} is not HOST:PORT")
        host = host.removeprefix("[").removesuffix("]")
        self.unjoin(peer)  # It is asked anew.
        try:
            ipaddress.ip_address(host)
        except ValueError:
            seed = self._open().join_named()
            self._names[seed] = (host, int(port))
        else:
            seed = self._open().join(_addr(host, int(port)))
        self._joined[peer] = seed
        self._schedule()

    def unjoin(self, peer: str) -> bool:
        """Asks this peer no more, as it was given to ``join``; whether it was asked."""
        seed = self._joined.pop(peer, None)
        if seed is None:
            return False
        self._names.pop(seed, None)
        return self._open().unjoin(seed)

    async def alive(self, count: int) -> None:
        """Waits until so many members are alive, this one included."""
        events = self.events()
        while self.counts().alive < count:
            await _next(events)

    async def leave(self) -> None:
        """Leaves the ring: others are told, and it waits until that is done."""
        events = self.events()
        if self._left:
            return
        self._open().leave()
        self._schedule()
        while not isinstance(await _next(events), Left):
            pass

    @property
    def local_addr(self) -> str:
        """The address that it is bound to."""
        return self._open().local_addr

    @property
    def id(self) -> str:
        """Its id: 32 hexadecimal digits."""
        return self._open().id

    def counts(self) -> Counts:
        """How many members there are of each health."""
        return Counts(*self._open().counts())

    def members(self) -> list[MemberView]:
        """All members that it knows, itself included."""
        return [MemberView(**row) for row in self._open().members()]

    def services(self, group: Optional[str] = None) -> list[ServiceView]:
        """The services that members run, of a group ("redis.default") or of all."""
        return [ServiceView(**row) for row in self._open().services(group)]

    def announce(self, group: str, package: str, config: bytes = b"") -> None:
        """This member runs a service of the group, of a package ("acme/redis/7.2.1/20260101000000")."""
        self._open().announce(group, package, config)
        self._schedule()

    def withdraw(self, group: str) -> bool:
        """This member runs no service of the group any more; whether it did."""
        withdrawn = self._open().withdraw(group)
        self._schedule()
        return withdrawn

    def apply_config(self, group: str, config: bytes, version: Optional[int] = None) -> None:
        """Gives a service group this configuration, in TOML; without a version, in the one after the current."""
        self._open().apply_config(group, config, version)
        self._schedule()

    def remove_config(self, group: str) -> bool:
        """Removes a service group's configuration; whether there was one."""
        removed = self._open().remove_config(group)
        self._schedule()
        return removed

    def config(self, group: str) -> Optional[tuple[bytes, int]]:
        """A service group's configuration and its version."""
        return self._open().config(group)

    def apply_file(self, group: str, filename: str, body: bytes, version: Optional[int] = None) -> None:
        """Gives a service group a file; without a version, in the one after the current."""
        self._open().apply_file(group, filename, body, version)
        self._schedule()

    def remove_file(self, group: str, filename: str) -> bool:
        """Removes a service group's file; whether there was one."""
        removed = self._open().remove_file(group, filename)
        self._schedule()
        return removed

    def file(self, group: str, filename: str) -> Optional[tuple[bytes, int]]:
        """A service group's file and its version."""
        return self._open().file(group, filename)

    def leader(self, group: str) -> Optional[str]:
        """The id of who leads a service group, as far as this member knows."""
        return self._open().leader(group)

    def start_election(self, group: str, suitability: int = 0) -> None:
        """Has a service group elect a leader; the highest suitability leads."""
        self._open().start_election(group, suitability)
        self._schedule()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """This member says this of itself, and nothing else; 4 KiB at most."""
        self._open().set_tags(dict(tags))
        self._schedule()

    def tags(self, id: str) -> dict[str, str]:
        """What a member says of itself; empty if it says nothing or is not known."""
        return self._open().tags(id)

    def send_event(self, name: str, payload: bytes = b"", *, ttl: float = 60.0, coalesce: bool = False) -> None:
        """Tells all living members an event, each once; 64 KiB at most, and to members that start within ``ttl`` seconds.

        ``coalesce``: of several of this name within a second only the last counts.
        """
        self._open().send_event(name, payload, ttl, coalesce)
        self._schedule()

    async def query(
        self,
        name: str,
        payload: bytes = b"",
        *,
        members: Sequence[str] = (),
        tags: Sequence[str] = (),
        timeout: Optional[float] = None,
    ) -> AsyncIterator[Answer]:
        """Asks living members, and yields what they say until the time is over.

        ``members``: patterns of names or beginnings of ids, ``tags``: "KEY" or "KEY=VALUE" that each has; none: all.
        """
        events = self.events()
        number = self._open().query(name, payload, list(members), list(tags), timeout)
        self._schedule()
        async for event in events:
            if isinstance(event, Answer) and event.query == number:
                yield event
            if isinstance(event, QueryOver) and event.query == number:
                return

    def answer(self, query: Query, payload: bytes = b"", *, error: Optional[str] = None) -> None:
        """Answers a question with 400 bytes at most, or says why there is no answer."""
        self._open().answer(query.by, query.query, payload, error)
        self._schedule()

    def forget(self, *ids: str) -> None:
        """Has the ring forget these dead members, with their services and tags. It is no ban; a living one is refused."""
        self._open().forget(list(ids))
        self._schedule()

    def depart(self, id: str) -> None:
        """Has a member depart for good: it stops, and its id is not accepted again."""
        self._open().depart(id)
        self._schedule()

    def block(self, id: str) -> None:
        """Ignores messages from this member from now on."""
        self._open().block(id)

    def unblock(self, id: str) -> bool:
        """Heeds messages from this member again; whether it was blocked."""
        return self._open().unblock(id)

    def set_ring_keys(self, keys: Sequence[str]) -> None:
        """Seals with the first of these keys and opens with any, from now on; none: everything is plain."""
        self._open().set_ring_keys(_keys(keys))


async def _next(events: Events) -> Event:
    try:
        return await events.__anext__()
    except StopAsyncIteration:
        raise ClosedError("the member was closed") from None


def _keys(keys: Sequence[str]) -> list[str]:
    if isinstance(keys, (str, bytes)):
        raise TypeError("ring_keys: give a list of the texts of key files")
    return list(keys)


def _addr(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


__all__ = ["ClosedError", "Counts", "Error", "Events", "Health", "Member", "MemberView", "RefusedError", "ServiceView", "StartError"]
