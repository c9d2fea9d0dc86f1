"""Bindings, hooks, retries, and waiting for a state."""

import asyncio
from typing import Any

import pytest
from fixtures.api import Http
from fixtures.samples import path_of, sample

from krake.data import Resource
from krake.data.infrastructure import Cloud, GlobalCloud
from krake.data.kubernetes import Application, Cluster
from krake.data.openstack import MagnumCluster, Project

APP = path_of(Application, "sample")


async def create(http: Http, kind: type[Resource], name: str = "sample", namespace: str = "ns", **spec: Any) -> Any:
    body = sample(kind, name)
    body["spec"] |= spec
    answer = await http.post(path_of(kind, namespace=namespace), body)
    assert answer.status == 201, answer.text
    return answer.json


def ref(kind: type[Resource], name: str, namespace: str | None = "ns") -> dict[str, Any]:
    return {"api": kind.definition.api, "namespace": namespace, "kind": kind.__name__, "name": name}


async def bind(http: Http, name: str) -> Any:
    answer = await http.put(f"{APP}/binding", {"cluster": ref(Cluster, name)})
    assert answer.status == 200, answer.text
    return answer.json


async def test_bind_an_application(http: Http) -> None:
    created = await create(http, Application)
    for name in ("one", "two", "three"):
        await create(http, Cluster, name)
    one, two, three = (ref(Cluster, name) for name in ("one", "two", "three"))
    bound = await bind(http, "one")
    assert bound["status"]["scheduled_to"] == one
    assert bound["status"]["scheduled"] == bound["status"]["kube_controller_triggered"] > created["metadata"]["modified"]
    assert bound["metadata"]["owners"] == [one]
    assert bound["metadata"]["modified"] == created["metadata"]["modified"]

    again = await bind(http, "one")
    assert again["status"]["kube_controller_triggered"] > bound["status"]["kube_controller_triggered"]
    assert again["status"] | {"kube_controller_triggered": None} == bound["status"] | {"kube_controller_triggered": None}
    assert again["metadata"]["owners"] == [one]

    elsewhere = await bind(http, "two")
    assert (elsewhere["status"]["scheduled_to"], elsewhere["metadata"]["owners"]) == (two, [two])

    # As long as it still runs on the second cluster, it depends on that one as well.
    await http.patch(f"{APP}/status", {"status": {"running_on": two}})
    assert (await bind(http, "three"))["metadata"]["owners"] == [two, three]
    assert (await bind(http, "one"))["metadata"]["owners"] == [two, one]
    assert (await bind(http, "two"))["metadata"]["owners"] == [two]


async def test_bind_a_cluster(http: Http) -> None:
    await create(http, Cluster)
    await create(http, Cloud, "here")
    await create(http, GlobalCloud, "anywhere")
    path = f"{path_of(Cluster, 'sample')}/binding"
    for target in (ref(Cloud, "here"), ref(GlobalCloud, "anywhere", None)):
        bound = (await http.put(path, {"cloud": target})).json
        assert bound["status"]["scheduled_to"] == target
        assert bound["metadata"]["owners"] == [target]
        assert bound["status"]["state"] == "PENDING"


async def test_bind_a_magnum_cluster(http: Http) -> None:
    await create(http, MagnumCluster)
    await create(http, Project, "p")
    path = f"{path_of(MagnumCluster, 'sample')}/binding"
    body = {"project": ref(Project, "p"), "template": "t1"}
    bound = (await http.put(path, body)).json
    assert (bound["status"]["project"], bound["status"]["template"]) == (ref(Project, "p"), "t1")
    assert bound["metadata"]["owners"] == [ref(Project, "p")]
    assert (await http.put(path, body)).json == bound


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (ref(Cluster, "missing"), "cluster"),
        (ref(Cluster, "foreign", "other"), "cluster.namespace"),
        (ref(Cluster, "sample", None), "cluster.namespace"),
        (ref(Application, "sample"), "cluster.kind"),
        ({**ref(Cluster, "sample"), "api": "openstack"}, "cluster.kind"),
        ({"kind": "Cluster"}, "cluster.api"),
        (None, "cluster"),
    ],
)
async def test_wrong_targets(http: Http, target: Any, field: str) -> None:
    created = await create(http, Application)
    await create(http, Cluster)
    await create(http, Cluster, "foreign", "other")
    answer = await http.put(f"{APP}/binding", {"cluster": target})
    assert answer.status == 422
    assert field in answer.fields
    assert (await http.get(APP)).json == created


async def test_nothing_is_bound_in_deletion(http: Http) -> None:
    await create(http, Application)
    await create(http, Cluster)
    await create(http, Cluster, "going")
    for held in (APP, path_of(Cluster, "going")):
        await http.patch(held, {"metadata": {"finalizers": ["mine"]}})
    await http.delete(path_of(Cluster, "going"))
    gone = await http.put(f"{APP}/binding", {"cluster": ref(Cluster, "going")})
    assert (gone.status, gone.detail) == (409, "Cluster ns/going is being deleted; nothing can be bound to it.")
    await http.delete(APP)
    late = await http.put(f"{APP}/binding", {"cluster": ref(Cluster, "sample")})
    assert (late.status, late.detail) == (409, "Application ns/sample is being deleted and cannot be bound any more.")


