"""The steps of a copy on simulated clusters, where the Jobs end by themselves but carry no data."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from component.volumes.moves import (
    CLAIMS,
    NAMESPACE,
    UID,
    A,
    Move,
    claim,
    claim_identity,
    get,
    left_of_copies,
    moving,
    names,
    sites_of,
    stateful_set,
    template,
    workload,
)
from fixtures.polling import until
from fixtures.simulator import StartClusters

from krake.adapters.kubernetes import Connection
from krake.controller.kubernetes.application.volumes import clean, step
from krake.controller.kubernetes.application.volumes.stopping import JOB, STOPPED
from krake.data.metadata import ReasonCode
from krake.ports.cluster import COPY_LABEL, OWNER_LABEL, POD, ObjectType, identify
from krake.simulator import Failure, Settings, SimulatedCluster
from krake.simulator.kubernetes.kinds import BY_RESOURCE

Two = tuple[SimulatedCluster, SimulatedCluster]


@pytest.fixture
async def two(simulated_clusters: StartClusters) -> Two:
    first, second = await simulated_clusters(2)
    return first, second


def replicas(cluster: SimulatedCluster, resource: str, name: str) -> int:
    return int(get(cluster, resource, name)["spec"]["replicas"])


async def pods_are(cluster: SimulatedCluster, *wanted: str) -> None:
    """Wait for exactly these Pods, without what Kubernetes adds to their names."""

    async def are() -> bool:
        found = names(cluster, "pods")
        return sorted(name if name[-2] == "-" else name.split("-")[0] for name in found) == sorted(wanted)

    await until(are)


async def test_claims_are_on_the_target_and_nothing_runs_on_the_source(two: Two) -> None:
    source, target = two
    async with moving(two, claim(), workload("Deployment", "web", "files", replicas=2), stateful_set("db", 2)) as move:
        await pods_are(source, "web", "web", "db-0", "db-1")
        progress = await move.finish()
        assert progress.problem is None
        assert move.copies() == {"files": "copied", "data-db-0": "copied", "data-db-1": "copied"}
        assert names(target, CLAIMS) == names(source, CLAIMS) == {"files", "data-db-0", "data-db-1"}
        assert get(target, CLAIMS, "data-db-1")["metadata"]["labels"] == {
            "app": "db",
            "app.kubernetes.io/managed-by": "krake",
            OWNER_LABEL: UID,
        }
        assert replicas(source, "deployments.apps", "web") == replicas(source, "statefulsets.apps", "db") == 0
        await until(lambda: nothing_left(two))
        assert names(source, "pods") == names(target, "pods") == set()


async def nothing_left(two: Sequence[SimulatedCluster]) -> bool:
    return not any(left_of_copies(cluster) for cluster in two)


async def test_everything_is_written_down_before_it_is_made(two: Two) -> None:
    async with moving(two, claim(), workload("Deployment", "web", "files")) as move:
        await pods_are(two[0], "web")
        progress = await move.step()
        assert [each.state for each in progress.volumes] == ["pending"]
        assert not left_of_copies(two[0])
        assert not names(two[1], CLAIMS)
        await move.finish()
        jobs = {each.job for each in progress.volumes}
        assert {each.job for each in move.app.status.volumes} == jobs


async def test_any_controller_goes_on_at_any_moment(two: Two) -> None:
    async with moving(two, claim(), workload("Deployment", "web", "files"), stateful_set("db", 1)) as move:
        await pods_are(two[0], "web", "db-0")
        async with asyncio.timeout(60):
            while True:
                async with taken_over(move, two) as successor:
                    progress = await successor.step()
                    move.app = successor.app
                    if progress.done:
                        break
        assert set(move.copies().values()) == {"copied"}


@asynccontextmanager
async def taken_over(move: Move, two: Two) -> AsyncIterator[Move]:
    """The same move in the hands of a controller that knows nothing but what is written down, and what is on the clusters."""
    async with sites_of(two) as sites:
        successor = Move(*sites, [], move.config)
        successor.app = move.app
        for site in sites:
            site.follow(UID, move.app.key, {JOB})

        async def know_all() -> bool:
            return all(site.knows(type_) for site in sites for type_ in (POD, JOB))

        await until(know_all)
        yield successor


async def test_what_was_stopped_is_started_again_when_the_copy_fails(two: Two) -> None:
    source, target = two
    kinds = (claim(), workload("Deployment", "web", "files", replicas=3), workload("DaemonSet", "agent"), stateful_set("db", 2))
    async with moving(two, *kinds, image="crash") as move:
        await pods_are(source, "web", "web", "web", "db-0", "db-1", "agent")

        async def is_told() -> bool:
            progress = await move.step()
            return progress.problem is not None and "CrashLoopBackOff" in progress.problem.message

        await until(is_told)
        await move.return_home()
        assert not left_of_copies(source)
        assert not left_of_copies(target)
        assert names(target, CLAIMS) == set()
        assert names(source, CLAIMS) == {"files", "data-db-0", "data-db-1"}
        assert (replicas(source, "deployments.apps", "web"), replicas(source, "statefulsets.apps", "db")) == (3, 2)
        await pods_are(source, "web", "web", "web", "db-0", "db-1", "agent")


async def test_after_the_move_the_claims_go_from_the_former_place(two: Two) -> None:
    source, target = two
    async with moving(two, stateful_set("db", 2)) as move:
        await pods_are(source, "db-0", "db-1")
        await move.finish()
        move.write(running_on=move.app.status.scheduled_to)
        await until(lambda: clean(move.app, move.source, A))
        assert names(source, CLAIMS) == set()
        assert names(target, CLAIMS) == {"data-db-0", "data-db-1"}


async def test_claims_of_ordinals_that_there_were_once_are_copied_too(two: Two) -> None:
    source, target = two
    async with moving(two, stateful_set("db", 3)) as move:
        await pods_are(source, "db-0", "db-1", "db-2")
        move.app.spec.manifest[0]["spec"]["replicas"] = 1
        await move.place()
        await pods_are(source, "db-0")
        await move.finish()
        assert names(target, CLAIMS) == {"data-db-0", "data-db-1", "data-db-2"}


async def test_claims_of_somebody_else_on_the_target_stop_the_move_before_the_application(two: Two) -> None:
    source, target = two
    async with moving(two, stateful_set("db", 1)) as move:
        await pods_are(source, "db-0")
        async with moving((target, source), stateful_set("db", 1)) as other:
            other.app.metadata.labels["x"] = "y"
            await pods_are(target, "db-0")
        progress = await move.finish()
        assert progress.failed
        assert progress.problem is not None
        assert "b refuses PersistentVolumeClaim data/data-db-0" in progress.problem.message
        assert names(source, "pods") == {"db-0"}
        await until(lambda: clean(move.app, move.target, move.app.status.scheduled_to))
        assert names(target, CLAIMS) == {"data-db-0"}


async def test_raw_devices_are_refused(two: Two) -> None:
    async with moving(two, claim(volumeMode="Block")) as move:
        await claim_is_bound(move)
        progress = await move.finish()
        assert progress.failed
        assert "raw block device" in str(progress.problem)


async def claim_is_bound(move: Move) -> None:
    async def bound() -> bool:
        obj = await move.source.connection.get(claim_identity("files"))
        return obj is not None and (obj.get("status") or {}).get("phase") == "Bound"

    await until(bound)


async def test_an_application_without_data_is_not_stopped(two: Two) -> None:
    async with moving(two, workload("Deployment", "web")) as move:
        await pods_are(two[0], "web")
        progress = await move.step()
        assert (progress.done, progress.volumes) == (True, [])
        assert replicas(two[0], "deployments.apps", "web") == 1


@pytest.mark.parametrize("which", [0, 1])
async def test_a_cluster_that_does_not_answer_is_waited_for(two: Two, which: int) -> None:
    async with moving(two, claim(), workload("Deployment", "web", "files")) as move:
        await pods_are(two[0], "web")
        await move.step()
        declared = await move.declared(move.target)
        two[which].fail(Failure("unreachable"))
        progress = await step(move.app, move.source, move.target, declared, move.config, datetime.now(UTC))
        assert not progress.failed
        assert progress.problem is not None
        assert progress.problem.code is ReasonCode.CLUSTER_NOT_REACHABLE
        two[which].recover()
        await move.finish()
        assert move.copies() == {"files": "copied"}


async def test_what_the_script_says_is_the_reason(simulated_clusters: StartClusters) -> None:
    source, target = await simulated_clusters(2, Settings(start_delay=0.02, finish_delay=60, stop_delay=0.01))
    async with moving((source, target), claim(), workload("Deployment", "web", "files")) as move:
        await pods_are(source, "web")

        async def is_copying() -> bool:
            await move.step()
            pods = target.storage.objects("pods", NAMESPACE)
            return bool(pods) and pods[0]["status"].get("phase") == "Running"

        await until(is_copying)
        assert move.copies() == {"files": "copying"}
        assert (await move.step()).problem is None
        end(target, 1, json.dumps({"volumes": {"files": [1, 5]}, "error": "The disk is full."}))
        progress = await move.finish()
        assert progress.failed
        assert "The disk is full" in str(progress.problem)
        assert move.copies() == {"files": "failed"}
        await move.return_home()
        await pods_are(source, "web")


async def test_how_much_there_was_is_read_in_the_end(simulated_clusters: StartClusters) -> None:
    source, target = await simulated_clusters(2, Settings(start_delay=0.02, finish_delay=60, stop_delay=0.01))
    async with moving((source, target), claim(), workload("Deployment", "web", "files")) as move:
        await pods_are(source, "web")

        async def is_copying() -> bool:
            await move.step()
            pods = target.storage.objects("pods", NAMESPACE)
            return bool(pods) and pods[0]["status"].get("phase") == "Running"

        await until(is_copying)
        end(target, 0, json.dumps({"volumes": {"files": [5, 5]}, "error": None}))
        await move.finish()
        assert [(each.bytes_done, each.bytes_total) for each in move.app.status.volumes] == [(5, 5)]


def end(cluster: SimulatedCluster, code: int, message: str) -> None:
    """End the one Pod of a cluster."""
    (pod,) = cluster.storage.objects("pods", NAMESPACE)
    state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}}
    statuses = [{**each, "ready": False, "state": state} for each in pod["status"]["containerStatuses"]]
    status = {**pod["status"], "phase": "Failed" if code else "Succeeded", "containerStatuses": statuses}
    cluster.resources.put(BY_RESOURCE["pods"], {**pod, "status": status})


async def appear(move: Move, *objects: dict[str, Any]) -> None:
    """Somebody else creates objects on the source; then the application declares the same ones."""
    connection = move.source.connection
    assert isinstance(connection, Connection)
    for obj in objects:
        obj["metadata"]["namespace"] = NAMESPACE
        place = await connection._discovery.find(ObjectType(obj["apiVersion"], obj["kind"]))
        await connection._transport.call("POST", place.path(identify(obj)).rpartition("/")[0], None, obj)
    spec = replace(move.app.spec, manifest=[*move.app.spec.manifest, *objects])
    move.app = replace(move.app, spec=spec)


async def test_what_belongs_to_others_is_neither_stopped_nor_copied(two: Two) -> None:
    source, _ = two
    async with moving(two, claim(), workload("Deployment", "web", "files")) as move:
        await appear(
            move, workload("Deployment", "other", replicas=2), stateful_set("theirs", 1), workload("DaemonSet", "agent")
        )
        await pods_are(source, "web", "other", "other", "theirs-0", "agent")
        await move.finish()
        assert move.copies() == {"files": "copied"}
        assert replicas(source, "deployments.apps", "web") == 0
        assert replicas(source, "deployments.apps", "other") == 2
        await pods_are(source, "other", "other", "theirs-0", "agent")
        assert OWNER_LABEL not in (get(source, CLAIMS, "data-theirs-0")["metadata"].get("labels") or {})


async def test_claims_of_others_are_not_moved(two: Two) -> None:
    source, target = two
    async with moving(two, claim(), workload("Deployment", "web", "files")) as move:
        await appear(move, claim("theirs"), workload("Deployment", "other", "theirs"))
        await pods_are(source, "web", "other")
        progress = await move.finish()
        assert progress.failed
        assert progress.problem is not None
        assert "theirs on a does not belong to the application" in progress.problem.message
        assert "labels" not in get(source, CLAIMS, "theirs")["metadata"]
        assert names(target, CLAIMS) == set()


async def test_what_others_have_stopped_is_not_started(two: Two) -> None:
    source, _ = two
    async with moving(two, claim(), workload("Deployment", "web", "files")) as move:
        stopped = workload("Deployment", "other", replicas=0)
        stopped["metadata"] |= {"annotations": {STOPPED: "5"}, "labels": {OWNER_LABEL: "another"}}
        await appear(move, stopped)
        move.write(last_applied_manifest=[*move.app.status.last_applied_manifest, stopped])
        await move.step()
        await move.return_home()
        assert replicas(source, "deployments.apps", "other") == 0


async def test_pods_of_others_say_nothing_about_a_copy(simulated_clusters: StartClusters) -> None:
    source, target = await simulated_clusters(2, Settings(start_delay=0.02, finish_delay=0.5, stop_delay=0.01))
    async with moving((source, target), claim(), workload("Deployment", "web", "files")) as move:
        await pods_are(source, "web")
        await move.step()
        labels = {OWNER_LABEL: UID, COPY_LABEL: move.app.status.volumes[0].job}
        for cluster in (source, target):
            forged: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", **template("forged")}
            forged["metadata"] = {"name": "forged", "namespace": "elsewhere", "labels": labels, "uid": "1"}
            state = {"terminated": {"exitCode": 1, "message": json.dumps({"error": "Nothing works."})}}
            forged["status"] = {"phase": "Running", "containerStatuses": [{"name": "main", "state": state}]}
            cluster.storage.put("pods", forged)
        progress = await move.finish()
        assert progress.problem is None
        await until(lambda: clean(move.app, move.source, A))
