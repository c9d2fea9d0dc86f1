"""What the API tells of the changes that it writes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fixtures.samples import sample

from krake.api import lifecycle
from krake.api.events import tell
from krake.api.lifecycle import Outcome
from krake.data import KINDS, Key, Resource
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import MagnumCluster, Project
from krake.data.placements import Placement

NOW = datetime(2030, 1, 1, tzinfo=UTC)
A, B = (Cluster.definition.ref(Key("ns", name)) for name in "ab")


def stored(kind: type[Resource], **metadata: Any) -> Any:
    return kind.restore(sample(kind, namespace="ns" if kind.definition.namespaced else None, **metadata))


def with_status(record: Any, **changes: Any) -> Any:
    return replace(record, status=replace(record.status, **changes))


def reasons(old: Resource, outcome: Outcome) -> list[str]:
    return [said.reason for said in tell(old, outcome)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_deletions_are_told_but_not_those_of_what_krake_notes(kind: type[Resource]) -> None:
    record = stored(kind, finalizers=["mine"])
    noted = kind.definition.transient or kind is Placement
    expected = [] if noted else ["DeletionRequested"]
    deleted = lifecycle.delete(record, NOW, needed=False)
    assert reasons(record, deleted) == expected
    assert reasons(deleted.record, Outcome(deleted.record)) == []
    gone = Outcome(replace(deleted.record, metadata=replace(deleted.record.metadata, finalizers=[])), removed=True)
    assert reasons(deleted.record, gone) == []
    free = stored(kind)
    assert reasons(free, lifecycle.delete(free, NOW, needed=False)) == expected
    assert reasons(record, lifecycle.remove(record, NOW)) == ([] if noted else ["Removed"])


def test_bindings_are_told() -> None:
    app = stored(Application)
    bound = with_status(app, scheduled_to=A)
    assert [said.message for said in tell(app, Outcome(bound))] == ["Bound to Cluster ns/a."]
    assert reasons(bound, Outcome(with_status(bound, kube_controller_triggered=NOW))) == []
    assert reasons(bound, Outcome(with_status(bound, scheduled_to=B))) == ["Scheduled"]
    magnum = stored(MagnumCluster)
    assert reasons(magnum, Outcome(with_status(magnum, project=Project.definition.ref(Key("ns", "p"))))) == ["Scheduled"]


def test_hooks_are_told() -> None:
    app = stored(Application)
    ready = with_status(app, state=type(app.status.state).READY_FOR_ACTION)
    assert reasons(app, Outcome(ready)) == ["ShutdownAcknowledged"]
    assert reasons(app, Outcome(lifecycle.mark_deleted(ready, NOW))) == ["Completed", "DeletionRequested"]
    assert reasons(ready, Outcome(ready)) == []
