"""Clusters that exist already, named by the environment."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .binaries import Unavailable

NAMED_BY = "KRAKE_TEST_KUBECONFIGS"


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster that somebody else started; it can be used and not be stopped."""

    name: str
    kubeconfig_path: Path
    kubeconfig: dict[str, Any]


def find_existing() -> Sequence[ExistingCluster]:
    """Return the clusters whose kubeconfig files ``KRAKE_TEST_KUBECONFIGS`` lists, separated as in PATH.

    Raises:
        Unavailable: A file of the list is not a readable kubeconfig.
    """
    paths = [Path(path) for path in os.environ.get(NAMED_BY, "").split(os.pathsep) if path]
    return [_read(path) for path in paths]


def _read(path: Path) -> ExistingCluster:
    try:
        kubeconfig = yaml.safe_load(path.read_text())
        name = kubeconfig["current-context"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise Unavailable(
            f"{NAMED_BY} lists {path}, which is not a kubeconfig with a current context ({error}); correct the list."
        ) from error
    return ExistingCluster(name, path, kubeconfig)
