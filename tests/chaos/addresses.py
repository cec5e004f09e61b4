"""Members whose addresses are not what they seem, on test hosts: one scenario after the other, each must come true."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hosts import Host, Network, command

PATIENCE = 60.0
PORT = 9638
OTHER = "10.77.0.201"
OTHER_V6 = "fd77::201"


class Wrong(Exception):
    pass


class Ring:
    """Members of the program, one a host."""

    def __init__(self, binary: Path, directory: Path, count: int) -> None:
        self.binary, self.directory = binary, directory
        self.network = Network(count)
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def host(self, number: int) -> Host:
        return self.network.hosts[number - 1]

    def start(self, number: int, *arguments: str) -> None:
        words = self.host(number).words(str(self.binary), "run", "--name", f"ad{number}", *arguments)
        log = (self.directory / f"ad{number}.log").open("ab")
        self.running[number] = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)

    def stop(self, number: int) -> None:
        self.running[number].terminate()
        self.running.pop(number).wait(timeout=PATIENCE)

    def ask(self, number: int, *words: str) -> Any:
        done = subprocess.run(self.host(number).words(str(self.binary), *words), capture_output=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise Wrong(f"{' '.join(words)} at ad{number}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def members(self, number: int) -> dict[str, tuple[str, str]]:
        rows = json.loads(self.ask(number, "members", "-o", "json"))
        return {row["name"]: (row["address"], row["health"]) for row in rows}

    def status(self, number: int) -> Any:
        return json.loads(self.ask(number, "status", "-o", "json"))

    def services(self, number: int) -> Any:
        return json.loads(self.ask(number, "service", "list", "-o", "json"))

    def log(self, number: int) -> str:
        return (self.directory / f"ad{number}.log").read_text(errors="replace")

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        self.network.close()


def until(what: str, true: Callable[[], bool], show: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if true():
                return
        except (Wrong, OSError, ValueError, KeyError):
            pass
        if time.monotonic() > end:
            raise Wrong(f"{what}: not within {PATIENCE:.0f} s: {show()}")
        time.sleep(0.2)


def second_address(ring: Ring) -> None:
    """Host 1 has another address, which the others reach."""
    first = ring.host(1)
    command("ip", "-n", first.netns, "addr", "add", f"{OTHER}/24", "dev", "eth0")
    for other in ring.network.hosts[1:]:
        words = ["neigh", "replace", OTHER, "lladdr", Host.ethernet(1), "dev", "eth0", "nud", "permanent"]
        command("ip", "-n", other.netns, *words)


def others(ring: Ring, *arguments: str) -> None:
    for number in (2, 3):
        ring.start(number, "--listen", f"10.77.0.{number}:{PORT}", "--peer", f"10.77.0.2:{PORT}", *arguments)


def split_address(ring: Ring) -> None:
    """It sends from .1 and is reached at .201 only: an address translation, a load balancer, a VPN."""
    second_address(ring)
    here = ring.host(1).address
    ring.host(1).filter(
        "ct state established,related accept", f"ip daddr {here} udp dport {PORT} drop", f"ip daddr {here} tcp dport {PORT} drop"
    )
    others(ring)
    ring.start(1, "--listen", f"0.0.0.0:{PORT}", "--advertise", f"{OTHER}:{PORT}", "--peer", f"10.77.0.2:{PORT}")
    for number in (1, 2, 3):
        until(
            f"ad{number} holds ad1 at {OTHER}",
            lambda: len(ring.members(number)) == 3 and ring.members(number)["ad1"] == (OTHER, "alive"),
            lambda: ring.members(number),
        )
    ring.ask(3, "service", "add", "redis.default", "--pkg", "a/b/1/20260101000000")
    until("ad1 hears of the service", lambda: len(ring.services(1)) == 1, lambda: ring.services(1))


def asked_where(ring: Ring) -> None:
    """On all addresses, it answers from the one that it was asked at. `ping` hears nobody else."""
    second_address(ring)
    for host, ip in ((ring.host(1), "fd77::1"), (ring.host(1), OTHER_V6), (ring.host(2), "fd77::2")):
        command("ip", "-n", host.netns, "addr", "add", f"{ip}/64", "dev", "eth0", "nodad")
    for listen, asked in (("0.0.0.0", [OTHER, "10.77.0.1"]), ("[::]", [OTHER, "10.77.0.1", f"[{OTHER_V6}]", "[fd77::1]"])):
        ring.start(1, "--listen", f"{listen}:{PORT}")
        until("ad1 runs", lambda: len(ring.members(1)) == 1, lambda: ring.log(1))
        for ip in asked:
            ring.ask(2, "ping", f"{ip}:{PORT}", "-c", "3", "-i", "10ms")
        ring.stop(1)


def wrong_advertise(ring: Ring) -> None:
    """Nobody is where it says that it is reached: it is a member all the same, and its log says what is wrong."""
    others(ring, "--timing", "local")
    wrong = "10.77.0.99"
    ring.start(
        1, "--listen", f"10.77.0.1:{PORT}", "--advertise", f"{wrong}:{PORT}", "--peer", f"10.77.0.2:{PORT}", "--timing", "local"
    )
    for number in (2, 3):
        until(
            f"ad{number} holds ad1 where it is",
            lambda: ring.members(number).get("ad1") == ("10.77.0.1", "alive"),
            lambda: ring.members(number),
        )
    until("its operator is told", lambda: ring.status(1)["seen_at"] == f"10.77.0.1:{PORT}", lambda: ring.status(1))
    until("the log says so", lambda: f"others see this member at 10.77.0.1:{PORT}" in ring.log(1), lambda: ring.log(1))


def moved(ring: Ring) -> None:
    """It starts again at another address, with its disk: its record and its services follow."""
    others(ring)
    disk = ring.directory / "disk"
    run = ("--listen", f"0.0.0.0:{PORT}", "--peer", f"10.77.0.2:{PORT}", "--data-dir", str(disk))
    ring.start(1, *run)
    until("they are three", lambda: ring.members(3).get("ad1") == ("10.77.0.1", "alive"), lambda: ring.members(3))
    ring.ask(1, "service", "add", "redis.default", "--pkg", "a/b/1/20260101000000")

    def says() -> list[tuple[str, str]]:
        return [(row["sys"]["ip"], row["sys"]["gossip_ip"]) for row in ring.services(3)]

    until("its service says where it is", lambda: says() == [("10.77.0.1", "10.77.0.1")], says)
    ring.stop(1)
    second_address(ring)
    command("ip", "-n", ring.host(1).netns, "addr", "del", "10.77.0.1/24", "dev", "eth0")
    # The second goes with the first, of which it was an alias.
    subprocess.run(["ip", "-n", ring.host(1).netns, "addr", "add", f"{OTHER}/24", "dev", "eth0"], capture_output=True)
    ring.host(1).knows(2)
    ring.host(1).knows(3)
    ring.start(1, *run)
    until("it is held at its new address", lambda: ring.members(3).get("ad1") == (OTHER, "alive"), lambda: ring.members(3))
    until("its service follows", lambda: says() == [(OTHER, OTHER)], says)


SCENARIOS = [split_address, asked_where, wrong_advertise, moved]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="the program to test")
    parser.add_argument("only", nargs="*", help="scenarios whose names hold one of these")
    args = parser.parse_args()
    failed = 0
    for scenario in SCENARIOS:
        if args.only and not any(part in scenario.__name__ for part in args.only):
            continue
        with tempfile.TemporaryDirectory(prefix="butterfly-addresses-") as directory:
            ring = Ring(args.binary.resolve(), Path(directory), 3)
            begin = time.monotonic()
            try:
                scenario(ring)
                print(f"{scenario.__name__}: well, after {time.monotonic() - begin:.1f} s", flush=True)
            except Wrong as wrong:
                failed += 1
                print(f"{scenario.__name__}: FAILED: {wrong}", file=sys.stderr, flush=True)
                for number in sorted(ring.running):
                    print(f"== ad{number}\n{ring.log(number)}", file=sys.stderr)
            finally:
                ring.close()
    print(f"addresses: {'FAILED' if failed else 'all is well'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
