"""Addresses in templates are never fetched while a request is served."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures.api import Http
from fixtures.samples import path_of, sample

from krake.data.kubernetes import Application, Cluster

VERSION = "tosca_simple_yaml_1_0"
OUTPUTS = {"outputs": {"kubeconfig": {"value": "x"}}}


class Trap:
    """A server that nobody should call."""

    def __init__(self) -> None:
        self.calls = 0
        self.url = ""

    async def take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        writer.close()


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    trap = Trap()
    async with await asyncio.start_server(trap.take, "127.0.0.1", 0) as server:
        trap.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield trap


async def test_nothing_is_fetched(http: Http, trap: Trap) -> None:
    imports: list[Any] = [f"{trap.url}/a.yaml", {"c": {"file": f"{trap.url}/c.yaml"}}]
    topology = OUTPUTS | {"node_templates": {"a": {"type": "of.an.Import"}}}
    template = {"tosca_definitions_version": VERSION, "imports": imports, "topology_template": topology}
    for name, source in (
        ("a", {"tosca": template}),
        ("b", {"tosca": f"{trap.url}/t.yaml"}),
        ("c", {"csar": f"{trap.url}/t.csar"}),
    ):
        body = sample(Application, name)
        body["spec"] |= {"manifest": [], **source}
        assert (await http.post(path_of(Application), body)).status == 201
    body = sample(Application, "d")
    body["spec"] |= {"manifest": [], "tosca": template | {"imports": ["/etc/passwd"]}}
    assert (await http.post(path_of(Application), body)).status == 422
    body = sample(Cluster)
    body["spec"] |= {"kubeconfig": {}, "tosca": template}
    assert (await http.post(path_of(Cluster), body)).status == 201
    assert trap.calls == 0
