"""Tells how far the infrastructure of a cluster has come, in a few words."""

from collections.abc import Mapping
from typing import Any

from rok.cells import Object, dig

READY = "configured"
"""The phase of infrastructures and machines that can be used."""


def describe_infrastructure(infrastructure: Any, besides: str = "") -> str | None:
    """Return how far an infrastructure is, for example ``creating, 1/3 machines configured``; nothing if there is none.

    :param besides: is told as well; what the provider says is not repeated after it.
    """
    if not isinstance(infrastructure, Mapping):
        return None
    phase, message = infrastructure.get("phase"), infrastructure.get("message")
    machines = infrastructure.get("machines") or {}
    said = str(phase)
    if machines:
        said += f", {sum(each == READY for each in machines.values())}/{len(machines)} machines {READY}"
    told = " ".join(str(message or "").split())
    return f"{said}: {told}" if told and told not in besides else said


def find_progress(item: Object, besides: str = "") -> str | None:
    """Return how far the infrastructure of a cluster is; nothing once all of it is ready, or if none was begun.

    :param besides: is told as well, and not repeated.
    """
    infrastructure = dig(item, "status.infrastructure")
    if dig(item, "status.state") == "FAILED" and dig(infrastructure, "phase") == "pending":
        return None
    phases = {dig(infrastructure, "phase"), *(dig(infrastructure, "machines") or {}).values()}
    return None if phases == {READY} else describe_infrastructure(infrastructure, besides)
