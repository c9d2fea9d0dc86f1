"""What the Magnum controller makes of clouds and clusters that are in trouble, and what it says of it."""

import asyncio
from functools import partial
from typing import Any

import pytest
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
from krake.controller.runtime import ControllerConfig
from krake.data import Key
from krake.data.kubernetes import Cluster
from krake.data.metadata import ReasonCode
from krake.data.openstack import MagnumCluster, MagnumClusterBinding, MagnumClusterStatus, Project
from krake.simulator import Failure
from krake.simulator.openstack import SimulatedCloud
from krake.simulator.openstack.magnum import SimulatedMagnum

POST = "POST .*/clusters$"


async def see_reason(client: Client, words: str, key: Key = KEY) -> MagnumClusterStatus:
    """Return the status of a Magnum cluster once its reason has these words."""
    found = await see(client, lambda status: status.reason is not None and words in status.reason.message, key)
    return found.status


async def test_a_failed_creation_is_told_and_tried_again_when_it_is_changed(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    magnum = simulated_magnum
    await declare_project(client, magnum)
    magnum.failures.append(("CREATE", "No valid host was found."))
    async with run(api):
        await declare(client, node_count=1)
        status = await see_reason(client, "No valid host was found.")
        assert (status.state, status.phase, status.attempts) == (State.FAILED, "CREATE_FAILED", 1)
        assert status.reason is not None
        assert status.reason.code is ReasonCode.CREATE_FAILED
        assert status.scheduled_retry is not None
        (failed,) = magnum.clusters
        await client.patch(MagnumCluster, KEY, {"spec": {"node_count": 2}})
        found = await see_running(client, 2)
        assert list(magnum.clusters) == [found.status.cluster_id] != [failed]
        assert (found.status.attempts, found.status.reason, found.status.scheduled_retry) == (0, None, None)
    assert "CreationFailed" in await told(client)


async def test_what_magnum_refuses_is_told_in_its_words(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    magnum = simulated_magnum
    await declare_project(client, magnum)
    magnum.settings.quota = 0
    async with run(api):
        await declare(client)
        status = await see_reason(client, "You have reached the maximum clusters per project, 0.")
        assert (status.state, status.cluster_id, status.asked) == (State.FAILED, None, None)
        magnum.settings.quota = 1
        await client.patch(Project, Key("red", "project"), {"spec": {"metrics": [{"name": "load", "weight": 1}]}})
        await see_running(client)


async def test_an_answer_that_is_lost_is_looked_for(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    await declare_project(client, simulated_magnum)
    simulated_magnum.cloud.service.lose_answers(POST)
    async with run(api):
        await declare(client)
        found = await see_running(client)
    assert list(simulated_magnum.clusters) == [found.status.cluster_id]
    assert simulated_magnum.cloud.service.count(POST) == 1


async def test_a_request_that_is_lost_is_made_again_after_a_while(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    await declare_project(client, simulated_magnum)
    simulated_magnum.cloud.service.answer_with(503, POST)
    async with run(api):
        await declare(client)
        await see_running(client)
    assert len(simulated_magnum.clusters) == 1
    assert simulated_magnum.cloud.service.count(POST) == 2


async def test_of_clusters_that_are_there_twice_one_goes(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    await declare_project(client, simulated_magnum)
    simulated_magnum.settings.create_delay = 1.0
    service = simulated_magnum.cloud.service
    service.lose_answers(POST)
    # It is not to be found, and so it is asked for again.
    service.answer_with(404, "GET .*/clusters/krake-", times=8)
    async with run(api):
        await declare(client)
        found = await see_running(client)

        async def names() -> list[str]:
            return list(simulated_magnum.clusters)

        assert await eventually(names, lambda ids: len(ids) == 1) == [found.status.cluster_id]
    assert service.count(POST) == 2


@pytest.mark.parametrize("mode", ["unreachable", "hanging", "garbage", "errors"])
async def test_a_cloud_that_does_not_work_is_told_and_waited_for(
    api: str, client: Client, simulated_magnum: SimulatedMagnum, mode: Any
) -> None:
    await declare_project(client, simulated_magnum)
    service = simulated_magnum.cloud.service
    async with run(api):
        await declare(client, node_count=1)
        await see_running(client)
        service.fail(Failure(mode))
        await client.patch(MagnumCluster, KEY, {"spec": {"node_count": 2}})
        found = await see(client, lambda status: status.reason is not None)
        assert found.status.reason is not None
        assert found.status.reason.code is ReasonCode.OPENSTACK_ERROR
        assert "'project'" in found.status.reason.message
        service.recover()
        found = await see_running(client, 2)
        assert found.status.reason is None


async def test_a_cloud_that_hangs_is_in_nobodys_way(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    async with SimulatedMagnum(cloud := SimulatedCloud("other")) as other, cloud:
        await declare_project(client, other, "other")
        await declare_project(client, simulated_magnum)
        cloud.service.fail(Failure("hanging"))
        async with run(api):
            for number in range(20):
                await declare(client, Key("red", f"stuck-{number}"), project="other")
            async with asyncio.timeout(30):
                await declare(client)
                await see_running(client)


async def test_a_login_that_ends_is_told_and_replaced(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    cloud = simulated_magnum.cloud
    await declare_project(client, simulated_magnum, secret="wr0ng")
    async with run(api):
        await declare(client)
        status = await see_reason(client, "refuses the login")
        assert status.reason is not None
        assert "wr0ng" not in status.reason.message
        login = {"id": cloud.credential.id, "secret": cloud.credential.secret}
        changed = {"spec": {"auth": {"application_credential": login}}}
        await client.patch(Project, Key("red", "project"), changed)
        await see_running(client)


async def test_a_cluster_that_is_gone_is_made_anew_only_if_it_does_not_work(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    await declare_project(client, simulated_magnum)
    async with run(api):
        await declare(client)
        found = await see_running(client)
        assert found.status.cluster is not None
        before, key = found.status.cluster_id, found.status.cluster.key
        kubeconfig = (await client.get(Cluster, key)).spec.kubeconfig
        await client.patch(Cluster, key, {"status": {"state": "ONLINE"}}, subresource="status")
        await simulated_magnum.lose(str(before))
        status = await see_reason(client, "though it works")
        assert (status.state, status.cluster_id) == (State.RUNNING, before)
        assert simulated_magnum.clusters == {}

        await client.patch(Cluster, key, {"status": {"state": "OFFLINE"}}, subresource="status")
        found = await see(client, lambda status: status.state is State.RUNNING and status.cluster_id != before)
        assert list(simulated_magnum.clusters) == [found.status.cluster_id]
        assert found.status.cluster is not None
        assert found.status.cluster.key == key
        cluster = await eventually(partial(client.get, Cluster, key), lambda each: each.spec.kubeconfig != kubeconfig)
        assert cluster.spec.kubeconfig["clusters"][0]["cluster"]["server"] == found.status.api_address
    assert "MagnumClusterLost" in await told(client)


async def test_a_cluster_that_is_not_created_in_time_is_given_up(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    await declare_project(client, simulated_magnum)
    simulated_magnum.stuck.add("CREATE")
    async with run(api, creation_timeout=1.0):
        await declare(client)
        status = await see_reason(client, "CREATE_IN_PROGRESS for more than")
        assert status.state is State.FAILED
        await client.delete(MagnumCluster, KEY)
        await client.patch(MagnumCluster, KEY, {"metadata": {"finalizers": ["magnum_cluster_deletion"]}})
        await see_gone(client)
    assert simulated_magnum.clusters == {}


async def test_a_deletion_that_fails_is_told(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    await declare_project(client, simulated_magnum)
    async with run(api):
        await declare(client)
        await see_running(client)
        simulated_magnum.failures.append(("DELETE", "A port is still in use."))
        await client.delete(MagnumCluster, KEY)
        await client.patch(MagnumCluster, KEY, {"metadata": {"finalizers": ["magnum_cluster_deletion"]}})
        status = await see_reason(client, "A port is still in use.")
        assert (status.state, status.phase) == (State.DELETING, "DELETE_FAILED")
        assert status.reason is not None
        assert status.reason.code is ReasonCode.DELETE_FAILED
        assert status.scheduled_retry is not None
        assert await clusters_of(client) == []


async def test_what_was_resized_by_somebody_else_is_resized_back(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    await declare_project(client, simulated_magnum)
    async with run(api):
        await declare(client, node_count=2)
        await see_running(client, 2)
        (cluster,) = simulated_magnum.clusters.values()
        simulated_magnum.resize(cluster, 5)
        await see(client, lambda status: status.node_count == 5)
        await see_running(client, 2)
    assert cluster.node_count == 2


async def test_a_resource_that_was_deleted_comes_back(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    await declare_project(client, simulated_magnum)
    async with run(api):
        await declare(client, labels={"zone": "a"})
        found = await see_running(client)
        assert found.status.cluster is not None
        key = found.status.cluster.key
        uid = (await client.get(Cluster, key)).metadata.uid
        await client.delete(Cluster, key, force=True)

        async def uids() -> list[str]:
            return [each.metadata.uid for each in (await client.list(Cluster, "red")).items]

        assert await eventually(uids, lambda found: found not in ([], [uid]))
        await client.patch(MagnumCluster, KEY, {"metadata": {"labels": {"zone": "b", "gpu": "yes"}}})
        wanted = {"zone": "b", "gpu": "yes"}
        await eventually(partial(client.get, Cluster, key), lambda cluster: cluster.metadata.labels == wanted)


async def test_without_its_project_nothing_is_done_and_that_is_told(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    await declare_project(client, simulated_magnum)
    await declare(client)
    project = {"metadata": {"owners": []}}
    await client.patch(MagnumCluster, KEY, project)
    await client.delete(Project, Key("red", "project"))
    async with run(api):
        await see_reason(client, "is gone: declare it again")
        assert simulated_magnum.clusters == {}
        await declare_project(client, simulated_magnum)
        await see_running(client)


async def test_projects_and_clusters_of_others_are_not_used(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    """Whoever may write the status of Magnum clusters in one namespace gets nothing by that but trouble of his own."""
    await declare_project(client, simulated_magnum)
    await declare_project(client, simulated_magnum, namespace="green")
    theirs, own = Key("green", "theirs"), Key("green", "own")
    async with run(api), running(partial(build_gc, ControllerConfig()), api):
        await declare(client)
        victim = await see_running(client)
        (id,) = simulated_magnum.clusters
        await declare(client, theirs, bind=False)
        forged: dict[str, Any] = {"project": Project.definition.ref(Key("red", "project")).serialize()}
        await client.patch(MagnumCluster, theirs, {"status": forged}, subresource="status")
        await see_reason(client, "is gone: declare it again", theirs)
        await declare(client, own)
        await see_running(client, key=own)
        await client.patch(MagnumCluster, own, {"status": {"cluster_id": id}}, subresource="status")
        await client.delete(MagnumCluster, own)
        await see_gone(client, own)
        assert await clusters_of(client, theirs) == []
        assert list(simulated_magnum.clusters) == [victim.status.cluster_id]


async def test_no_cluster_is_registered_in_other_namespaces(
    api: str, client: Client, simulated_magnum: SimulatedMagnum
) -> None:
    """Applications of others would be sent there, with their secrets."""
    await declare_project(client, simulated_magnum)
    victim = Key("green", "trap")
    async with run(api), running(partial(build_gc, ControllerConfig()), api):
        await declare(client, bind=False)
        forged = {"cluster": Cluster.definition.ref(victim).serialize()}
        await client.patch(MagnumCluster, KEY, {"status": forged}, subresource="status")
        project = await client.get(Project, Key("red", "project"))
        binding = MagnumClusterBinding(project=project.ref, template=project.spec.template)
        await client.act(MagnumCluster, KEY, "binding", binding)
        await see_reason(client, "is not of this namespace")
        await client.delete(MagnumCluster, KEY)
        await see_gone(client)
    assert await clusters_of(client, victim) == []
    assert simulated_magnum.clusters == {}
