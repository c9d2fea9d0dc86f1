"""Hooks, on real and on simulated clusters: what containers find, and how applications are asked to get ready to be stopped."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from integration.kubernetes.world import (
    DEPLOYMENT,
    SERVICE,
    Build,
    Target,
    World,
    applications,
    collector,
    deployment,
    eventually,
    service,
)
from testpki.directory import Directory

from krake.client import ApiError
from krake.controller.kubernetes.application.hooks import material
from krake.data.kubernetes import Application, ApplicationComplete, ApplicationShutdown, ApplicationState, ClusterState
from krake.data.metadata import Key
from krake.data.secrets import secrets_of
from krake.ports.cluster import ObjectType, owner_of

State = ApplicationState
SECRET = ObjectType("v1", "Secret")
JOB = ObjectType("batch/v1", "Job")


def shutdown_service(**spec: Any) -> dict[str, Any]:
    return service("shutdown", **{"selector": {"app": "echo"}, "ports": [{"port": 10000}], **spec})


async def secret(target: Target, name: str, namespace: str | None = None) -> dict[str, str] | None:
    found = await target.get(SECRET, name, namespace)
    return None if found is None else {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


async def call_back(world: World, target: Target, hook: str, name: str = "app") -> Application:
    """Do what the application does: call the URL that its containers find, with the token that they find."""
    found = await secret(target, f"{name}-krake-{hook}-secret-token")
    assert found is not None
    async with (
        aiohttp.ClientSession() as session,
        session.put(found[f"krake_{hook}_url"], json={"token": found[f"krake_{hook}_token"]}) as response,
    ):
        assert response.status == 200, await response.text()
        return Application.deserialize(await response.json())


def job() -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "work", "image": "registry.example/work:1"}]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": {"template": {"spec": pod}}}


async def test_containers_find_what_they_need(world: World, any_target: Target) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    endpoints = {"complete": {}, "shutdown": {"external_endpoint": "https://krake.example/base"}}
    async with world.running(applications(api_endpoint=world.url, hooks=endpoints)):
        await world.create(deployment(), job(), on=any_target, hooks=["complete", "shutdown"])
        app = await world.until(lambda app: app.status.running_on is not None)
        complete = await eventually(lambda: secret(any_target, "app-krake-complete-secret-token"), bool)
        shutdown = await secret(any_target, "app-krake-shutdown-secret-token")
        path = "/kubernetes/namespaces/red/applications/app"
        assert complete == {
            "krake_complete_token": app.status.complete_token,
            "krake_complete_url": f"{world.url}{path}/complete",
        }
        assert shutdown == {
            "krake_shutdown_token": app.status.shutdown_token,
            "krake_shutdown_url": f"https://krake.example/base{path}/shutdown",
        }
        assert await any_target.get(SECRET, "app-krake-complete-secret-certs") is None
        for type_, name in ((DEPLOYMENT, "echo"), (JOB, "work")):
            found = await any_target.get(type_, name)
            assert found is not None
            env = found["spec"]["template"]["spec"]["containers"][0]["env"]
            assert {each["name"]: each["valueFrom"]["secretKeyRef"] for each in env} == {
                f"KRAKE_{hook.upper()}_{what}": {
                    "name": f"app-krake-{hook}-secret-token",
                    "key": f"krake_{hook}_{what.lower()}",
                }
                for hook in ("complete", "shutdown")
                for what in ("TOKEN", "URL")
            }
        # The Secrets are objects of the application as all others are: they come back, and go with it.
        await any_target.delete(SECRET, "app-krake-complete-secret-token")
        again = await eventually(lambda: any_target.get(SECRET, "app-krake-complete-secret-token"), bool)
        assert again is not None
        assert owner_of(again) == app.metadata.uid
        await world.client.patch(Application, app.key, {"spec": {"hooks": ["shutdown"]}})
        await world.bind(any_target)
        await eventually(lambda: any_target.get(SECRET, "app-krake-complete-secret-token"), lambda found: found is None)
        less = await world.until(lambda app: app.status.complete_token is None)
        assert less.status.shutdown_token == app.status.shutdown_token
        found = await any_target.get(DEPLOYMENT, "echo")
        assert found is not None
        assert [each["name"] for each in found["spec"]["template"]["spec"]["containers"][0]["env"]] == [
            "KRAKE_SHUTDOWN_TOKEN",
            "KRAKE_SHUTDOWN_URL",
        ]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """Certificates in files that a test may replace; they are looked at all the time."""
    monkeypatch.setattr(material, "LONGEST_WAIT", timedelta(seconds=0.2))
    directory = Directory(tmp_path)
    directory.make_all()
    return directory


def secured(world: World, pki: Directory, **shutdown: str) -> Build:
    files = pki.files("system:shutdown-signing")
    hook = {"intermediate_src": str(files.certificate), "intermediate_key_src": str(files.key), **shutdown}
    tls = {"enabled": True, "client_ca": str(pki.files("ca").certificate)}
    return applications(api_endpoint=world.url, tls=tls, hooks={"shutdown": hook})


async def test_certificates_are_renewed_while_the_containers_run(
    world: World, any_target: Target, authority: Directory
) -> None:
    await world.register(any_target, state=ClusterState.ONLINE)
    name = "app-krake-shutdown-secret-certs"
    async with world.running(secured(world, authority)):
        await world.create(deployment(), on=any_target, hooks=["shutdown"])
        await world.until(lambda app: app.status.running_on is not None)
        before = await eventually(lambda: secret(any_target, name), bool)
        workload = await any_target.get(DEPLOYMENT, "echo")
        files = authority.files("system:shutdown-signing")
        for path in files:
            path.unlink()
        authority.hook_authority()
        after = await eventually(lambda: secret(any_target, name), lambda found: found != before)
        later = await any_target.get(DEPLOYMENT, "echo")
        app = await world.app()
    assert before is not None
    assert after is not None
    assert workload is not None
    assert later is not None
    issuer = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    x509.load_pem_x509_certificate(after["cert.pem"].encode()).verify_directly_issued_by(issuer)
    assert (after["cert.pem"], after["key.pem"]) == (app.status.shutdown_cert, app.status.shutdown_key)
    assert after["ca-bundle.pem"] == before["ca-bundle.pem"] == authority.files("ca").certificate.read_text()
    # Kubernetes brings them into the folder; no Pod has to be replaced for it.
    assert later["spec"]["template"] == workload["spec"]["template"]
    (volume,) = later["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == name
    (mount,) = later["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert mount["mountPath"].rstrip("/") == "/etc/krake_shutdown_certs"


async def test_a_controller_that_can_make_no_certificates_says_so(
    world: World, simulated_target: Target, authority: Directory
) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    async with world.running(secured(world, authority, intermediate_src="")):
        await world.create(deployment(), on=simulated_target, hooks=["shutdown"])
        await world.create(deployment("other"), on=simulated_target, name="other")
        failed = await world.until_state(State.FAILED)
        await world.until_state(State.RUNNING, "other")
    assert failed.status.reason is not None
    assert "hooks.shutdown.intermediate_src: no file is named" in failed.status.reason.message
    assert await simulated_target.get(DEPLOYMENT, "echo") is None
    assert "Failed" in await world.told()
    async with world.running(secured(world, authority)):
        await world.until_state(State.RUNNING)


async def test_no_secret_stands_where_others_see_it(world: World, simulated_target: Target) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    async with world.running(applications()):
        await world.create(deployment(), on=simulated_target, hooks=["shutdown"])
        app = await world.until_state(State.RUNNING)
    wire = app.serialize()
    sealed = {str(value) for value in secrets_of(Application, wire).values()}
    token = app.status.shutdown_token
    assert token is not None
    encoded = base64.b64encode(token.encode()).decode()
    assert {token, encoded} <= sealed
    text = str(wire)
    for each in sorted(sealed, key=len, reverse=True):
        if len(each) > 8:
            text = text.replace(each, "")
    assert token not in text
    assert encoded not in text


async def test_an_application_that_is_complete_goes_away(world: World, simulated_target: Target) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    async with world.running(applications(api_endpoint=world.url), collector):
        await world.create(deployment(), shutdown_service(), on=simulated_target, hooks=["complete", "shutdown"])
        await world.until_state(State.RUNNING)
        await call_back(world, simulated_target, "complete")
        await world.until_gone()
    assert await simulated_target.get(DEPLOYMENT, "echo") is None
    assert await simulated_target.get(SECRET, "app-krake-complete-secret-token") is None
    assert "ShutdownRequested" not in await world.told()


async def test_the_token_of_another_application_opens_nothing(world: World, simulated_target: Target) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    async with world.running(applications(api_endpoint=world.url)):
        await world.create(deployment(), on=simulated_target, hooks=["complete", "shutdown"])
        await world.create(deployment("other"), on=simulated_target, name="other", hooks=["complete", "shutdown"])
        app, other = await world.until_state(State.RUNNING), await world.until_state(State.RUNNING, "other")
    for body in (
        ApplicationComplete(token=other.status.complete_token),
        ApplicationComplete(token=app.status.shutdown_token),
        ApplicationShutdown(token=app.status.complete_token),
    ):
        action = "complete" if isinstance(body, ApplicationComplete) else "shutdown"
        with pytest.raises(ApiError) as error:
            await world.client.act(Application, app.key, action, body)
        assert error.value.status == 401
    assert (await world.app()).metadata.deleted is None


async def test_an_application_is_asked_before_it_goes(world: World, simulated_target: Target) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    async with world.running(applications(api_endpoint=world.url), collector):
        await world.create(deployment(), shutdown_service(), on=simulated_target, hooks=["shutdown"], shutdown_grace_time=3600)
        await world.until(lambda app: app.status.state is State.RUNNING and app.status.services)
        await world.delete()
        waiting = await world.until(lambda app: app.status.shutdown_attempts == 1)
        assert waiting.status.state is State.WAITING_FOR_CLEANING
        assert waiting.status.shutdown_grace_period is not None
        assert waiting.status.shutdown_grace_period > datetime.now(UTC) + timedelta(minutes=59)
        assert await simulated_target.get(DEPLOYMENT, "echo") is not None
        ready = await call_back(world, simulated_target, "shutdown")
        assert ready.status.state is State.READY_FOR_ACTION
        await world.until_gone()
    assert await simulated_target.get(DEPLOYMENT, "echo") is None
    told = await world.told()
    assert told.index("ShutdownRequested") < told.index("ShutdownAcknowledged") < told.index("Deleted")


async def test_a_restart_goes_on_with_the_same_attempt(world: World, simulated_target: Target) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    controllers = (applications(api_endpoint=world.url), collector)
    async with world.running(*controllers):
        await world.create(deployment(), shutdown_service(), on=simulated_target, hooks=["shutdown"], shutdown_grace_time=3600)
        await world.until_state(State.RUNNING)
        await world.delete()
        before = await world.until(lambda app: app.status.shutdown_attempts == 1)
    async with world.running(*controllers):
        await call_back(world, simulated_target, "shutdown")
        await world.until_gone()
    assert before.status.shutdown_attempts == 1


async def test_who_does_not_answer_is_left_alone_until_somebody_asks_for_another_try(
    world: World, simulated_target: Target
) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    terms = {"shutdown_grace_time": 1, "shutdown_retry_count": 1, "shutdown_failure_strategy": "give_up"}
    async with world.running(applications(api_endpoint=world.url), collector):
        await world.create(deployment(), shutdown_service(), on=simulated_target, hooks=["shutdown"], **terms)
        await world.until_state(State.RUNNING)
        await world.delete()
        stuck = await world.until_state(State.DEGRADED)
        assert stuck.status.reason is not None
        assert "asked 2 times" in stuck.status.reason.message
        assert await simulated_target.get(DEPLOYMENT, "echo") is not None
        await world.client.act(Application, Key("red", "app"), "retry")
        again = await world.until(lambda app: app.status.shutdown_attempts == 1)
        assert again.status.state is State.WAITING_FOR_CLEANING
        await call_back(world, simulated_target, "shutdown")
        await world.until_gone()
    assert (await world.told()).count("ShutdownFailed") == 1


async def test_who_does_not_answer_goes_all_the_same_if_that_was_agreed(world: World, simulated_target: Target) -> None:
    await world.register(simulated_target, state=ClusterState.ONLINE)
    hooks = {"shutdown": {"timeout": 1, "failure_strategy": "delete"}}
    async with world.running(applications(api_endpoint=world.url, hooks=hooks), collector):
        await world.create(deployment(), on=simulated_target, hooks=["shutdown"])
        await world.until_state(State.RUNNING)
        await world.delete()
        waiting = await world.until(lambda app: app.status.reason is not None)
        assert waiting.status.reason is not None
        assert "no service called 'shutdown'" in waiting.status.reason.message
        await world.until_gone()
    assert "ShutdownOverdue" in await world.told()


async def test_an_application_is_asked_before_it_moves(world: World, targets: Any) -> None:
    old, new = await targets(2)
    for target in (old, new):
        await world.register(target, state=ClusterState.ONLINE)
    async with world.running(applications(api_endpoint=world.url)):
        await world.create(deployment(), shutdown_service(), on=old, hooks=["shutdown"], shutdown_grace_time=3600)
        running = await world.until_state(State.RUNNING)
        await world.bind(new)
        await world.until_state(State.WAITING_FOR_CLEANING)
        assert await old.get(DEPLOYMENT, "echo") is not None
        assert await new.get(DEPLOYMENT, "echo") is not None
        await call_back(world, old, "shutdown")
        moved = await world.until(lambda app: app.status.running_on == new.ref and app.status.state is State.RUNNING)
        await eventually(lambda: old.get(DEPLOYMENT, "echo"), lambda found: found is None)
    assert moved.status.shutdown_token == running.status.shutdown_token
    assert (moved.status.shutdown_attempts, moved.status.shutdown_grace_period) == (0, None)
    assert await new.get(SERVICE, "shutdown") is not None
