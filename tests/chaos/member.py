"""A member: a process of the program on a host, with a disk of its own."""

from __future__ import annotations

import glob
import http.client
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from hosts import Host

DISK = "8m"
PATIENCE = 20.0
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


class Failed(Exception):
    """What should not happen has happened."""


class Gateway(http.client.HTTPConnection):
    """A connection to a gateway on the loopback of a host."""

    def __init__(self, host: Host) -> None:
        super().__init__("127.0.0.1", 9631)
        self.host_of_it = host

    def connect(self) -> None:
        self.sock = self.host_of_it.socket()
        self.sock.settimeout(PATIENCE)
        self.sock.connect((self.host, self.port))


class Member:
    def __init__(self, binary: Path, host: Host, directory: Path, arguments: list[str]) -> None:
        self.binary, self.host, self.arguments = binary, host, arguments
        self.name = f"member-{host.number}"
        self.disk = directory / self.name
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.disk)], check=True)
        self.clock = directory / f"{self.name}.clock"
        self.turn_clock(0)
        self.log = directory / f"{self.name}.log"
        self.logged_before = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.is_frozen = False
        self.disk_was_full = False

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("RUST_LOG", "TRACE_SWIM")}
        # Set by `env`, behind `ip`, which keeps the true time.
        clock = [
            f"LD_PRELOAD={FAKETIME}",
            f"FAKETIME_TIMESTAMP_FILE={self.clock}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]
        words = ["env", *(clock if FAKETIME else []), str(self.binary), "run", "--name", self.name, "--listen", f"{self.host.address}:9638"]
        words += ["--data-dir", str(self.disk), *self.arguments]
        with self.log.open("ab") as log:
            self.logged_before = log.tell()
            self.process = subprocess.Popen(
                self.host.words(*words),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=environment,
            )

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """As the power goes."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self.process, self.is_frozen = None, False

    def leave(self) -> None:
        """Ends in good order; on a full disk it says that its last snapshot is not stored."""
        if self.process is None:
            return
        self.await_first_word()
        self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} does not end on SIGTERM") from None
        if code not in ((0, 5) if self.disk_was_full else (0,)):
            raise Failed(f"{self.name} left with exit code {code}")
        self.process = None

    def await_first_word(self) -> None:
        """Until its first line in the log, it may be `env` or `ip` still, which a signal ends in no good order."""
        end = time.monotonic() + PATIENCE
        while self.runs and not self.is_frozen and self.log.stat().st_size <= self.logged_before:
            if time.monotonic() >= end:
                raise Failed(f"{self.name} does not say that it started")
            time.sleep(0.01)

    def freeze(self, frozen: bool) -> None:
        self.signal(signal.SIGSTOP if frozen else signal.SIGCONT)
        self.is_frozen = frozen

    def fill_disk(self) -> None:
        self.disk_was_full = True
        try:
            with (self.disk / "fill").open("wb") as fill:
                while True:
                    fill.write(bytes(4096))
                    fill.flush()
        except OSError:
            pass

    def empty_disk(self) -> None:
        (self.disk / "fill").unlink(missing_ok=True)

    def turn_clock(self, seconds: int) -> None:
        """Its clock of the day is off by that much; the time since it started is not."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.replace(self.clock)

    def get(self, path: str) -> Any:
        gateway = Gateway(self.host)
        try:
            gateway.request("GET", path)
            return json.loads(gateway.getresponse().read())
        finally:
            gateway.close()

    def ask(self, *words: str, stdin: bytes = b"") -> str | None:
        """Runs a command of the program against it; what it said when it was refused."""
        done = subprocess.run(
            self.host.words(str(self.binary), *words), input=stdin, capture_output=True, timeout=PATIENCE * 2
        )
        return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip()

    def unexpected_end(self) -> str | None:
        """Why it ended though nobody told it to."""
        if self.process is None or self.process.poll() is None:
            return None
        code, self.process = self.process.returncode, None
        # On a full disk it cannot note down what it must, and says so.
        return None if code == 1 and self.disk_was_full else f"{self.name} ended with {code}: {self.said()}"

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    def close(self) -> None:
        self.kill()
        for _ in range(50):
            if subprocess.run(["umount", str(self.disk)], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
