"""What becomes of clusters on clouds when providers and clouds are in trouble, by a real API and a simulated provider."""

import json
from collections.abc import AsyncIterator
from functools import partial

import pytest
from component.controllers.clouds import (
    NAMESPACE,
    add_cloud_of,
    add_provider,
    happens,
    infrastructure_controller,
    order_cluster,
    see,
    see_gone,
    see_state,
    set_status,
    template,
    told_of,
)
from component.controllers.world import KUBECONFIG, eventually, running
from fixtures.simulated_clouds import StartProvider

from krake.client import Client
from krake.controller.gc.controller import build as build_gc
from krake.controller.runtime import ControllerConfig
from krake.data import Key
from krake.data.events import Event
from krake.data.infrastructure import Cloud, InfrastructureProvider, InfrastructureProviderState, mark_of
from krake.data.kubernetes import Cluster, ClusterState
from krake.data.metadata import ReasonCode
from krake.simulator.failures import Failure
from krake.simulator.infrastructure import SimulatedProvider

PROVIDER = Key(NAMESPACE, "im")
CONNECTING = ClusterState.CONNECTING


@pytest.fixture
async def home(client: Client, api: str, simulated_provider: SimulatedProvider) -> AsyncIterator[SimulatedProvider]:
    """A cloud with its provider."""
    await add_provider(client, simulated_provider.url)
    await add_cloud_of(client)
    async with running(partial(build_gc, ControllerConfig()), api):
        yield simulated_provider


async def see_trouble(client: Client, code: ReasonCode, words: str = "") -> Cluster:
    """Return the cluster once it says what is wrong."""

    def accept(cluster: Cluster) -> bool:
        told = cluster.status.reason
        return told is not None and told.code is code and words in told.message

    return await see(client, accept)


async def see_online(client: Client) -> Cluster:
    """Return the cluster once it is created and its controller has found it well."""
    await see_state(client, CONNECTING)
    return await set_status(client, state="ONLINE")


async def test_a_provider_that_is_down_is_asked_again(client: Client, api: str, home: SimulatedProvider) -> None:
    home.service.fail(Failure("unreachable"))
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_state(client, ClusterState.FAILING_RECONCILIATION)
        assert cluster.status.reason is not None
        assert "'im'" in cluster.status.reason.message
        assert cluster.status.scheduled_retry is not None
        home.service.recover()
        cluster = await see_state(client, CONNECTING)
        assert list(home.infrastructures) == [cluster.status.cluster_id]
        assert cluster.status.reason is None
        await eventually(partial(told_of, client), lambda told: {"InfrastructureFailed", "InfrastructureReady"} <= told)


@pytest.mark.parametrize("accident", ["lost", 500, 503])
async def test_what_may_have_been_created_is_looked_for(
    client: Client, api: str, home: SimulatedProvider, accident: int | str
) -> None:
    if isinstance(accident, int):
        home.service.answer_with(accident, r"POST /infrastructures$")
    else:
        home.service.lose_answers(r"POST /infrastructures$")
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_state(client, CONNECTING)
    assert list(home.infrastructures) == [cluster.status.cluster_id]
    assert home.service.count(r"POST /infrastructures$") == (1 if accident == "lost" else 2)


async def test_what_is_wrong_is_given_up_until_it_is_changed(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client, tosca={**template(), "nonsense": {}})
        cluster = await see_state(client, ClusterState.FAILED)
        assert cluster.status.reason is not None
        assert cluster.status.reason.code is ReasonCode.CREATE_FAILED
        assert "nonsense" in cluster.status.reason.message
        await client.patch(Cluster, cluster.key, {"spec": {"tosca": {"nonsense": None}}})
        await see_state(client, CONNECTING)
        assert len(home.infrastructures) == 1


