"""Runs the infrastructure controller: ``python3 -m krake.controller.infrastructure``."""

import logging
import sys
from collections.abc import Sequence

from krake import config, logs
from krake.client import Client
from krake.controller.runtime import ControllerConfig, Parts, run_process

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    settings = config.parse(ControllerConfig, "infrastructure.yaml", "The infrastructure controller of Krake.", argv)
    logs.configure(settings.log)
    return run_process("infrastructure", _build, settings)


def _build(client: Client) -> Parts:
    log.info("There is nothing to do yet: clusters are registered, not created.")
    return Parts(informers=[], controllers=[])


if __name__ == "__main__":
    sys.exit(main())
