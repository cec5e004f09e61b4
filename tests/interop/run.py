"""The scenarios: the program and members as the original's, in rings together."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

import gossip_scenarios
import mixed_scenarios
import swim_scenarios
from ring import Ring, Scenario


def run(scenario: Scenario, binary: Path) -> str | None:
    """Runs one; returns what went wrong."""
    ring = Ring(binary)
    try:
        scenario(ring)
        faults = ring.faults()
        return "\n".join(faults) or None
    except Exception:
        return "\n".join([traceback.format_exc(limit=-3), *ring.faults(), *ring.logs()])
    finally:
        ring.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="the program to test")
    parser.add_argument("--repeat", type=int, default=1, help="how often")
    parser.add_argument("names", nargs="*", help="only scenarios whose names hold one of these")
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"interop: there is no program {args.binary}: build it, or run tests/interop/run")

    scenarios = gossip_scenarios.YARDSTICK + swim_scenarios.ALL + gossip_scenarios.ALL + mixed_scenarios.ALL
    if args.names:
        scenarios = [one for one in scenarios if any(name in one.__name__ for name in args.names)]
    if not scenarios:
        sys.exit(f"interop: no scenario is called like {args.names}")
    failed = []
    began = time.monotonic()
    for scenario in scenarios * args.repeat:
        start = time.monotonic()
        wrong = run(scenario, args.binary)
        print(f"{'FAILED' if wrong else 'ok':6} {time.monotonic() - start:5.1f} s  {scenario.__name__}", flush=True)
        if wrong:
            failed.append(scenario.__name__)
            print("       " + wrong.strip().replace("\n", "\n       "), flush=True)
    took = time.monotonic() - began
    print(f"interop: {len(scenarios) * args.repeat - len(failed)} ok, {len(failed)} failed, {took:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
