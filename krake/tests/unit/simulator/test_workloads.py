"""The pure transitions bring a world to rest where a real cluster would bring it."""

import copy
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krake.simulator.kubernetes.defaults import fill
from krake.simulator.kubernetes.kinds import BY_RESOURCE, Object
from krake.simulator.kubernetes.storage import Storage, key_of
from krake.simulator.kubernetes.workloads import pods
from krake.simulator.kubernetes.workloads.endpoints import reconcile_service
from krake.simulator.kubernetes.workloads.jobs import reconcile_job
from krake.simulator.kubernetes.workloads.replicas import reconcile_deployment, reconcile_replica_set, share
from krake.simulator.kubernetes.workloads.sets import reconcile_daemon_set, reconcile_stateful_set
from krake.simulator.kubernetes.workloads.world import Create, Delete

NOW = "2030-01-01T00:00:00Z"
NODE = {
    "metadata": {"name": "node", "labels": {}},
    "spec": {},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
RECONCILERS = {
    "deployments.apps": reconcile_deployment,
    "replicasets.apps": reconcile_replica_set,
    "statefulsets.apps": reconcile_stateful_set,
    "daemonsets.apps": reconcile_daemon_set,
    "jobs.batch": reconcile_job,
    "services": reconcile_service,
}


class SmallWorld:
    """A cluster without an API server: what the transitions ask for happens at once, Pods start in steps of their own."""

    now = NOW

    def __init__(self, nodes: int = 1) -> None:
        self.storage = Storage()
        self._number = 0
        for number in range(nodes):
            metadata = {**NODE["metadata"], "name": f"node-{number}", "uid": f"node-{number}"}
            self.storage.put("nodes", {**NODE, "metadata": metadata})

    def get(self, resource: str, key: tuple[str, str]) -> Object | None:
        return self.storage.get(resource, key)

    def objects(self, resource: str, namespace: str | None = None) -> list[Object]:
        return self.storage.objects(resource, namespace)

    def dependents(self, uid: str) -> Iterable[tuple[str, Object]]:
        return self.storage.dependents(uid)

    def add(self, resource: str, obj: Object) -> Object:
        self._number += 1
        obj = copy.deepcopy(obj)
        metadata = {"namespace": "n", "generation": 1, "creationTimestamp": NOW, **obj["metadata"]}
        metadata["uid"] = f"uid-{self._number}"
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{self._number:04}")
        return self.storage.put(resource, fill(BY_RESOURCE[resource], {**obj, "metadata": metadata}))

    def change(self, resource: str, obj: Object, **spec: Any) -> None:
        current = self.storage.get(resource, key_of(obj))
        assert current is not None
        metadata = {**current["metadata"], "generation": current["metadata"]["generation"] + 1}
        self.storage.put(resource, {**current, "metadata": metadata, "spec": {**current["spec"], **spec}})

    def step(self) -> bool:
        """Let every controller act once; whether any had something to do."""
        acted = False
        for resource, reconcile in RECONCILERS.items():
            for obj in self.storage.objects(resource):
                current = self.storage.get(resource, key_of(obj))
                for action in reconcile(current, self) if current is not None else ():
                    acted = True
                    self._carry_out(action)
        return acted

    def _carry_out(self, action: Any) -> None:
        if isinstance(action, Create):
            self.add(action.resource, action.object)
        elif isinstance(action, Delete):
            self.storage.remove(action.resource, key_of(action.object))
        elif (
            self.storage.get(action.resource, key_of(action.object))["metadata"]["resourceVersion"]
            == (  # type: ignore[index]
                action.object["metadata"]["resourceVersion"]
            )
        ):
            self.storage.put(action.resource, action.object)

    def start_pods(self, count: int = 1000) -> bool:
        """Bring some Pods one stage further; whether there were any."""
        moved = 0
        for pod in self.storage.objects("pods"):
            stage = pods.stage(pod)
            if stage == pods.UNBOUND:
                pod = self.storage.put("pods", pods.bind(pod, self.objects("nodes"), 0, NOW))
                stage = pods.stage(pod)
            if stage in (pods.STARTING, pods.FINISHING) and moved < count:
                done = pods.start(pod, True, "10.0.0.1", NOW) if stage == pods.STARTING else pods.finish(pod, NOW)
                self.storage.put("pods", done)
                moved += 1
        return bool(moved)

    def settle(self) -> None:
        for _ in range(200):
            if not self.step() and not self.start_pods():
                return
        raise AssertionError("the controllers never come to rest")


def template(image: str = "run:1", **spec: Any) -> Object:
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": image}], **spec}}


def workload(replicas: int = 1, image: str = "run:1", **spec: Any) -> Object:
    selector = {"matchLabels": {"app": "x"}}
    return {
        "metadata": {"name": "w"},
        "spec": {"replicas": replicas, "selector": selector, "template": template(image), **spec},
    }


def images(world: SmallWorld) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in world.objects("pods")]


