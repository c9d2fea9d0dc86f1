"""The cluster controller tells how clusters are, whatever becomes of them."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from integration.kubernetes.conftest import Targets, in_namespace
from integration.kubernetes.world import DEADLINE, DEPLOYMENT, NAMESPACE, Target, World, clusters, deployment, eventually

from krake.data import Key
from krake.data.kubernetes import Cluster, ClusterState, ClusterStatus
from krake.data.metadata import ReasonCode
from krake.simulator import Failure

State = ClusterState


async def test_a_registered_cluster_is_online_at_once(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target)
        began = time.monotonic()
        cluster = await world.cluster_until(target.name, State.ONLINE)
        assert time.monotonic() - began < 1.0
    assert cluster.status.reason is None
    assert [node.metadata.name for node in cluster.status.nodes] == target.control.node_names()
    assert cluster.status.nodes[0].status is not None
    assert any(condition.type == "Ready" for condition in cluster.status.nodes[0].status.conditions)


async def test_its_nodes_say_how_it_is(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target)
        await world.cluster_until(target.name, State.ONLINE)
        (node,) = target.control.node_names()
        target.control.set_node(node, ready=False)
        cluster = await world.cluster_until(target.name, State.NOTREADY)
        assert cluster.status.reason is not None
        assert f"Node {node} is not ready" in cluster.status.reason.message
        target.control.set_node(node, pressures=["DiskPressure"])
        cluster = await world.cluster_until(target.name, State.UNHEALTHY)
        assert cluster.status.reason is not None
        assert "DiskPressure" in cluster.status.reason.message
        target.control.set_node(node)
        cluster = await world.cluster_until(target.name, State.ONLINE)
        assert cluster.status.reason is None
        target.control.set_node_count(3)
        await eventually(lambda: world.cluster(target.name), lambda seen: len(seen.status.nodes) == 3)


@pytest.mark.parametrize(
    ("mode", "said"),
    [("unreachable", "can not be reached"), ("hanging", "did not answer within"), ("garbage", "is not Kubernetes")],
)
async def test_a_cluster_that_is_lost_is_offline_and_comes_back_by_itself(
    world: World, target: Target, mode: Any, said: str
) -> None:
    async with world.running(clusters):
        await world.register(target)
        await world.cluster_until(target.name, State.ONLINE)
        target.control.fail(Failure(mode))
        cluster = await world.cluster_until(target.name, State.OFFLINE)
        assert cluster.status.reason is not None
        assert cluster.status.reason.code is ReasonCode.CLUSTER_NOT_REACHABLE
        assert said in cluster.status.reason.message
        target.control.recover()
        cluster = await world.cluster_until(target.name, State.ONLINE)
        assert cluster.status.reason is None


async def test_a_short_interruption_is_not_an_outage(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target)
        version = (await world.cluster_until(target.name, State.ONLINE)).metadata.resource_version
        for _ in range(3):
            target.control.cut_connections()
            await asyncio.sleep(0.1)  # lets the cut be noticed; nothing is waited for
        target.control.set_node_count(2)
        written = []
        changes = world.client.watch(Cluster, NAMESPACE, resource_version=version)
        async with asyncio.timeout(DEADLINE), aclosing(changes):
            async for change in changes:
                written.append(change.object.status)
                if len(change.object.status.nodes) == 2:
                    break
        assert [status.state for status in written] == [State.ONLINE]


async def test_refused_credentials_are_told_in_the_cluster_s_words(world: World, target: Target) -> None:
    target.kubeconfig["users"][0]["user"]["token"] = "wrong"
    async with world.running(clusters):
        await world.register(target)
        cluster = await world.cluster_until(target.name, State.OFFLINE)
    assert cluster.status.reason is not None
    assert cluster.status.reason.code is ReasonCode.KUBERNETES_ERROR
    assert "Unauthorized" in cluster.status.reason.message
    assert "update the cluster with a valid one" in cluster.status.reason.message


async def test_a_new_kubeconfig_is_used_at_once(world: World, target: Target) -> None:
    right = target.kubeconfig
    wrong = {**right, "clusters": [{"name": target.name, "cluster": {"server": f"http://127.0.0.1:{unused_port()}"}}]}
    async with world.running(clusters):
        target.kubeconfig = wrong
        await world.register(target)
        await world.cluster_until(target.name, State.OFFLINE)
        await world.client.patch(Cluster, Key("red", target.name), {"spec": {"kubeconfig": right}})
        cluster = await world.cluster_until(target.name, State.ONLINE)
    assert cluster.status.observed_generation == cluster.metadata.generation == 2


async def test_one_bad_cluster_does_not_disturb_the_others(world: World, targets: Targets) -> None:
    good, *bad = await targets(12)
    for target in bad:
        target.control.fail(Failure("hanging"))
    async with world.running(clusters):
        for target in bad:
            await world.register(target)
        await world.register(good)
        began = time.monotonic()
        await world.cluster_until(good.name, State.ONLINE)
        assert time.monotonic() - began < 1.0
        for target in bad:
            await world.cluster_until(target.name, State.OFFLINE)


async def test_the_scheduler_s_word_that_metrics_fail_stands(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target)
        await world.cluster_until(target.name, State.ONLINE)
        changes = {"status": {"state": "FAILING_METRICS"}}
        await world.client.patch(Cluster, Key("red", target.name), changes, subresource="status")
        target.control.set_node_count(2)
        cluster = await eventually(lambda: world.cluster(target.name), lambda seen: len(seen.status.nodes) == 2)
        assert cluster.status.state is State.FAILING_METRICS
        target.control.set_node(target.control.node_names()[0], ready=False)
        await world.cluster_until(target.name, State.NOTREADY)


async def test_a_cluster_without_nodes_is_not_ready(world: World, target: Target) -> None:
    target.control.set_node_count(0)
    async with world.running(clusters):
        await world.register(target)
        assert "has no nodes" in str((await world.cluster_until(target.name, State.NOTREADY)).status.reason)
        target.control.set_node_count(1)
        await world.cluster_until(target.name, State.ONLINE)


async def written_until(world: World, since: Cluster, last: Callable[[ClusterStatus], bool]) -> list[ClusterStatus]:
    """All that was written about clusters since a version of one, until something in particular was."""
    written = []
    changes = world.client.watch(Cluster, NAMESPACE, resource_version=since.metadata.resource_version)
    async with asyncio.timeout(DEADLINE), aclosing(changes):
        async for change in changes:
            written.append(change.object.status)
            if last(change.object.status):
                break
    return written


async def test_one_bad_node_of_many_is_told_and_does_not_count(world: World, target: Target) -> None:
    target.control.set_node_count(5)
    async with world.running(clusters):
        await world.register(target)
        cluster = await world.cluster_until(target.name, State.ONLINE)
        names = target.control.node_names()
        target.control.set_node(names[0], ready=False)
        target.control.set_node(names[1], pressures=["DiskPressure"])
        written = await written_until(world, cluster, lambda status: "2 of 5 nodes are not well" in str(status.reason))
        assert {status.state for status in written} == {State.ONLINE}
        conditions = {node.metadata.name: node.status.conditions for node in written[-1].nodes if node.status}
        assert ("Ready", "False") in [(each.type, each.status) for each in conditions[names[0]]]
        assert ("DiskPressure", "True") in [(each.type, each.status) for each in conditions[names[1]]]
        target.control.set_node(names[2], ready=False)
        await world.cluster_until(target.name, State.NOTREADY)


async def test_a_node_that_is_back_soon_does_not_count(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target)
        cluster = await world.cluster_until(target.name, State.ONLINE)
        (node,) = target.control.node_names()
        target.control.set_node(node, ready=False)
        await asyncio.sleep(0.1)  # lets it be noticed; nothing is waited for
        target.control.set_node(node)
        target.control.set_node_count(2)
        written = await written_until(world, cluster, lambda status: len(status.nodes) == 2)
        assert {status.state for status in written} == {State.ONLINE}


async def test_what_a_cluster_has_and_what_is_asked_for(world: World, any_target: Target) -> None:
    async with world.running(clusters):
        await world.register(any_target)
        cluster = await world.cluster_until(any_target.name, State.ONLINE)
        status = cluster.status
        assert str(status.kubernetes_version).startswith("v1.")
        assert status.capacity.keys() >= {"cpu", "memory", "pods"}
        assert status.allocatable.keys() >= {"cpu", "memory", "pods"}

        async def asked() -> dict[str, str]:
            return (await world.cluster(any_target.name)).status.requested

        before = int((await asked()).get("pods", "0"))
        busy = deployment(replicas=3, resources={"requests": {"cpu": "1500m", "memory": "100Mi"}})
        await any_target.create(busy)
        seen = await eventually(asked, lambda found: found.get("pods") == str(before + 3))
        assert (seen["cpu"], seen["memory"]) == ("4500m", "300Mi")
        await any_target.delete(DEPLOYMENT, "echo")
        await eventually(asked, lambda found: int(found.get("pods", "0")) == before and "cpu" not in found)


async def test_many_pods_do_not_make_as_many_writes(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target)
        cluster = await world.cluster_until(target.name, State.ONLINE)
        for number in range(60):
            await target.create(deployment(f"busy-{number}"))
        written = await written_until(world, cluster, lambda status: status.requested.get("pods") == "60")
        assert len(written) < 30


async def test_a_cluster_that_is_away_uses_up_its_attempts(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target, backoff_limit=3, backoff_delay=1)
        cluster = await world.cluster_until(target.name, State.ONLINE)
        assert (cluster.status.retries, cluster.status.scheduled_retry) == (3, None)
        target.control.fail(Failure("unreachable"))
        cluster = await world.cluster_until(target.name, State.DEGRADED)
        assert cluster.status.retries in (1, 2)
        assert cluster.status.scheduled_retry is not None
    async with world.running(clusters):  # another process goes on
        cluster = await eventually(lambda: world.cluster(target.name), lambda seen: seen.status.retries == 0)
        assert cluster.status.state is State.OFFLINE
        target.control.recover()
        # It would be looked at again in a while; a change by its user leads to that at once.
        await world.client.patch(Cluster, Key(NAMESPACE, target.name), {"spec": {"custom_resources": ["a.example"]}})
        cluster = await world.cluster_until(target.name, State.ONLINE)
        assert (cluster.status.retries, cluster.status.scheduled_retry, cluster.status.reason) == (3, None, None)


async def test_a_cluster_in_trouble_of_its_own_says_so(world: World, target: Target) -> None:
    async with world.running(clusters):
        await world.register(target)
        await world.cluster_until(target.name, State.ONLINE)
        target.control.fail(Failure("errors"))
        cluster = await world.cluster_until(target.name, State.OFFLINE)
        assert cluster.status.reason is not None
        assert cluster.status.reason.code is ReasonCode.KUBERNETES_ERROR
        target.control.recover()
        await world.cluster_until(target.name, State.ONLINE)


async def test_a_real_cluster_through_its_troubles(world: World, real_clusters: Any) -> None:
    (plane,) = real_clusters(1, controllable=True)
    target = Target("real", in_namespace(plane.kubeconfig, "default"), plane)
    try:
        async with world.running(clusters):
            await world.register(target)
            cluster = await world.cluster_until("real", State.ONLINE)
            assert len(cluster.status.nodes) == 1
            await asyncio.to_thread(plane.node.set_ready, False)
            await world.cluster_until("real", State.NOTREADY)
            await asyncio.to_thread(plane.node.set_ready, True)
            await world.cluster_until("real", State.ONLINE)
            plane.pause()
            cluster = await world.cluster_until("real", State.OFFLINE)
            assert "did not answer within" in str(cluster.status.reason)
            plane.resume()
            await world.cluster_until("real", State.ONLINE)
    finally:
        await target.connection.close()


def unused_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])
