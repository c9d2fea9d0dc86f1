"""Runs the tables of requests and answers in `tables/`.

A table is a YAML file. Its scenarios begin with an API without objects; each of their rows is a request and its answer::

    - [METHOD, PATH, BODY, STATUS, ANSWER]

BODY is ``null`` for none, or the object to send. Instead of that it may be

* ``{sample: CHANGES}``: the sample of the kind, changed by a merge patch;
* ``{edit: CHANGES}``: the object at PATH (without its last part, if that is ``status``) as the API shows it, changed likewise:
  what a client does that reads, modifies and writes;
* ``{raw: TEXT}``: this text, or ``{large: N}``: one of N bytes.

ANSWER may be left out. A text is the ``detail`` of a problem; an object is compared by the members it names. In it,
``<time>``, ``<uuid>``, ``<version>`` and ``<any>`` stand for values of these forms, and ``<none>`` for a member that must not
be there.

    - [WATCH, PATH, ROWS, EVENTS]

follows the collection while the rows are carried out; EVENTS are pairs of type and object.

Where Krake differs from the original on purpose, the scenario says so by ``differs``, with the topics of the lines in
`docs/compat.md`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml
from fixtures.api import Answer, Http

from krake.api.body import merge_patch
from krake.data import KINDS, Resource

TABLES = Path(__file__).parent / "tables"
COMPATIBILITY = Path(__file__).parents[4] / "docs" / "compat.md"

_FORMS = {
    "<any>": r".*",
    "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00",
    "<uuid>": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "<version>": r"[1-9]\d*",
}
Row = list[Any]


@dataclass(frozen=True)
class Scenario:
    """Some rows that belong together."""

    name: str
    rows: list[Row]
    differs: list[str] = field(default_factory=list)
    only: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """What is said of one kind: the sample, as the original writes it, and what its requests do."""

    kind: type[Resource]
    sample: str
    scenarios: list[Scenario]

    @property
    def body(self) -> Any:
        """The sample, as an object."""
        return json.loads(self.sample)

    @property
    def places(self) -> dict[str, str]:
        """What the names in braces stand for in paths and texts."""
        definition, metadata = self.kind.definition, self.body["metadata"]
        scope = f"/namespaces/{metadata['namespace']}" if definition.namespaced else ""
        collection = f"/{definition.api}{scope}/{definition.plural}"
        return {
            "collection": collection,
            "object": f"{collection}/{metadata['name']}",
            "everywhere": definition.path,
            "api": definition.api,
            "plural": definition.plural,
            "kind": definition.name,
            "name": metadata["name"],
            "place": f" in namespace '{metadata['namespace']}'" if definition.namespaced else "",
        }


def load_tables() -> dict[str, Table]:
    """Read the tables of all kinds; the scenarios of `common.yaml` are part of each."""
    common = _scenarios(_read("common"))
    tables = {}
    for path in sorted((TABLES / "kinds").glob("*.yaml")):
        data = _read(f"kinds/{path.stem}")
        kind = KINDS[data["api"], data["kind"]]
        own = [each for each in common if _applies(each, kind)]
        tables[data["kind"]] = Table(kind, data["sample"], own + _scenarios(data))
    return tables


def load_specials() -> list[Scenario]:
    """Read the table of what is about no kind."""
    return _scenarios(_read("specials"))


@cache
def _read(name: str) -> Any:
    return yaml.safe_load((TABLES / f"{name}.yaml").read_text())


def _scenarios(data: Mapping[str, Any]) -> list[Scenario]:
    return [Scenario(**each) for each in data.get("scenarios", [])]


def _applies(scenario: Scenario, kind: type[Resource]) -> bool:
    traits = {
        None: True,
        "namespaced": kind.definition.namespaced,
        "global": not kind.definition.namespaced,
        "status": kind.definition.has_status,
    }
    return traits[scenario.only]


def topics() -> set[str]:
    """The topics of the lines in the page about compatibility."""
    lines = COMPATIBILITY.read_text().splitlines()
    return {line.split("|")[1].strip() for line in lines if line.startswith("| ")}


def requests_of(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """Yield method and path of all requests of some rows."""
    for row in rows:
        if row[0] == "WATCH":
            yield "GET", urlsplit(row[1]).path
            yield from requests_of(row[2])
        else:
            yield row[0], urlsplit(row[1]).path


def fill(value: Any, places: Mapping[str, str]) -> Any:
    """Replace names in braces."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: places.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: fill(inner, places) for key, inner in value.items()}
    return [fill(inner, places) for inner in value] if isinstance(value, list) else value


