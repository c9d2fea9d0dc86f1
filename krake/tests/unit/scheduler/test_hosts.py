"""Which cloud a cluster goes to."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.scheduler.clouds import make_cloud
from unit.scheduler.worlds import NOW, make_app, make_cluster

from krake.controller.scheduler.deciding.filters import Rule
from krake.controller.scheduler.deciding.hosts import (
    CLOUD_RULES,
    CREATION_RULES,
    PROJECT_RULES,
    Host,
    choose_host,
    explain_refusals,
    reason_of,
)
from krake.controller.scheduler.deciding.snapshot import Measurement, Reading, Settings
from krake.controller.scheduler.metrics.measuring import report
from krake.data import Metadata, Reason, ReasonCode
from krake.data.constraints import LabelConstraint, MetricConstraint
from krake.data.infrastructure import CloudState, CloudStatus
from krake.data.kubernetes import CloudConstraints, Cluster, ClusterCloudConstraints
from krake.data.openstack import (
    ApplicationCredential,
    AuthMethod,
    MagnumCluster,
    MagnumClusterSpec,
    Project,
    ProjectSpec,
    ProjectState,
    ProjectStatus,
)

SETTINGS = Settings()
BROKEN = Reason(code=ReasonCode.INVALID_METRIC, message="It is no number.")


def host(name: str, load: float | None = None, *, guests: int = 0, weight: float = 1.0, **more: str) -> Host:
    readings = () if load is None else (Reading("load", load, load, weight),)
    return Host(make_cloud(name, labels=more), Measurement(readings), guests)


def wanting(label: str | None = None, metric: str | None = None, *, auto_generated: bool = False) -> Cluster:
    cluster = make_cluster("cluster")
    wanted = CloudConstraints(
        labels=[LabelConstraint.parse(label)] if label else None,
        metrics=[MetricConstraint.parse(metric)] if metric else None,
    )
    spec = replace(cluster.spec, constraints=ClusterCloudConstraints(cloud=wanted), auto_generated=auto_generated)
    return replace(cluster, spec=spec)


def name_of(cluster: Cluster, *tiers: list[Host], settings: Settings = SETTINGS) -> str | None:
    choice = choose_host(CLOUD_RULES, cluster, settings, *tiers)
    return choice.host.ref.name if choice.host else None


@pytest.mark.parametrize(
    ("reason", "cluster", "tiers", "chosen"),
    [
        ("there is none", wanting(), [[], []], None),
        ("the better one", wanting(), [[host("a", 0.1), host("b", 0.9)]], "b"),
        ("one with metrics", wanting(), [[host("a"), host("b", 0.0)]], "b"),
        ("the less loaded one", wanting(), [[host("a", guests=2), host("b", guests=1)]], "b"),
        ("the first by name", wanting(), [[host("b"), host("a")]], "a"),
        ("the first tier", wanting(), [[host("z", 0.1)], [host("a", 0.9)]], "z"),
        (
            "the second tier, if none of the first fits",
            wanting("zone is b"),
            [[host("a", zone="a")], [host("c", zone="b")]],
            "c",
        ),
        ("that has the label", wanting("zone is b"), [[host("a", 0.9, zone="a"), host("b", zone="b")]], "b"),
        ("that has the metric", wanting(metric="load < 0.5"), [[host("a", 0.9), host("b", 0.1)]], "b"),
        ("a missing value fits nothing", wanting(metric="load < 0.5"), [[host("a")]], None),
    ],
)
def test_the_choice(reason: str, cluster: Cluster, tiers: list[list[Host]], chosen: str | None) -> None:
    assert name_of(cluster, *tiers) == chosen


def test_constraints_compare_weighted_values_if_asked_to() -> None:
    cluster, heavy = wanting(metric="load > 1"), host("a", 0.5, weight=4)
    assert name_of(cluster, [heavy]) is None
    assert name_of(cluster, [heavy], settings=replace(SETTINGS, weighted_constraints=True)) == "a"


def test_a_cloud_that_goes_or_must_not_be_taken_is_out_of_the_question() -> None:
    going = Host(make_cloud("going", deleted=NOW))
    excluded = Host(make_cloud("excluded"), Measurement(failures={"load": BROKEN}, excluded=True))
    choice = choose_host(CLOUD_RULES, wanting(), SETTINGS, [going, excluded])
    assert choice.host is None
    assert reason_of(choice, "clouds").message == (
        "None of the clouds matches: excluded: A metric that it must have could not be read: load: It is no number. "
        f"going: It is being deleted since {NOW.isoformat()}."
    )


@pytest.mark.parametrize("rules", [CLOUD_RULES, CREATION_RULES])
def test_a_cloud_that_is_offline_is_out_of_the_question_and_says_why(rules: tuple[Rule[Any, Host], ...]) -> None:
    reason = Reason(code=ReasonCode.INVALID_CREDENTIALS, message="The cloud 'north' refuses the login.")
    status = CloudStatus(state=CloudState.OFFLINE, reason=reason)
    north = Host(replace(make_cloud("north"), status=status))
    silent = Host(replace(make_cloud("silent"), status=replace(status, reason=None)))
    guest = wanting() if rules is CLOUD_RULES else make_app()
    choice = choose_host(rules, guest, SETTINGS, [north, silent])
    assert explain_refusals(choice, "clouds") == (
        "north: It is OFFLINE: The cloud 'north' refuses the login. silent: It is OFFLINE."
    )
    assert choose_host(rules, guest, SETTINGS, [north, host("south")]).host == host("south")


def test_a_project_that_is_offline_is_out_of_the_question() -> None:
    spec = ProjectSpec(url="https://keystone", auth=AuthMethod(value=ApplicationCredential(id="i", secret="s")), template="t")
    project = Project(metadata=Metadata(name="p", namespace="red"), spec=spec, status=ProjectStatus(state=ProjectState.OFFLINE))
    magnum = MagnumCluster(metadata=Metadata(name="m", namespace="red"), spec=MagnumClusterSpec())
    assert choose_host(PROJECT_RULES, magnum, SETTINGS, [Host(project)]).host is None
    well = Host(replace(project, status=ProjectStatus()))
    assert choose_host(PROJECT_RULES, magnum, SETTINGS, [well]).host is well


@pytest.mark.parametrize("failures", [{}, {"load": BROKEN}])
def test_failing_metrics_do_not_hide_that_a_cloud_is_offline(failures: dict[str, Reason]) -> None:
    offline = CloudStatus(state=CloudState.OFFLINE, metrics_reasons={"other": BROKEN})
    after = report(offline, failures)
    assert (after.state, after.metrics_reasons) == (CloudState.OFFLINE, failures)


def test_a_metric_that_fails_alone_does_not_matter() -> None:
    assert name_of(wanting(), [Host(make_cloud("a"), Measurement(failures={"load": BROKEN}))]) == "a"


def test_where_a_created_cluster_has_failed_no_further_one_is_created_but_those_of_users_are() -> None:
    failed = Host(make_cloud("a"), failed="cluster-1")
    assert name_of(wanting(auto_generated=True), [failed]) is None
    assert name_of(wanting(), [failed]) == "a"


hosts = st.lists(
    st.builds(
        lambda name, load, guests, zone: host(name, load, guests=guests, zone=zone),
        st.text("abcdef", min_size=1, max_size=4),
        st.none() | st.floats(0, 1),
        st.integers(0, 3),
        st.sampled_from("ab"),
    ),
    max_size=6,
    unique_by=lambda each: each.ref.name,
)


@given(hosts, hosts)
def test_the_order_does_not_matter_and_all_that_are_out_of_the_question_are_said(first: list[Host], second: list[Host]) -> None:
    cluster = wanting("zone is a")
    before = choose_host(CLOUD_RULES, cluster, SETTINGS, first, second)
    after = choose_host(CLOUD_RULES, cluster, SETTINGS, first[::-1], second[::-1])
    assert before.host == after.host
    fitting = [each for each in first if each.labels["zone"] == "a"] or [each for each in second if each.labels["zone"] == "a"]
    assert (before.host is None) == (not fitting)
    if before.host is None:
        assert len(before.refusals) == len(first) + len(second)
    else:
        assert before.host in fitting
