"""Runs the cluster controller: ``python3 -m krake.controller.kubernetes.cluster``."""

import sys
from collections.abc import Sequence
from functools import partial

from krake import config, logs
from krake.controller.kubernetes.cluster.controller import build
from krake.controller.runtime import ControllerConfig, run_process


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    description = "The controller of Krake that watches Kubernetes clusters."
    settings = config.parse(ControllerConfig, "kubernetes_cluster.yaml", description, argv)
    logs.configure(settings.log)
    return run_process("kubernetes-cluster", partial(build, settings), settings)


if __name__ == "__main__":
    sys.exit(main())
