"""When a cluster counts as lost, and when it is trusted again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fixtures.samples import sample

from krake.controller.scheduler.applications.failover import Failover, Reports, Standing, count, judge
from krake.data import Reason, ReasonCode
from krake.data.kubernetes import Application, ApplicationState, Cluster, ClusterState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILOVER = Failover(after=timedelta(seconds=30), fail_back_after=timedelta(seconds=300))
CONFIRMED, DENIED = Reports(2, 1), Reports(3, 1)


def cluster(state: str, *, out_for: float | None = None, back_for: float | None = None) -> Cluster:
    made = Cluster.restore({**sample(Cluster), "status": {"state": state}})
    out_of_use = None if out_for is None else NOW - timedelta(seconds=out_for)
    recovered = None if back_for is None else NOW - timedelta(seconds=back_for)
    return replace(made, status=replace(made.status, out_of_use=out_of_use, recovered=recovered))


def app(state: str, code: ReasonCode | None = None) -> Application:
    made = Application.restore(sample(Application))
    reason = None if code is None else Reason(code=code, message="")
    return replace(made, status=replace(made.status, state=ApplicationState[state], reason=reason))


@pytest.mark.parametrize(
    ("seen", "reports", "standing", "why"),
    [
        (cluster("ONLINE"), DENIED, Standing(), "all is well"),
        (cluster("FAILING_METRICS"), CONFIRMED, Standing(), "metrics have nothing to do with it"),
        (cluster("OFFLINE", out_for=40), CONFIRMED, Standing(lost=True), "two say so, for long enough"),
        (cluster("OFFLINE", out_for=40), Reports(), Standing(lost=True), "nobody is there who could say otherwise"),
        (cluster("OFFLINE", out_for=40), DENIED, Standing(awaited=True), "the application controller reaches it"),
        (
            cluster("OFFLINE", out_for=10),
            CONFIRMED,
            Standing(awaited=True, until=NOW + timedelta(seconds=20)),
            "it may come back",
        ),
        (cluster("NOTREADY", out_for=40), CONFIRMED, Standing(lost=True), "its nodes are gone, and the Pods with them"),
        (cluster("NOTREADY", out_for=40), DENIED, Standing(awaited=True), "its Pods run all the same"),
        (cluster("CONNECTING", out_for=400), CONFIRMED, Standing(awaited=True), "it is coming back"),
        (cluster("DEGRADED", out_for=400), CONFIRMED, Standing(awaited=True), "its attempts are not used up"),
        (cluster("RECONCILING"), CONFIRMED, Standing(awaited=True), "its infrastructure is being changed"),
        (cluster("ONLINE", back_for=400), CONFIRMED, Standing(), "it has been back for long enough"),
        (
            cluster("ONLINE", back_for=100),
            DENIED,
            Standing(steady_from=NOW + timedelta(seconds=200), until=NOW + timedelta(seconds=200)),
            "it may go again",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_to_be_thought_of_a_cluster(seen: Cluster, reports: Reports, standing: Standing, why: str) -> None:
    assert judge(seen, reports, FAILOVER, NOW) == standing, why


def test_without_failover_everybody_waits() -> None:
    lost = cluster("OFFLINE", out_for=10_000)
    assert judge(lost, CONFIRMED, replace(FAILOVER, enabled=False), NOW) == Standing(awaited=True)


def test_who_is_in_trouble_is_counted_by_what_can_be_seen() -> None:
    apps = [
        app("DEGRADED", ReasonCode.CLUSTER_NOT_REACHABLE),
        app("DEGRADED", ReasonCode.KUBERNETES_ERROR),
        app("RUNNING", ReasonCode.NO_SUITABLE_RESOURCE),
        app("COMPLETED"),
    ]
    # What its Pods do can not be known of a cluster that does not answer.
    assert count(apps, ClusterState.OFFLINE) == Reports(3, 1)
    assert count(apps, ClusterState.NOTREADY) == Reports(3, 2)
