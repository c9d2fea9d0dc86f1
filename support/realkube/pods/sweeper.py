"""Sweeps up behind a sandbox, even if the process that started the sandbox is killed.

Waits until that process is gone or says so (the end of standard input); then ends what is left in the sandbox's control
groups, removes these, and deletes a folder if one is named: ``python -m realkube.pods.sweeper FOLDER GROUP…``
"""

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from .machine import members, remove_control_group

_LIMIT = 60.0


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder, *groups = sys.argv[1:]
    sys.stdin.buffer.read()
    deadline = time.monotonic() + _LIMIT
    left = {Path(group) for group in groups}
    while left and time.monotonic() < deadline:
        for pid in set().union(*map(members, left)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left = {group for group in left if not remove_control_group(group)}
        time.sleep(0.05)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
