"""Rules for values, which the code enforces and a JSON schema tells: one declaration for both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Rule:
    """A validator that also says what it accepts.

    :param check: raises :class:`marshmallow.ValidationError` for a wrong value.
    :param keywords: of a JSON schema that is added to that of the value's type. It refuses nothing that *check* accepts, but
        need not say all that *check* knows.
    """

    check: Callable[[Any], None]
    keywords: Mapping[str, Any]

    def __call__(self, value: Any) -> None:
        self.check(value)


def rule(keywords: Mapping[str, Any]) -> Callable[[Callable[[Any], None]], Rule]:
    """Make a validator a :class:`Rule` with these keywords."""
    return lambda check: Rule(check, keywords)