STRATEGIES = st.one_of(
    st.just({"type": "Recreate"}),
    st.builds(
        lambda surge, unavailable: {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
        },
        st.sampled_from([0, 1, 2, "25%", "100%"]),
        st.sampled_from([0, 1, "25%", "50%"]),
    ),
)


class TestDeployments:
    @given(STRATEGIES, st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab")), min_size=1, max_size=5), st.data())
    @settings(max_examples=60, deadline=None)
    def test_every_rollout_ends_with_what_is_wanted(
        self, strategy: Any, wishes: list[tuple[int, str]], data: st.DataObject
    ) -> None:
        world = SmallWorld()
        made = world.add("deployments.apps", workload(0, strategy=strategy))
        for replicas, tag in wishes:
            world.change("deployments.apps", made, replicas=replicas, template=template(f"run:{tag}"))
            for _ in range(data.draw(st.integers(0, 4))):
                world.step()
                world.start_pods(1)
        world.settle()
        replicas, tag = wishes[-1]
        assert images(world) == [f"run:{tag}"] * replicas
        (deployment,) = world.objects("deployments.apps")
        status = deployment["status"]
        assert status.get("availableReplicas", 0) == status.get("updatedReplicas", 0) == replicas
        assert status["observedGeneration"] == deployment["metadata"]["generation"]
        assert "unavailableReplicas" not in status

    @given(st.integers(1, 6), STRATEGIES.filter(lambda strategy: strategy["type"] == "RollingUpdate"))
    @settings(max_examples=60, deadline=None)
    def test_a_rolling_update_keeps_its_limits(self, replicas: int, strategy: Any) -> None:
        world = SmallWorld()
        made = world.add("deployments.apps", workload(replicas, strategy=strategy))
        world.settle()
        world.change("deployments.apps", made, template=template("run:2"))
        surge = share(strategy["rollingUpdate"]["maxSurge"], replicas, up=True)
        unavailable = share(strategy["rollingUpdate"]["maxUnavailable"], replicas, up=False)
        if not surge and not unavailable:
            unavailable = 1
        while world.step() or world.start_pods(1):
            present = world.objects("pods")
            assert len(present) <= replicas + surge
            assert sum(pods.is_ready(pod) for pod in present) >= replicas - unavailable
        assert images(world) == ["run:2"] * replicas

    def test_a_broken_image_does_not_take_the_old_pods_away(self) -> None:
        world = SmallWorld()
        made = world.add("deployments.apps", workload(4))
        world.settle()
        world.change("deployments.apps", made, template=template("missing:1"))
        world.settle()
        assert images(world).count("run:1") == 3
        (deployment,) = world.objects("deployments.apps")
        assert deployment["status"]["availableReplicas"] == 3
        world.change("deployments.apps", made, template=template("run:3"))
        world.settle()
        assert images(world) == ["run:3"] * 4

    def test_recreate_never_runs_both(self) -> None:
        world = SmallWorld()
        made = world.add("deployments.apps", workload(2, strategy={"type": "Recreate"}))
        world.settle()
        world.change("deployments.apps", made, template=template("run:2"))
        while world.step() or world.start_pods(1):
            assert len(set(images(world))) <= 1
        assert images(world) == ["run:2"] * 2

    def test_old_replica_sets_are_forgotten(self) -> None:
        world = SmallWorld()
        made = world.add("deployments.apps", workload(1, revisionHistoryLimit=2))
        for number in range(6):
            world.change("deployments.apps", made, template=template(f"run:{number}"))
            world.settle()
        assert len(world.objects("replicasets.apps")) == 3

    @pytest.mark.parametrize(("value", "up", "result"), [(2, True, 2), ("25%", True, 3), ("25%", False, 2), ("0%", True, 0)])
    def test_share(self, value: Any, up: bool, result: int) -> None:
        assert share(value, 10, up=up) == result


class TestOthers:
    def test_stateful_set_goes_in_order(self) -> None:
        world = SmallWorld()
        made = world.add("statefulsets.apps", workload(3, serviceName="w"))
        world.step()
        assert [pod["metadata"]["name"] for pod in world.objects("pods")] == ["w-0"]
        world.settle()
        assert [pod["metadata"]["name"] for pod in world.objects("pods")] == ["w-0", "w-1", "w-2"]
        world.change("statefulsets.apps", made, replicas=1, template=template("run:2"))
        world.settle()
        assert images(world) == ["run:2"]

    def test_stateful_set_makes_claims(self) -> None:
        claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
        world = SmallWorld()
        world.add("statefulsets.apps", workload(2, volumeClaimTemplates=[claim]))
        world.settle()
        assert [each["metadata"]["name"] for each in world.objects("persistentvolumeclaims")] == ["data-w-0", "data-w-1"]
        volumes = world.objects("pods")[0]["spec"]["volumes"]
        assert volumes == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-w-0"}}]

    def test_daemon_set_is_on_every_node(self) -> None:
        world = SmallWorld(nodes=3)
        made = world.add("daemonsets.apps", workload())
        world.settle()
        assert sorted(pod["spec"]["nodeName"] for pod in world.objects("pods")) == ["node-0", "node-1", "node-2"]
        world.storage.remove("nodes", ("", "node-2"))
        world.change("daemonsets.apps", made, template=template("run:2"))
        world.settle()
        assert images(world) == ["run:2"] * 2

    @given(st.integers(1, 5), st.integers(1, 5))
    def test_job_makes_no_more_pods_than_wanted(self, completions: int, parallelism: int) -> None:
        world = SmallWorld()
        spec = {"completions": completions, "parallelism": parallelism, "template": template(restartPolicy="Never")}
        world.add("jobs.batch", {"metadata": {"name": "j"}, "spec": spec})
        world.settle()
        (job,) = world.objects("jobs.batch")
        assert job["status"]["succeeded"] == completions == len(world.objects("pods"))
        assert [each["type"] for each in job["status"]["conditions"]] == ["Complete"]

    def test_job_gives_up(self) -> None:
        world = SmallWorld()
        spec = {"backoffLimit": 2, "template": template("crash:1", restartPolicy="Never")}
        world.add("jobs.batch", {"metadata": {"name": "j"}, "spec": spec})
        world.settle()
        (job,) = world.objects("jobs.batch")
        assert job["status"]["failed"] == 3
        assert [each["reason"] for each in job["status"]["conditions"]] == ["BackoffLimitExceeded"]

    def test_endpoints_tell_ready_from_not_ready(self) -> None:
        world = SmallWorld()
        world.add("deployments.apps", workload(1))
        world.add("pods", {"metadata": {"name": "bad", "labels": {"app": "x"}}, "spec": template("crash:1")["spec"]})
        world.add("services", {"metadata": {"name": "s"}, "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}})
        world.settle()
        (subset,) = world.objects("endpoints")[0]["subsets"]
        assert len(subset["addresses"]) == 1
        assert [each["targetRef"]["name"] for each in subset["notReadyAddresses"]] == ["bad"]


class TestPods:
    def pod(self, image: str = "run:1", **annotations: str) -> Object:
        named = {f"fake-node/{name.replace('_', '-')}": value for name, value in annotations.items()}
        spec = {**template(image, restartPolicy="Never")["spec"], "nodeName": "node"}
        return {"metadata": {"name": "p", "annotations": named}, "spec": spec, "status": {"phase": "Pending"}}

    def started(self, image: str = "run:1", **annotations: str) -> Object:
        return pods.start(self.pod(image, **annotations), True, "10.0.0.1", NOW)

    @pytest.mark.parametrize(
        ("image", "annotations", "phase", "ready"),
        [
            ("run:1", {}, "Running", True),
            ("missing:1", {}, "Pending", False),
            ("crash:1", {}, "Running", False),
            ("run:1", {"outcome": "crash"}, "Running", False),
            ("crash:1", {"outcome": "run"}, "Running", True),
        ],
    )
    def test_the_image_decides(self, image: str, annotations: dict[str, str], phase: str, ready: bool) -> None:
        pod = self.started(image, **annotations)
        assert (pod["status"]["phase"], pods.is_ready(pod)) == (phase, ready)

    def test_end(self) -> None:
        assert pods.stage(self.started()) == pods.FINISHING
        assert pods.has_succeeded(pods.finish(self.started(), NOW))
        assert pods.has_failed(pods.finish(self.started("crash:1"), NOW))
        assert pods.stage(self.started(completes_after="never")) == pods.RUNNING
        assert pods.run_time(self.pod(completes_after="2.5"), 1) == 2.5
        assert pods.run_time(self.pod(completes_after="soon"), 1) == 1

    def test_readiness_follows_the_node(self) -> None:
        pod = self.started()
        lost = pods.follow_node(pod, {**NODE, "status": {"conditions": []}}, NOW)
        assert not pods.is_ready(lost)
        assert pods.is_ready(pods.follow_node(lost, NODE, NOW))
        assert pods.follow_node(pod, NODE, NOW) is pod

    def test_no_node_takes_it(self) -> None:
        pod = self.pod()
        pod["spec"] = {**template()["spec"], "nodeSelector": {"disk": "ssd"}}
        waiting = pods.bind(pod, [NODE], 0, NOW)
        (condition,) = waiting["status"]["conditions"]
        assert (condition["type"], condition["reason"]) == ("PodScheduled", "Unschedulable")
        fitting = {**NODE, "metadata": {"name": "n2", "labels": {"disk": "ssd"}}}
        assert pods.bind(waiting, [NODE, fitting], 0, NOW)["spec"]["nodeName"] == "n2"
