"""Runs the garbage collector: ``python3 -m krake.controller.gc``."""

import sys
from collections.abc import Sequence

from krake.controller.gc.controller import build
from krake.controller.runtime import ControllerConfig, run_command

DESCRIPTION = "The garbage collector of Krake."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("garbage-collector", DESCRIPTION, (ControllerConfig, "garbage_collector.yaml"), build, argv)


if __name__ == "__main__":
    sys.exit(main())
