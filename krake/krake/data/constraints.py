"""The languages of constraints: on labels (``location is DE``) and on metrics (``load < 0.5``).

A constraint keeps the text it was written in and compares by meaning. A missing label or metric satisfies no constraint.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from krake.data.names import label_key_problem, label_value_problem

# Repetitions are possessive (`++`): no operand is cut short to make a keyword of its rest, and no text takes long to refuse.
_SPACE = r"[ \t]*+"
_OPERAND = r"([^ \t,()=!]++)"
_COMPARED = r"([^ \t,()=!<>]++)"
_LISTED = rf"\({_SPACE}([^ \t,()=!]++(?:{_SPACE},{_SPACE}[^ \t,()=!]++)*+)[ \t,]*+\)"
_IS = rf"(?:is[ \t]{_SPACE})?"
_TO = rf"(?:{_SPACE}to)?"
_THAN = rf"{_SPACE}than"
_OR_EQUAL = rf"{_THAN}{_SPACE}or{_SPACE}equal{_TO}"
_LESS = r"(?:lesser|less)"

_LABEL_FORMS = {
    "is_not": rf"(?:!=|is{_SPACE}not[ \t]){_SPACE}{_OPERAND}",
    "is_": rf"(?:==|=|is){_SPACE}{_OPERAND}",
    "in_": rf"in{_SPACE}{_LISTED}",
    "not_in": rf"not{_SPACE}in{_SPACE}{_LISTED}",
}
_METRIC_FORMS = {
    "is_not": rf"(?:!=|{_IS}not{_SPACE}equal{_TO}|is{_SPACE}not[ \t]){_SPACE}{_COMPARED}",
    "is_": rf"(?:==|=|{_IS}equal{_SPACE}to|equals|is){_SPACE}{_COMPARED}",
    "greater_or_equal": rf"(?:>=|=>|gte|{_IS}greater{_OR_EQUAL}){_SPACE}{_COMPARED}",
    "greater": rf"(?:>|gt|{_IS}greater{_THAN}){_SPACE}{_COMPARED}",
    "lesser_or_equal": rf"(?:<=|=<|lte|{_IS}{_LESS}{_OR_EQUAL}){_SPACE}{_COMPARED}",
    "lesser": rf"(?:<|lt|{_IS}{_LESS}{_THAN}){_SPACE}{_COMPARED}",
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _compile(operand: str, forms: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    return {name: re.compile(f"{_SPACE}{operand}{_SPACE}{form}{_SPACE}") for name, form in forms.items()}


_LABEL_LANGUAGE = _compile(_OPERAND, _LABEL_FORMS)
_METRIC_LANGUAGE = _compile(_COMPARED, _METRIC_FORMS)
"""The forms by operation, in the order in which they are tried."""

_NEVER = "unreadable"
"""Operation of a stored constraint that is not of its language any more; it is never satisfied."""


@dataclass(frozen=True)
class Constraint:
    """A parsed constraint: ``key operation values``. *text* is as written and does not take part in comparison."""

    key: str
    operation: str
    values: tuple[str, ...]
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def restore(cls, text: str) -> Self:
        """Return the constraint of a stored text; one that can not be read is never satisfied."""
        try:
            return cls.parse(text)
        except ValueError:
            return cls(key="", operation=_NEVER, values=(), text=text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the constraint that *text* says.

        :raises ValueError: *text* is not of the language; the message is for the author of the text.
        """
        raise NotImplementedError


def _parse(
    language: Mapping[str, re.Pattern[str]], check: Callable[[str], str | None], text: str, problem: str
) -> tuple[str, str, tuple[str, ...]]:
    found = ((operation, match) for operation, form in language.items() if (match := form.fullmatch(text)))
    operation, match = next(found, ("", None))
    if match is None:
        raise ValueError(problem)
    key, listed = match.groups()
    values = tuple(value.strip(" \t") for value in listed.split(","))
    for message in [label_key_problem(key), *map(check, values)]:
        if message is not None:
            raise ValueError(message)
    return key, operation, values


def _number_problem(text: str) -> str | None:
    return None if _NUMBER.fullmatch(text) else f"Invalid metric constraint: {text!r} is not a number"


class LabelConstraint(Constraint):
    """A constraint on labels, for example ``zone in (north, south)``."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the constraint that *text* says.

        :raises ValueError: *text* is not of the language; the message is for the author of the text.
        """
        key, operation, values = _parse(_LABEL_LANGUAGE, label_value_problem, text, "Invalid label constraint")
        return cls(key=key, operation=operation, values=values, text=text)

    def match(self, labels: Mapping[str, str]) -> bool:
        """Whether *labels* satisfy the constraint; an absent label satisfies none."""
        value = labels.get(self.key)
        if value is None:
            return False
        if self.operation in ("is_", "in_"):
            return value in self.values
        return self.operation in ("is_not", "not_in") and value not in self.values

    def describe(self) -> str:
        """Return the canonical form."""
        listed = ", ".join(self.values)
        forms = {"is_": f"is {listed}", "is_not": f"is not {listed}", "in_": f"in ({listed})"}
        return f"{self.key} {forms.get(self.operation, f'not in ({listed})')}"


_COMPARISONS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "is_": ("is", operator.eq),
    "is_not": ("is not", operator.ne),
    "greater": ("greater than", operator.gt),
    "greater_or_equal": ("greater than or equal", operator.ge),
    "lesser": ("lesser than", operator.lt),
    "lesser_or_equal": ("lesser than or equal", operator.le),
}


class MetricConstraint(Constraint):
    """A constraint on metrics, for example ``load lesser than 0.5``."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the constraint that *text* says.

        :raises ValueError: *text* is not of the language; the message is for the author of the text.
        """
        key, operation, values = _parse(_METRIC_LANGUAGE, _number_problem, text, "Invalid metric constraint")
        return cls(key=key, operation=operation, values=values, text=text)

    def match(self, metrics: Mapping[str, float]) -> bool:
        """Whether *metrics* (value by name) satisfy the constraint; an absent one satisfies none."""
        value = metrics.get(self.key)
        if value is None or self.operation not in _COMPARISONS:
            return False
        return _COMPARISONS[self.operation][1](value, float(self.values[0]))

    def describe(self) -> str:
        """Return the canonical form."""
        words = _COMPARISONS[self.operation][0] if self.operation in _COMPARISONS else self.operation
        return f"{self.key} {words} {self.values[0] if self.values else ''}"
