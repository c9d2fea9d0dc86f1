"""Runs the Magnum controller: ``python3 -m krake.controller.magnum``."""

import logging
import sys
from collections.abc import Sequence

from krake.client import Client
from krake.controller.magnum.settings import MagnumConfig
from krake.controller.runtime import Parts, run_command

DESCRIPTION = "The controller of Krake that creates clusters by OpenStack Magnum."

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("magnum", DESCRIPTION, (MagnumConfig, "magnum.yaml"), _build, argv)


def _build(config: MagnumConfig, client: Client) -> Parts:
    log.info("There is nothing to do yet: no clusters are created by Magnum.")
    return Parts(informers=[], controllers=[])


if __name__ == "__main__":
    sys.exit(main())
