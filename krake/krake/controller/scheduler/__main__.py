"""Runs the scheduler: ``python3 -m krake.controller.scheduler``."""

import sys
from collections.abc import Sequence

from krake.controller.runtime import run_command
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import SchedulerConfig

DESCRIPTION = "The scheduler of Krake."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("scheduler", DESCRIPTION, (SchedulerConfig, "scheduler.yaml"), build, argv)


if __name__ == "__main__":
    sys.exit(main())
