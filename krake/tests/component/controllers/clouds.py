"""What the tests of clusters that are created on clouds put into the API, and how they look at them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from component.controllers.world import eventually, running

from krake.client import Client, NotFound
from krake.controller.infrastructure.assembly import build
from krake.controller.infrastructure.settings import InfrastructureConfig, ProvidersConfig
from krake.data import Key, Metadata
from krake.data.events import Event
from krake.data.infrastructure import (
    Cloud,
    CloudBinding,
    CloudPassword,
    CloudProject,
    CloudSpec,
    CloudUser,
    ImSpec,
    InfrastructureProvider,
    InfrastructureProviderRef,
    InfrastructureProviderSpec,
    OpenstackAuthMethod,
    OpenstackSpec,
)
from krake.data.kubernetes import CloudConstraints, Cluster, ClusterCloudConstraints, ClusterSpec, ClusterState

NAMESPACE = "red"
Accept = Callable[[Cluster], bool]


def template(workers: int = 1) -> dict[str, Any]:
    """Return a template of a front end and some workers."""
    return {
        "tosca_definitions_version": "tosca_simple_yaml_1_0",
        "description": None,
        "topology_template": {
            "node_templates": {
                "front": {"type": "tosca.nodes.indigo.Compute", "capabilities": {"scalable": {"properties": {"count": 1}}}},
                "wn": {
                    "type": "tosca.nodes.indigo.Compute",
                    "capabilities": {"scalable": {"properties": {"count": workers}}},
                },
            },
            "outputs": {"kubeconfig": {"value": {"get_attribute": ["front", "ansible_output"]}}},
        },
    }


def config(**more: Any) -> InfrastructureConfig:
    """Return quick settings."""
    providers = ProvidersConfig(allow=["127.0.0.1"], timeout=more.pop("timeout", 2.0))
    quick = {"poll_interval": 0.05, "observe_interval": 0.2, "search_time": 0.4, "check_interval": 5.0}
    return InfrastructureConfig(providers=providers, **{**quick, **more})


def infrastructure_controller(url: str, **more: Any) -> AbstractAsyncContextManager[None]:
    """Run the infrastructure controller in this process."""
    return running(partial(build, config(**more)), url)


async def add_provider(client: Client, url: str, name: str = "im", *, namespace: str = NAMESPACE) -> InfrastructureProvider:
    """Register an IM for the namespace."""
    spec = InfrastructureProviderSpec(value=ImSpec(url=url, username="u", password="p"))
    return await client.create(InfrastructureProvider(metadata=Metadata(name=name, namespace=namespace), spec=spec))


async def add_cloud_of(client: Client, provider: str = "im", name: str = "cloud", *, namespace: str = NAMESPACE) -> Cloud:
    """Register a cloud of a provider."""
    login = CloudPassword(user=CloudUser(username="u", password="p"), project=CloudProject(name="p"))
    spec = OpenstackSpec(
        url="http://127.0.0.1:9/v3",
        auth=OpenstackAuthMethod(value=login),
        infrastructure_provider=InfrastructureProviderRef(name=provider, namespaced=True),
    )
    cloud = Cloud(metadata=Metadata(name=name, namespace=namespace), spec=CloudSpec(value=spec))
    return await client.create(cloud)


async def order_cluster(
    client: Client, name: str = "cluster", *, cloud: str = "cloud", namespace: str = NAMESPACE, **spec: Any
) -> Cluster:
    """Declare a cluster, and bind it as the scheduler does."""
    cluster = Cluster(
        metadata=Metadata(name=name, namespace=namespace),
        spec=ClusterSpec(
            **{
                "tosca": template(),
                "constraints": ClusterCloudConstraints(cloud=CloudConstraints()),
                **spec,
            }
        ),
    )
    await client.create(cluster)
    target = Cloud.definition.ref(Key(namespace, cloud))
    return await client.act(Cluster, cluster.key, "binding", CloudBinding(cloud=target))


async def happens(condition: Callable[[], bool]) -> None:
    """Return once something is the case."""

    async def look() -> bool:
        return condition()

    await eventually(look, bool)


async def see(client: Client, accept: Accept, name: str = "cluster", *, namespace: str = NAMESPACE) -> Cluster:
    """Return a cluster once it is acceptable."""
    return await eventually(partial(client.get, Cluster, Key(namespace, name)), accept)


async def see_state(client: Client, state: ClusterState, name: str = "cluster") -> Cluster:
    """Return a cluster once it is in a state."""
    return await see(client, lambda cluster: cluster.status.state is state, name)


async def see_gone(client: Client, kind: type[Any] = Cluster, name: str = "cluster", *, namespace: str = NAMESPACE) -> None:
    """Return once there is no such object."""

    async def look() -> Any:
        try:
            return await client.get(kind, Key(namespace, name))
        except NotFound:
            return None

    await eventually(look, lambda found: found is None)


async def told_of(client: Client, name: str = "cluster") -> set[str]:
    """Return the reasons of all events of a cluster."""
    return {event.reason for event in (await client.list(Event, NAMESPACE)).items if event.regarding.name == name}


async def set_status(client: Client, name: str = "cluster", **status: Any) -> Cluster:
    """Say what another controller would."""
    return await client.patch(Cluster, Key(NAMESPACE, name), {"status": status}, subresource="status")
