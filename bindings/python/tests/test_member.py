"""Rings of members in Python, and with one in Rust: BUTTERFLY names the program."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import butterfly
import pytest

PATIENCE = 30.0
GROUP = "redis.default"
T = TypeVar("T")


def local(**more: object) -> butterfly.Member:
    return butterfly.Member("127.0.0.1:0", timing="local", **more)  # type: ignore[arg-type]


async def soon(what: Awaitable[T]) -> T:
    return await asyncio.wait_for(what, PATIENCE)


async def first(member: butterfly.Member, kind: type[butterfly.Event], when=lambda event: True) -> butterfly.Event:  # type: ignore[no-untyped-def]
    async for event in member.events():
        if isinstance(event, kind) and when(event):
            return event
    raise AssertionError("the member was closed")


def test_two_members_meet_and_one_leaves() -> None:
    async def main() -> None:
        async with local(name="one") as one:
            async with local(name="other") as other:
                await other.join(one.local_addr)
                await soon(asyncio.gather(one.alive(2), other.alive(2)))
                names = {member.name: member for member in one.members()}
                assert set(names) == {"one", "other"}
                assert names["other"].health == "alive" and names["one"].is_self
                departs = asyncio.ensure_future(
                    first(one, butterfly.MemberChanged, lambda event: event.health == "departed")
                )
                await asyncio.sleep(0)
                gone = other.id
            event = await soon(departs)
            assert isinstance(event, butterfly.MemberChanged) and event.id == gone
            assert event.before == "alive" and "leaves" in event.cause
            assert one.counts().alive == 1

    asyncio.run(main())


def test_a_name_has_64_bytes_and_a_longer_one_is_cut_with_a_warning() -> None:
    async def main() -> None:
        with pytest.warns(UserWarning, match="has 65 bytes, and the most are 64"):
            member = local(name="x" * 65)
        async with member as one, local(name="y" * 64) as other:
            await other.join(one.local_addr)
            await soon(asyncio.gather(one.alive(2), other.alive(2)))
            assert {it.name for it in one.members()} == {"x" * 64, "y" * 64}

    asyncio.run(main())


def test_who_hears_nobody_any_more_is_told_so() -> None:
    async def main() -> None:
        async with local() as one, local() as other:
            await one.join(other.local_addr)
            await soon(one.alive(2))
            told = asyncio.ensure_future(first(one, butterfly.Isolated))
            await asyncio.sleep(0)
            other.close()
            event = await soon(told)
            assert isinstance(event, butterfly.Isolated) and event.seconds >= 0.1

    asyncio.run(main())


def test_rumors_reach_the_other() -> None:
    async def main() -> None:
        async with local() as one, local() as other:
            await one.join(other.local_addr)
            await soon(one.alive(2))
            seen = asyncio.ensure_future(first(other, butterfly.RumorChanged, lambda event: event.id == "a.txt"))
            await asyncio.sleep(0)
            one.announce(GROUP, "acme/redis/7/1", b"port = 1")
            one.apply_config(GROUP, b"maxmemory = 1")
            one.apply_file(GROUP, "a.txt", b"hello", 7)
            event = await soon(seen)
            assert isinstance(event, butterfly.RumorChanged) and event.key == GROUP and event.is_new
            assert other.file(GROUP, "a.txt") == (b"hello", 7)
            while not other.services(GROUP) or other.config(GROUP) is None:
                await soon(first(other, butterfly.RumorChanged))
            (service,) = other.services()
            assert (service.member, service.health, service.config) == (one.id, "alive", b"port = 1")
            assert other.config(GROUP) == (b"maxmemory = 1", 1)
            assert one.withdraw(GROUP) and not one.withdraw("web.default")
            assert one.services() == []

    asyncio.run(main())


def test_a_seed_is_found_by_its_name() -> None:
    async def main() -> None:
        async with local() as one, local() as other:
            port = one.local_addr.rpartition(":")[2]
            await other.join(f"localhost:{port}")
            await soon(other.alive(2))

    asyncio.run(main())


def test_what_a_member_says_of_itself_is_known_to_the_other() -> None:
    async def main() -> None:
        async with local() as one, local() as other:
            await other.join(one.local_addr)
            told = asyncio.ensure_future(first(one, butterfly.TagsChanged))
            await asyncio.sleep(0)
            other.set_tags({"zone": "eu", "role": ""})
            event = await soon(told)
            assert isinstance(event, butterfly.TagsChanged) and event.id == other.id
            assert one.tags(other.id) == {"role": "", "zone": "eu"}
            assert one.tags(one.id) == {}
            with pytest.raises(ValueError, match="tags"):
                other.set_tags({"": "x"})
            with pytest.raises(ValueError, match="4096 bytes"):
                other.set_tags({"a": "x" * 5000})

    asyncio.run(main())


def test_what_users_say_is_heard_and_what_they_ask_is_answered() -> None:
    async def main() -> None:
        async with local(name="one") as one, local(name="other") as other:
            await other.join(one.local_addr)
            await soon(asyncio.gather(one.alive(2), other.alive(2)))
            told = asyncio.ensure_future(first(one, butterfly.UserEvent))
            await asyncio.sleep(0)
            other.send_event("deploy", b"web")
            event = await soon(told)
            assert isinstance(event, butterfly.UserEvent)
            assert (event.by, event.name, event.payload) == (other.id, "deploy", b"web")

            async def answering() -> None:
                async for asked in one.events():
                    if isinstance(asked, butterfly.Query):
                        one.answer(asked, asked.payload + b"!")

            answers = asyncio.ensure_future(answering())
            await asyncio.sleep(0)
            said = [answer async for answer in other.query("echo", b"hey", members=["one"], timeout=1.0)]
            assert {answer.member for answer in said} == {one.id}
            assert said[-1].payload == b"hey!" and said[-1].error is None
            answers.cancel()
            with pytest.raises(butterfly.RefusedError):
                other.send_event("deploy", b"x" * 100_000)

    asyncio.run(main())


def test_the_dead_are_forgotten_and_the_living_are_not() -> None:
    async def main() -> None:
        async with local(name="one") as one:
            async with local(name="other") as other:
                await other.join(one.local_addr)
                await soon(asyncio.gather(one.alive(2), other.alive(2)))
                gone = other.id
                with pytest.raises(butterfly.RefusedError):
                    one.forget(gone)
                departs = asyncio.ensure_future(
                    first(one, butterfly.MemberChanged, lambda event: event.health == "departed")
                )
                await asyncio.sleep(0)
            await soon(departs)
            told = asyncio.ensure_future(first(one, butterfly.MemberForgotten))
            await asyncio.sleep(0)
            one.forget(gone)
            assert await soon(told) == butterfly.MemberForgotten(id=gone, name="other")
            assert [member.name for member in one.members()] == ["one"]

    asyncio.run(main())


def test_a_peer_is_asked_no_more() -> None:
    async def main() -> None:
        async with local() as one:
            for peer in ("127.0.0.1:1", "nowhere.invalid:1"):
                await one.join(peer)
                await one.join(peer)
                assert one.unjoin(peer) and not one.unjoin(peer)

    asyncio.run(main())


def test_a_group_elects() -> None:
    async def main() -> None:
        async with local() as one, local() as two, local() as three:
            members = [one, two, three]
            for member in members[1:]:
                await member.join(one.local_addr)
            await soon(asyncio.gather(*(member.alive(3) for member in members)))
            elected = [asyncio.ensure_future(first(member, butterfly.LeaderElected)) for member in members]
            await asyncio.sleep(0)
            for fitness, member in enumerate(members):
                member.announce(GROUP, "acme/redis/7/1")
                member.start_election(GROUP, fitness)
            await soon(asyncio.gather(*elected))
            leaders = {member.leader(GROUP) for member in members}
            while len(leaders) != 1 or None in leaders:
                await soon(first(one, butterfly.Event))
                leaders = {member.leader(GROUP) for member in members}
            assert leaders <= {member.id for member in members}

    asyncio.run(main())


def test_a_member_that_is_started_again_leaves_again() -> None:
    async def main() -> None:
        member = local()
        async with local() as other:
            for _ in range(2):
                async with member:
                    await member.join(other.local_addr)
                    await soon(asyncio.gather(member.alive(2), other.alive(2)))
                    seen, gone = other.events(), member.id
                async for event in seen:
                    if isinstance(event, butterfly.MemberChanged) and event.id == gone and event.health != "alive":
                        assert event.health == "departed"
                        break

    asyncio.run(main())


def test_a_name_that_no_resolver_takes_is_one_that_was_not_found() -> None:
    async def main() -> None:
        async with local() as member:
            await member.join("a..b:1")
            await asyncio.sleep(0)
            while member._resolving:
                await asyncio.sleep(0.01)

    asyncio.run(main(), debug=True)


def test_it_keeps_its_id_in_its_data_directory(tmp_path: Path) -> None:
    async def once() -> str:
        async with local(data_dir=tmp_path) as member:
            with pytest.raises(butterfly.StartError, match="in use"):
                local(data_dir=tmp_path).start()
            return member.id

    assert asyncio.run(once()) == asyncio.run(once())


def test_what_is_wrong_is_said() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match='listen: "here": invalid socket address'):
            butterfly.Member("here").start()
        with pytest.raises(ValueError, match='timing: "fast" is none of lan, wan, habitat, local'):
            butterfly.Member("127.0.0.1:0", timing="fast").start()
        with pytest.raises(butterfly.StartError, match="192.0.2.1"):
            butterfly.Member("192.0.2.1:9638").start()
        async with local() as member:
            with pytest.raises(ValueError, match="HOST:PORT"):
                await member.join("nowhere")
            with pytest.raises(ValueError, match="group"):
                member.announce("redis", "acme/redis/7/1")
            with pytest.raises(butterfly.RefusedError):
                member.block(member.id)
            with pytest.raises(butterfly.Error, match="thread"):
                await asyncio.to_thread(member.counts)
            with pytest.raises(ValueError, match="not the text of a ring key file"):
                member.set_ring_keys(["ring.sym.key"])
            with pytest.raises(TypeError, match="a list"):
                member.set_ring_keys("SYM-SEC-1")
            waits = asyncio.ensure_future(member.alive(2))
            await asyncio.sleep(0)
            member.close()
            with pytest.raises(butterfly.ClosedError):
                await soon(waits)
        with pytest.raises(butterfly.ClosedError):
            member.members()
        with pytest.raises(butterfly.ClosedError):
            await local().leave()
        member.close()

    asyncio.run(main())


def test_an_iterator_that_is_not_read_tells_what_it_missed() -> None:
    async def main() -> None:
        events = butterfly.Events()
        for number in range(10_005):
            events._give(butterfly.Lagged(float(number)))
        assert await soon(events.__anext__()) == butterfly.Missed(5)
        assert await soon(events.__anext__()) == butterfly.Lagged(5.0)
        async with local() as member:
            kept, given_up = member.events(), member.events()
            # One that is given up takes no room.
            del given_up
            assert list(member._readers) == [kept]

    asyncio.run(main())


def test_the_callers_loop_is_not_held_up() -> None:
    """A loop that serves a member and does something else is on time for both."""

    async def main() -> None:
        async with local() as one, local() as other:
            await one.join(other.local_addr)
            await soon(one.alive(2))
            loop, late = asyncio.get_running_loop(), []
            for _ in range(50):
                due = loop.time() + 0.01
                await asyncio.sleep(0.01)
                late.append(loop.time() - due)
            assert sorted(late)[25] < 0.01

    asyncio.run(main())


@contextmanager
def in_rust() -> Iterator[str]:
    program = os.environ.get("BUTTERFLY")
    if not program:
        pytest.skip("BUTTERFLY names no program")
    words = [program, "run", "--listen", "127.0.0.1:0", "--http", "none", "--timing", "local"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(line.split()[1] for line in process.stdout if line.startswith("swim "))
        finally:
            process.terminate()


def test_a_ring_with_a_member_in_rust() -> None:
    async def main(addr: str) -> None:
        async with local(name="snake") as one, local() as other:
            await one.join(addr)
            await other.join(addr)
            await soon(asyncio.gather(one.alive(3), other.alive(3)))
            one.apply_config(GROUP, b"a = 1")
            while other.config(GROUP) is None:
                await soon(first(other, butterfly.RumorChanged))

    with in_rust() as addr:
        asyncio.run(main(addr))
