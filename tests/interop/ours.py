"""Runs the real program on loopback, with ports that the system chooses; what a scenario starts dies with it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Far more than anything here takes, also on a busy machine.
PATIENCE = 20.0


class Failed(Exception):
    """A scenario's expectation that did not come true."""


def until(what: str, is_so: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Waits until it is so; returns what it said."""
    end = time.monotonic() + patience
    while True:
        if result := is_so():
            return result
        if time.monotonic() > end:
            raise Failed(f"never in {patience:.0f} s: {what}")
        time.sleep(0.02)


class Ours:
    """A running member of the program."""

    def __init__(self, binary: Path, *args: str, timing: str = "local", gossip: bool = False) -> None:
        self.binary = binary
        self.log = tempfile.TemporaryFile(mode="w+")
        command = [str(binary), "run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--timing", timing, *args]
        if gossip:
            command += ["--gossip-port", "0"]
        env = {name: value for name, value in os.environ.items() if name not in ("RUST_LOG", "TRACE_SWIM")}
        env["NO_PROXY"] = "127.0.0.1"
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1, env=env
        )
        try:
            lines = self._first_lines()
            self.swim = self._address(lines, "swim ")
            self.http = self._address(lines, "http ")
            me = until("it lists itself", lambda: next((row for row in self.members() if row["self"]), None))
        except BaseException:
            self.kill()
            raise
        self.id: str = me["id"]
        self.gossip = ("127.0.0.1", int(me["gossip_port"]))

    def _first_lines(self) -> str:
        """What it says on standard output until its gateway is named; bounded."""
        assert self.process.stdout is not None
        text, end = "", time.monotonic() + PATIENCE
        while "http " not in text or not text.endswith("\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 4096).decode() if ready else ""
            if not part:
                raise Failed(f"it does not start, or does not say where it listens: {text}{self.said()}")
            text += part
        return text

    @staticmethod
    def _address(lines: str, what: str) -> tuple[str, int]:
        host, port = next(line for line in lines.splitlines() if line.startswith(what)).removeprefix(what).split(":")
        return (host, int(port))

    @property
    def peer_argument(self) -> str:
        return "{}:{}".format(*self.swim)

    def get(self, path: str) -> Any:
        """What its gateway answers."""
        url = "http://{}:{}{}".format(*self.http, path)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=PATIENCE) as answer:
            return json.load(answer)

    def members(self) -> list[dict[str, Any]]:
        """The members, as it sees them."""
        return self.get("/v1/members")

    def row(self, member: str) -> dict[str, Any]:
        """One member, as it sees it; empty: it does not know it."""
        return next((row for row in self.members() if row["id"] == member), {})

    def health(self, member: str) -> str | None:
        return self.row(member).get("health")

    def incarnation(self, member: str) -> int:
        return self.row(member).get("incarnation", -1)

    def ask(self, *args: str, gateway: bool = True) -> str:
        """Runs a command of the program against it; returns its standard output."""
        command = [str(self.binary), *args]
        if gateway:
            command += ["--http", "{}:{}".format(*self.http)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise Failed(f"butterfly {' '.join(args)}: exit code {done.returncode}: {done.stderr.strip()[:500]}")
        return done.stdout

    def rumors(self, **wanted: object) -> list[dict[str, Any]]:
        """The rumors that it holds, those that say all of this."""
        return [row for row in self.get("/v1/rumors") if all(row.get(name) == value for name, value in wanted.items())]

    def is_running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        """The end of its log."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read()[-2000:]

    def faults(self) -> list[str]:
        """What should never happen to it."""
        faults = []
        if self.process.poll() not in (None, 0):
            faults.append(f"it ended with {self.process.returncode}: {self.said()}")
        if "panicked" in self.said():
            faults.append(f"it panicked: {self.said()}")
        return faults

    def kill(self) -> None:
        """Ends it without a word."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.log.close()
