"""Kubeconfigs lead only where clusters can be, whatever the names in them mean."""

import copy
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from component.controllers.world import KUBECONFIG, add_app, eventually, running
from fixtures.web import Web

from krake.adapters.kubernetes import Connection
from krake.client import Client
from krake.controller.kubernetes.application.controller import build as build_applications
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.kubernetes.cluster.controller import build as build_clusters
from krake.controller.kubernetes.cluster.settings import ClusterControllerConfig
from krake.controller.kubernetes.destinations import ClustersConfig, connect_within
from krake.controller.runtime import ControllerConfig
from krake.data import Key, Metadata
from krake.data.kubernetes import (
    Application,
    CloudConstraints,
    Cluster,
    ClusterBinding,
    ClusterCloudConstraints,
    ClusterSpec,
    ClusterState,
)
from krake.ports.cluster import Unreachable

METADATA = "http://169.254.169.254"
NOT_ALLOWED = r"is not asked: .* is not reached from here: .* has not allowed it \(clusters\.allow\)\.$"
Lookups = Callable[..., Counter[str]]


def kubeconfig(server: str) -> dict[str, Any]:
    made = copy.deepcopy(KUBECONFIG)
    made["clusters"][0]["cluster"]["server"] = server
    if "@" in server:
        made["users"][0]["user"] = {}
    return made


def connect(server: str, api: str = "http://localhost:1", **clusters: Any) -> Connection:
    config = ControllerConfig(api_endpoint=api)
    return connect_within(ClustersConfig(**clusters), config, 5.0)(kubeconfig(server))


async def version(connection: Connection) -> str:
    try:
        return await connection.version()
    finally:
        await connection.close()


@pytest.fixture
def cluster(web_server: Web) -> Web:
    """What answers as the API of a cluster does."""
    web_server.answers["/version"] = '{"gitVersion": "v1.30.0"}'
    return web_server


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Lookups:
    """Have names mean what they are said to; returns how often each was looked up."""
    look_up = socket.getaddrinfo

    def mean(**known: list[str]) -> Counter[str]:
        asked: Counter[str] = Counter()

        def answer(host: str, port: int, *args: Any, **options: Any) -> Any:
            name = host.removesuffix(".example")
            asked[name] += 1
            if name not in known:
                return look_up(host, port, *args, **options)
            kinds = ((socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in known[name])
            return [(kind, socket.SOCK_STREAM, 6, "", (address, port)) for kind, address in kinds]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return asked

    return mean


@pytest.mark.parametrize(
    "server",
    [METADATA, "https://169.254.0.1:6443", "http://[fe80::1]", "http://[::ffff:169.254.169.254]", "https://168.63.129.16"],
)
async def test_what_can_not_be_a_cluster(server: str) -> None:
    with pytest.raises(Unreachable, match=NOT_ALLOWED):
        await version(connect(server))


async def test_a_number_that_only_some_take_for_an_address() -> None:
    with pytest.raises(Unreachable, match="is not the usual form of an address"):
        await version(connect("http://2852039166"))


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["127.0.0.1", "fe80::1"]])
async def test_what_a_name_means_counts(cluster: Web, lookups: Lookups, addresses: list[str]) -> None:
    lookups(sly=addresses)
    with pytest.raises(Unreachable, match=NOT_ALLOWED):
        await version(connect(f"http://sly.example:{cluster.port}"))
    assert cluster.asked == []


async def test_clusters_may_be_on_this_machine(cluster: Web, lookups: Lookups) -> None:
    lookups(here=["127.0.0.1"])
    for host in ("127.0.0.1", "localhost", "here.example", "0.0.0.0", "someone:secret@127.0.0.1"):
        assert await version(connect(f"http://{host}:{cluster.port}")) == "v1.30.0"


async def test_administrators_say_where_clusters_may_be(cluster: Web) -> None:
    with pytest.raises(Unreachable, match=NOT_ALLOWED):
        await version(connect(cluster.url, deny=["127.0.0.0/8"]))
    assert await version(connect(cluster.url, deny=["127.0.0.0/8"], allow=["127.0.0.1"])) == "v1.30.0"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "here.example", "0.0.0.0", "127.1.2.3", "[::1]", "[::]"])
async def test_the_api_of_krake_is_no_cluster(cluster: Web, lookups: Lookups, host: str) -> None:
    lookups(here=["127.0.0.1"])
    with pytest.raises(Unreachable, match=NOT_ALLOWED):
        await version(connect(f"http://{host}:{cluster.port}", f"http://localhost:{cluster.port}", allow=["0.0.0.0/0"]))
    assert cluster.asked == []


async def test_names_are_looked_up_for_new_connections_only(cluster: Web, lookups: Lookups) -> None:
    asked = lookups(here=["127.0.0.1"])
    connection = connect(f"http://here.example:{cluster.port}")
    for _ in range(20):
        await connection.version()
    await connection.close()
    assert len(cluster.asked) == 20
    assert asked["here"] == 1


async def test_both_controllers_say_so(api: str) -> None:
    server = urlsplit(api)
    clusters = ClusterControllerConfig(api_endpoint=api, patience=0, report_interval=0)
    applications = ApplicationControllerConfig(api_endpoint=api)
    async with (
        Client(api) as client,
        running(partial(build_clusters, clusters), api),
        running(partial(build_applications, applications), api),
    ):
        for name, url in (("metadata", METADATA), ("krake", f"http://127.0.0.2:{server.port}")):
            key = Key("red", name)
            await client.create(
                Cluster(
                    metadata=Metadata(name=name, namespace="red"),
                    spec=ClusterSpec(kubeconfig=kubeconfig(url), constraints=ClusterCloudConstraints(cloud=CloudConstraints())),
                )
            )
            found = await eventually(
                partial(client.get, Cluster, key), lambda seen: "clusters.allow" in str(seen.status.reason)
            )
            assert found.status.state is ClusterState.OFFLINE
            await add_app(client, name)
            await client.act(Application, key, "binding", ClusterBinding(cluster=found.ref))
            await eventually(partial(client.get, Application, key), lambda seen: "clusters.allow" in str(seen.status.reason))
