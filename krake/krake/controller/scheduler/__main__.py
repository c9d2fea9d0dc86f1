"""Runs the scheduler: ``python3 -m krake.controller.scheduler``."""

import sys
from collections.abc import Sequence
from functools import partial

from krake import config, logs
from krake.controller.runtime import run_process
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import SchedulerConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    settings = config.parse(SchedulerConfig, "scheduler.yaml", "The scheduler of Krake.", argv)
    logs.configure(settings.log)
    return run_process("scheduler", partial(build, settings), settings)


if __name__ == "__main__":
    sys.exit(main())
