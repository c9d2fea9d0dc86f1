"""Runs the infrastructure controller: ``python3 -m krake.controller.infrastructure``."""

import logging
import sys
from collections.abc import Sequence

from krake.client import Client
from krake.controller.infrastructure.settings import InfrastructureConfig
from krake.controller.runtime import Parts, run_command

DESCRIPTION = "The controller of Krake that creates clusters on clouds."

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("infrastructure", DESCRIPTION, (InfrastructureConfig, "infrastructure.yaml"), _build, argv)


def _build(config: InfrastructureConfig, client: Client) -> Parts:
    log.info("There is nothing to do yet: clusters are registered, not created.")
    return Parts(informers=[], controllers=[])


if __name__ == "__main__":
    sys.exit(main())
