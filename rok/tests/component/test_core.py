"""``rok core``: metrics and their providers, against a real API."""

from datetime import UTC, datetime

import pytest
from command import Rok
from krake.client import Client
from krake.data import Key
from krake.data.events import Regarding, make_event, warning
from krake.data.kubernetes import Application

STATIC = "core gmp create static_provider --type static -m electricity_cost_1 0.9 --metric green_energy_ratio_1 0.1"


async def test_providers_are_created_shown_changed_and_deleted(rok: Rok, client: Client) -> None:
    created = await rok(STATIC)
    assert created.status == 0, created.err
    rows = created.rows
    assert list(rows)[6:] == ["type", "metrics"]
    assert (rows["name"], rows["namespace"], rows["type"]) == ("static_provider", "None", "static")
    assert rows["metrics"] == "electricity_cost_1: 0.9/green_energy_ratio_1: 0.1"

    changed = await rok("core globalmetricsprovider update static_provider --metric electricity_cost_1 0.1")
    assert changed.rows["metrics"] == "electricity_cost_1: 0.1"
    listed = await rok("core gmp list")
    header = listed.out.splitlines()[1]
    assert [part.strip() for part in header.strip("|").split("|")][-1] == "mp_type"
    assert [(line[0], line[-1]) for line in listed.lines] == [("static_provider", "static")]

    assert (await rok("core gmp delete static_provider")).status == 0
    assert (await rok("core gmp list -o json")).json == []


async def test_events_of_a_global_provider_are_found_from_any_namespace(rok: Rok, client: Client) -> None:
    provider = Regarding(api="core", kind="GlobalMetricsProvider", name="weather", uid="1")
    await client.create(make_event(provider, warning("ProviderFailing", "It is down."), "scheduler", datetime.now(UTC)))
    for words in ("events gmp weather", "events globalmetricsprovider -n red"):
        assert [line[2] for line in (await rok(words)).lines] == ["ProviderFailing"]
    assert (await rok("events mp weather")).lines == []


async def test_events_of_a_name_are_about_the_object_that_has_it_now(rok: Rok, client: Client) -> None:
    rok.write("a.yaml", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}})
    uids = []
    for number in range(2):
        uids.append((await rok("kube app create a -f a.yaml -o json")).json["metadata"]["uid"])
        regarding = Regarding(api="kubernetes", kind="Application", namespace="system:admin", name="a", uid=uids[-1])
        told = warning("Failed", f"Time {number}.")
        await client.create(make_event(regarding, told, "kubernetes-application", datetime.now(UTC)))
        if number == 0:
            assert (await rok("kube app delete a --wait deleted")).status == 0

    async def told_of(line: str) -> list[str]:
        return [item["message"] for item in (await rok(f"{line} -o json")).json if item["reason"] == "Failed"]

    assert await told_of("events app a") == await told_of("events app a --all") == ["Time 1."]
    assert await told_of("events app a --earlier") == await told_of("events app") == ["Time 0.", "Time 1."]
    await rok("kube app delete a --wait deleted")
    assert await told_of("events app a") == ["Time 1."]


PROVIDERS = {
    "prometheus": ({"url": "http://prometheus.example:9090"}, "--url http://prometheus.example:9090"),
    "static": ({"metrics": "load: 0.5"}, "-m load 0.5"),
    "kafka": (
        {"url": "http://ksql.example:8088", "comparison_column": "name", "value_column": "value", "table": "metrics"},
        "--url http://ksql.example:8088 --comparison-column name --value-column value --table metrics",
    ),
    "influx": (
        {"url": "http://influx.example:8086", "token": "********", "org": "acme", "bucket": "edge"},
        "--url http://influx.example:8086 --token s3cret --org acme --bucket edge",
    ),
}


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_each_type_shows_its_own_rows(rok: Rok, client: Client, kind: str) -> None:
    shown, words = PROVIDERS[kind]
    done = await rok(f"core mp create -n red --type {kind} {words} p")
    assert done.status == 0, done.err
    rows = (await rok("core metricsprovider get p -n red")).rows
    assert (rows.pop("namespace"), rows.pop("type")) == ("red", kind)
    settings = dict(list(rows.items())[5:])
    assert settings == shown
    assert [line[0] for line in (await rok("core mp list -a")).lines] == ["p"]
    assert (await rok("core mp list")).lines == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("gmp create p --type prometheus", "a metrics provider of the type prometheus needs --url"),
        ("gmp create p --type static", "of the type static needs --metric"),
        ("mp create p --type kafka --url http://a.b --table t", "of the type kafka needs --comparison-column, --value-column"),
        ("mp create p --type influx --url http://a.b --token x", "of the type influx needs --org, --bucket"),
        ("gmp create p --type static -m a 1 --url http://a.b", "of the type static has no --url"),
        ("gmp update static_provider", "nothing is to be changed"),
        ("gmp update static_provider --url http://a.b", "of the type static has no --url"),
        ("gmp update nobody -m a 1", "nobody"),
        ("gm update heat", "nothing is to be changed"),
    ],
)
async def test_what_does_not_fit_is_said_in_a_line(rok: Rok, client: Client, words: str, said: str) -> None:
    await rok(STATIC)
    await rok("core gm create heat --gmp-name static_provider --min 0 --max 1")
    done = await rok(f"core {words}")
    assert done.status == 1
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("words", ["gmp create p --type ldap", "gmp create p --type static -m a high", "gm create m --min low"])
async def test_what_can_not_be_read_is_said_with_the_usage(rok: Rok, words: str) -> None:
    done = await rok(f"core {words}")
    assert done.status == 2
    assert "usage: rok core" in done.err


