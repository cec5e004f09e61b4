"""Runs the `sh` blocks of pages, in their order, in one shell for each page. A comment `<!-- run: … -->` holds commands that the
reader has run before, or would run elsewhere; a block with `…` is for the reader alone."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

DOCS = pathlib.Path(__file__).resolve().parent.parent.parent / "docs"
PAGES = ["tutorial.md", "guides/slow.md", "guides/replace.md", "guides/backup.md", "guides/keys.md", "guides/upgrade.md"]
# Such a block builds the program, which is there.
BUILDS = "cargo build"
PATIENCE = 120
PART = re.compile(r"<!-- run:(?P<hidden>.*?)-->|^(?P<indent> *)```sh\n(?P<shown>.*?)^(?P=indent)```", re.DOTALL | re.MULTILINE)
HEAD = """set -euo pipefail
set -m
trap 'kill -9 $(jobs -p) 2>/dev/null || true' EXIT
ip link set lo up
"""


def script(page):
    text, blocks = page.read_text(), 0
    parts = [HEAD]
    for part in PART.finditer(text):
        shown = part["shown"]
        if shown is not None and (BUILDS in shown or "…" in shown):
            continue
        blocks += shown is not None
        line = text[: part.start()].count("\n") + 1
        parts.append(f": {page.name}:{line}\n{shown or part['hidden']}\n")
    assert blocks, f"{page}: no commands"
    return "".join(parts), blocks


def main():
    program, *chosen = sys.argv[1:]
    failed = 0
    for name in PAGES:
        if chosen and not any(word in name for word in chosen):
            continue
        commands, blocks = script(DOCS / name)
        with tempfile.TemporaryDirectory() as folder:
            place = {**os.environ, "PATH": f"{pathlib.Path(program).parent}:{os.environ['PATH']}", "HOME": folder}
            place.pop("BUTTERFLY_HTTP", None)
            try:
                ran = subprocess.run(["unshare", "--net", "--pid", "--fork", "--mount-proc", "bash", "-x", "-c", commands], cwd=folder, env=place, text=True,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
                said, code = ran.stdout, ran.returncode
            except subprocess.TimeoutExpired as late:
                said, code = (late.stdout or b"").decode() + f"\nnot done after {PATIENCE} s", -1
        if code:
            failed += 1
            print(f"{name}: exit code {code}\n{said}", file=sys.stderr)
        else:
            print(f"{name}: {blocks} blocks of commands")
    print(f"pages: {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
