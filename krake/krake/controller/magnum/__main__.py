"""Runs the Magnum controller: ``python3 -m krake.controller.magnum``."""

import sys
from collections.abc import Sequence

from krake.controller.magnum.controller import build
from krake.controller.magnum.settings import MagnumConfig
from krake.controller.runtime import run_command

DESCRIPTION = "The controller of Krake that creates clusters by OpenStack Magnum."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("magnum", DESCRIPTION, (MagnumConfig, "magnum.yaml"), build, argv)


if __name__ == "__main__":
    sys.exit(main())