@pytest.mark.parametrize(("words", "provider"), [("gm", "--gmp-name"), ("metric", "--mp-name")])
async def test_metrics_are_created_shown_changed_and_deleted(rok: Rok, client: Client, words: str, provider: str) -> None:
    created = await rok(f"core {words} create heat {provider} prom --min 0 --max 5 --allowed-values 0 1.5 -o json")
    assert created.status == 0, created.err
    spec = created.json["spec"]
    assert (spec["min"], spec["max"], spec["allowed_values"]) == (0.0, 5.0, [0, 1.5])
    assert spec["provider"] == {"name": "prom", "metric": "heat"}

    line = (await rok(f"core {words} list")).lines[0]
    assert line[-4:] == ["prom", "0.0", "5.0", "[0, 1.5]"]
    changed = await rok(f"core {words} update heat --max 10 --metric-name heat_demand --allowed-values -o json")
    spec = changed.json["spec"]
    assert (spec["max"], spec["allowed_values"], spec["provider"]) == (10.0, [], {"name": "prom", "metric": "heat_demand"})

    changed = await rok(f"core {words} update heat --on-failure exclude --max-age 60 --out-of-range reject {provider} other")
    rows = (await rok(f"core {words} get heat")).rows
    assert (rows["on_failure"], rows["max_age"], rows["out_of_range"]) == ("exclude", "60", "reject")
    assert (rows["provider"], rows["metric"]) == ("other", "heat_demand")
    assert (await rok(f"core {words} delete heat")).status == 0
    assert (await rok(f"core {words} list -o json")).json == []


async def test_quotas_are_created_shown_changed_and_deleted(rok: Rok, client: Client) -> None:
    created = await rok("core quota create -n red fair --applications 5 --request cpu=20 --request memory=64Gi")
    assert created.status == 0, created.err
    rows = created.rows
    assert (rows["applications"], rows["clusters"], rows["requests"]) == ("5", "any", "cpu: 20/memory: 64Gi")
    changed = await rok("core quota update -n red fair --applications any --clusters 2 --remove-existing-requests")
    assert [changed.rows[name] for name in ("applications", "clusters", "requests")] == ["any", "2", "None"]
    for words, said in {
        "create -n red other": "the quota limits nothing",
        "update -n red fair": "nothing is to be changed",
        "create -n red other --request cpu=much": "'much' is no quantity",
    }.items():
        refused = await rok(f"core quota {words}")
        assert refused.status == 1
        assert said in refused.err
    assert (await rok("core quota delete -n red fair")).status == 0
    assert (await rok("core quota list -a -o json")).json == []


async def test_what_is_used_of_a_quota_is_told(rok: Rok, client: Client) -> None:
    pod = {"containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]}
    manifest = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}]
    for name in ("one", "two", "waits"):
        app = {"metadata": {"name": name, "namespace": "red"}, "spec": {"manifest": manifest, "constraints": {"cluster": {}}}}
        await client.create(Application.deserialize(app))
        if name != "waits":
            place = {"api": "kubernetes", "kind": "Cluster", "namespace": "red", "name": "north"}
            await client.patch(Application, Key("red", name), {"status": {"scheduled_to": place}}, subresource="status")
    await rok("core quota create -n red fair --applications 5 --request cpu=20 --request example.com/gpu=1")
    shown = await rok("core quota get -n red fair -o json")
    assert shown.json["used"] == {"applications": 2, "cpu": "1", "example.com/gpu": "0"}
    assert (await rok("core quota get -n red fair")).rows["used"] == "applications: 2/cpu: 1/example.com/gpu: 0"
    (listed,) = (await rok("core quota list -a -o json")).json
    assert listed["used"] == shown.json["used"]
