"""The languages of constraints: on labels (``location is DE``) and on metrics (``load < 0.5``).

A constraint keeps the text it was written in and compares by meaning. A missing label or metric satisfies no constraint.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Self

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError

from krake.data.names import label_key_problem, label_value_problem

_OPERAND = r"/[^ \t,()=!]+/"
_COMPARED = r"/[^ \t,()=!<>]+/"

_LABEL_GRAMMAR = rf"""
    start: key (is_ | is_not | in_ | not_in)
    is_: ("==" | "=" | "is") value
    is_not: ("!=" | "is" "not") value
    in_: "in" "(" (value ",")* value ","* ")"
    not_in: "not" "in" "(" (value ",")* value ","* ")"
    key: {_OPERAND}
    value: {_OPERAND}
    %ignore " "
    %ignore "\t"
"""

_METRIC_GRAMMAR = rf"""
    start: key (is_ | is_not | greater | greater_or_equal | lesser | lesser_or_equal)
    is_: ("==" | "=" | "is") value
    is_not: ("!=" | "is" "not") value
    greater: (">" | "gt" | "greater" "than") value
    greater_or_equal: (">=" | "=>" | "gte" | "greater" "than" "or" "equal") value
    lesser: ("<" | "lt" | "lesser" "than") value
    lesser_or_equal: ("<=" | "=<" | "lte" | "lesser" "than" "or" "equal") value
    key: {_COMPARED}
    value: {_COMPARED}
    %ignore " "
    %ignore "\t"
"""

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


class _Tree(Transformer[Token, Any]):
    """Makes (key, operation, values) of a parse tree of either grammar."""

    def __default__(self, data: Token, children: list[str], meta: object) -> tuple[str, tuple[str, ...]]:
        return str(data), tuple(children)

    def key(self, children: list[Token]) -> str:
        return str(children[0])

    value = key

    def start(self, children: list[Any]) -> tuple[str, str, tuple[str, ...]]:
        key, (operation, values) = children
        return key, operation, values


@cache
def _parser(grammar: str) -> Lark:
    return Lark(grammar, parser="earley")


@lru_cache(maxsize=4096)
def _parse(grammar: str, text: str, problem: str) -> tuple[str, str, tuple[str, ...]]:
    try:
        key, operation, values = _Tree().transform(_parser(grammar).parse(text))
    except LarkError:
        raise ValueError(problem) from None
    for message in [label_key_problem(key), *map(label_value_problem, values)]:
        if message is not None:
            raise ValueError(message)
    return key, operation, values


class LabelConstraint(Constraint):
    """A constraint on labels, for example ``zone in (north, south)``."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the constraint that *text* says.

        :raises ValueError: *text* is not of the language; the message is for the author of the text.
        """
        key, operation, values = _parse(_LABEL_GRAMMAR, text, "Invalid label constraint")
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
        key, operation, values = _parse(_METRIC_GRAMMAR, text, "Invalid metric constraint")
        return cls(key=key, operation=operation, values=values, text=text)

    def match(self, metrics: Mapping[str, float]) -> bool:
        """Whether *metrics* (value by name) satisfy the constraint; an absent or not comparable one satisfies none."""
        value = metrics.get(self.key)
        if value is None or self.operation not in _COMPARISONS:
            return False
        try:
            bound = float(self.values[0])
        except ValueError:
            return False
        return _COMPARISONS[self.operation][1](value, bound)

    def describe(self) -> str:
        """Return the canonical form."""
        words = _COMPARISONS[self.operation][0] if self.operation in _COMPARISONS else self.operation
        return f"{self.key} {words} {self.values[0] if self.values else ''}"
