"""Two versions of the program in one ring, on one disk, and the commands of each to members of the other: see `run`."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

PATIENCE = 30
GROUP = "redis.default"


class Member:
    """A running member of one version."""

    def __init__(self, binary, disk, name, peer=None, key=None):
        self.binary, self.disk, self.name = binary, disk, name
        words = [binary, "run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--timing", "local", "--name", name]
        words += ["--data-dir", str(disk)]
        words += ["--peer", peer.swim] if peer else []
        words += ["--ring-key", str(key)] if key else []
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        # What it prints: `swim ADDRESS` and `http ADDRESS`, among others in later versions.
        self.addresses = {}
        while not {"swim", "http"} <= self.addresses.keys():
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f"upgrade: {name} did not start")
            kind, _, address = line.strip().partition(" ")
            self.addresses[kind] = address.split()[0] if address else ""

    @property
    def swim(self):
        return self.addresses["swim"]

    @property
    def http(self):
        return self.addresses["http"].removeprefix("http://").rstrip("/")

    def leave(self):
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        check(code == 0, f"{self.name} left with exit code {code}")

    def kill(self):
        self.process.kill()
        self.process.wait()


def check(holds, what):
    if not holds:
        sys.exit(f"upgrade: {what}")


def call(binary, member, *words, stdin=None, fails=False):
    """A command of one version to a member, maybe of another."""
    done = subprocess.run([binary, *words, "--http", member.http], input=stdin, capture_output=True, text=True, timeout=PATIENCE)
    if not fails:
        check(done.returncode == 0, f"{binary} {' '.join(words)} at {member.name}: {done.stderr.strip()}")
    return done.stdout


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        check(time.monotonic() < end, f"never: {what}")
        time.sleep(0.05)


def rows(binary, member, *words):
    return json.loads(call(binary, member, *words, "-o", "json"))


def a_ring_of_both(new, old, directory, key=None):
    """Both join each other, whoever came first, and agree on services, configurations, files and leaders."""
    for first, second in ((old, new), (new, old)):
        with tempfile.TemporaryDirectory(dir=directory) as disks:
            disks = pathlib.Path(disks)
            members = [Member(first, disks / "amber", "amber", key=key)]
            for name, binary in (("birch", second), ("cedar", first), ("dune", second)):
                members.append(Member(binary, disks / name, name, peer=members[0], key=key))
            try:
                agree(members, new, old)
            finally:
                for member in members:
                    member.kill()


def agree(members, new, old):
    for member in members:
        call(member.binary, member, "status", "--wait", "alive=4", "--timeout", str(PATIENCE))
    # Each version reads what a member of the other says.
    for member in members:
        for binary in (new, old):
            seen = {(row["name"], row["health"]) for row in rows(binary, member, "members")}
            check(seen == {(it.name, "alive") for it in members}, f"{binary} sees {seen} at {member.name}")
    amber, birch, cedar, dune = members
    for member, other in ((amber, birch), (birch, amber), (cedar, dune)):
        call(other.binary, member, "service", "add", GROUP, "--pkg", "acme/redis/7.2.1/20260101000000")
    until("all see three services", lambda: all(len(rows(it.binary, it, "service", "list")) == 3 for it in members))
    for number, (member, other) in enumerate(((amber, birch), (birch, amber), (dune, cedar))):
        port = f"port = {6380 + number}\n"
        call(other.binary, member, "config", "apply", GROUP, "-", stdin=port)
        until("all have the configuration", lambda: all(call(it.binary, it, "config", "show", GROUP, fails=True) == port for it in members))
    body = "x" * 100_000
    big = birch.disk.parent / "big.txt"
    big.write_text(body)
    call(old, birch, "file", "upload", GROUP, str(big))
    until("all have the file", lambda: all(call(it.binary, it, "file", "get", GROUP, "big.txt", fails=True) == body for it in members))
    for member in (amber, birch, cedar):
        call(member.binary, member, "election", "start", GROUP)

    def show(it):
        return rows(it.binary, it, "election", "show", GROUP)

    until("all know one leader", lambda: len({leader(show(it)) for it in members}) == 1 and leader(show(amber)))
    # One of each goes, and one of each dies.
    dune.leave()
    cedar.kill()
    names = lambda it, health: {row["name"] for row in rows(it.binary, it, "members") if row["health"] == health}
    until("the others know who left and who died", lambda: all(
        names(it, "departed") == {"dune"} and names(it, "confirmed") == {"cedar"} for it in (amber, birch)
    ))


def leader(shown):
    """Of the finished election, if it is the one that is shown."""
    return next((row["candidate"] for row in shown if row["status"] == "finished"), None)


def a_disk_of_both(new, old, directory):
    """What one version kept, the other takes up: the id, and what it knows; there and back."""
    disk = pathlib.Path(directory) / "disk"
    ids = set()
    for turn, binary in enumerate((old, new, old, new)):
        member = Member(binary, disk, "amber")
        ids |= {row["id"] for row in rows(binary, member, "members") if row["name"] == "amber" and row["health"] == "alive"}
        check(len(ids) == 1, f"{binary} has another id: {ids}")
        if turn:
            shown = call(binary, member, "config", "show", GROUP)
            check(shown == f"turn = {turn - 1}\n", f"{binary} found {shown!r}")
        call(binary, member, "config", "apply", GROUP, "-", stdin=f"turn = {turn}\n")
        member.leave()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new", required=True)
    parser.add_argument("--old", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        a_ring_of_both(args.new, args.old, directory)
        made = subprocess.run([args.old, "ring-key", "generate", "ring", "--dir", directory], capture_output=True, text=True)
        check(made.returncode == 0, f"no ring key: {made.stderr}")
        a_ring_of_both(args.new, args.old, directory, made.stdout.strip())
        a_disk_of_both(args.new, args.old, directory)
    print("upgrade: all passed")


if __name__ == "__main__":
    main()
