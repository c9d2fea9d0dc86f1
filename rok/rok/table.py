"""Draws tables of text. Pure."""

import textwrap
import unicodedata
from collections.abc import Callable, Sequence

NARROWEST = 8
"""Columns are not made narrower than this to fit a terminal."""

Paint = Callable[[int, int, str], str]
"""Colours a piece of text, given its row and column (the header is row -1), without changing its width."""


def draw(
    rows: Sequence[Sequence[str]], header: Sequence[str] | None = None, limit: int | None = None, paint: Paint | None = None
) -> str:
    """Return a table: a border above and below, no rules between rows, a rule of ``=`` below the header, which is centred.

    :param limit: width to fit the table into by wrapping cells; ``None`` wraps nothing.
    """
    widths = _widths([*rows, header] if header else list(rows))
    if limit is not None:
        widths = _squeeze(widths, limit - 3 * len(widths) - 1)
    border = _rule(widths, "-")
    lines = [border]
    if header:
        lines += [*_row(header, widths, _centre, lambda _, text: text), _rule(widths, "=")]
    for index, row in enumerate(rows):
        lines += _row(row, widths, _left, _painter(paint, index))
    return "\n".join([*lines, border])


def _painter(paint: Paint | None, row: int) -> Callable[[int, str], str]:
    return (lambda _, text: text) if paint is None else (lambda column, text: paint(row, column, text))


def _row(
    row: Sequence[str], widths: Sequence[int], align: Callable[[str, int], str], paint: Callable[[int, str], str]
) -> list[str]:
    cells = [_wrap(text, width) for text, width in zip(row, widths, strict=True)]
    lines = []
    for number in range(max(len(cell) for cell in cells)):
        pieces = (
            paint(column, align(cell[number] if number < len(cell) else "", width))
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append(f"| {' | '.join(pieces)} |")
    return lines


def _wrap(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for line in _lines(text):
        fits = measure(line) <= width
        lines += [line] if fits else textwrap.wrap(line, width, break_on_hyphens=False) or [""]
    return lines


def _lines(text: str) -> list[str]:
    return [show_controls(line) for line in text.split("\n")]


def show_controls(text: str) -> str:
    """Return *text* with what could steer a terminal made visible."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def measure(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(measure(line) for text in column for line in _lines(text)) for column in zip(*rows, strict=True)]


def _squeeze(widths: list[int], room: int) -> list[int]:
    """Return the widths with the widest columns made narrower until all fit."""
    widths = list(widths)
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _left(text: str, width: int) -> str:
    return text + " " * (width - measure(text))


def _centre(text: str, width: int) -> str:
    space = width - measure(text)
    return " " * (space // 2) + text + " " * (space - space // 2)


def _rule(widths: Sequence[int], char: str) -> str:
    return f"+{'+'.join(char * (width + 2) for width in widths)}+"
