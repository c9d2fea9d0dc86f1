"""`python3 -m transfer serve|fetch VOLUMES ACCESS`.

VOLUMES has one folder for each volume, of the same names on both sides. ACCESS is a folder with the files ``token`` and
``tls.crt``, for the one that serves ``tls.key``, for the one that fetches ``addresses``: a JSON list of ``[host, port]``, of
which the first that shows the certificate is taken.

Fetching may be killed and begun anew at any time. A file takes its name only once its SHA-256 is the same on both sides; what
was received before is not sent again. In the end everything is looked at once more, and what has changed is fetched again.

It tells how far it is by a line of JSON each second, and what came of it in the file RESULT: ``error`` is why it failed.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping

from .fetching import Counter, Volume
from .serving import Server
from .source import Final, Lost, Source

FULL = (errno.ENOSPC, errno.EDQUOT)
INTERVAL = 1.0
LONGEST_MESSAGE = 1000


def fetch(volumes: str, access: str, attempts: int, result: str) -> int:
    """Fetch all volumes; returns the exit code."""
    counters = {name: Counter() for name in sorted(os.listdir(volumes))}
    over = threading.Event()
    reporter = threading.Thread(target=report, args=(counters, over))
    reporter.start()
    error = None
    try:
        for name, counter in counters.items():
            try:
                with contextlib.closing(Source(access, name)) as source:
                    Volume(os.path.join(volumes, name), source, attempts, counter).fetch()
            except (Final, Lost, OSError) as problem:
                error = explain(name, problem)
                break
        os.sync()
    finally:
        over.set()
        reporter.join()
    conclude(result, {"volumes": state_of(counters), "error": error})
    return 1 if error else 0


def report(counters: Mapping[str, Counter], over: threading.Event) -> None:
    """Say how far all volumes are, until it is over."""
    while not over.wait(INTERVAL):
        print(json.dumps({"volumes": state_of(counters)}), flush=True)


def state_of(counters: Mapping[str, Counter]) -> dict[str, list[int]]:
    return {name: [counter.done, counter.total] for name, counter in counters.items()}


def explain(volume: str, problem: Exception) -> str:
    """Say in one sentence why a volume can not be copied."""
    if isinstance(problem, OSError) and problem.errno in FULL:
        return f"The volume of {volume} is full on the target; its claim there must ask for more."
    said = str(problem).encode(errors="replace").decode()  # names of files can be any bytes
    return f"The volume of {volume} can not be copied: {said}"[:LONGEST_MESSAGE]


def conclude(path: str, result: object) -> None:
    text = json.dumps(result)
    print(text, flush=True)
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="transfer", description="Copies volumes between machines.")
    parser.add_argument("side", choices=["serve", "fetch"])
    parser.add_argument("volumes")
    parser.add_argument("access")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--attempts", type=int, default=10, help="for each file")
    parser.add_argument("--result", default="", help="file for what came of it")
    options = parser.parse_args()
    # The first process of a container is not ended by a signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    if options.side == "fetch":
        sys.exit(fetch(options.volumes, options.access, options.attempts, options.result))
    server = Server(options.volumes, options.access, options.port)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
