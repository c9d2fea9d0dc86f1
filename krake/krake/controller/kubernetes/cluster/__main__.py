"""Runs the cluster controller: ``python3 -m krake.controller.kubernetes.cluster``."""

import sys
from collections.abc import Sequence

from krake.controller.kubernetes.cluster.controller import build
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.runtime import run_command

DESCRIPTION = "The controller of Krake that watches Kubernetes clusters."


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal ends it; return the exit status."""
    return run_command("kubernetes-cluster", DESCRIPTION, (ClusterControllerConfig, "kubernetes_cluster.yaml"), build, argv)


if __name__ == "__main__":
    sys.exit(main())
