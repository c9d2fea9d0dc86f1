"""What becomes of what depends on a cluster that is deleted."""

from dataclasses import replace
from typing import Any

import pytest
from unit.scheduler.worlds import make_app, make_cluster

from krake.controller.gc.evacuation import Fate, fate_of
from krake.data import Key, ResourceRef
from krake.data.kubernetes import Cluster

EAST: ResourceRef = Cluster.definition.ref(Key("red", "east"))
WEST: ResourceRef = Cluster.definition.ref(Key("red", "west"))


@pytest.mark.parametrize(
    ("reason", "status", "cascade", "fate"),
    [
        ("it is bound to it", {"scheduled_to": EAST}, False, Fate.LEAVE),
        ("it runs there still, and is bound to another one", {"scheduled_to": WEST, "running_on": EAST}, False, Fate.LEAVE),
        ("it runs there still, and is bound to none", {"running_on": EAST}, False, Fate.LEAVE),
        ("objects of it may be there", {"running_on": WEST, "placed_on": [WEST, EAST]}, False, Fate.LEAVE),
        ("it is on another one", {"scheduled_to": WEST, "running_on": WEST, "placed_on": [WEST]}, False, Fate.STAY),
        ("it is nowhere", {}, False, Fate.STAY),
        ("it is bound to it, and is to go as well", {"scheduled_to": EAST}, True, Fate.GO),
        ("it is nowhere, and is to go as well", {}, True, Fate.GO),
        ("it has moved away from what is to go", {"running_on": WEST, "placed_on": [WEST, EAST]}, True, Fate.LEAVE),
    ],
)
def test_an_application(reason: str, status: dict[str, Any], cascade: bool, fate: Fate) -> None:
    cluster, app = make_cluster("east"), make_app()
    cluster = replace(cluster, status=replace(cluster.status, cascade=cascade))
    assert fate_of(replace(app, status=replace(app.status, **status)), cluster) is fate, reason


def test_whatever_is_no_application_goes() -> None:
    assert fate_of(make_cluster("west"), make_cluster("east")) is Fate.GO
    assert fate_of(make_app(current="east"), make_app()) is Fate.GO
