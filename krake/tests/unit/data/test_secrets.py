"""Redaction, and taking redacted forms back."""

import copy
import json
from typing import Any

import pytest
from fixtures.records import records
from fixtures.samples import KUBECONFIG, sample
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from krake.data import KINDS, Resource
from krake.data.infrastructure import InfrastructureProvider
from krake.data.kubernetes import Application, ApplicationSpec, Cluster, ClusterSpec
from krake.data.schema import flatten_errors
from krake.data.secrets import MARK, SEALED, has_secrets, marked_fields, redact, restore_marked, secrets_of, without_secrets

SECRETIVE = [kind for kind in KINDS.values() if has_secrets(kind)]
SLOW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "login", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "p4ss", "a": "b"}},
    "data": {"password": "p4ss"},
    "stringData": {"token": "p4ss", "empty": None},
    "type": "Opaque",
}
CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "login"}, "data": {"password": "shown"}}


def application(*manifest: dict[str, Any]) -> dict[str, Any]:
    body = sample(Application)
    body["spec"]["manifest"] = copy.deepcopy(list(manifest))
    return body


def errors_of(kind: type[Resource], body: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        restore_marked(kind, body, lambda: stored)
    return [field for field, _ in flatten_errors(caught.value.messages)]


def test_which_kinds_have_secrets() -> None:
    assert {kind.__name__ for kind in SECRETIVE} >= {"Application", "Cluster", "Cloud", "Project", "MetricsProvider"}
    assert not has_secrets(KINDS["core", "Role"])


@SLOW
@given(st.sampled_from(SECRETIVE).flatmap(records))
def test_taking_a_redacted_form_back_changes_nothing(record: Resource) -> None:
    kind, wire = type(record), record.serialize()
    assume(not any(value == MARK for value in secrets_of(kind, wire).values()))
    before = json.dumps(wire)
    shown = redact(kind, wire)
    assert all(value == MARK for value in secrets_of(kind, shown).values())
    assert secrets_of(kind, shown).keys() == secrets_of(kind, wire).keys()
    assert json.dumps(restore_marked(kind, shown, lambda: wire)) == before
    assert json.dumps(wire) == before


@SLOW
@given(st.sampled_from(SECRETIVE), st.recursive(st.none() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_anything_may_be_asked_for(kind: type[Resource], junk: Any) -> None:
    for name in ("spec", "status"):
        assert redact(kind, {name: junk}) == {name: junk}
        assert redact(kind, {name: {"manifest": junk}})
        assert redact(kind, {name: {"kubeconfig": {"users": junk}, "type": "im", "im": junk}})


def test_an_address_is_shown_unless_somebody_logs_in_by_it() -> None:
    im = {"url": "https://im.example:8800/x?a=b@c", "token": "t0k"}
    assert redact(InfrastructureProvider, {"spec": {"type": "im", "im": im}})["spec"]["im"] == {**im, "token": MARK}
    im["url"] = "https://ann:p4ss@im.example:8800"
    assert redact(InfrastructureProvider, {"spec": {"type": "im", "im": im}})["spec"]["im"] == {"url": MARK, "token": MARK}
    cluster = {"server": "https://ann:p4ss@here", "proxy-url": "socks5://ann:p4ss@there", "tls-server-name": "x"}
    kubeconfig = {**KUBECONFIG, "clusters": [{"name": "demo", "cluster": cluster}]}
    shown = redact(ClusterSpec, {"kubeconfig": kubeconfig})["kubeconfig"]["clusters"][0]["cluster"]
    assert shown == {"server": MARK, "proxy-url": MARK, "tls-server-name": "x"}


def test_a_kubeconfig_shows_where_its_cluster_is() -> None:
    user = {"username": "ann", "password": "p4ss", "client-key-data": "p4ss", "as-groups": ["p4ss"]}
    spec = {"kubeconfig": {**KUBECONFIG, "users": [{"name": "demo", "user": user}]}}
    shown = redact(ClusterSpec, spec)["kubeconfig"]
    assert shown["users"][0] == {
        "name": "demo",
        "user": {"username": "ann", "password": MARK, "client-key-data": MARK, "as-groups": MARK},
    }
    assert {**shown, "users": None} == {**KUBECONFIG, "users": None}


@pytest.mark.parametrize("users", ["p4ss", [["p4ss"]], [{"name": "demo", "user": "p4ss"}], {"demo": "p4ss"}])
def test_what_is_no_kubeconfig_is_hidden_as_a_whole(users: Any) -> None:
    assert "p4ss" not in json.dumps(redact(ClusterSpec, {"kubeconfig": {"users": users}}))


def test_only_the_contents_of_kubernetes_secrets_are_hidden() -> None:
    inner = {"metadata": {"name": "inner"}, "data": {"a": "p4ss"}}
    listed = {"apiVersion": "v1", "kind": "List", "items": [SECRET, CONFIG_MAP]}
    secrets = {"apiVersion": "v1", "kind": "SecretList", "items": [inner]}
    odd = {**SECRET, "data": "p4ss", "stringData": ["p4ss"]}
    shown = redact(Application, application(SECRET, CONFIG_MAP, listed, secrets, odd))
    assert "p4ss" not in json.dumps(shown)
    manifest = shown["spec"]["manifest"]
    assert manifest[0]["stringData"] == {"token": MARK, "empty": None}
    assert manifest[0]["metadata"]["annotations"]["a"] == "b"
    assert manifest[1] == manifest[2]["items"][1] == CONFIG_MAP


def test_objects_of_a_manifest_are_told_apart_wherever_they_stand() -> None:
    other = {**SECRET, "metadata": {"name": "other"}, "data": {"password": "0ther"}}
    stored = application(SECRET, other)
    body = redact(Application, stored)
    body["spec"]["manifest"].reverse()
    restored = restore_marked(Application, body, lambda: stored)
    assert restored["spec"]["manifest"] == [other, SECRET]


def test_objects_of_the_same_name_keep_their_own_secrets() -> None:
    stored = application(SECRET, {**SECRET, "data": {"password": "0ther"}})
    body = redact(Application, stored)
    assert restore_marked(Application, body, lambda: stored) == stored


def test_a_mark_where_nothing_is_stored() -> None:
    stored = application(SECRET)
    renamed = application({**SECRET, "metadata": {"name": "renamed"}, "data": {"password": MARK}, "stringData": None})
    assert errors_of(Application, renamed, stored) == ["spec.manifest[0].data.password"]
    cluster = sample(Cluster)
    marked = redact(Cluster, cluster)
    assert errors_of(Cluster, marked, {}) == ["spec.kubeconfig.users[0].user.token"]


def test_a_secret_that_looks_sealed() -> None:
    stored = application(SECRET)
    body = application({**SECRET, "data": {"password": f"{SEALED}x:y"}})
    assert errors_of(Application, body, stored) == ["spec.manifest[0].data.password"]
    assert restore_marked(Application, body, lambda: body) == body


def test_who_reads_marks_knows() -> None:
    stored = application(SECRET)
    spec = ApplicationSpec.restore(redact(Application, stored)["spec"])
    assert marked_fields(spec) == [
        "manifest[0].data.password",
        "manifest[0].stringData.token",
        "manifest[0].metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
    ]
    assert marked_fields(ApplicationSpec.restore(stored["spec"])) == []


def test_what_others_quote_is_hidden() -> None:
    odd = {**SECRET, "stringData": {"pin": 123456, "yes": "no"}}
    spec = ApplicationSpec.restore(application(odd)["spec"])
    said = "stringData.pin: expected string, got 123456; no; p4ss"
    assert without_secrets(said, spec) == f"stringData.pin: expected string, got {MARK}; no; {MARK}"


def test_no_representation_shows_a_secret() -> None:
    assert "t0k" not in repr(Cluster.restore(sample(Cluster)))
    assert "p4ss" not in repr(Application.restore(application(SECRET)))


def overridden(*clusters: str) -> dict[str, Any]:
    body = application(SECRET)
    secret = {key: SECRET[key] for key in ("apiVersion", "kind", "metadata")}
    patches = {cluster: [{**secret, "data": {"password": f"p4ss of {cluster}"}}] for cluster in clusters}
    body["spec"]["overrides"] = [{"cluster": cluster, "labels": None, "patches": patch} for cluster, patch in patches.items()]
    return body


def test_secrets_of_overrides_stay_with_the_clusters_that_they_are_for() -> None:
    stored = overridden("north", "south")
    shown = redact(Application, stored)
    assert "p4ss" not in json.dumps(shown)
    del shown["spec"]["overrides"][0]
    assert restore_marked(Application, shown, lambda: stored)["spec"]["overrides"] == stored["spec"]["overrides"][1:]


def test_secrets_of_an_override_are_not_sent_to_another_cluster() -> None:
    stored = overridden("north", "south")
    shown = redact(Application, stored)
    shown["spec"]["overrides"][0]["cluster"] = "mine"
    errors = errors_of(Application, shown, stored)
    assert "spec.overrides[0].patches[0].data.password" in errors
    assert all(each.startswith("spec.overrides[0]") for each in errors)
