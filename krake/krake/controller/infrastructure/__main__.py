"""Runs the infrastructure controller: ``python3 -m krake.controller.infrastructure``."""

import logging
import sys
from collections.abc import Sequence

from krake.client import Client
from krake.controller.runtime import ControllerConfig, Parts, run_command

DESCRIPTION = "The controller of Krake that creates clusters on clouds."

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("infrastructure", DESCRIPTION, (ControllerConfig, "infrastructure.yaml"), _build, argv)


def _build(config: ControllerConfig, client: Client) -> Parts:
    log.info("There is nothing to do yet: clusters are registered, not created.")
    return Parts(informers=[], controllers=[])


if __name__ == "__main__":
    sys.exit(main())
