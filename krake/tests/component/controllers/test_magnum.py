"""The Magnum controller: against a real API and a simulated Magnum, whose clusters answer as Kubernetes does."""

from functools import partial

from component.controllers.magnum import (
    KEY,
    State,
    clusters_of,
    declare,
    declare_project,
    run,
    see,
    see_gone,
    see_running,
    told,
)
from component.controllers.world import eventually, running

from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.kubernetes.cluster.controller import build as build_cluster_controller
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.runtime import ControllerConfig
from krake.data.core import MetricRef
from krake.data.kubernetes import Cluster, ClusterState
from krake.data.metadata import MAGNUM_CLUSTER_DELETION, ReasonCode
from krake.data.openstack import MagnumCluster
from krake.simulator.openstack.magnum import SimulatedMagnum


async def test_a_cluster_is_created_resized_and_deleted(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    magnum = simulated_magnum
    await declare_project(client, magnum)
    labels, metrics = {"zone": "a"}, [MetricRef(name="load", weight=2.0)]
    async with (
        run(api),
        running(partial(build_gc, ControllerConfig()), api),
        running(partial(build_cluster_controller, ClusterControllerConfig(patience=0.1)), api),
    ):
        await declare(client, master_count=1, node_count=2, labels=labels, metrics=metrics)
        found = await see_running(client, 2)
        (at_magnum,) = magnum.clusters.values()
        status = found.status
        assert at_magnum.name == f"krake-{found.metadata.uid}"
        assert (status.cluster_id, status.phase) == (at_magnum.id, "CREATE_COMPLETE")
        assert (len(status.master_addresses or []), len(status.node_addresses or [])) == (1, 2)
        assert found.metadata.finalizers == [MAGNUM_CLUSTER_DELETION]

        assert status.cluster is not None
        cluster = await eventually(
            partial(client.get, Cluster, status.cluster.key), lambda cluster: cluster.status.state is ClusterState.ONLINE
        )
        assert cluster.metadata.name.startswith("mine-")
        assert (cluster.metadata.labels, cluster.spec.metrics) == (labels, metrics)
        assert cluster.metadata.owners == [found.ref]
        assert len(cluster.status.nodes) == 2

        await client.patch(MagnumCluster, KEY, {"spec": {"node_count": 3}})
        found = await see_running(client, 3)
        assert at_magnum.kubernetes is not None
        assert len(at_magnum.kubernetes.node_names()) == 3
        assert found.status.observed_generation == found.metadata.generation

        await client.delete(MagnumCluster, KEY)
        await see_gone(client)
        assert magnum.clusters == {}
        assert await clusters_of(client) == []
    seen = await told(client)
    assert {"CreatingMagnumCluster", "MagnumClusterRunning", "ResizingMagnumCluster", "DeletingMagnumCluster"} <= {*seen}


async def test_a_template_of_something_else_is_said_to_be_wrong(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    magnum = simulated_magnum
    await declare_project(client, magnum, template=magnum.add_template("swarm", coe="swarm").id)
    async with run(api):
        await declare(client)
        found = await see(client, lambda status: status.state is State.FAILED)
        assert found.status.reason is not None
        assert found.status.reason.code is ReasonCode.INVALID_CLUSTER_TEMPLATE
        assert "swarm" in found.status.reason.message
        assert magnum.clusters == {}
