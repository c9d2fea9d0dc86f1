"""What the API notes by itself when the state of a cluster is written."""

from typing import Any

import pytest
from component.controllers.world import add_cluster

from krake.client import Client
from krake.data import Key
from krake.data.kubernetes import Cluster, ClusterStatus

NORTH = Key("red", "north")


async def write(client: Client, **status: Any) -> ClusterStatus:
    return (await client.patch(Cluster, NORTH, {"status": status}, subresource="status")).status


async def test_a_cluster_says_since_when_it_is_in_its_state(client: Client) -> None:
    await add_cluster(client, "north")
    online = (await client.get(Cluster, NORTH)).status
    assert online.state_changed is not None
    assert online.recovered is None
    lost = await write(client, state="OFFLINE")
    assert lost.state_changed is not None
    assert lost.state_changed > online.state_changed
    assert (online.out_of_use, lost.out_of_use) == (None, lost.state_changed)
    later = await write(client, retries=3)
    assert later.state_changed == lost.state_changed
    trying = await write(client, state="CONNECTING")
    assert (trying.recovered, trying.out_of_use) == (None, lost.out_of_use)
    back = await write(client, state="ONLINE")
    assert (back.recovered, back.out_of_use) == (back.state_changed, None)
    assert back.state_changed is not None
    failing = await write(client, state="FAILING_METRICS")
    assert failing.state_changed is not None
    assert (failing.recovered, failing.state_changed > back.state_changed) == (back.recovered, True)


@pytest.mark.parametrize("field", ["state_changed", "out_of_use", "recovered"])
async def test_what_the_api_notes_is_not_for_others_to_say(client: Client, field: str) -> None:
    await add_cluster(client, "north")
    before = await client.get(Cluster, NORTH)
    await write(client, **{field: "2001-01-01T00:00:00+00:00"})
    assert await client.get(Cluster, NORTH) == before
