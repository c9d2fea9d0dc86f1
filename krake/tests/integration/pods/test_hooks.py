"""Both hooks, called back by real containers that have nothing but what Krake gives them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.real_pods import RealPods
from fixtures.secured import SecuredKrake, secured_krake
from integration.kubernetes.world import DEPLOYMENT, NAMESPACE, Build, Target, World, applications, collector, eventually
from integration.pods.hooked import hooked

from krake.data.kubernetes import Application, ApplicationState, ClusterState

State = ApplicationState
MACHINE = "10.200.0.254"


def patient(callback: str) -> Build:
    """The controller of applications that stay if they do not call back."""
    hook = {"external_endpoint": callback}
    return applications(hooks={"complete": hook, "shutdown": {**hook, "failure_strategy": "give_up", "timeout": 60}})


@asynccontextmanager
async def states(world: World) -> AsyncIterator[list[str]]:
    """The states in which the application is seen, one after the other."""
    seen: list[str] = []
    opened = asyncio.Event()

    async def follow() -> None:
        async with aclosing(world.client.watch(Application, NAMESPACE, on_open=opened.set)) as events:
            async for event in events:
                state = event.object.status.state.name
                if seen[-1:] != [state]:
                    seen.append(state)

    task = asyncio.create_task(follow())
    await opened.wait()
    try:
        yield seen
    finally:
        task.cancel()


async def test_an_application_that_says_it_is_complete_goes(world: World, callback: str, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(patient(callback), collector):
        await world.create(*hooked("complete"), on=target, hooks=["complete"])
        await world.until_gone(deadline=90)
    assert await target.get(DEPLOYMENT, "hooked") is None


async def test_an_application_is_asked_to_shut_down_before_it_goes(world: World, callback: str, target: Target) -> None:
    await world.register(target, state=ClusterState.ONLINE)
    async with world.running(patient(callback), collector):
        await world.create(*hooked("wait"), on=target, hooks=["shutdown"])
        await world.until_state(State.RUNNING)
        async with states(world) as seen:
            await world.delete()
            await world.until_gone(deadline=90)
    # What was written last while it was still running may be told first.
    assert [state for state in seen if state != "RUNNING"][:3] == ["WAITING_FOR_CLEANING", "READY_FOR_ACTION", "DELETING"]
    assert await target.get(DEPLOYMENT, "hooked") is None


async def test_the_old_copy_is_asked_when_an_application_moves(world: World, callback: str, targets: list[Target]) -> None:
    first, second = targets
    for target in targets:
        await world.register(target, state=ClusterState.ONLINE)
    async with world.running(patient(callback), collector):
        await world.create(*hooked("wait"), on=first, hooks=["shutdown"])
        await world.until_state(State.RUNNING)
        async with states(world) as seen:
            await world.bind(second)
            await world.until(
                lambda app: app.status.state is State.RUNNING and app.status.running_on == second.ref, deadline=60
            )
        assert [state for state in seen if state in ("WAITING_FOR_CLEANING", "READY_FOR_ACTION")] == [
            "WAITING_FOR_CLEANING",
            "READY_FOR_ACTION",
        ]
        assert await first.get(DEPLOYMENT, "hooked") is None
        assert await second.get(DEPLOYMENT, "hooked") is not None
        await world.delete()
        await world.until_gone(deadline=90)


@pytest.fixture
async def krake(real_pods: RealPods, tmp_path: Path) -> AsyncIterator[SecuredKrake]:
    """All of Krake with TLS and roles; containers reach it at an address that its certificate names."""
    async with secured_krake(tmp_path, clusters=0, hosts=[MACHINE], reach=real_pods.admit) as krake:
        yield krake


@pytest.mark.slow
async def test_with_tls_containers_show_the_certificates_that_krake_has_issued(
    krake: SecuredKrake, target: Target, tmp_path: Path
) -> None:
    kubeconfig, manifests = tmp_path / "cluster.yaml", {}
    kubeconfig.write_text(yaml.safe_dump(target.kubeconfig))
    for purpose in ("complete", "wait"):
        manifests[purpose] = tmp_path / f"{purpose}.yaml"
        manifests[purpose].write_text(yaml.safe_dump_all(hooked(purpose)))

    async def rok(*words: str) -> str:
        return await krake.rok("system:admin", "kube", *words, namespace=NAMESPACE)

    async def apps() -> Any:
        return await krake.rok_json("system:admin", "kube", "app", "list", namespace=NAMESPACE)

    await rok("cluster", "register", "-k", str(kubeconfig))
    await rok("app", "create", "-f", str(manifests["complete"]), "--hook-complete", "short")
    await eventually(apps, lambda seen: not seen, deadline=60)
    await rok("app", "create", "-f", str(manifests["wait"]), "--hook-shutdown", "long", "--wait", "running")
    await rok("app", "delete", "long", "--wait", "deleted", "--timeout", "90")
    users = [line["user"] for line in krake.audit() if line["way"] == "certificate"]
    assert {"system:complete-hook", "system:shutdown-hook"} <= set(users)
