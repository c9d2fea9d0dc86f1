"""Runs the application controller: ``python3 -m krake.controller.kubernetes.application``."""

import sys
from collections.abc import Sequence

from krake.controller.kubernetes.application.controller import build
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.runtime import run_command

DESCRIPTION = "The controller of Krake that keeps applications on Kubernetes clusters."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command(
        "kubernetes-application", DESCRIPTION, (ApplicationControllerConfig, "kubernetes_application.yaml"), build, argv
    )


if __name__ == "__main__":
    sys.exit(main())
