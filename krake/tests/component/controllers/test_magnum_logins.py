"""How the Magnum controller keeps its access to the clusters, and what its own role allows it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from component.controllers.magnum import KEY, configure, declare, declare_project, run, see_gone, see_running
from component.controllers.world import eventually, running
from fixtures.api import Serve

from krake.client import Client
from krake.controller.magnum.controller import MagnumController
from krake.controller.magnum.credentials import authority_of, validity_of
from krake.data.kubernetes import Cluster
from krake.data.openstack import MagnumCluster
from krake.simulator.openstack.authority import LIFETIME, Authority
from krake.simulator.openstack.magnum import SimulatedMagnum

ROLES = Path(__file__).parents[4] / "templates" / "bootstrapping" / "base_roles.yaml"
MAGNUM = {"strategy": {"static": {"enabled": True, "name": "system:magnum"}}}


def later(delta: timedelta) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + delta


async def registered(client: Client) -> Cluster:
    """The Kubernetes cluster of a Magnum cluster that runs."""
    found = await see_running(client)
    assert found.status.cluster is not None
    return await client.get(Cluster, found.status.cluster.key)


async def see_other_login(client: Client, before: Cluster) -> dict[str, Any]:
    """Return the kubeconfig of a cluster once it is another one."""
    users = before.spec.kubeconfig["users"]
    seen = await eventually(partial(client.get, Cluster, before.key), lambda cluster: cluster.spec.kubeconfig["users"] != users)
    return seen.spec.kubeconfig


def controller(api: str, now: Callable[[], datetime]) -> Any:
    return running(lambda client: MagnumController(client, configure(), now=now).parts, api)


@pytest.mark.parametrize(
    ("reason", "rotated"),
    [
        ({"code": "KUBERNETES_ERROR", "message": "The cluster refuses the credentials."}, False),
        ({"code": "CLUSTER_NOT_REACHABLE", "message": "Its certificate is not trusted."}, True),
    ],
    ids=["it refuses the credentials", "its authority is another one"],
)
async def test_a_cluster_that_does_not_let_in_gets_new_credentials(
    api: str, client: Client, simulated_magnum: SimulatedMagnum, reason: dict[str, str], rotated: bool
) -> None:
    await declare_project(client, simulated_magnum)
    async with run(api):
        await declare(client)
        before = await registered(client)
    (cluster,) = simulated_magnum.clusters.values()
    if rotated:
        cluster.authority = Authority("another one")
    status = {"status": {"state": "OFFLINE", "reason": reason}}
    await client.patch(Cluster, before.key, status, subresource="status")
    async with controller(api, later(timedelta(minutes=11))):
        kubeconfig = await see_other_login(client, before)
    assert authority_of(kubeconfig) == cluster.authority.pem


async def test_certificates_are_replaced_before_they_end(api: str, client: Client, simulated_magnum: SimulatedMagnum) -> None:
    await declare_project(client, simulated_magnum)
    async with run(api):
        await declare(client)
        before = await registered(client)
    async with controller(api, later(LIFETIME - timedelta(days=20))):
        kubeconfig = await see_other_login(client, before)
    assert validity_of(kubeconfig) is not None


async def test_the_shipped_role_is_enough(serve_api: Serve, simulated_magnum: SimulatedMagnum) -> None:
    async with serve_api() as admin, serve_api(authentication=MAGNUM, authorization="RBAC") as strict:
        for document in yaml.safe_load_all(ROLES.read_text()):
            plural = "roles" if document.pop("kind") == "Role" else "rolebindings"
            assert (await admin.post(f"/core/{plural}", document)).status == 201
        async with Client(admin.url) as client, run(strict.url):
            await declare_project(client, simulated_magnum)
            await declare(client, node_count=1, labels={"zone": "a"})
            found = await see_running(client, 1)
            await client.patch(MagnumCluster, KEY, {"spec": {"node_count": 2}, "metadata": {"labels": {"zone": "b"}}})
            await see_running(client, 2)
            assert found.status.cluster is not None
            resource = partial(client.get, Cluster, found.status.cluster.key)
            await eventually(resource, lambda cluster: cluster.metadata.labels == {"zone": "b"})
            # The part of the garbage collector, which had not seen the resource.
            await client.delete(MagnumCluster, KEY)
            await client.patch(MagnumCluster, KEY, {"metadata": {"finalizers": ["magnum_cluster_deletion"]}})
            await see_gone(client)
            assert (await client.list(Cluster, "red")).items == []
    assert simulated_magnum.clusters == {}
