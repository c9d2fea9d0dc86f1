"""``scripts/bench``: runs the measurements and prints their table in Markdown."""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import uvloop

from benchmarks import burst, creation, decisions, fleet, magnum, placements, plans, processes, reads, roles, watches, writes

MEASUREMENTS = {
    "reads": reads.measure,
    "writes": writes.measure,
    "processes": processes.measure,
    "roles": roles.measure,
    "decisions": decisions.measure,
    "plans": plans.measure,
    "watches": watches.measure,
    "placements": placements.measure,
    "fleet": fleet.measure,
    "burst": burst.measure,
    "creation": creation.measure,
    "magnum": magnum.measure,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Krake on this machine.")
    parser.add_argument("measurement", nargs="*", help=f"what to measure: {', '.join(MEASUREMENTS)} (default: all)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the table to a file")
    options = parser.parse_args(argv)
    if unknown := set(options.measurement) - MEASUREMENTS.keys():
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    lines = uvloop.run(_measure(options.measurement or list(MEASUREMENTS)))
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n")
    return 0


async def _measure(names: Sequence[str]) -> list[str]:
    lines = [_describe_machine(), "", "| What | Measured | Expected | |", "|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="krake-bench-") as directory:
            async for row in MEASUREMENTS[name](Path(directory)):
                verdict = "" if not row.expected else "✓" if row.met else "**short**"
                lines.append(f"| {row.what} | {row.figure} | {row.expected} | {verdict} |")
                print(lines[-1], flush=True)
                await asyncio.sleep(0)
    return lines


def _describe_machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "grpcio"))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}."


if __name__ == "__main__":
    sys.exit(main())
