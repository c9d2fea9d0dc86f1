"""Metrics of a Prometheus server, or of one that understands its queries."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from krake.adapters.metrics.asking import Question, ask_all
from krake.adapters.metrics.web import Server, TooLarge, quote
from krake.ports.metrics import Answers, MetricError, ProviderError, Sample

_PLAIN = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LONGEST_BATCH = 1500
"""Characters of the names that are asked for together: they are part of a URL."""
_QUERY = "api/v1/query"

Series = Mapping[str, Any]


class PrometheusMetrics:
    """A source whose names are PromQL: names of metrics, which are asked for together, or any other expressions.

    An expression must have one value: a scalar, or a vector of one series. Of a metric with several series the first one
    counts, in the order of their labels.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def fetch(self, names: Collection[str]) -> Answers:
        """Return the present values of *names*."""
        plain = sorted(name for name in names if _PLAIN.fullmatch(name))
        questions = [Question(batch, partial(self._ask_batch, batch)) for batch in _batches(plain)]
        questions += [Question([name], partial(self._ask_one, name)) for name in sorted(set(names) - set(plain))]
        return await ask_all(self._server.service, questions, self._server.timeout)

    async def _ask_batch(self, names: Sequence[str]) -> Answers:
        if len(names) == 1:
            return await self._ask_one(names[0])
        try:
            kind, result = await self._query(f'{{__name__=~"{"|".join(names)}"}}')
        except TooLarge:
            # One of them has too many series: the others must not suffer from it.
            return await self._ask_apart(names)
        found: dict[str, list[Series]] = {name: [] for name in names}
        for series in result if kind == "vector" else ():
            labels = series.get("metric") if isinstance(series, dict) else None
            name = labels.get("__name__") if isinstance(labels, dict) else None
            if isinstance(name, str) and name in found:
                found[name].append(series)
        return {name: _judge(name, many) for name, many in found.items() if many}

    async def _ask_apart(self, names: Sequence[str]) -> Answers:
        answers: dict[str, Sample | MetricError | ProviderError] = {}
        for name in names:
            try:
                answers |= await self._ask_one(name)
            except (MetricError, ProviderError) as error:
                answers[name] = error
        return answers

    async def _ask_one(self, name: str) -> Answers:
        kind, result = await self._query(name)
        match kind:
            case "scalar":
                return {name: _read_value(name, result)}
            case "vector":
                return {name: _judge(name, result)} if result else {}
        raise MetricError(
            f"'{name}' gives a {quote(str(kind))}, not a single value: use for example last_over_time(…) or rate(…)."
        )

    async def _query(self, query: str) -> tuple[str, Any]:
        """Return the type of a result, and the result."""
        reply = await self._server.ask("GET", _QUERY, query={"query": query})
        if reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY) and (said := reply.quote("error")):
            raise MetricError(f"{reply.service} refuses the query: {said}")
        if reply.status == HTTPStatus.SERVICE_UNAVAILABLE and (said := reply.quote("error")):
            raise ProviderError(f"{reply.service} could not answer: {said}")
        if reply.status != HTTPStatus.OK:
            raise reply.fail()
        data = reply.document(dict).get("data")
        if not isinstance(data, dict) or not isinstance(data.get("result"), list | str):
            raise ProviderError(f"{reply.service} does not answer as Prometheus does: check its URL.")
        return str(data.get("resultType")), data["result"]


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    batch: list[str] = []
    for name in names:
        if batch and sum(map(len, batch)) + len(batch) + len(name) > _LONGEST_BATCH:
            yield batch
            batch = []
        batch.append(name)
    if batch:
        yield batch


def _judge(name: str, many: Sequence[Any]) -> Sample | MetricError:
    """Return the value that counts of the series of a name."""
    series = sorted((each for each in many if isinstance(each, dict)), key=_order)
    if not series:
        return MetricError(f"'{name}' has a value that can not be read.")
    labels = [quote(_write_labels(each)) for each in series]
    if len(series) > 1 and not _PLAIN.fullmatch(name):
        return MetricError(
            f"'{name}' gives {len(series)} values, for example of {labels[0]} and {labels[1]}:"
            " make one of them, for example by sum(…) or max(…)."
        )
    found = _read_value(name, series[0].get("value"))
    if len(series) == 1 or isinstance(found, MetricError):
        return found
    return Sample(found.value, f"of {len(series)} series, the first counts: {labels[0]}")


def _read_value(name: str, pair: Any) -> Sample | MetricError:
    """Return the value of a pair of a time and a text."""
    try:
        return Sample(float(pair[1]))
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        return MetricError(f"'{name}' has a value that is no number.")


def _order(series: Series) -> list[tuple[str, str]]:
    labels = series.get("metric")
    return sorted((str(key), str(value)) for key, value in labels.items()) if isinstance(labels, dict) else []


def _write_labels(series: Series) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in _order(series) if key != "__name__") + "}"
