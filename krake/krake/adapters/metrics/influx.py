"""Metrics of an InfluxDB 2 server, by Flux: names are those of measurements, of which the last value within an hour counts."""

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus

from krake.adapters.metrics.asking import Question, ask_all
from krake.adapters.metrics.web import Reply, Server, quote
from krake.ports.metrics import Answers, MetricError, ProviderError, Sample

_BATCH = 50
_NUMBERS = frozenset({"double", "long", "unsignedLong"})
_DIALECT = {"header": True, "delimiter": ",", "annotations": ["datatype"]}
_OF_NO_SERIES = frozenset({"", "result", "table", "_start", "_stop", "_time", "_value", "_measurement"})
"""Columns that do not tell one series of a measurement from another."""

Row = Mapping[str, str]


class InfluxMetrics:
    """A source that asks for several measurements at once. Of several series the first counts, in the order of their tags."""

    def __init__(self, server: Server, org: str, bucket: str) -> None:
        self._server = server
        self._org = org
        self._bucket = bucket

    async def fetch(self, names: Collection[str]) -> Answers:
        """Return the last values of *names*."""
        wanted = sorted(names)
        batches = [wanted[start : start + _BATCH] for start in range(0, len(wanted), _BATCH)]
        questions = [Question(batch, partial(self._ask, batch)) for batch in batches]
        return await ask_all(self._server.service, questions, self._server.timeout)

    async def _ask(self, names: Sequence[str]) -> Answers:
        body = {"query": write_query(self._bucket, names), "type": "flux", "dialect": _DIALECT}
        reply = await self._server.ask(
            "POST", "api/v2/query", query={"org": self._org}, json=body, headers={"Accept": "application/csv"}
        )
        if reply.status != HTTPStatus.OK:
            said = reply.quote("message") if reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) else None
            raise ProviderError(f"{reply.service} refuses the query: {said}") if said else reply.fail()
        found: dict[str, list[tuple[Row, str]]] = {}
        for row, kind in _read_rows(reply):
            found.setdefault(row.get("_measurement", ""), []).append((row, kind))
        return {name: _judge(name, found[name]) for name in names if name in found}


def write_query(bucket: str, names: Sequence[str]) -> str:
    """Return the Flux that asks for the last values of measurements."""
    wanted = " or ".join(f"r._measurement == {write_text(name)}" for name in names)
    return f"from(bucket: {write_text(bucket)}) |> range(start: -1h) |> filter(fn: (r) => {wanted}) |> last()"


def write_text(text: str) -> str:
    """Return a literal of Flux. All but plain characters are written by their bytes: nothing ends it, or is evaluated."""
    plain = (char if char.isascii() and (char.isalnum() or char in " _-.:") else _write_bytes(char) for char in text)
    return f'"{"".join(plain)}"'


def _write_bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "replace"))


def _read_rows(reply: Reply) -> Iterator[tuple[Row, str]]:
    """Yield the rows of annotated CSV, and the type of the value of each.

    :raises ProviderError: it is something else, or tells of an error.
    """
    header: list[str] = []
    types: list[str] = []
    kind = ""
    try:
        for cells in csv.reader(io.StringIO(reply.text)):
            if not any(cells) or cells[0].startswith("#"):
                header = []
                types = cells if cells and cells[0] == "#datatype" else types
            elif not header:
                header = cells
                # Once for all rows: there may be many of them, and as many columns.
                kind = dict(zip(header, types, strict=False)).get("_value", "double")
            else:
                row = dict(zip(header, cells, strict=False))
                _check_row(reply, row)
                yield row, kind
    except csv.Error:
        raise ProviderError(f"{reply.service} answered something that can not be read.") from None


def _check_row(reply: Reply, row: Row) -> None:
    if "error" in row and "_value" not in row:
        raise ProviderError(f"{reply.service} could not answer: {reply.pass_on(row['error'])}")
    if "_value" not in row:
        raise ProviderError(f"{reply.service} does not answer as InfluxDB does: check its URL.")


def _judge(name: str, rows: Sequence[tuple[Row, str]]) -> Sample | MetricError:
    row, kind = min(rows, key=lambda each: _order(each[0]))
    if kind not in _NUMBERS:
        return MetricError(f"'{name}' has a value of the type {quote(kind)}, which is no number.")
    try:
        value = float(row["_value"])
    except ValueError:
        return MetricError(f"'{name}' has a value that is no number.")
    if len(rows) == 1:
        return Sample(value)
    tags = ", ".join(f"{key}={tag}" for key, tag in _order(row))
    return Sample(value, quote(f"of {len(rows)} series, the first counts: {tags}"))


def _order(row: Row) -> list[tuple[str, str]]:
    return sorted((key, value) for key, value in row.items() if key not in _OF_NO_SERIES)
