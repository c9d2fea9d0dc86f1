"""What is sent to sources of metrics can not be misunderstood, and whatever they answer does no harm."""

import contextlib
import json
import re
import time
from base64 import b64decode
from typing import Any

import pytest
from fixtures.records import AUTHORITY
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from yarl import URL

from krake.adapters.metrics import influx, ksql
from krake.adapters.metrics.influx import InfluxMetrics
from krake.adapters.metrics.ksql import KsqlMetrics
from krake.adapters.metrics.prometheus import PrometheusMetrics
from krake.adapters.metrics.web import Reply, Server, quote
from krake.data.core import GlobalMetricsProvider, KafkaSpec, Login
from krake.data.schema import Purpose, load
from krake.ports.metrics import MetricError, ProviderError, Sample

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KAFKA = KafkaSpec(url="http://x", comparison_column="c", value_column="v", table="t")


@given(TEXTS)
def test_a_text_of_flux_means_itself(text: str) -> None:
    literal = influx.write_text(text)
    assert re.fullmatch(r'"([A-Za-z0-9 _.:-]|\\x[0-9a-f]{2})*"', literal)
    plain = re.sub(r"\\x(..)", lambda match: chr(int(match[1], 16)), literal[1:-1])
    assert plain.encode("latin-1").decode() == text


@given(TEXTS)
def test_a_text_of_ksql_means_itself(text: str) -> None:
    literal = ksql.write_text(text)
    assert re.fullmatch(r"'([^']|'')*'", literal, re.DOTALL)
    assert literal[1:-1].replace("''", "'") == text


@given(TEXTS)
def test_a_name_of_ksql_is_one_name(text: str) -> None:
    name = ksql.write_name(text)
    assert re.fullmatch(r"\w+(->\w+)*|`([^`]|``)*`", name, re.DOTALL)
    assert name == text or name[1:-1].replace("``", "`") == text


@given(st.text())
def test_a_quotation_is_one_short_line(text: str) -> None:
    quoted = quote(text)
    assert len(quoted) <= 200
    assert not quoted or quoted.isprintable()


class Parrot:
    """A server that says the same to everybody."""

    service, timeout = "The metrics provider 'parrot'", 5.0

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def ask(self, *_: Any, **__: Any) -> Reply:
        return Reply(self.service, 200, self._body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a", "b", "vector", "0.5"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "resultType", "result", "metric", "__name__", "value", "row", "columns", "errorMessage"]),
            inner,
        )
    ),
)
SERIES = st.fixed_dictionaries({}, optional={"metric": JSON, "value": JSON})
BODIES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda each: json.dumps(each).encode()),
    st.lists(SERIES | JSON, max_size=3).map(
        lambda each: json.dumps({"data": {"resultType": "vector", "result": each}}).encode()
    ),
    st.lists(st.fixed_dictionaries({"row": st.fixed_dictionaries({"columns": JSON})}), max_size=3).map(
        lambda each: json.dumps(each).encode()
    ),
    st.text('_measurement,value\r\n"#datatype0.5ab', max_size=80).map(str.encode),
)


@given(BODIES)
async def test_whatever_is_answered_is_a_value_or_an_error(body: bytes) -> None:
    server: Any = Parrot(body)
    for source in (PrometheusMetrics(server), InfluxMetrics(server, "o", "b"), KsqlMetrics(server, KAFKA)):
        for names in (["a"], ["a", "b"], ["sum(a)"]):
            try:
                answers = await source.fetch(names)
            except ProviderError:
                continue
            assert set(answers) <= set(names)
            assert all(isinstance(each, Sample | MetricError | ProviderError) for each in answers.values())


NO_CA = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({}, None),
        ({"token": "abc.def"}, None),
        ({"username": "ann", "password": ""}, None),
        ({"ca": AUTHORITY}, None),
        ({"ca": f"Ours:\n{AUTHORITY}\n{AUTHORITY}"}, None),
        ({"ca": NO_CA}, "certificates in PEM"),
        ({"ca": f"{AUTHORITY}{NO_CA}"}, "certificates in PEM"),
        ({"ca": f"{AUTHORITY}-----BEGIN EC PRIVATE KEY-----"}, "private key"),
        ({"username": "ann"}, "belong together"),
        ({"password": "x"}, "belong together"),
        ({"username": "ann", "password": "x", "token": "y"}, "not by both"),
        ({"username": "a:b", "password": "x"}, "colon"),
        ({"token": "a\r\nX-Admin: yes"}, "letters, digits and signs"),
        ({"token": ""}, "letters, digits and signs"),
        ({"ca": "/etc/passwd"}, "certificates in PEM"),
    ],
)
@pytest.mark.parametrize("kind", ["prometheus", "kafka"])
def test_a_login_that_can_not_be_is_refused(kind: str, login: dict[str, str], words: str | None) -> None:
    more = {"comparison_column": "c", "value_column": "v", "table": "t"} if kind == "kafka" else {}
    spec = {"type": kind, kind: {"url": "https://x.example", **more, **login}}
    body = {"api": "core", "kind": "GlobalMetricsProvider", "metadata": {"name": "x"}, "spec": spec}
    if words is None:
        load(GlobalMetricsProvider, body, Purpose.CREATE)
        return
    with pytest.raises(ValidationError, match=words):
        load(GlobalMetricsProvider, body, Purpose.CREATE)


async def test_a_table_of_many_columns_and_rows_takes_no_longer_than_to_read_it() -> None:
    """Whoever runs a metrics provider of a namespace must not be able to keep the scheduler from everything else."""
    columns, rows = 100_000, 100_000
    body = "#datatype" + "," * columns + "\n_value" + ",a" * columns + "\n" + "1\n" * rows
    server: Any = Parrot(body.encode())
    started = time.process_time()
    with contextlib.suppress(ProviderError):
        await InfluxMetrics(server, "org", "bucket").fetch(["load"])
    assert time.process_time() - started < 5


class Echo:
    """Servers that repeat what they were sent when they refuse it."""

    timeout = 5.0

    async def trust(self, _: str | None) -> None:
        """Nobody has to be trusted."""

    async def request(self, service: str, method: str, url: URL, *, headers: dict[str, str], **_: Any) -> Reply:
        said = f"Refused: {headers['Authorization']}"
        if headers["Authorization"].startswith("Basic "):
            said += f" ({b64decode(headers['Authorization'].split()[1]).decode()})"
        return Reply(service, 400, json.dumps({"error": said, "message": said}).encode())


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("http://x", {"token": "very-secret"}),
        ("http://x", {"username": "ann", "password": "very-secret"}),
        ("http://ann:very-secret@x", {}),
    ],
)
async def test_no_secret_that_a_server_repeats_is_passed_on(url: str, login: dict[str, str]) -> None:
    web: Any = Echo()
    server = Server(web, "echo", url, Login(**login))
    for source in (PrometheusMetrics(server), InfluxMetrics(server, "o", "b"), KsqlMetrics(server, KAFKA)):
        try:
            told = [str(answer) for answer in (await source.fetch(["load"])).values()]
        except ProviderError as error:
            told = [str(error)]
        assert told
        assert "Refused" in told[0]
        assert not re.search("very-secret|YW5uOnZ", told[0])