async def test_other_credentials_are_tried_at_once(client: Client, api: str, home: SimulatedProvider) -> None:
    home.accepts = lambda owner: "right" in owner
    async with infrastructure_controller(api):
        await order_cluster(client, backoff_delay=3600)
        cluster = await see_state(client, ClusterState.FAILING_RECONCILIATION)
        assert cluster.status.reason is not None
        assert home.infrastructures == {}
        await client.patch(InfrastructureProvider, PROVIDER, {"spec": {"im": {"username": "right"}}})
        await see_state(client, CONNECTING)


async def test_machines_that_could_not_be_configured_are_configured_anew(
    client: Client, api: str, home: SimulatedProvider
) -> None:
    home.settings.fate = "unconfigured"
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_trouble(client, ReasonCode.RECONCILE_FAILED, "configured")
        home.settings.fate = "configured"
        again = await see_state(client, CONNECTING)
        assert again.status.cluster_id == cluster.status.cluster_id
        assert home.service.count("reconfigure") > 0


async def test_machines_that_failed_at_creation_make_room_for_others(client: Client, api: str, home: SimulatedProvider) -> None:
    home.settings.fate = "failed"
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_trouble(client, ReasonCode.CREATE_FAILED)
        home.settings.fate = "configured"
        again = await see_state(client, CONNECTING)
        assert list(home.infrastructures) == [again.status.cluster_id]
        assert again.status.cluster_id != cluster.status.cluster_id


async def test_attempts_are_limited(client: Client, api: str, home: SimulatedProvider) -> None:
    home.settings.fate = "failed"
    async with infrastructure_controller(api):
        await order_cluster(client, backoff_limit=1)
        cluster = await see_state(client, ClusterState.FAILED)
        assert cluster.status.retries == 0
        assert cluster.status.infrastructure is not None
        assert cluster.status.infrastructure.attempts == 2
        home.settings.fate = "configured"
        cloud = {"openstack": {"auth": {"password": {"user": {"comment": "other"}}}}}
        await client.patch(Cloud, Key(NAMESPACE, "cloud"), {"spec": cloud})
        again = await see_state(client, CONNECTING)
        assert list(home.infrastructures) == [again.status.cluster_id]


async def test_what_takes_too_long_is_made_anew(client: Client, api: str, home: SimulatedProvider) -> None:
    home.settings.fate = "stuck"
    async with infrastructure_controller(api, creation_timeout=0.5):
        await order_cluster(client)
        await see_trouble(client, ReasonCode.CREATE_FAILED, "not ready after")
        home.settings.fate = "configured"
        cluster = await see_state(client, CONNECTING)
        assert list(home.infrastructures) == [cluster.status.cluster_id]


async def test_what_vanishes_while_it_is_created_is_created_anew(client: Client, api: str, home: SimulatedProvider) -> None:
    home.settings.fate = "stuck"
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see(client, lambda cluster: cluster.status.cluster_id is not None)
        home.settings.fate = "configured"
        await home.lose(str(cluster.status.cluster_id))
        again = await see_state(client, CONNECTING)
        assert list(home.infrastructures) == [again.status.cluster_id]


