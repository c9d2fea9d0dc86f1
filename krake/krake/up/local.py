"""Which program makes clusters on this machine."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from krake.adapters.infrastructure.local import Driver, LocalInfrastructures
from krake.ports.infrastructure import InfrastructureError

_CHECKOUT = Path(__file__).resolve().parents[3]
_CHECK_LIMIT = 60.0


class NoLocalClusters(Exception):
    """No clusters can be made on this machine; the message says why, and what to do."""


@dataclass(frozen=True)
class LocalClusters:
    """What makes clusters on this machine, which outlive Krake.

    :param command: the program with its first arguments.
    """

    command: Sequence[str]

    @classmethod
    async def prepare(cls, program: str, directory: Path) -> Self:
        """Find the program and ask it whether it can make clusters.

        :param program: that the user has named; the one of the checkout, which keeps them in *directory*, if it is empty.
        :raises NoLocalClusters: it is not there, or it can not.
        """
        command = [program]
        if not program:
            own = _CHECKOUT / "support" / "local-clusters"
            if not own.exists():
                raise NoLocalClusters(
                    "Only a checkout of Krake has support/local-clusters; name a program: --local-clusters PROGRAM."
                )
            command = [sys.executable, str(own), f"--dir={directory}"]
        try:
            await LocalInfrastructures(Driver(command, timeout=_CHECK_LIMIT, at_once=1), "laptop").check()
        except InfrastructureError as error:
            raise NoLocalClusters(f"No clusters can be made on this machine: {error}") from None
        return cls(command)

    @property
    def options(self) -> Sequence[str]:
        """By which the infrastructure controller is told."""
        return [f"--local-command={word}" for word in self.command]

    @property
    def hints(self) -> Sequence[str]:
        """What the user may want to do next."""
        return [
            "rok infra provider register --type local laptop",
            "rok infra cloud register --type local --infra-provider laptop here",
            "rok kube cluster create -f examples/clusters/local.yaml dev",
        ]
