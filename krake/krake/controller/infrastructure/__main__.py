"""Runs the infrastructure controller: ``python3 -m krake.controller.infrastructure``."""

import sys
from collections.abc import Sequence

from krake.controller.infrastructure.assembly import build
from krake.controller.infrastructure.settings import InfrastructureConfig
from krake.controller.runtime import run_command

DESCRIPTION = "The controller of Krake that creates clusters on clouds."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("infrastructure", DESCRIPTION, (InfrastructureConfig, "infrastructure.yaml"), build, argv)


if __name__ == "__main__":
    sys.exit(main())
