"""Test hosts: network namespaces with an Ethernet of their own, which reach nothing else."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from pathlib import Path

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def command(*words: str, stdin: str = "") -> None:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


class Host:
    """One host, 10.77.0.NUMBER."""

    def __init__(self, switch: str, number: int) -> None:
        self.number = number
        self.address = f"10.77.0.{number}"
        self.netns = f"{switch}-{number}"
        port = f"v{number}"
        command("ip", "netns", "add", self.netns)
        command("ip", "-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.netns)
        command("ip", "-n", self.netns, "link", "set", "eth0", "address", self.ethernet(number))
        command("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
        command("ip", "-n", self.netns, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for link in ("eth0", "lo"):
            command("ip", "-n", self.netns, "link", "set", link, "up")

    @staticmethod
    def ethernet(number: int) -> str:
        return f"02:00:00:00:00:{number:02x}"

    def knows(self, number: int) -> None:
        """The kernel's table of neighbours is one for all hosts and may overflow: permanent ones don't count."""
        there = f"10.77.0.{number}"
        words = ["neigh", "replace", there, "lladdr", self.ethernet(number), "dev", "eth0", "nud", "permanent"]
        command("ip", "-n", self.netns, *words)

    def filter(self, *rules: str) -> None:
        """Its firewall has these rules for what comes in, and no others."""
        chain = "type filter hook input priority 0; " + " ".join(f"{rule};" for rule in rules)
        command(*self.words("nft", "-f", "-"), stdin=f"table ip f {{}}; flush table ip f; delete table ip f; table ip f {{ chain i {{ {chain} }}; }}\n")

    def words(self, *words: str) -> list[str]:
        """A command that runs there."""
        return ["ip", "netns", "exec", self.netns, *words]

    def socket(self) -> socket.socket:
        """A TCP socket of that host: a socket stays where it was made."""
        here, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{self.netns}", os.O_RDONLY)
        try:
            enter(there)
            try:
                return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                enter(here)
        finally:
            os.close(here)
            os.close(there)


def enter(namespace: int) -> None:
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Network:
    """Hosts 1 to COUNT on one switch. `close` takes all of it away."""

    def __init__(self, count: int) -> None:
        self.switch = f"bf-{os.getpid()}"
        self.hosts: list[Host] = []
        command("ip", "netns", "add", self.switch)
        try:
            command("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
            for link in ("br0", "lo"):
                command("ip", "-n", self.switch, "link", "set", link, "up")
            for number in range(1, count + 1):
                self.hosts.append(Host(self.switch, number))
            for host in self.hosts:
                for other in self.hosts:
                    if other is not host:
                        host.knows(other.number)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        names = [path.name for path in Path("/run/netns").glob(f"{self.switch}*")]
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
