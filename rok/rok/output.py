"""Prints the results of commands: as a table, JSON, YAML or names."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from krake.client.wire import Route

from rok.cells import Cell, Object
from rok.columns import WHOLE, choose_columns
from rok.table import Paint, draw

GOOD, BAD, NEUTRAL = "\x1b[32m", "\x1b[31m", "\x1b[33m"
RESET = "\x1b[0m"
COLOURS = {
    **dict.fromkeys(("RUNNING", "ONLINE", "COMPLETED"), GOOD),
    **dict.fromkeys(
        ("FAILED", "OFFLINE", "DEGRADED", "UNHEALTHY", "NOTREADY", "FAILING_METRICS", "FAILING_RECONCILIATION"), BAD
    ),
}


@dataclass(frozen=True)
class View:
    """How the objects of a kind are shown.

    :param route: where the objects are.
    :param columns: of the table of several objects, as far as there is room.
    :param rows: of the table of one object.
    :param details: rows of the table that ``get`` shows; ``None`` for the same.
    :param remarks: columns that the table of several objects has only if one of them has something to say there.
    :param facts: rows that the table of one object has only if there is something to say.
    """

    route: Route
    kind: str
    columns: tuple[Cell, ...]
    rows: tuple[Cell, ...]
    details: tuple[Cell, ...] | None = None
    remarks: tuple[Cell, ...] = ()
    facts: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a command answers: one object, several, or nothing.

    :param text: stands for the content where people read; it may depend on where that is, and leave it to the usual table.
    :param status: of the process.
    """

    content: Object | Sequence[Object] | None
    detailed: bool = False
    text: "str | Callable[[Screen], str | None] | None" = None
    status: int = 0


@dataclass(frozen=True)
class Screen:
    """Where the output goes.

    :param width: of the terminal in columns; ``None`` where lines need not fit.
    """

    width: int | None = None
    colours: bool = False


def screen_of(stream: TextIO, environ: Mapping[str, str]) -> Screen:
    """Return what is known of the place that *stream* writes to."""
    if not stream.isatty():
        return Screen()
    colours = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Screen(width=shutil.get_terminal_size().columns, colours=colours)


def show(result: Result, view: View, form: str) -> None:
    """Print the result of a command."""
    text = render(result, view, form, screen_of(sys.stdout, os.environ))
    if text:
        print(text)


def render(result: Result, view: View, form: str, screen: Screen) -> str:
    """Return the text of a result in one of the formats table, wide, json, yaml and name."""
    content = result.content
    if content is None:
        return ""
    if form == "wide":
        screen, result = replace(screen, width=None), replace(result, detailed=True)
    if form in ("table", "wide"):
        text = result.text(screen) if callable(result.text) else result.text
        return _table(result, view, screen, whole=form == "wide") if text is None else text
    if form == "json":
        return json.dumps(content, indent=2, sort_keys=True)
    if form == "yaml":
        import yaml

        return yaml.safe_dump(content, default_flow_style=False).rstrip("\n")
    objects = [content] if isinstance(content, dict) else content
    return "\n".join(f"{view.kind.lower()}/{item['metadata']['name']}" for item in objects)


def _table(result: Result, view: View, screen: Screen, *, whole: bool) -> str:
    """Return the table of one object or of several.

    :param whole: whether all columns of several objects are shown, also those that have nothing to say.
    """
    content = result.content
    if isinstance(content, dict):
        rows = (view.details if result.detailed else None) or view.rows
        return _single(content, (*rows, *(cell for cell in view.facts if cell.get(content) is not None)), screen)
    items = list(content or ())
    remarks = [cell for cell in view.remarks if whole or any(cell.get(item) for item in items)]
    return _several(items, (*view.columns, *remarks), screen)


def _single(item: Object, cells: Sequence[Cell], screen: Screen) -> str:
    rows = [(cell.name, cell.text(item)) for cell in cells]
    states = {(index, 1) for index, cell in enumerate(cells) if cell.name == "state"}
    return draw(rows, limit=screen.width, paint=_paint_states(states) if screen.colours else None, whole={0})


def _several(items: Sequence[Object], cells: Sequence[Cell], screen: Screen) -> str:
    header, rows = [cell.name for cell in cells], [[cell.text(item) for cell in cells] for item in items]
    if screen.width is not None:
        shown = choose_columns(header, rows, screen.width)
        header, rows = [header[column] for column in shown], [[row[column] for column in shown] for row in rows]
    states = {(row, column) for row in range(len(rows)) for column, name in enumerate(header) if name == "state"}
    paint = _paint_states(states) if screen.colours else None
    whole = {column for column, name in enumerate(header) if name in WHOLE}
    return draw(rows, header=header, limit=screen.width, paint=paint, whole=whole)


def _paint_states(places: set[tuple[int, int]]) -> Paint:
    def paint(row: int, column: int, text: str) -> str:
        if (row, column) not in places or not text.strip():
            return text
        return f"{COLOURS.get(text.strip(), NEUTRAL)}{text}{RESET}"

    return paint
