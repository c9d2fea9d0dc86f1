"""What Magnum knows of clusters. Times are seconds since 1970."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from krake.simulator.kubernetes import SimulatedCluster
from krake.simulator.openstack.authority import Authority


@dataclass(frozen=True)
class Template:
    """What clusters are made by."""

    id: str
    name: str
    coe: str = "kubernetes"
    master_count: int = 1
    node_count: int = 1


@dataclass
class Cluster:
    """A cluster, and what it is made of.

    :param due: when the operation that is in progress ends.
    :param port: of its API server, 0 if there was none yet.
    :param kubernetes: what runs in this process.
    """

    id: str
    name: str
    project: str
    template: Template
    master_count: int
    node_count: int
    create_timeout: int
    authority: Authority
    status: str = "CREATE_IN_PROGRESS"
    status_reason: str | None = None
    due: float = 0.0
    port: int = 0
    kubernetes: SimulatedCluster | None = None

    def dump(self) -> dict[str, Any]:
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "kubernetes"}
        return plain | {"template": asdict(self.template), "authority": self.authority.dump()}

    @classmethod
    def restore(cls, document: Mapping[str, Any]) -> Self:
        """Make what `dump` gave again. Raises ValueError, TypeError, LookupError or AttributeError if it is something else."""
        made_of = {"template": Template(**document["template"]), "authority": Authority.restore(document["authority"])}
        return cls(**{**document, **made_of})