async def set_status(http: Http, **status: Any) -> None:
    assert (await http.patch(f"{APP}/status", {"status": status})).status == 200


async def test_complete(http: Http) -> None:
    await create(http, Application, hooks=["complete"])
    await set_status(http, complete_token="t0k")
    done = await http.put(f"{APP}/complete", {"token": "t0k"})
    assert done.status == 200
    assert done.json["status"]["state"] == "READY_FOR_ACTION"
    assert done.json["metadata"]["deleted"] is not None
    assert done.json["metadata"]["finalizers"] == ["cascade_deletion"]
    assert (await http.put(f"{APP}/complete", {"token": "t0k"})).json == done.json


async def test_who_is_complete_is_not_asked_to_get_ready(http: Http) -> None:
    await create(http, Application, hooks=["complete", "shutdown"])
    await http.patch(APP, {"metadata": {"finalizers": ["kubernetes_resources_deletion"]}})
    await set_status(http, complete_token="t0k")
    assert (await http.delete(APP)).json["status"]["state"] == "WAITING_FOR_CLEANING"
    await set_status(http, shutdown_attempts=1, shutdown_grace_period="2030-01-01T00:00:00+00:00")
    done = (await http.put(f"{APP}/complete", {"token": "t0k"})).json
    assert {name: done["status"][name] for name in ("state", "shutdown_attempts", "shutdown_grace_period")} == {
        "state": "READY_FOR_ACTION",
        "shutdown_attempts": 0,
        "shutdown_grace_period": None,
    }
    # Who says so while it is taken away already does not bring it back to an earlier state.
    await set_status(http, state="DELETING")
    assert (await http.put(f"{APP}/complete", {"token": "t0k"})).json["status"]["state"] == "DELETING"


@pytest.mark.parametrize("action", ["complete", "shutdown"])
@pytest.mark.parametrize("token", ["wrong", "", None, "t0k\u00e4"])
@pytest.mark.parametrize("expected", ["t0k", None, ""])
async def test_hooks_need_their_token(http: Http, action: str, token: str | None, expected: str | None) -> None:
    await create(http, Application, hooks=["complete", "shutdown"])
    other = "shutdown" if action == "complete" else "complete"
    await set_status(http, state="WAITING_FOR_CLEANING", **{f"{action}_token": expected, f"{other}_token": "wrong"})
    before = (await http.get(APP)).json
    answer = await http.put(f"{APP}/{action}", {"token": token})
    assert answer.status == 401
    assert answer.detail == "No token has been provided or the provided one is invalid."
    assert (await http.get(APP)).json == before


@pytest.mark.parametrize("action", ["complete", "shutdown"])
async def test_the_token_of_a_hook_that_was_taken_away_opens_nothing(http: Http, action: str) -> None:
    await create(http, Application)
    await set_status(http, state="WAITING_FOR_CLEANING", **{f"{action}_token": "t0k"})
    before = (await http.get(APP)).json
    assert (await http.put(f"{APP}/{action}", {"token": "t0k"})).status == 401
    assert (await http.get(APP)).json == before


async def test_shutdown(http: Http) -> None:
    created = await create(http, Application, hooks=["shutdown"])
    await http.patch(APP, {"metadata": {"finalizers": ["kubernetes_resources_deletion"]}})
    await set_status(http, shutdown_attempts=7, shutdown_grace_period="2020-01-01T00:00:00+00:00")
    deleted = (await http.delete(APP)).json
    assert created["status"]["state"] == "PENDING"
    assert deleted["status"]["state"] == "WAITING_FOR_CLEANING"
    assert (deleted["status"]["shutdown_attempts"], deleted["status"]["shutdown_grace_period"]) == (0, None)
    await set_status(http, shutdown_token="t0k", shutdown_attempts=1, shutdown_grace_period="2030-01-01T00:00:00+00:00")
    ready = (await http.put(f"{APP}/shutdown", {"token": "t0k"})).json
    assert (ready["status"]["state"], ready["status"]["shutdown_grace_period"]) == ("READY_FOR_ACTION", None)
    assert ready["status"]["shutdown_attempts"] == 0
    assert (await http.put(f"{APP}/shutdown", {"token": "t0k"})).json == ready


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "MIGRATING", "DELETING", "DEGRADED", "FAILED"])
async def test_who_was_not_asked_changes_nothing(http: Http, state: str) -> None:
    await create(http, Application, hooks=["shutdown"])
    await set_status(http, state=state, shutdown_token="t0k")
    before = (await http.get(APP)).json
    answer = await http.put(f"{APP}/shutdown", {"token": "t0k"})
    assert (answer.status, answer.json) == (200, before)


