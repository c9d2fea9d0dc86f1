"""What every source of metrics keeps to: a real Prometheus, written values, and doubles of InfluxDB and ksqlDB."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fixtures.identity import Impostor
from fixtures.metrics import InfluxDouble, KsqlDouble, StartPrometheus, serving
from fixtures.pki import store_pair
from fixtures.web import Web
from realmetrics.prometheus import PASSWORD, USER, Prometheus, Rule
from testpki.authority import SERVER, Authority

from krake.adapters.metrics import Sources
from krake.data import Metadata
from krake.data.core import (
    GlobalMetricsProvider,
    InfluxSpec,
    KafkaSpec,
    MetricsProvider,
    MetricsProviderSpec,
    PrometheusSpec,
    StaticSpec,
)
from krake.data.destinations import Destinations
from krake.data.record import Record
from krake.ports.metrics import Answers, MetricError, MetricsSource, ProviderError, Sample

TIMEOUT = 1.0
HOSTILE = ("'; DROP TABLE x; --", 'a" or true or "', "${1+1}", "a\\", "é\n", "up}", "a|b", "`", "x' OR '1'='1")


@dataclass(frozen=True)
class Source:
    """A source, and how to set what it has."""

    spec: Callable[[], Record]
    put: Callable[[Mapping[str, float]], Awaitable[None]]


@pytest.fixture
async def sources() -> AsyncIterator[Sources]:
    async with Sources(Destinations(), TIMEOUT) as found:
        yield found


def provider(spec: Record) -> GlobalMetricsProvider:
    return GlobalMetricsProvider(metadata=Metadata(name="source", uid="1"), spec=MetricsProviderSpec(value=spec))


_NUMBERS = itertools.count()


@pytest.fixture
def names() -> list[str]:
    """Names that no other test has."""
    number = next(_NUMBERS)
    return [f"contract_{number}_{letter}" for letter in "abc"]


@pytest.fixture(params=["prometheus", "influx (double)", "ksql (double)", "static"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Source]:
    match request.param:
        case "prometheus":
            server: Prometheus = request.getfixturevalue("prometheus")

            async def record(values: Mapping[str, float]) -> None:
                await asyncio.to_thread(server.record, **values)

            yield Source(lambda: PrometheusSpec(url=server.url), record)
        case "influx (double)":
            influx = InfluxDouble()

            async def write(values: Mapping[str, float]) -> None:
                influx.series |= {name: [({}, value)] for name, value in values.items()}

            async with serving("/api/v2/query", influx.answer) as url:
                yield Source(lambda: InfluxSpec(url=url, token=influx.token, org=influx.org, bucket=influx.bucket), write)
        case "ksql (double)":
            ksql = KsqlDouble()
            rows: dict[str, float] = {}

            async def insert(values: Mapping[str, float]) -> None:
                rows.update(values)
                ksql.tables["METRICS"] = [{"NAME": name, "VALUE": value} for name, value in rows.items()]

            await insert({})
            async with serving("/query", ksql.answer) as url:
                yield Source(
                    lambda: KafkaSpec(url=url, comparison_column="name", value_column="value", table="metrics"), insert
                )
        case _:
            values: dict[str, float] = {}

            async def declare(more: Mapping[str, float]) -> None:
                values.update(more)

            yield Source(lambda: StaticSpec(metrics=dict(values)), declare)


async def fetch(sources: Sources, source: Source, *names: str) -> Answers:
    return await sources.connect(provider(source.spec())).fetch(names)


async def test_the_values_of_names_are_answered(sources: Sources, source: Source, names: list[str]) -> None:
    values = dict(zip(names, (0.7, -3.0, 1e6), strict=True))
    await source.put(values)
    assert await fetch(sources, source, *names) == {name: Sample(value) for name, value in values.items()}
    assert await fetch(sources, source, names[1]) == {names[1]: Sample(-3.0)}
    assert await fetch(sources, source) == {}


async def test_a_name_that_is_not_there_has_no_value(sources: Sources, source: Source, names: list[str]) -> None:
    await source.put({names[0]: 1.0})
    assert await fetch(sources, source, *names) == {names[0]: Sample(1.0)}
    assert await fetch(sources, source, names[2]) == {}


async def test_a_new_value_is_seen(sources: Sources, source: Source, names: list[str]) -> None:
    await source.put({names[0]: 1.0})
    assert await fetch(sources, source, names[0]) == {names[0]: Sample(1.0)}
    await source.put({names[0]: 2.0})
    assert await fetch(sources, source, names[0]) == {names[0]: Sample(2.0)}


async def test_hostile_names_get_nothing_and_harm_nobody(sources: Sources, source: Source, names: list[str]) -> None:
    await source.put({names[0]: 1.0, names[1]: 2.0})
    found = await fetch(sources, source, *names, *HOSTILE)
    assert {name: found[name] for name in names[:2]} == {names[0]: Sample(1.0), names[1]: Sample(2.0)}
    for name in HOSTILE:
        assert not isinstance(found.get(name), Sample), name


async def test_many_names_at_once(sources: Sources, source: Source, names: list[str]) -> None:
    values = {f"{names[0]}_{number}": float(number) for number in range(120)}
    await source.put(values)
    assert await fetch(sources, source, *values) == {name: Sample(value) for name, value in values.items()}


# What servers do that are none, or ill. All that are asked over HTTP are held to the same.

SPECS: dict[str, Callable[[str], Record]] = {
    "prometheus": lambda url: PrometheusSpec(url=url),
    "influx": lambda url: InfluxSpec(url=url, token="influx-token", org="o", bucket="b"),
    "ksql": lambda url: KafkaSpec(url=url, comparison_column="c", value_column="v", table="t"),
}
kinds = pytest.mark.parametrize("kind", SPECS)


def connect(sources: Sources, kind: str, url: str) -> MetricsSource:
    return sources.connect(provider(SPECS[kind](url)))


async def failure(source: MetricsSource) -> str:
    with pytest.raises(ProviderError) as caught:
        await source.fetch(["a", "b", "sum(c)"])
    message = str(caught.value)
    assert message.startswith("The metrics provider 'source' ")
    assert message.endswith(".")
    assert "token" not in message.replace("check its token", "")
    return message


@kinds
@pytest.mark.parametrize(
    ("response", "words"),
    [
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "leads elsewhere (HTTP 302)"),
        (lambda: web.Response(status=401), "refuses the login (HTTP 401)"),
        (lambda: web.Response(status=403), "refuses the login (HTTP 403)"),
        (lambda: web.Response(status=404, text="nothing here"), "answered with HTTP 404"),
        (lambda: web.Response(status=500, text="<html>oops"), "answered with HTTP 500"),
        (lambda: web.Response(body=b"x" * 2_000_000), "more than 1048576 bytes"),
        (lambda: web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), "compressed"),
    ],
)
async def test_a_server_that_does_not_answer_questions(
    sources: Sources, impostor: Impostor, kind: str, response: Callable[[], web.Response], words: str
) -> None:
    impostor.answer = lambda request: response()
    assert words in await failure(connect(sources, kind, impostor.url))


@kinds
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"9" * 10_000,
        b"\xff\xfe",
        b'{"status": "success", "data": null}',
        b'{"status": "success", "data": {"resultType": "vector", "result": null}}',
        b'{"data": {"resultType": "vector", "result": [1, {}, {"value": 3}, {"metric": [], "value": [1]}]}}',
        b'[{"row": null}, 5, {"row": {"columns": 3}}, {"row": {}}]',
        b'[{"header": {}}, {"errorMessage": {"message": "too many queries"}}]',
        b"a,b\r\n1,2\r\n",
        b",error,reference\r\n,ill,897\r\n",
        b",_measurement,_value\r\n,a,\r\n,b,NaN\r\n",
        b',_measurement\r\n,"a\r\n',
        b"\x00,\x00\r\n\x00",
    ],
)
async def test_an_answer_that_makes_no_sense_gives_no_values(
    sources: Sources, impostor: Impostor, kind: str, body: bytes
) -> None:
    impostor.answer = lambda request: web.Response(body=body)
    try:
        found = await connect(sources, kind, impostor.url).fetch(["a", "b"])
    except ProviderError:
        return
    assert all(isinstance(each, MetricError) or each.value != each.value for each in found.values() if each)  # type: ignore[union-attr]


@kinds
async def test_a_server_that_hangs_is_given_up_in_time(sources: Sources, impostor: Impostor, kind: str) -> None:
    started = time.monotonic()
    assert "did not answer within 1 s" in await failure(connect(sources, kind, impostor.url))
    assert time.monotonic() - started < 5 * TIMEOUT


@kinds
async def test_a_server_that_is_not_there(sources: Sources, kind: str) -> None:
    assert "can not be reached" in await failure(connect(sources, kind, "http://127.0.0.1:1"))
    assert "no host of the name" in await failure(connect(sources, kind, "http://no-such-host.invalid"))


@kinds
async def test_providers_of_namespaces_are_kept_from_what_is_denied(sources: Sources, impostor: Impostor, kind: str) -> None:
    impostor.answer = lambda request: web.Response()
    for host in ("127.0.0.1", "localhost"):
        spec = SPECS[kind](impostor.url.replace("127.0.0.1", host))
        theirs = MetricsProvider(metadata=Metadata(name="source", namespace="red"), spec=MetricsProviderSpec(value=spec))
        assert "has not allowed it (metrics.allow)" in await failure(sources.connect(theirs))
    assert impostor.asked == 0


@pytest.mark.parametrize("kind", ["prometheus", "ksql"])
@pytest.mark.parametrize(
    ("login", "user", "shown"),
    [
        ({"token": "abc"}, "", "Bearer abc"),
        ({"username": "ann", "password": "b:c"}, "", "Basic YW5uOmI6Yw=="),
        ({}, "ann:b%20c@", "Basic YW5uOmIgYw=="),
        ({"token": "abc"}, "ann:b@", "Bearer abc"),
        ({}, "", None),
    ],
)
async def test_who_asks_is_shown_in_the_way_that_is_declared(
    sources: Sources, impostor: Impostor, kind: str, login: dict[str, str], user: str, shown: str | None
) -> None:
    seen: list[Any] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response([] if kind == "ksql" else {"data": {"resultType": "vector", "result": []}})

    impostor.answer = answer
    url = impostor.url.replace("//", f"//{user}")
    base = {"comparison_column": "c", "value_column": "v", "table": "t"} if kind == "ksql" else {}
    record = (KafkaSpec if kind == "ksql" else PrometheusSpec)(url=url, **base, **login)  # type: ignore[arg-type]
    assert await sources.connect(provider(record)).fetch(["a"]) == {}
    assert seen == [shown]


# Prometheus

Answer = Sample | MetricError | ProviderError | None


async def ask(sources: Sources, prometheus: Prometheus, expression: str) -> Answer:
    found = await sources.connect(provider(PrometheusSpec(url=prometheus.url))).fetch([expression])
    return found.get(expression)


@pytest.fixture
async def two(prometheus: Prometheus, names: list[str]) -> str:
    """The name of a metric with two series."""
    rules = [Rule("vector(2)", {"zone": "b"}), Rule("vector(1)", {"zone": "a"})]
    await asyncio.to_thread(prometheus.record, **{names[0]: rules})
    return names[0]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sum({name})", 3.0),
        ('{name}{{zone="b"}}', 2.0),
        ('{name}{{zone="b"}} / ignoring(zone) {name}{{zone="a"}}', 2.0),
        ("scalar(sum({name})) * 2 + 0.5", 6.5),
        ("1 + 1", 2.0),
        ("max_over_time(vector(5)[10s:1s])", 5.0),
    ],
)
async def test_any_promql_with_one_value(
    sources: Sources, prometheus: Prometheus, two: str, expression: str, value: float
) -> None:
    assert await ask(sources, prometheus, expression.format(name=two)) == Sample(value)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("{name} * 2", 'gives 2 values, for example of {zone="a"} and {zone="b"}'),
        ("sum({name}", "refuses the query: invalid parameter"),
        ("{name}[5m]", "gives a matrix"),
        ('"text"', "gives a string"),
        ("this is no query", "refuses the query"),
    ],
)
async def test_an_expression_without_one_value_says_so(
    sources: Sources, prometheus: Prometheus, two: str, expression: str, words: str
) -> None:
    found = await ask(sources, prometheus, expression.replace("{name}", two))
    assert isinstance(found, MetricError)
    assert words in str(found)


@pytest.mark.parametrize("expression", ["vector(0) / 0", "1 / 0", "-1 / 0"])
async def test_what_is_no_number_is_left_to_those_who_know_the_metric(
    sources: Sources, prometheus: Prometheus, expression: str
) -> None:
    found = await ask(sources, prometheus, expression)
    assert isinstance(found, Sample)
    assert found.value - found.value != 0


async def test_of_several_series_of_a_metric_the_first_counts(sources: Sources, prometheus: Prometheus, two: str) -> None:
    expected = Sample(1.0, 'of 2 series, the first counts: {zone="a"}')
    assert await ask(sources, prometheus, two) == expected
    both = await sources.connect(provider(PrometheusSpec(url=prometheus.url))).fetch([two, "another_one"])
    assert both == {two: expected}


async def test_a_bad_expression_costs_no_other_metric(sources: Sources, prometheus: Prometheus, two: str) -> None:
    found = await sources.connect(provider(PrometheusSpec(url=prometheus.url))).fetch([f"sum({two})", "sum(", f"max({two})"])
    assert [found[f"sum({two})"], found[f"max({two})"]] == [Sample(3.0), Sample(2.0)]
    assert isinstance(found["sum("], MetricError)


async def test_an_expression_that_hangs_costs_no_other_metric(sources: Sources, web_server: Web) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "slow" in request.query["query"]:
            await asyncio.sleep(10 * TIMEOUT)
        series = [{"metric": {"__name__": "a"}, "value": [0, "1"]}]
        return web.json_response({"data": {"resultType": "vector", "result": series}})

    web_server.answers["/api/v1/query"] = answer
    found = await connect(sources, "prometheus", web_server.url).fetch(["a", "sum(slow)"])
    assert found["a"] == Sample(1.0)
    assert "did not answer within" in str(found["sum(slow)"])


async def test_one_metric_with_too_many_series_costs_no_other(sources: Sources, impostor: Impostor) -> None:
    def answer(request: web.Request) -> web.Response:
        if request.query["query"] == "small":
            series = [{"metric": {"__name__": "small"}, "value": [0, "1"]}]
            return web.json_response({"data": {"resultType": "vector", "result": series}})
        return web.Response(body=b"x" * 2_000_000)

    impostor.answer = answer
    found = await connect(sources, "prometheus", impostor.url).fetch(["small", "large"])
    assert found["small"] == Sample(1.0)
    assert "more than 1048576 bytes" in str(found["large"])


async def test_a_prometheus_with_login_and_certificate(
    sources: Sources, start_prometheus: StartPrometheus, tmp_path: Path, names: list[str]
) -> None:
    authority = Authority.make("Servers of metrics", days=1)
    ca = store_pair(tmp_path, "metrics-ca", authority.pair).certificate
    files = store_pair(tmp_path, "metrics", authority.issue("metrics", [SERVER], days=1, hosts=["127.0.0.1"]))
    server = await asyncio.to_thread(lambda: start_prometheus(files=files, ca=ca, login=True))
    await asyncio.to_thread(server.record, **{names[0]: 0.5})
    login = {"username": USER, "password": PASSWORD, "ca": ca.read_text()}

    async def found(**wrong: str | None) -> Answers:
        return await sources.connect(provider(PrometheusSpec(url=server.url, **{**login, **wrong}))).fetch([names[0]])  # type: ignore[arg-type]

    assert await found() == {names[0]: Sample(0.5)}
    for wrong, words in (
        ({"password": "wrong"}, "refuses the login"),
        ({"ca": None}, "not trusted"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "holds no certificates"),
    ):
        with pytest.raises(ProviderError, match=words):
            await found(**wrong)


# InfluxDB and ksqlDB, by doubles


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([({"host": "b"}, 2.0), ({"host": "a"}, 1)], Sample(1.0, "of 2 series, the first counts: _field=value, host=a")),
        ([({}, "warm")], "of the type string, which is no number"),
        ([({}, True)], "of the type boolean, which is no number"),
    ],
)
async def test_what_stands_in_influx(sources: Sources, series: Any, expected: Sample | str) -> None:
    influx = InfluxDouble()
    influx.series["heat"] = series
    async with serving("/api/v2/query", influx.answer) as url:
        spec = InfluxSpec(url=url, token=influx.token, org=influx.org, bucket=influx.bucket)
        found = (await sources.connect(provider(spec)).fetch(["heat"]))["heat"]
    assert found == expected or (isinstance(found, MetricError) and str(expected) in str(found))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"token": "stolen"}, "refuses the login"),
        ({"org": "other"}, "refuses the query: organization not found"),
        ({"bucket": "other"}, "refuses the query: could not find bucket 'other'"),
    ],
)
async def test_influx_says_what_is_wrong(sources: Sources, wrong: dict[str, str], words: str) -> None:
    influx = InfluxDouble()
    async with serving("/api/v2/query", influx.answer) as url:
        spec = {"url": url, "token": influx.token, "org": influx.org, "bucket": influx.bucket, **wrong}
        with pytest.raises(ProviderError, match=words):
            await sources.connect(provider(InfluxSpec(**spec))).fetch(["heat"])


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [("metrics", "value", None), ("other", "value", "OTHER does not exist"), ("`odd``x` t", "value", "does not exist")],
)
async def test_names_of_ksql_can_not_be_misunderstood(sources: Sources, table: str, column: str, words: str | None) -> None:
    ksql = KsqlDouble()
    ksql.tables = {
        "METRICS": [{"NAME": "heat", "VALUE": "0.5"}, {"NAME": "cold", "VALUE": None}, {"NAME": "on", "VALUE": True}]
    }
    async with serving("/ksql/query", ksql.answer) as url:
        spec = KafkaSpec(url=f"{url}/ksql/", comparison_column="name", value_column=column, table=table)
        source = sources.connect(provider(spec))
        if words is not None:
            with pytest.raises(ProviderError, match=words):
                await source.fetch(["heat"])
            return
        found = await source.fetch(["heat", "cold", "on"])
    assert found["heat"] == Sample(0.5)
    assert "has no value in its row" in str(found["cold"])
    assert "is no number" in str(found["on"])


async def test_of_several_rows_of_ksql_the_first_counts(sources: Sources) -> None:
    ksql = KsqlDouble()
    ksql.tables = {"T": [{"C": "heat", "V": 1}, {"C": "heat", "V": 2}]}
    async with serving("/query", ksql.answer) as url:
        found = await connect(sources, "ksql", url).fetch(["heat"])
    assert found == {"heat": Sample(1.0, "of 2 rows, the first counts")}
