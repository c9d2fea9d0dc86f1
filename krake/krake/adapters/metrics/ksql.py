"""Metrics in a table of a ksqlDB server: the value stands in the row whose comparison column holds the name."""

import re
from collections.abc import Collection
from functools import partial
from http import HTTPStatus
from typing import Any

from krake.adapters.metrics.asking import Question, ask_all
from krake.adapters.metrics.web import Reply, Server
from krake.data.core import KafkaSpec
from krake.ports.metrics import Answers, MetricError, ProviderError, Sample

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(->[A-Za-z_][A-Za-z0-9_]*)*|`[^`]+`")


class KsqlMetrics:
    """A source that asks for one name after the other, several at once. Of several rows the first counts."""

    def __init__(self, server: Server, spec: KafkaSpec) -> None:
        self._server = server
        self._spec = spec

    async def fetch(self, names: Collection[str]) -> Answers:
        """Return the present values of *names*."""
        questions = [Question([name], partial(self._ask, name)) for name in sorted(names)]
        return await ask_all(self._server.service, questions, self._server.timeout)

    async def _ask(self, name: str) -> Answers:
        body = {"ksql": write_query(self._spec, name), "streamsProperties": {}}
        reply = await self._server.ask("POST", "query", json=body, headers={"Accept": "application/vnd.ksql.v1+json"})
        if reply.status == HTTPStatus.BAD_REQUEST and (said := reply.quote("message")):
            raise ProviderError(f"{reply.service} refuses the query: {said}")
        if reply.status != HTTPStatus.OK:
            raise reply.fail()
        rows = _read_rows(reply)
        if not rows:
            return {}
        value = _read_value(name, rows[0])
        if isinstance(value, MetricError) or len(rows) == 1:
            return {name: value}
        return {name: Sample(value.value, f"of {len(rows)} rows, the first counts")}


def write_query(spec: KafkaSpec, name: str) -> str:
    """Return the statement that asks for a name."""
    value, table, column = map(write_name, (spec.value_column, spec.table, spec.comparison_column))
    return f"SELECT {value} FROM {table} WHERE {column} = {write_text(name)};"


def write_text(text: str) -> str:
    """Return a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def write_name(name: str) -> str:
    """Return a name as SQL can not misunderstand it; plain ones, whose case does not matter there, stay as they are."""
    return name if _PLAIN.fullmatch(name) else "`" + name.replace("`", "``") + "`"


def _read_rows(reply: Reply) -> list[Any]:
    """Return the columns of the rows of an answer.

    :raises ProviderError: it tells of an error.
    """
    rows = []
    for part in reply.document(list):
        if not isinstance(part, dict):
            continue
        if error := part.get("errorMessage"):
            said = error.get("message") if isinstance(error, dict) else error
            raise ProviderError(f"{reply.service} could not answer: {reply.pass_on(str(said))}")
        if isinstance(row := part.get("row"), dict):
            rows.append(row.get("columns"))
    return rows


def _read_value(name: str, columns: Any) -> Sample | MetricError:
    value = columns[0] if isinstance(columns, list) and columns else None
    if value is None:
        return MetricError(f"'{name}' has no value in its row.")
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return Sample(float(value))
    except (ValueError, OverflowError):
        pass
    return MetricError(f"'{name}' has a value that is no number.")
