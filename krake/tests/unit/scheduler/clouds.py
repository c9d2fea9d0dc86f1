"""Clouds and projects for the tests of what decides about them."""

from typing import Any

from krake.data import Metadata
from krake.data.core import MetricRef
from krake.data.infrastructure import (
    Cloud,
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudUser,
    InfrastructureProviderRef,
    OpenstackAuthMethod,
    OpenstackSpec,
)


def refs(*names: str, weight: float = 1.0) -> list[MetricRef]:
    """References to global metrics."""
    return [MetricRef(name=name, weight=weight) for name in names]


def make_cloud(
    name: str, *, labels: dict[str, str] | None = None, metrics: list[MetricRef] | None = None, **more: Any
) -> Cloud:
    """A cloud of the namespace of the tests."""
    login = CloudPassword(user=CloudUser(username="u", password="p"), project=CloudProject(name="p"))
    spec = OpenstackSpec(
        url="https://keystone.example",
        auth=OpenstackAuthMethod(value=login),
        metrics=metrics or [],
        infrastructure_provider=InfrastructureProviderRef(name="im"),
    )
    metadata = Metadata(name=name, namespace="red", labels=labels or {}, deleted=more.get("deleted"))
    return Cloud(metadata=metadata, spec=CloudSpec(value=spec))
