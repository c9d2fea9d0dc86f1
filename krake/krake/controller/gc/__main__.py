"""Runs the garbage collector: ``python3 -m krake.controller.gc``."""

import sys
from collections.abc import Sequence
from functools import partial

from krake import config, logs
from krake.controller.gc.controller import build
from krake.controller.runtime import ControllerConfig, run_process


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    settings = config.parse(ControllerConfig, "garbage_collector.yaml", "The garbage collector of Krake.", argv)
    logs.configure(settings.log)
    return run_process("garbage-collector", partial(build, settings), settings)


if __name__ == "__main__":
    sys.exit(main())
