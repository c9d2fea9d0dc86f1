"""What ``krake_bootstrap_db`` puts into the store, and what it says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.api import Http, Serve
from fixtures.generated import ROOT
from fixtures.samples import path_of, sample
from fixtures.tools import Ended, Tools

from krake.adapters.etcd import EtcdStore
from krake.data import KINDS, core, kubernetes

BOOTSTRAP = "krake.admin.bootstrap.command"
KEYS = {"KRAKE_SECRETS_KEYS": "k1 " + "A" * 43 + "="}


def role(name: str, *verbs: str, **metadata: Any) -> dict[str, Any]:
    rules = [{"api": "core", "resources": ["roles"], "namespaces": [""], "verbs": list(verbs or ("get",))}]
    return {"api": "core", "kind": "Role", "metadata": {"name": name, **metadata}, "rules": rules}


def write(folder: Path, name: str, *documents: dict[str, Any]) -> str:
    (folder / name).write_text(yaml.safe_dump_all(documents))
    return name


async def stored(store: EtcdStore) -> dict[str, Any]:
    return {entry.key: json.loads(entry.value) for entry in (await store.list("/")).entries}


async def test_every_kind_is_put_into_the_store(tools: Tools, serve_api: Serve) -> None:
    documents = [sample(kind, **({"namespace": "ns"} if kind.definition.namespaced else {})) for kind in KINDS.values()]
    ended = await tools(BOOTSTRAP, write(tools.folder, "all.yaml", *documents), **KEYS)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "Resources added to database:"
    assert " * Role(api='core', namespace='None', name='sample')" in lines
    assert " * Cluster(api='kubernetes', namespace='ns', name='sample')" in lines
    assert lines[-1] == f"{len(KINDS)} added, 0 replaced, 0 unchanged."
    async with serve_api(secrets={"keys": KEYS["KRAKE_SECRETS_KEYS"]}) as http:
        for kind in KINDS.values():
            body = (await http.get(path_of(kind, "sample"))).json
            assert body["metadata"]["uid"]
            assert body["metadata"]["generation"] == 1


async def test_secrets_are_sealed_or_refused(tools: Tools, etcd_store: EtcdStore) -> None:
    file = write(tools.folder, "cluster.yaml", sample(kubernetes.Cluster, namespace="ns"))
    ended = await tools(BOOTSTRAP, file)
    assert ended.status == 1
    assert "It holds secrets. There is no key to seal secrets with" in ended.err
    assert await stored(etcd_store) == {}
    assert (await tools(BOOTSTRAP, file, **KEYS)).status == 0
    (entry,) = (await etcd_store.list("/")).entries
    assert b"t0k" not in entry.value


async def test_the_shipped_files(tools: Tools, http: Http) -> None:
    files = ["base_roles.yaml", "prometheus_metrics.yaml", "static_metrics.yaml"]
    folders = [ROOT / "templates" / "bootstrapping", ROOT / "support", ROOT / "support"]
    ended = await tools(BOOTSTRAP, *(str(folder / file) for folder, file in zip(folders, files, strict=True)))
    assert (ended.status, ended.err) == (0, "")
    metrics = (await http.get("/core/globalmetrics")).json["items"]
    assert [each["metadata"]["name"] for each in metrics] == [
        "electricity_cost_1",
        "green_energy_ratio_1",
        *(f"heat_demand_zone_{zone}" for zone in range(1, 7)),
    ]
    assert metrics[-1]["spec"]["allowed_values"] == [0, 1, 4, 5]
    providers = (await http.get("/core/globalmetricsproviders")).json["items"]
    assert [each["metadata"]["name"] for each in providers] == ["prometheus", "static_provider"]
    assert "role:system" in {each["metadata"]["name"] for each in (await http.get("/core/roles")).json["items"]}
    again = await tools(BOOTSTRAP, str(ROOT / "support" / "static_metrics.yaml"))
    assert again.status == 1
    forced = await tools(BOOTSTRAP, "--force", str(ROOT / "support" / "static_metrics.yaml"))
    assert forced.out.splitlines()[-1] == "0 added, 0 replaced, 3 unchanged."


@pytest.mark.parametrize("name", ["sites.yaml", "prometheus.yaml"])
async def test_the_files_of_the_examples(tools: Tools, http: Http, name: str) -> None:
    ended = await tools(BOOTSTRAP, str(ROOT / "examples" / "scheduling" / name))
    assert (ended.status, ended.err) == (0, "")
    providers = {each["metadata"]["name"] for each in (await http.get("/core/globalmetricsproviders")).json["items"]}
    metrics = (await http.get("/core/globalmetrics")).json["items"]
    assert metrics
    assert {each["spec"]["provider"]["name"] for each in metrics} == providers


async def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(tools: Tools, etcd_store: EtcdStore) -> None:
    assert (await tools(BOOTSTRAP, write(tools.folder, "first.yaml", role("there")))).status == 0
    before = await stored(etcd_store)
    write(
        tools.folder,
        "b1.yaml",
        role("new"),
        {"api": "core", "kind": "Nope", "metadata": {"name": "bs2"}},
        {"api": "nope", "kind": "Role", "metadata": {"name": "bs3"}},
        role("there"),
        sample(core.Metric, "bs4"),
        role("twice"),
    )
    (tools.folder / "b2.yaml").write_text(f"{yaml.safe_dump(role('twice'))}---\n---\n{{}}\n---\n- 1\n---\na: [\n")
    ended = await tools(BOOTSTRAP, "b1.yaml", "b2.yaml")
    assert (ended.status, ended.out) == (1, "")
    lines = ended.err.splitlines()
    assert lines[:3] == ["#############", "The following could not be added:", "In file 'b1.yaml':"]
    for line in (
        " * kind: 'Nope', api: 'core', namespace: 'MISSING', name: 'bs2',"
        " with error: The kind 'Nope' could not be found. (line 14)",
        " * kind: 'Role', api: 'nope', namespace: 'MISSING', name: 'bs3',"
        " with error: The api 'nope' could not be found. (line 19)",
        " * Role(api='core', namespace='None', name='there'), with error: Resource already present in database (line 24)",
        "In file 'b2.yaml':",
        " * kind: 'MISSING', api: 'MISSING', namespace: 'MISSING', name: 'MISSING',"
        " with error: api: Missing data for required field. (line 15)",
    ):
        assert line in lines
    assert any("name: 'bs4', with error: metadata.namespace: A Metric needs a namespace." in line for line in lines)
    assert any(
        " * Role(api='core', namespace='None', name='twice'), with error: The same object stands in 'b1.yaml'" in each
        for each in lines
    )
    assert any("The document must be a mapping" in line for line in lines)
    assert any(line.startswith(" * line 20, with error: not YAML: ") for line in lines)
    assert lines[-2:] == ["#############", "Nothing was changed in the database."]
    assert await stored(etcd_store) == before


async def test_force_keeps_the_identity(tools: Tools, http: Http) -> None:
    await http.post("/core/roles", role("there", labels={"old": "1"}, finalizers=["theirs"]))
    old = (await http.get("/core/roles/there")).json["metadata"]
    write(tools.folder, "roles.yaml", role("there", "list", uid="other", labels={"new": "1"}), role("new"))
    ended = await tools(BOOTSTRAP, "--force", "roles.yaml")
    assert ended.out.splitlines()[-1] == "1 added, 1 replaced, 0 unchanged."
    body = (await http.get("/core/roles/there")).json
    new = body["metadata"]
    assert body["rules"][0]["verbs"] == ["list"]
    assert (new["uid"], new["created"], new["finalizers"]) == (old["uid"], old["created"], ["theirs"])
    assert (new["labels"], new["generation"]) == ({"new": "1"}, 2)
    assert new["modified"] > old["modified"]


async def test_force_leaves_alone_what_is_being_deleted(tools: Tools, http: Http) -> None:
    await http.post("/core/roles", role("there", finalizers=["theirs"]))
    await http.delete("/core/roles/there")
    ended = await tools(BOOTSTRAP, "--force", write(tools.folder, "roles.yaml", role("there", "list")))
    assert ended.status == 1
    assert "It is being deleted" in ended.err


async def test_force_mends_what_is_no_object(tools: Tools, etcd_store: EtcdStore, http: Http) -> None:
    await etcd_store.create("/core/roles/there", b"{nonsense")
    assert (await http.get("/core/roles/there")).status == 404
    assert (await tools(BOOTSTRAP, "--force", write(tools.folder, "roles.yaml", role("there")))).status == 0
    assert (await http.get("/core/roles/there")).status == 200


async def test_uid_and_times_of_the_file_are_taken_over(tools: Tools, http: Http) -> None:
    given = {"uid": "0b4c", "created": "2020-01-02T03:04:05+00:00", "modified": "2021-01-02T03:04:05+00:00"}
    # As people write times: without quotes.
    text = yaml.safe_dump(role("old", **given)).replace("'20", "20").replace("+00:00'", "+00:00")
    assert (await tools(BOOTSTRAP, "-", stdin=text)).status == 0
    metadata = (await http.get("/core/roles/old")).json["metadata"]
    assert {name: metadata[name] for name in given} == given


async def test_a_running_api_sees_the_objects(tools: Tools, http: Http) -> None:
    async with http.watch("/core/roles") as watch:
        await tools(BOOTSTRAP, write(tools.folder, "roles.yaml", role("a"), role("b")))
        events = [await watch.next(), await watch.next()]
    assert [(kind, body["metadata"]["name"]) for kind, body in events] == [("ADDED", "a"), ("ADDED", "b")]
    # One transaction: one version.
    assert len({body["metadata"]["resource_version"] for _, body in events}) == 1


async def test_more_than_can_be_written_together_is_refused(tools: Tools, etcd_store: EtcdStore) -> None:
    file = write(tools.folder, "roles.yaml", *(role(f"r{number}") for number in range(129)))
    ended = await tools(BOOTSTRAP, file)
    assert ended.status == 1
    assert "129 objects, but only 128" in ended.err
    assert await stored(etcd_store) == {}


def one_line(ended: Ended) -> str:
    assert ended.status == 1
    (line,) = ended.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yaml"], "The file 'missing.yaml' can not be read: No such file or directory."),
        (["empty.yaml"], "There are no objects in these files."),
        (["--config", "missing.yaml", "role.yaml"], "The configuration file 'missing.yaml' does not exist."),
        (["--db-port", "1", "role.yaml"], "The store can not be used: etcd at http://127.0.0.1:1 cannot be reached"),
        (["--db-ca", "missing.pem", "role.yaml"], "etcd.tls.ca: missing.pem cannot be read"),
    ],
)
async def test_mistakes_are_one_line(tools: Tools, arguments: list[str], said: str) -> None:
    write(tools.folder, "role.yaml", role("a"))
    (tools.folder / "empty.yaml").write_text("---\n---\n")
    assert f"krake_bootstrap_db: {said}" in one_line(await tools(BOOTSTRAP, *arguments))


async def test_the_store_is_found_by_the_configuration_of_the_api(tools: Tools, etcd_store: EtcdStore) -> None:
    (tools.folder / "api.yaml").write_text(
        f"etcd: {{host: 127.0.0.1, port: {tools.port}}}\nsecrets: {{keys: '{KEYS['KRAKE_SECRETS_KEYS']}'}}\n"
    )
    write(tools.folder, "cluster.yaml", sample(kubernetes.Cluster, namespace="ns"))
    environ = {"KRAKE_ETCD_PORT": tools.port}
    ended = await tools(BOOTSTRAP, "cluster.yaml", **environ)
    assert ended.status == 0, ended.err
    assert list(await stored(etcd_store)) == ["/kubernetes/clusters/ns/sample"]
