"""Draws tables of text. Pure."""

import textwrap
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence

NARROWEST = 8
"""Columns are not made narrower than this to fit a terminal."""
READABLE = 24
"""Text of several words is read with ease in a column of this width."""

Paint = Callable[[int, int, str], str]
"""Colours a piece of text, given its row and column (the header is row -1), without changing its width."""


def draw(
    rows: Sequence[Sequence[str]],
    header: Sequence[str] | None = None,
    limit: int | None = None,
    paint: Paint | None = None,
    whole: Collection[int] = (),
) -> str:
    """Return a table: a border above and below, no rules between rows, a rule of ``=`` below the header, which is centred.

    :param limit: width to fit the table into by wrapping cells; ``None`` wraps nothing.
    :param whole: positions of columns that are not wrapped, even if the table does not fit then.
    """
    columns = list(zip(*rows, *([header] if header else []), strict=True))
    widths = [_natural_width(column) for column in columns]
    if limit is not None:
        least = [width if index in whole else least_width(columns[index]) for index, width in enumerate(widths)]
        narrowest = [width if index in whole else NARROWEST for index, width in enumerate(widths)]
        room = limit - measure_table([0] * len(widths))
        widths = _squeeze(_squeeze(widths, least, room), narrowest, room)
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


def measure_table(widths: Iterable[int]) -> int:
    """Return how wide a table with columns of these widths is."""
    widths = list(widths)
    return sum(widths) + 3 * len(widths) + 1


def least_width(cells: Iterable[str]) -> int:
    """Return how narrow a column may be before it is hard to read: words are not cut, and short lines not wrapped."""
    lines = [line for text in cells for line in _lines(text)]
    return max(max(min(measure(line), READABLE), *map(measure, line.split() or [""])) for line in lines)


def _natural_width(cells: Iterable[str]) -> int:
    return max(measure(line) for text in cells for line in _lines(text))


def _squeeze(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the widths with the widest columns made narrower until all fit, none of them beyond its least width."""
    widths = list(widths)
    while sum(widths) > room:
        wide = [index for index, width in enumerate(widths) if width > least[index]]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _left(text: str, width: int) -> str:
    return text + " " * (width - measure(text))


def _centre(text: str, width: int) -> str:
    space = width - measure(text)
    return " " * (space // 2) + text + " " * (space - space // 2)


def _rule(widths: Sequence[int], char: str) -> str:
    return f"+{'+'.join(char * (width + 2) for width in widths)}+"
