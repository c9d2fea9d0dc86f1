"""The API answers as the tables say; nearly all of them say what the original Krake answers."""

import json
import re
from typing import Any

import pytest
from component.conformance.suite import Runner, Scenario, Table, load_specials, load_tables, topics
from fixtures.api import Serve

from krake.data import KINDS

TABLES = load_tables()
SPECIALS = load_specials()
every_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)

_CHANGING = re.compile(r'"(uid|created|modified)": "[^"]*"')


@pytest.mark.parametrize(
    ("table", "scenario"),
    [
        pytest.param(table, scenario, id=f"{name}: {scenario.name}")
        for name, table in TABLES.items()
        for scenario in table.scenarios
    ],
)
async def test_kinds(serve_api: Serve, table: Table, scenario: Scenario) -> None:
    async with serve_api(**scenario.settings) as http:
        await Runner(http, table).run(scenario.rows)


@pytest.mark.parametrize("scenario", SPECIALS, ids=lambda scenario: scenario.name)
async def test_specials(serve_api: Serve, scenario: Scenario) -> None:
    async with serve_api(**scenario.settings) as http:
        await Runner(http).run(scenario.rows)


@every_table
async def test_the_text_of_an_object_is_that_of_the_original(serve_api: Serve, table: Table) -> None:
    """Same keys in the same order, same spelling of values, same separators; we only add."""
    async with serve_api() as http:
        created = await http.post(table.places["collection"], table.body)
        assert created.status == 201, created.text
        path = table.places["object"]
        texts = [created.text, (await http.get(path)).text]
        listing = (await http.get(table.places["collection"])).text
        assert listing.endswith(f'"items": [{texts[1]}]}}')
    for text in texts:
        assert text == json.dumps(json.loads(text)), "another style of JSON"
        assert _outline(_known_of(json.loads(text), table.body)) == _outline(table.body)


def _known_of(value: Any, original: Any) -> Any:
    """Leave out what we add: fields that the original does not have, wherever they stand among its own."""
    if not isinstance(value, dict) or not isinstance(original, dict):
        return value
    return {name: _known_of(each, original[name]) for name, each in value.items() if name in original}


def _outline(value: Any) -> str:
    """The text of an object, with its values that differ each time left out."""
    return _CHANGING.sub(r'"\1"', json.dumps(value))


ADDED = {"Placement", "Quota"}
"""Kinds that the original does not know."""


def test_there_is_a_table_for_each_kind_of_the_original() -> None:
    assert set(TABLES) == {kind.definition.name for kind in KINDS.values() if not kind.definition.transient} - ADDED


def test_what_differs_on_purpose_is_on_the_page_about_compatibility() -> None:
    scenarios = [*SPECIALS, *(scenario for table in TABLES.values() for scenario in table.scenarios)]
    named = {topic for scenario in scenarios for topic in scenario.differs}
    assert named <= topics()