async def test_lost_machines_are_told_of_and_replaced(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_online(client)
        made = home.infrastructures[str(cluster.status.cluster_id)]
        await home.lose_machine(made.id, max(made.machines))
        told = await eventually(partial(told_of, client), lambda told: {"InfrastructureDrift", "InfrastructureMended"} <= told)
        assert "Reconciling" not in told
        assert len(made.machines) == 2
        cluster = await see(client, lambda cluster: cluster.status.reason is None)
        assert cluster.status.state is ClusterState.ONLINE


async def test_a_cluster_that_works_is_never_made_anew(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_online(client)
        await home.lose(str(cluster.status.cluster_id))
        cluster = await see_trouble(client, ReasonCode.NOT_FOUND, "gone")
        assert cluster.status.state is ClusterState.ONLINE
        asked = home.service.count("/state")
        await happens(lambda: home.service.count("/state") > asked + 2)
        assert home.infrastructures == {}
        reason = {"code": "CLUSTER_NOT_REACHABLE", "message": "It does not answer."}
        await set_status(client, state="OFFLINE", reason=reason)
        again = await see_state(client, CONNECTING)
        assert list(home.infrastructures) == [again.status.cluster_id]
        assert again.spec.kubeconfig != cluster.spec.kubeconfig


async def test_other_credentials_of_a_cluster_are_taken_over(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_online(client)
        asked = home.service.count("/outputs")
        await happens(lambda: home.service.count("/outputs") > asked)
        await home.rotate(str(cluster.status.cluster_id))
        again = await see(client, lambda its: its.spec.kubeconfig["users"] != cluster.spec.kubeconfig["users"])
        assert again.status.state is ClusterState.ONLINE


async def test_a_kubeconfig_of_the_user_is_left_alone_while_it_works(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_online(client)
        users = [{**cluster.spec.kubeconfig["users"][0], "user": {"token": "mine"}}]
        await client.patch(Cluster, cluster.key, {"spec": {"kubeconfig": {"users": users}}})
        asked = home.service.count("/outputs")
        await happens(lambda: home.service.count("/outputs") > asked + 2)
        assert (await client.get(Cluster, cluster.key)).spec.kubeconfig["users"] == users
        await set_status(client, state="OFFLINE")
        await see(client, lambda its: its.spec.kubeconfig["users"] == cluster.spec.kubeconfig["users"])


async def test_a_change_that_is_refused_leaves_the_cluster_as_it_is(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_online(client)
        home.service.answer_with(400, rf"POST /infrastructures/{cluster.status.cluster_id}", times=1000)
        await client.patch(Cluster, cluster.key, {"spec": {"tosca": template(3)}})
        await see_trouble(client, ReasonCode.RECONCILE_FAILED)
        cluster = await see_state(client, CONNECTING)
        assert cluster.status.last_applied_tosca != cluster.spec.tosca
        home.service.recover()
        await client.patch(Cluster, cluster.key, {"spec": {"tosca": template(2)}})
        await see(client, lambda its: its.status.reason is None and its.status.state is CONNECTING)
        assert len(home.infrastructures[str(cluster.status.cluster_id)].machines) == 3


async def test_deletion_goes_on_whatever_stands_in_its_way(client: Client, api: str, home: SimulatedProvider) -> None:
    home.settings.zombies = True
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_online(client)
        home.service.answer_with(409, "DELETE /infrastructures")
        home.accepts = lambda owner: False
        await client.delete(Cluster, cluster.key)
        cluster = await see_trouble(client, ReasonCode.DELETE_FAILED)
        assert cluster.status.state is ClusterState.DELETING
        home.accepts = lambda owner: True
        await see_gone(client)
    assert home.infrastructures == {}


async def test_a_cluster_is_deleted_whose_creation_was_not_answered(client: Client, api: str, home: SimulatedProvider) -> None:
    home.service.lose_answers(r"POST /infrastructures$")
    async with infrastructure_controller(api, search_time=2.0):
        cluster = await order_cluster(client)
        await happens(lambda: bool(home.infrastructures))
        await client.delete(Cluster, cluster.key)
        await see_gone(client)
    assert home.infrastructures == {}


async def test_a_cloud_that_is_gone_is_needed_for_the_deletion(client: Client, api: str, home: SimulatedProvider) -> None:
    async with infrastructure_controller(api):
        await order_cluster(client)
        cluster = await see_online(client)
        await client.delete(Cloud, Key(NAMESPACE, "cloud"), force=True)
        await client.delete(Cluster, cluster.key)
        cluster = await see_trouble(client, ReasonCode.INVALID_RESOURCE, "cloud")
        assert cluster.status.state is ClusterState.DELETING
        await add_cloud_of(client)
        await see_gone(client)
    assert home.infrastructures == {}


async def test_what_is_created_for_a_cluster_that_was_removed_by_force_is_deleted(
    client: Client, api: str, home: SimulatedProvider
) -> None:
    home.service.fail(Failure("slow", delay=0.3))
    async with infrastructure_controller(api):
        cluster = await order_cluster(client)
        await happens(lambda: home.service.count(r"POST /infrastructures$") > 0)
        await client.delete(Cluster, cluster.key, force=True)
        await happens(lambda: home.service.count("DELETE /infrastructures") > 0)
        await happens(lambda: not home.infrastructures)


async def test_a_kubeconfig_that_runs_programs_is_refused(client: Client, api: str, home: SimulatedProvider) -> None:
    user = {"name": "u", "user": {"exec": {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1"}}}
    declared = template()
    declared["topology_template"]["outputs"]["kubeconfig"]["value"] = json.dumps({**KUBECONFIG, "users": [user]})
    async with infrastructure_controller(api):
        await order_cluster(client, tosca=declared)
        cluster = await see_state(client, ClusterState.FAILED)
        assert cluster.spec.kubeconfig == {}
        assert cluster.status.reason is not None
        assert cluster.status.reason.code is ReasonCode.RETRIEVE_FAILED
        assert "exec" in cluster.status.reason.message


async def test_what_may_be_left_of_a_cluster_that_is_removed_by_force_is_named(
    client: Client, api: str, home: SimulatedProvider
) -> None:
    """Its creation was asked for, the answer got lost, and the provider never comes back."""
    home.service.fail(Failure("unreachable"))
    async with infrastructure_controller(api):
        cluster = await order_cluster(client)
        await see_trouble(client, ReasonCode.CREATE_FAILED)
        await client.delete(Cluster, cluster.key)
        cluster = await see_trouble(client, ReasonCode.DELETE_FAILED, "--force")
        assert cluster.status.state is ClusterState.DELETING
        assert cluster.status.reason is not None
        name = mark_of(cluster.metadata.uid)
        assert f"what has the name '{name}' is looked for there" in cluster.status.reason.message
        await client.delete(Cluster, cluster.key, force=True)
        await see_gone(client)

    async def look() -> list[str]:
        events = (await client.list(Event, NAMESPACE)).items
        return [each.message for each in events if each.regarding.uid == cluster.metadata.uid and each.reason == "Removed"]

    told = await eventually(look, bool)
    left = f"'{name}' at {cluster.status.infrastructure.provider} on {cluster.status.running_on}"  # type: ignore[union-attr]
    assert told == [f"It was removed by force; its infrastructure is left behind, if there is one: {left}."]
    assert "im" in left
    assert "cloud" in left


async def test_clusters_of_a_provider_that_is_back_are_tried_at_once(client: Client, api: str, home: SimulatedProvider) -> None:
    home.service.fail(Failure("unreachable"))
    async with infrastructure_controller(api, check_interval=0.2):
        await order_cluster(client, backoff_delay=3600)
        await see_state(client, ClusterState.FAILING_RECONCILIATION)
        await eventually(
            partial(client.get, InfrastructureProvider, PROVIDER),
            lambda provider: provider.status.state is InfrastructureProviderState.OFFLINE,
        )
        home.service.recover()
        await see_state(client, CONNECTING)


async def test_a_provider_that_never_answered_keeps_no_cluster_that_it_refused(
    client: Client, api: str, home: SimulatedProvider
) -> None:
    home.accepts = lambda owner: False
    async with infrastructure_controller(api):
        cluster = await order_cluster(client)
        await see_state(client, ClusterState.FAILING_RECONCILIATION)
        await client.delete(Cluster, cluster.key)
        await see_gone(client)


async def test_a_provider_that_hangs_is_in_nobodys_way(
    client: Client, api: str, home: SimulatedProvider, start_simulated_provider: StartProvider
) -> None:
    hanging = await start_simulated_provider()
    hanging.service.fail(Failure("hanging"))
    await add_provider(client, hanging.url, "hanging")
    await add_cloud_of(client, "hanging", "dark")
    async with infrastructure_controller(api, worker_count=8, timeout=60.0):
        for number in range(20):
            await order_cluster(client, f"stuck-{number}", cloud="dark")
        await order_cluster(client)
        await see_state(client, CONNECTING)
