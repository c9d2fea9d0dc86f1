"""The languages of constraints: on labels (``location is DE``) and on metrics (``load < 0.5 or load not exists``).

A constraint is one term, or several of which one must hold. It keeps the text it was written in and compares by meaning. A
missing label or metric satisfies ``not exists``, and nothing else.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

from marshmallow import ValidationError

from krake.data.names import is_name, label_key_problem, label_value_problem
from krake.data.rules import rule

V = TypeVar("V", str, float)

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
_END = rf"{_SPACE}(?:\Z|(?<=[ \t)])or(?=[ \t]))"
"""What a term ends with: the end of the text, or the word that the next term follows."""

_Forms = tuple[tuple[str, str], ...]
_EXISTS, _NOT_EXISTS = "exists", "not exists"
_PRESENCE: _Forms = (
    (_EXISTS, r"exists()"),
    (_NOT_EXISTS, rf"(?:not{_SPACE}exists?|does{_SPACE}not{_SPACE}exist)()"),
)
_LABEL_FORMS: _Forms = (
    ("not in", rf"(?:!=|is{_SPACE}not[ \t]){_SPACE}{_OPERAND}"),
    ("in", rf"(?:==|=|is){_SPACE}{_OPERAND}"),
    ("in", rf"in{_SPACE}{_LISTED}"),
    ("not in", rf"not{_SPACE}in{_SPACE}{_LISTED}"),
    *_PRESENCE,
)
_METRIC_FORMS: _Forms = (
    ("!=", rf"(?:!=|{_IS}not{_SPACE}equal{_TO}|is{_SPACE}not[ \t]){_SPACE}{_COMPARED}"),
    ("==", rf"(?:==|=|{_IS}equal{_TO}|equals|is){_SPACE}{_COMPARED}"),
    (">=", rf"(?:>=|=>|gte|{_IS}greater{_OR_EQUAL}){_SPACE}{_COMPARED}"),
    (">", rf"(?:>|gt|{_IS}greater{_THAN}){_SPACE}{_COMPARED}"),
    ("<=", rf"(?:<=|=<|lte|{_IS}{_LESS}{_OR_EQUAL}){_SPACE}{_COMPARED}"),
    ("<", rf"(?:<|lt|{_IS}{_LESS}{_THAN}){_SPACE}{_COMPARED}"),
    *_PRESENCE,
)
_Language = tuple[tuple[str, re.Pattern[str]], ...]
"""The forms with the operations they stand for, in the order in which they are tried."""


def _compile(operand: str, forms: _Forms) -> _Language:
    return tuple((operation, re.compile(f"{_SPACE}{operand}{_SPACE}{form}{_END}")) for operation, form in forms)


_LABEL_LANGUAGE = _compile(_OPERAND, _LABEL_FORMS)
_METRIC_LANGUAGE = _compile(_COMPARED, _METRIC_FORMS)

_DIGITS = r"\d++(?:_\d++)*+"
_NUMBER = re.compile(rf"[+-]?(?:(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?|inf(?:inity)?)", re.ASCII)
_LONGEST_NUMBER = 63


def _read(language: _Language, text: str, problem: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, operation and operands of each term, as they are written.

    :raises ValueError: *text* is not of the language; the message is *problem*.
    """
    position, length = 0, len(text)
    while position < length:
        found = ((operation, match) for operation, form in language if (match := form.match(text, position)))
        operation, match = next(found, ("", None))
        if match is None:
            raise ValueError(problem)
        yield match[1], operation, match[2]
        position = match.end()
    if position == 0:
        raise ValueError(problem)


def _check(problems: Iterable[str | None]) -> None:
    for problem in problems:
        if problem is not None:
            raise ValueError(problem)


@dataclass(frozen=True)
class Term(Generic[V]):
    """What a constraint says about one label or metric."""

    key: str
    operation: str

    def holds(self, value: V | None) -> bool:
        """Whether the value of *key* satisfies the term; ``None`` if it has none."""
        raise NotImplementedError


@dataclass(frozen=True)
class LabelTerm(Term[str]):
    """A term on a label: its operation is ``in`` or ``not in`` some values, ``exists``, or ``not exists``."""

    values: frozenset[str] = frozenset()

    def holds(self, value: str | None) -> bool:
        """Whether the value of the label satisfies the term; ``None`` if there is no such label."""
        if value is None or self.operation == _NOT_EXISTS:
            return value is None and self.operation == _NOT_EXISTS
        return self.operation == _EXISTS or (value in self.values) == (self.operation == "in")


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class MetricTerm(Term[float]):
    """A term on a metric: it is compared with *bound*, unless the operation is ``exists`` or ``not exists``."""

    bound: float = 0.0

    def holds(self, value: float | None) -> bool:
        """Whether the value of the metric satisfies the term; ``None`` and NaN are no value."""
        if value is None or math.isnan(value):
            return self.operation == _NOT_EXISTS
        compare = _COMPARISONS.get(self.operation)
        return self.operation == _EXISTS if compare is None else compare(value, self.bound)


