"""Selects objects by their labels: ``env=prod,zone in (north, south),!legacy``."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from krake.data.constraints import LabelConstraint
from krake.data.names import label_key_problem

Labels = Mapping[str, str]
Requirement = Callable[[Labels], bool]

_COMMA = re.compile(r",(?![^(]*\))")
_NOTIN = re.compile(r"\bnotin\b")
_MAX_LENGTH = 4096


class Selector:
    """Requirements on labels that must all hold. An absent label satisfies only ``!label``, as in constraints."""

    def __init__(self, requirements: tuple[Requirement, ...]) -> None:
        self._requirements = requirements

    def match(self, labels: Labels) -> bool:
        """Whether *labels* satisfy all requirements."""
        return all(holds(labels) for holds in self._requirements)


@lru_cache(maxsize=256)
def parse_selector(text: str) -> Selector:
    """Return the selector that *text* says: label constraints, ``key`` or ``!key``, separated by commas.

    :raises ValueError: *text* is no selector; the message is for its author.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"A selector may have {_MAX_LENGTH} characters at most.")
    return Selector(tuple(_parse_requirement(part.strip()) for part in _COMMA.split(text)))


def _parse_requirement(text: str) -> Requirement:
    name = text.removeprefix("!").strip()
    if label_key_problem(name) is None:
        return (lambda labels: name not in labels) if text.startswith("!") else (lambda labels: name in labels)
    try:
        return LabelConstraint.parse(_NOTIN.sub("not in", text)).match
    except ValueError as error:
        raise ValueError(f"{text!r} is not a requirement on a label: {error}") from None
