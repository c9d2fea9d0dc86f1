"""Runs the application controller: ``python3 -m krake.controller.kubernetes.application``."""

import sys
from collections.abc import Sequence
from functools import partial

from krake import config, logs
from krake.controller.kubernetes.application.controller import build
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.runtime import run_process


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    description = "The controller of Krake that keeps applications on Kubernetes clusters."
    settings = config.parse(ApplicationControllerConfig, "kubernetes_application.yaml", description, argv)
    logs.configure(settings.log)
    return run_process("kubernetes-application", partial(build, settings), settings)


if __name__ == "__main__":
    sys.exit(main())