@dataclass(frozen=True, eq=False)
class Constraint(Generic[V]):
    """A parsed constraint: one of its alternatives must hold. Without any, it is never satisfied."""

    text: str
    alternatives: tuple[Term[V], ...] = field(repr=False)

    _missing: ClassVar[str]
    """What to say of a key without a value."""

    @cached_property
    def _meaning(self) -> frozenset[Term[V]]:
        # Of a set, the hash is kept: constraints are keys of dictionaries that are asked in every decision.
        return frozenset(self.alternatives)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._meaning == self._meaning

    def __hash__(self) -> int:
        return hash(self._meaning)

    def __str__(self) -> str:
        return self.text

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the labels or metrics that it depends on, in the order of the text."""
        return tuple(dict.fromkeys(term.key for term in self.alternatives))

    def match(self, values: Mapping[str, V | None]) -> bool:
        """Whether *values*, which are the labels or the values of the metrics by name, satisfy the constraint."""
        return any(term.holds(values.get(term.key)) for term in self.alternatives)

    def observe(self, values: Mapping[str, V | None]) -> str:
        """Return in words what *values* have to set against the constraint, for who asks why it does not hold."""
        found = [(key, values.get(key)) for key in self.keys]
        said = [self._missing.format(key) if value is None else f"{key} is {_show(value)}" for key, value in found]
        return ", ".join(said) or "it can not be read"

    @classmethod
    def restore(cls, text: str) -> Self:
        """Return the constraint of a stored text; one that can not be read is never satisfied."""
        try:
            return cls.parse(text)
        except ValueError:
            return cls(text, ())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the constraint that *text* says.

        :raises ValueError: *text* is not of the language; the message is for the author of the text.
        """
        return cls(text, tuple(cls._parse_terms(text)))

    @classmethod
    def _parse_terms(cls, text: str) -> Iterator[Term[V]]:
        raise NotImplementedError


def _show(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


class LabelConstraint(Constraint[str]):
    """A constraint on labels, for example ``zone in (north, south)``."""

    _missing = "there is no label {}"

    @classmethod
    def _parse_terms(cls, text: str) -> Iterator[LabelTerm]:
        for key, operation, listed in _read(_LABEL_LANGUAGE, text, "Invalid label constraint"):
            values = [value.strip(" \t") for value in listed.split(",")] if listed else []
            _check([label_key_problem(key), *map(label_value_problem, values)])
            yield LabelTerm(key, operation, frozenset(values))


class MetricConstraint(Constraint[float]):
    """A constraint on metrics, for example ``load lesser than 0.5``."""

    _missing = "{} has no value"

    @classmethod
    def _parse_terms(cls, text: str) -> Iterator[MetricTerm]:
        for key, operation, bound in _read(_METRIC_LANGUAGE, text, "Invalid metric constraint"):
            # Metrics are named like resources, in which there may be colons.
            _check([None if is_name(key) else label_key_problem(key), _number_problem(bound) if bound else None])
            yield MetricTerm(key, operation, float(bound or 0))


def _number_problem(text: str) -> str | None:
    if len(text) > _LONGEST_NUMBER:
        return f"Invalid metric constraint: a number has at most {_LONGEST_NUMBER} characters"
    return None if _NUMBER.fullmatch(text) else f"Invalid metric constraint: {text!r} is not a number"


MOST_CONSTRAINTS, LONGEST_CONSTRAINTS = 100, 10_000
"""So many constraints may be asked for together, with so many characters: each is compared with each candidate."""


@rule({"maxItems": MOST_CONSTRAINTS})
def check_constraints(constraints: Sequence["Constraint[Any]"] | None) -> None:
    """Refuse more constraints than anybody would write, which would keep the scheduler from everything else."""
    if constraints is None:
        return
    if len(constraints) > MOST_CONSTRAINTS:
        raise ValidationError(f"Must not be longer than {MOST_CONSTRAINTS}.")
    if (length := sum(len(str(each)) for each in constraints)) > LONGEST_CONSTRAINTS:
        raise ValidationError(f"Must not have more than {LONGEST_CONSTRAINTS} characters together; these have {length}.")
