"""Chooses which columns of a list are shown where there is not room for all. Pure."""

from collections.abc import Sequence

from rok.table import least_width, measure_table

DISPENSABLE = ("deleted", "modified", "namespace", "labels", "metrics", "allowed_values", "requested", "created")
"""Columns that are left out one after the other until the others fit; what is not named here always stays."""
WHOLE = frozenset({"name", "object"})
"""Columns that are never cut, as their cells are typed in other commands."""


def choose_columns(header: Sequence[str], rows: Sequence[Sequence[str]], limit: int) -> list[int]:
    """Return the positions of the columns that are shown.

    The namespace stays if it tells objects apart.

    :param limit: width of the terminal.
    """
    least = {column: least_width([header[column], *(row[column] for row in rows)]) for column in range(len(header))}
    for name in DISPENSABLE:
        if measure_table(least.values()) <= limit:
            break
        found = header.index(name) if name in header else None
        if found is not None and not (name == "namespace" and len({row[found] for row in rows}) > 1):
            del least[found]
    return sorted(least)
