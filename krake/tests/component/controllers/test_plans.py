"""Plans against a real API and a running scheduler: what they say, and that it is what happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from component.controllers.world import add_app, add_cluster, eventually, running
from fixtures.api import Serve

from krake.client import Client, Forbidden, NotFound
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.planning.planner import Planner
from krake.controller.scheduler.settings import FailoverConfig, MetricsConfig, PlansConfig, SchedulerConfig
from krake.data import Key, Metadata, ReasonCode
from krake.data.constraints import LabelConstraint
from krake.data.core import (
    GlobalMetric,
    GlobalMetricsProvider,
    MetricSpec,
    MetricSpecProvider,
    MetricsProviderSpec,
    Role,
    RoleBinding,
    StaticSpec,
)
from krake.data.kubernetes import Application, ApplicationSpec, Cluster, ClusterConstraints, Constraints
from krake.data.plans import (
    ConstraintChange,
    LabelChange,
    MetricChange,
    Plan,
    PlannedApplication,
    PlanSpec,
    PlanState,
    PlanStatus,
    WeightChange,
)

VALUES = {"east": 0.8, "north": 0.5, "south": 0.2}
ZONES = {"east": "a", "north": "a", "south": "b"}


@pytest.fixture
async def scheduler(api: str) -> AsyncIterator[None]:
    config = SchedulerConfig(
        reschedule_after=0.5,
        metrics=MetricsConfig(interval=0.1),
        failover=FailoverConfig(after=0.1, fail_back_after=0.0),
    )
    async with running(partial(build, config), api):
        yield


async def ask(client: Client, name: str = "plan", **changes: Any) -> PlanStatus:
    """Return the answer to a plan, and take the plan away."""
    plan = await client.create(Plan(metadata=Metadata(name=name, namespace="red"), spec=PlanSpec(**changes)))
    answered = await eventually(partial(client.get, Plan, plan.key), lambda each: each.status.state is not PlanState.PENDING)
    await client.delete(Plan, plan.key)
    return answered.status


async def places(client: Client) -> dict[str, str | None]:
    found = (await client.list(Application, "red")).items
    return {app.metadata.name: app.status.scheduled_to and app.status.scheduled_to.name for app in found}


async def furnish(client: Client) -> None:
    """Three clusters with a metric each, and room for few, and some applications that have found their places."""
    spec = MetricsProviderSpec(value=StaticSpec(metrics=VALUES))
    await client.create(GlobalMetricsProvider(metadata=Metadata(name="static"), spec=spec))
    for name, zone in ZONES.items():
        provider = MetricSpecProvider(name="static", metric=name)
        await client.create(
            GlobalMetric(metadata=Metadata(name=f"load-{name}"), spec=MetricSpec(min=0, max=1, provider=provider))
        )
        await add_cluster(client, name, labels={"zone": zone}, metrics=[f"load-{name}"])
        status = {"status": {"allocatable": {"pods": "3", "cpu": "4"}}}
        await client.patch(Cluster, Key("red", name), status, subresource="status")
    for index in range(5):
        await create(client, f"app-{index}", labels=["zone is a"] if index % 2 else [])
    await eventually(partial(places, client), lambda found: None not in found.values())
    await rest(client)


async def rest(client: Client) -> None:
    """Return when nothing is left to do."""
    await eventually(lambda: ask(client, "rest"), lambda status: status.moving == 0)


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]},
}


async def change_cluster(client: Client, name: str, changes: dict[str, Any]) -> None:
    await client.patch(Cluster, Key("red", name), changes)


async def lose(client: Client, name: str) -> None:
    """Say what the controllers say of a cluster that does not answer any more."""
    reason = {"code": "CLUSTER_NOT_REACHABLE", "message": "It does not answer."}
    for app, place in (await places(client)).items():
        if place == name:
            await client.patch(Application, Key("red", app), {"status": {"reason": reason}}, subresource="status")
    await client.patch(Cluster, Key("red", name), {"status": {"state": "OFFLINE"}}, subresource="status")


async def set_value(client: Client, name: str, value: float) -> None:
    await client.patch(GlobalMetricsProvider, Key(None, "static"), {"spec": {"static": {"metrics": {name: value}}}})


async def constrain(client: Client, app: str, *labels: str) -> None:
    await client.patch(Application, Key("red", app), {"spec": {"constraints": {"cluster": {"labels": list(labels)}}}})


async def create(client: Client, name: str, labels: list[str]) -> None:
    """Create an application of one Pod."""
    asks = Constraints(cluster=ClusterConstraints(labels=[LabelConstraint.parse(text) for text in labels]))
    spec = ApplicationSpec(manifest=[POD], constraints=asks)
    await client.create(Application(metadata=Metadata(name=name, namespace="red"), spec=spec))


async def create_all(client: Client) -> None:
    for each in NEW:
        await create(client, each.name, ["zone is b"])


IN_B = Constraints(cluster=ClusterConstraints(labels=[LabelConstraint.parse("zone is b")]))
NEW = [PlannedApplication(name=f"new-{index}", manifest=[POD], constraints=IN_B) for index in range(4)]
REWEIGHED = {"spec": {"metrics": [{"name": "load-east", "weight": 1}, {"name": "load-south", "weight": 9}]}}
CHANGES: dict[str, tuple[dict[str, Any], Callable[[Client], Awaitable[None]]]] = {
    "drain": (
        {"drain": ["east"]},
        lambda client: change_cluster(client, "east", {"spec": {"unschedulable": True, "drain": True}}),
    ),
    "lose": ({"lose": ["east"]}, lambda client: lose(client, "east")),
    "label": (
        {"labels": [LabelChange(cluster="east", key="zone", value="c")]},
        lambda client: change_cluster(client, "east", {"metadata": {"labels": {"zone": "c"}}}),
    ),
    "weight": (
        {"weights": [WeightChange(cluster="east", metric="load-south", weight=9)]},
        lambda client: change_cluster(client, "east", REWEIGHED),
    ),
    "metric": (
        {"metrics": [MetricChange(metric="load-south", value=0.99)]},
        lambda client: set_value(client, "south", 0.99),
    ),
    "constraint": (
        {"constraints": [ConstraintChange(application="app-1", labels=[LabelConstraint.parse("zone is b")])]},
        lambda client: constrain(client, "app-1", "zone is b"),
    ),
    "new": ({"applications": NEW}, create_all),
}


@pytest.mark.usefixtures("scheduler")
@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_planned_is_what_happens(client: Client, change: str) -> None:
    await furnish(client)
    spec, do = CHANGES[change]
    before = await places(client)
    status = await ask(client, **spec)
    assert (status.state, status.settled) == (PlanState.DONE, True), status.reason
    assert status.moves
    assert await places(client) == before  # to plan changes nothing
    planned = before | {each.application: each.place for each in status.misfits}
    planned |= {each.application: each.choice for each in status.moves}
    await do(client)
    await eventually(partial(places, client), lambda found: found == planned)
    await rest(client)
    assert await places(client) == planned


@pytest.mark.usefixtures("scheduler")
async def test_wrong_names_are_told(client: Client) -> None:
    await add_cluster(client, "east")
    status = await ask(client, drain=["esat"])
    assert status.state is PlanState.FAILED
    assert status.reason is not None
    assert status.reason.code is ReasonCode.INVALID_RESOURCE
    assert status.reason.message == "There is no cluster 'esat' in the namespace: choose east."


@pytest.mark.usefixtures("scheduler")
async def test_a_plan_knows_of_its_namespace_only(client: Client) -> None:
    await add_cluster(client, "east")
    await add_cluster(client, "hidden", namespace="blue")
    await add_app(client, "secret", namespace="blue")
    status = await ask(client)
    assert (status.applications, status.clusters) == (0, 1)
    for changes in ({"drain": ["hidden"]}, {"explain": ["secret"]}, {"lose": ["hidden"]}):
        refused = await ask(client, **changes)
        assert refused.state is PlanState.FAILED
        assert refused.reason is not None
        assert "blue" not in refused.reason.message


@pytest.mark.usefixtures("scheduler")
async def test_a_plan_that_is_changed_is_answered_anew(client: Client) -> None:
    await add_cluster(client, "east")
    await add_app(client)
    key = Key("red", "plan")
    await client.create(Plan(metadata=Metadata(name="plan", namespace="red"), spec=PlanSpec(drain=["nowhere"])))
    await eventually(partial(client.get, Plan, key), lambda plan: plan.status.state is PlanState.FAILED)
    await client.patch(Plan, key, {"spec": {"drain": []}})
    answered = await eventually(partial(client.get, Plan, key), lambda plan: plan.status.state is PlanState.DONE)
    assert answered.status.reason is None


@pytest.mark.usefixtures("scheduler")
async def test_decisions_are_told(client: Client) -> None:
    await add_cluster(client, "east")
    await add_app(client)
    await eventually(partial(places, client), lambda found: found == {"app": "east"})
    status = await ask(client, explain=["app"])
    assert status.decisions["app"].considered == 1


async def test_a_plan_that_takes_too_long_fails(client: Client) -> None:
    """No scheduler needs to know of anything: this planner sees a namespace that is never measured."""
    planner = Planner(client, look=lambda namespace: None, limit=0.2)
    tasks = [asyncio.create_task(each.run()) for each in (planner.plans, planner.controller)]
    try:
        status = await ask(client)
        assert status.state is PlanState.FAILED
        assert status.reason is not None
        assert "have yet to be measured" in status.reason.message
        with pytest.raises(NotFound):
            await client.get(Plan, Key("red", "plan"))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_scheduler_that_starts_later_answers_what_was_asked_before(client: Client, api: str) -> None:
    await add_cluster(client, "east")
    for name in ("second", "first"):
        await client.create(Plan(metadata=Metadata(name=name, namespace="red"), spec=PlanSpec()))
    async with running(partial(build, SchedulerConfig(plans=PlansConfig(time_limit=30))), api):
        for name in ("first", "second"):
            look = partial(client.get, Plan, Key("red", name))
            await eventually(look, lambda plan: plan.status.state is PlanState.DONE)


ROLES = Path(__file__).parents[4] / "templates" / "bootstrapping" / "base_roles.yaml"
PLANNER = {"api": "core", "resources": ["plans"], "namespaces": ["red"], "verbs": ["create", "list", "get", "delete"]}


def named(user: str) -> dict[str, Any]:
    """The settings of an API that takes everybody for *user*, who may do what their roles allow."""
    return {"authentication": {"strategy": {"static": {"enabled": True, "name": user}}}, "authorization": "RBAC"}


async def test_a_user_needs_no_other_permissions_and_the_shipped_role_of_the_scheduler_is_enough(serve_api: Serve) -> None:
    async with (
        serve_api() as admin,
        serve_api(**named("system:scheduler")) as theirs,
        serve_api(**named("ann")) as hers,
        Client(admin.url) as client,
        Client(hers.url) as ann,
    ):
        for document in yaml.safe_load_all(ROLES.read_text()):
            plural = "roles" if document.pop("kind") == "Role" else "rolebindings"
            assert (await admin.post(f"/core/{plural}", document)).status == 201
        await client.create(Role.deserialize({"metadata": {"name": "planner"}, "rules": [PLANNER]}))
        await client.create(RoleBinding(metadata=Metadata(name="ann"), users=["ann"], roles=["planner"]))
        await add_cluster(client, "east")
        await add_cluster(client, "west")
        await add_app(client)
        async with running(partial(build, SchedulerConfig()), theirs.url):
            await eventually(partial(places, client), lambda found: None not in found.values())
            status = await ask(ann, drain=["east"])
        assert [(each.former, each.choice) for each in status.moves] == [("east", "west")]
        with pytest.raises(Forbidden):
            await ann.list(Application, "red")
        with pytest.raises(Forbidden):
            await ann.create(Plan(metadata=Metadata(name="plan", namespace="blue"), spec=PlanSpec()))
