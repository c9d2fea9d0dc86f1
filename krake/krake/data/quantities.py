"""Quantities as Kubernetes writes them: ``500m`` of a processor, ``1.5Gi`` of memory. Pure."""

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from typing import Any

HOLDERS = frozenset(("limits", "requests", "capacity", "hard", "default", "defaultRequest", "max", "min", "overhead"))
"""The fields of Kubernetes's own objects that hold quantities by the names of resources."""
FIELDS = frozenset(("sizeLimit", "averageValue", "divisor"))
"""The fields that are quantities themselves."""

_BINARY = {f"{prefix}i": Decimal(2 ** (10 * power)) for power, prefix in enumerate("KMGTPE", 1)}
_DECIMAL = {prefix: Decimal(1000**power) for power, prefix in enumerate("kMGTPE", 1)}
_SMALL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)}
_SUFFIXES = {**_SMALL, **_DECIMAL, **_BINARY}
_LARGEST = Decimal(2) ** 80
_EXACT = Context(prec=100)
"""More digits than sums of many of the largest quantities have."""
_QUANTITY = re.compile(r"([+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,2})?)([numkKMGTPE]?i?)", re.ASCII)


def parse_quantity(value: Any) -> Decimal | None:
    """Return the number that a quantity stands for; ``None`` if it is none."""
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    found = _QUANTITY.fullmatch(text)
    factor = _SUFFIXES.get(found[2]) if found else None
    return Decimal(found[1]) * factor if found and factor is not None else None


def format_quantity(number: Decimal) -> str:
    """Write a number with the largest suffix that keeps it whole; what is smaller than a thousandth is rounded up."""
    with localcontext(_EXACT):
        return _format(number)


def _format(number: Decimal) -> str:
    if number != number.to_integral_value():
        thousandths = (number * 1000).to_integral_value(ROUND_CEILING)
        return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
    for suffixes in (_BINARY, _DECIMAL):
        for suffix, factor in reversed(suffixes.items()):
            if number and number % factor == 0:
                return f"{number // factor}{suffix}"
    return str(number.to_integral_value())


def add_quantities(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Return the sum of each resource."""
    total: dict[str, Decimal] = {}
    for part in parts:
        for name, number in part.items():
            total[name] = total.get(name, Decimal(0)) + number
    return total


def read_quantities(value: Any) -> dict[str, Decimal]:
    """Return the amounts in a mapping, for example ``{"cpu": "500m"}``; what is none is left out."""
    if not isinstance(value, Mapping):
        return {}
    found = ((name, parse_quantity(each)) for name, each in value.items() if isinstance(name, str))
    return {name: number for name, number in found if number is not None and 0 <= number <= _LARGEST}