class Runner:
    """Carries out rows."""

    def __init__(self, http: Http, table: Table | None = None) -> None:
        self._http = http
        self._table = table

    async def run(self, rows: list[Row]) -> None:
        """Carry out the rows, one after the other. Raises AssertionError, with the row."""
        for row in fill(rows, self._table.places if self._table else {}):
            try:
                await (self._watch if row[0] == "WATCH" else self._request)(*row)
            except AssertionError as error:
                raise AssertionError(f"{row[0]} {row[1]}: {error}\nrow: {json.dumps(row)}") from error

    async def _watch(self, _: str, path: str, rows: list[Row], events: list[Any]) -> None:
        parts = urlsplit(path)
        async with self._http.watch(parts.path, **dict(parse_qsl(parts.query, keep_blank_values=True))) as lines:
            await self.run(rows)
            for kind, expected in events:
                said, shown = await lines.next()
                assert said == kind, f"the event is {said} instead of {kind}"
                compare(shown, expected)

    async def _request(self, method: str, path: str, body: Any, status: int, expected: Any = None) -> None:
        answer = await self._send(method, path, body)
        assert answer.status == status, f"the status is {answer.status} instead of {status}: {answer.text}"
        if isinstance(expected, str):
            assert answer.detail == expected, f"the detail is {answer.detail!r} instead of {expected!r}"
        elif expected is not None:
            headers = expected.pop("headers", {}) if isinstance(expected, dict) else {}
            for name, value in headers.items():
                compare(answer.headers.get(name), value, name)
            if expected:
                compare(answer.json, expected)

    async def _send(self, method: str, path: str, body: Any) -> Answer:
        if body is None:
            return await self._http(method, path)
        if "raw" in body:
            return await self._http(method, path, data=body["raw"].encode("latin-1"))
        if "large" in body:
            return await self._http(method, path, data=b" " * (body["large"] - 2) + b"{}")
        if "sample" in body:
            assert self._table is not None
            body = merge_patch(self._table.body, body["sample"])
        elif "edit" in body:
            shown = await self._http.get(path.removesuffix("/status"))
            body = merge_patch(shown.json, body["edit"])
        return await self._http(method, path, json=body)


def compare(shown: Any, expected: Any, path: str = "") -> None:
    """Assert that *shown* is as *expected*, which may leave out members of objects."""
    if isinstance(expected, dict) and isinstance(shown, dict):
        for key, value in expected.items():
            if value == "<none>":
                assert key not in shown, f"{path}.{key} is there: {shown[key]!r}"
            else:
                assert key in shown, f"{path}.{key} is missing"
                compare(shown[key], value, f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(shown, list):
        assert len(shown) == len(expected), f"{path} has {len(shown)} items instead of {len(expected)}: {shown}"
        for index, (one, other) in enumerate(zip(shown, expected, strict=True)):
            compare(one, other, f"{path}[{index}]")
    elif isinstance(expected, str) and expected in _FORMS:
        assert re.fullmatch(_FORMS[expected], str(shown)), f"{path} is {shown!r}, not {expected}"
    else:
        assert (type(shown), shown) == (type(expected), expected), f"{path} is {shown!r} instead of {expected!r}"