async def test_a_late_answer_counts(http: Http) -> None:
    await create(http, Application, hooks=["shutdown"])
    reason = {"code": "DELETE_FAILED", "message": "It did not answer."}
    await set_status(http, state="DEGRADED", shutdown_token="t0k", shutdown_attempts=2, reason=reason)
    ready = (await http.put(f"{APP}/shutdown", {"token": "t0k"})).json
    assert (ready["status"]["state"], ready["status"]["reason"]) == ("READY_FOR_ACTION", None)


@pytest.mark.parametrize("state", ["WAITING_FOR_CLEANING", "READY_FOR_ACTION"])
async def test_who_was_asked_for_a_migration_is_not_asked_again_for_a_deletion(http: Http, state: str) -> None:
    await create(http, Application, hooks=["shutdown"])
    await http.patch(APP, {"metadata": {"finalizers": ["kubernetes_resources_deletion"]}})
    asked = {"state": state, "shutdown_attempts": 1, "shutdown_grace_period": "2030-01-01T00:00:00+00:00"}
    await set_status(http, **asked)
    status = (await http.delete(APP)).json["status"]
    assert {name: status[name] for name in asked} == asked


async def test_nobody_waits_for_the_shutdown_of_what_never_ran(http: Http) -> None:
    await create(http, Application, hooks=["shutdown"])
    deleted = (await http.delete(APP)).json
    assert (deleted["status"]["state"], deleted["metadata"]["finalizers"]) == ("PENDING", [])
    assert (await http.get(APP)).status == 404


async def test_retry_asks_once_more(http: Http) -> None:
    await create(http, Application, hooks=["shutdown"])
    refused = await http("PUT", f"{APP}/retry")
    assert (refused.status, refused.detail) == (400, "No migration or deletion retry needed")
    await set_status(http, state="DEGRADED", shutdown_attempts=3, shutdown_grace_period="2030-01-01T00:00:00+00:00")
    retried = await http("PUT", f"{APP}/retry", data=b"any body")
    assert retried.json["status"]["state"] == "WAITING_FOR_CLEANING"
    assert retried.json["status"]["shutdown_grace_period"] is None
    assert retried.json["status"]["shutdown_attempts"] == 0
    assert (await http("PUT", f"{APP}/retry")).status == 400


@pytest.mark.parametrize("state", ["FAILED", "DEGRADED"])
async def test_retry_begins_anew_with_all_attempts(http: Http, state: str) -> None:
    await create(http, Application)
    await set_status(http, state=state, retries=0)
    retried = (await http("PUT", f"{APP}/retry")).json["status"]
    assert (retried["state"], retried["retries"], retried["scheduled_retry"]) == (state, None, None)


async def test_actions_are_only_put(http: Http) -> None:
    answer = await http.get(f"{APP}/binding")
    assert (answer.status, answer.headers["Allow"]) == (405, "PUT")
    assert answer.detail == "405: Method Not Allowed"


async def test_blocking_waits_for_the_state_of_this_object(http: Http) -> None:
    waiting = asyncio.create_task(http.post(path_of(Application), sample(Application), blocking="running"))
    async with asyncio.timeout(30):
        while (await http.get(APP)).status == 404:  # noqa: ASYNC110 - this is the public way to know
            await asyncio.sleep(0.01)
    await create(http, Application, "sample2")
    await http.patch(f"{APP}2/status", {"status": {"state": "RUNNING"}})
    await http.patch(f"{APP}/status", {"status": {"state": "CREATING"}})
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    await set_status(http, state="RUNNING")
    answer = await waiting
    assert (answer.status, answer.json["metadata"]["name"]) == (201, "sample")
    assert answer.json["status"]["state"] == "RUNNING"


@pytest.mark.parametrize("value", ["pending", "PENDING", "False", "false", ""])
async def test_blocking_returns_at_once_if_there_is_nothing_to_wait_for(http: Http, value: str) -> None:
    async with asyncio.timeout(30):
        answer = await http.post(path_of(Application), sample(Application), blocking=value)
    assert (answer.status, answer.json["status"]["state"]) == (201, "PENDING")


async def test_blocking_until_deleted(http: Http) -> None:
    await create(http, Application)
    await http.patch(APP, {"metadata": {"finalizers": ["mine"]}})
    waiting = asyncio.create_task(http.delete(APP, blocking="deleted"))
    async with asyncio.timeout(30):
        while (await http.get(APP)).json["metadata"]["deleted"] is None:  # noqa: ASYNC110 - this is the public way to know
            await asyncio.sleep(0.01)
    assert not waiting.done()
    await http.patch(APP, {"metadata": {"finalizers": []}})
    answer = await waiting
    assert (answer.status, answer.json["status"]["state"]) == (200, "DELETED")
    for more in ({"force": "True"}, {}):
        await create(http, Application)
        async with asyncio.timeout(30):
            assert (await http.delete(APP, blocking="deleted", **more)).json["status"]["state"] == "DELETED"


async def test_blocking_for_no_state(http: Http) -> None:
    answer = await http.post(path_of(Application), sample(Application), blocking="happy")
    assert (answer.status, answer.fields) == (422, ["query.blocking"])
    assert (await http.get(APP)).status == 404
