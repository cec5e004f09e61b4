"""Members as processes on test hosts, with faults and work at the same time. In the end all must agree."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hosts import Network
from member import FAKETIME, Failed, Member

GROUP = "redis.default"
# All agree within that many seconds after the last fault.
HEALING = 60.0


class Ring:
    def __init__(self, binary: Path, size: int, dice: random.Random, directory: Path) -> None:
        self.dice = dice
        self.network = Network(size)
        self.members: list[Member] = []
        self.version = 0
        self.refused = 0
        made = subprocess.run(
            [str(binary), "ring-key", "generate", "chaos", "--dir", str(directory)], capture_output=True, text=True, check=True
        )
        peers = [f"--peer=10.77.0.{number}:9638" for number in (1, 2, 3)]
        arguments = [*peers, "--ring-key", made.stdout.strip(), "--timing", "lan"]
        for host in self.network.hosts:
            self.members.append(Member(binary, host, directory, arguments))

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.network.close()

    def one(self) -> Member:
        return self.dice.choice(self.members)

    # Faults: what is done, how long it lasts, and what ends it.

    def fault(self) -> tuple[str, float, Callable[[], None]]:
        kinds = [self.frozen, self.killed, self.left, self.parted, self.deaf, self.lossy, self.full]
        if FAKETIME:
            kinds.append(self.jumped)
        return self.dice.choice(kinds)()

    def frozen(self) -> tuple[str, float, Callable[[], None]]:
        member = self.one()
        member.freeze(True)
        return f"{member.name} stands still", self.dice.uniform(1, 10), lambda: member.freeze(False)

    def killed(self) -> tuple[str, float, Callable[[], None]]:
        member = self.one()
        member.kill()
        return f"{member.name} is killed", self.dice.uniform(0, 10), lambda: self.started(member)

    def left(self) -> tuple[str, float, Callable[[], None]]:
        member = self.one()
        if not member.is_frozen:
            member.leave()
        return f"{member.name} leaves", self.dice.uniform(0, 5), lambda: self.started(member)

    def parted(self) -> tuple[str, float, Callable[[], None]]:
        one_side = self.dice.sample(self.members, self.dice.randrange(1, len(self.members)))
        for member in self.members:
            others = [other.host.address for other in self.members if (other in one_side) != (member in one_side)]
            member.host.filter(f"ip saddr {{ {', '.join(others)} }} drop")
        names = ", ".join(sorted(member.name.removeprefix("member-") for member in one_side))
        return f"the network is cut, {names} on one side", self.dice.uniform(2, 20), self.mend

    def deaf(self) -> tuple[str, float, Callable[[], None]]:
        member = self.one()
        member.host.filter("meta l4proto udp drop")
        return f"{member.name} hears no UDP", self.dice.uniform(2, 20), member.host.filter

    def lossy(self) -> tuple[str, float, Callable[[], None]]:
        share = self.dice.choice([5, 15, 30, 50])
        for member in self.members:
            member.host.filter(f"meta l4proto udp numgen random mod 100 < {share} drop")
        return f"{share} % of all datagrams are lost", self.dice.uniform(2, 20), self.mend

    def full(self) -> tuple[str, float, Callable[[], None]]:
        member = self.one()
        member.fill_disk()
        return f"the disk of {member.name} is full", self.dice.uniform(2, 15), member.empty_disk

    def jumped(self) -> tuple[str, float, Callable[[], None]]:
        member, seconds = self.one(), self.dice.choice([-86400, -3600, -60, 60, 3600, 86400])
        member.turn_clock(seconds)
        return f"the clock of {member.name} jumps by {seconds} s", self.dice.uniform(2, 15), lambda: member.turn_clock(0)

    def started(self, member: Member) -> None:
        if not member.runs:
            member.start()

    def mend(self) -> None:
        for member in self.members:
            member.host.filter()

    # Work that goes on meanwhile.

    def work(self) -> None:
        member = self.one()
        if not member.runs or member.is_frozen:
            return
        self.version += 1
        version, text = str(self.version), f"number = {self.version}\n".encode()
        task: list[list[str]] = [
            ["config", "apply", GROUP, version, "-"],
            ["file", "upload", GROUP, version, str(self.file(text))],
            ["service", "add", GROUP, "--pkg", f"core/redis/1/{self.version}"],
            ["election", "start", GROUP],
        ]
        if member.ask(*self.dice.choice(task), stdin=text) is not None:
            self.refused += 1

    def file(self, text: bytes) -> Path:
        path = self.members[0].log.parent / f"file-{self.version % 10}"
        path.write_bytes(text * 100)
        return path

    # Agreement.

    def heal(self) -> None:
        self.mend()
        for member in self.members:
            member.empty_disk()
            member.turn_clock(0)
            if member.is_frozen:
                member.freeze(False)
            self.started(member)

    def views(self) -> Iterator[tuple[str, Any]]:
        """What each member sees: all must see the same, everybody alive and one leader."""
        for member in self.members:
            try:
                status, rumors = member.get("/v1/status"), member.get("/v1/rumors")
            except (OSError, ValueError) as error:
                yield member.name, f"its gateway: {error}"
                continue
            leaders = [
                (row["candidate"], row["term"]) for row in rumors if row["kind"] == "election" and row["status"] == "finished"
            ]
            yield member.name, (status["members"]["alive"], status["rumors"]["count"], status["rumors"]["checksum"], leaders)

    def agree(self) -> bool:
        views = [view for _, view in self.views()]
        first = views[0]
        return all(view == first for view in views) and first[0] == len(self.members) and len(first[3]) == 1

    def faults(self) -> list[str]:
        faults = [end for member in self.members if (end := member.unexpected_end())]
        faults += [f"{member.name} panicked: {member.said()}" for member in self.members if "panicked" in member.said()]
        return faults

    def until_all_agree(self, patience: float) -> float:
        begin = time.monotonic()
        while not self.agree():
            if time.monotonic() - begin > patience:
                views = "\n".join(f"  {name}: {view}" for name, view in self.views())
                raise Failed(f"they do not agree within {patience:.0f} s (alive, rumors, checksum, leaders):\n{views}")
            if faults := self.faults():
                raise Failed("\n".join(faults))
            time.sleep(0.2)
        return time.monotonic() - begin


def torment(ring: Ring, seconds: float, at_once: int) -> int:
    """Faults, up to so many at a time, and work, for so long."""
    begin, count = time.monotonic(), 0
    under_way: list[tuple[float, Callable[[], None]]] = []
    next_fault = 0.0
    while (now := time.monotonic() - begin) < seconds:
        for entry in [entry for entry in under_way if entry[0] <= now]:
            under_way.remove(entry)
            entry[1]()
        if now >= next_fault and len(under_way) < at_once:
            what, lasting, end = ring.fault()
            print(f"{now:7.1f} s  {what}, for {lasting:.1f} s", flush=True)
            under_way.append((now + lasting, end))
            next_fault = now + ring.dice.uniform(0.5, 6)
            count += 1
        ring.work()
        if faults := ring.faults():
            raise Failed("\n".join(faults))
        time.sleep(0.1)
    return count


def run(ring: Ring, seconds: float) -> None:
    for member in ring.members:
        member.start()
    deadline = time.monotonic() + 30
    while not all(isinstance(view, tuple) and view[0] == len(ring.members) for _, view in ring.views()):
        if time.monotonic() > deadline:
            raise Failed("the ring does not form")
        time.sleep(0.2)
    for member in ring.members:
        if wrong := member.ask("service", "add", GROUP, "--pkg", "core/redis/1/0"):
            raise Failed(wrong)
    if wrong := ring.members[0].ask("election", "start", GROUP):
        raise Failed(wrong)
    ring.until_all_agree(30)
    worst, total, begin = 0.0, 0, time.monotonic()
    # In rounds of a minute or two, each of which ends in agreement.
    while (left := seconds - (time.monotonic() - begin)) > 5:
        total += torment(ring, min(left, ring.dice.uniform(20, 90)), at_once=3)
        ring.heal()
        took = ring.until_all_agree(HEALING)
        worst = max(worst, took)
        print(f"{time.monotonic() - begin:7.1f} s  all agree, {took:.1f} s after the last fault", flush=True)
    print(
        f"chaos: all agree: {len(ring.members)} members, {total} faults, {ring.version} commands ({ring.refused} refused), "
        f"healed within {worst:.1f} s each time"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="the program to test")
    parser.add_argument("--seconds", type=float, default=600, help="how long there are faults (600)")
    parser.add_argument("--short", action="store_true", help="under a minute")
    parser.add_argument("--members", type=int, default=7, help="how many (7)")
    parser.add_argument("--seed", type=int, default=None, help="of the faults, as an earlier run printed it")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"chaos: there is no program {args.binary}: build it, or run tests/chaos/run")
    seed = random.SystemRandom().randrange(1 << 32) if args.seed is None else args.seed
    print(f"chaos: seed {seed}" + ("" if FAKETIME else "; without clock jumps: libfaketime is not installed"), flush=True)
    with tempfile.TemporaryDirectory(prefix="butterfly-chaos-") as directory:
        ring = Ring(args.binary.resolve(), args.members, random.Random(seed), Path(directory))
        try:
            run(ring, 25 if args.short else args.seconds)
            return 0
        except Failed as failed:
            kept = Path(tempfile.mkdtemp(prefix="butterfly-chaos-logs-"))
            for member in ring.members:
                if member.log.exists():
                    (kept / member.log.name).write_bytes(member.log.read_bytes())
            print(f"chaos: FAILED with seed {seed}: {failed}\nthe members' logs are in {kept}", file=sys.stderr)
            return 1
        finally:
            ring.close()


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "127.0.0.1"
    sys.exit(main())
