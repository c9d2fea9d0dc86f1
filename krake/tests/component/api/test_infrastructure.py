"""Rules for clouds and infrastructure providers, however they are written."""

from typing import Any

import pytest
from fixtures.api import Http
from fixtures.samples import path_of, sample

from krake.data.infrastructure import Cloud, GlobalCloud, InfrastructureProvider

PROVIDER = "A non-namespaced global cloud resource cannot reference the namespaced infrastructure provider resource."
METRIC = "A non-namespaced global cloud resource cannot reference the namespaced metric resource."
NAMESPACED = {
    PROVIDER: {"infrastructure_provider": {"name": "im", "namespaced": True}},
    METRIC: {"metrics": [{"name": "heat", "weight": 1, "namespaced": True}]},
}
LOCAL = {"type": "local", "local": {"infrastructure_provider": {"name": "laptop"}}}


@pytest.mark.parametrize("said", NAMESPACED)
@pytest.mark.parametrize("type_", ["openstack", "local"])
async def test_a_global_cloud_never_refers_to_what_is_in_a_namespace(http: Http, type_: str, said: str) -> None:
    good = sample(GlobalCloud) | ({"spec": LOCAL} if type_ == "local" else {})
    change = {"spec": {type_: NAMESPACED[said]}}
    bad = {**good, "spec": {"type": type_, type_: {**good["spec"][type_], **NAMESPACED[said]}}}
    collection, path = path_of(GlobalCloud), path_of(GlobalCloud, "sample")
    refused = [await http.post(collection, bad)]
    assert (await http.post(collection, good)).status == 201
    refused += [await http.put(path, bad), await http.patch(path, change)]
    assert [(answer.status, said in answer.detail) for answer in refused] == [(422, True)] * 3
    own = await http.post(path_of(Cloud), {**bad, "kind": "Cloud"})
    assert own.status == 201


@pytest.mark.parametrize("kind", [Cloud, InfrastructureProvider])
async def test_a_type_that_is_not_known_is_refused(http: Http, kind: Any) -> None:
    answer = await http.post(path_of(kind), {**sample(kind), "spec": {"type": "azure", "azure": {}}})
    assert (answer.status, answer.detail) == (422, "spec.type: Unknown type 'azure'")


async def test_a_login_is_not_added_to_by_a_line_break(http: Http) -> None:
    body = sample(InfrastructureProvider)
    body["spec"]["im"]["token"] = "t\\n;'\""
    assert (await http.post(path_of(InfrastructureProvider), body)).status == 201
    change = {"spec": {"im": {"token": "t\nid = stranger"}}}
    answer = await http.patch(path_of(InfrastructureProvider, "sample"), change)
    assert (answer.status, answer.fields) == (422, ["spec.token"])
    assert "stranger" not in answer.detail
