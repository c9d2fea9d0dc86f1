"""Taints of clusters and tolerations of applications, as they are written on the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rok.cells import Object
from rok.errors import Misuse

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_EFFECT_LIST = ", ".join(EFFECTS)


@dataclass(frozen=True)
class TaintChange:
    """What ``KEY=VALUE:EFFECT`` or ``KEY:EFFECT-`` says.

    :param effect: ``None`` is any, for a removal.
    """

    key: str
    value: str
    effect: str | None
    removal: bool

    @property
    def taint(self) -> Object:
        """The taint to add."""
        return {"key": self.key, "value": self.value, "effect": self.effect}

    def __str__(self) -> str:
        return f"{self.key}:{self.effect}" if self.effect else self.key

    def is_about(self, taint: Mapping[str, Any]) -> bool:
        """Whether a taint is the one that is added anew, or removed."""
        return taint.get("key") == self.key and self.effect in (None, taint.get("effect"))


def read_taint(text: str) -> TaintChange:
    """Read ``KEY[=VALUE]:EFFECT``, which adds a taint or changes its value, or ``KEY[:EFFECT]-``, which removes it."""
    key, value, effect = _split(text.removesuffix("-"))
    removal = text.endswith("-")
    if not key or (effect is None and not removal) or effect not in (None, *EFFECTS):
        raise Misuse(
            f"{text!r} is no taint: write KEY=VALUE:EFFECT or KEY:EFFECT to add one, KEY:EFFECT- or KEY- to remove one; "
            f"the effect is one of {_EFFECT_LIST}"
        )
    _check(text, key, value)
    return TaintChange(key, value or "", effect, removal)


def change_taints(taints: Sequence[Object], changes: Sequence[TaintChange]) -> list[Object]:
    """Return taints as *changes* make them, one after the other."""
    changed = list(taints)
    for change in changes:
        kept = [each for each in changed if not change.is_about(each)]
        changed = kept if change.removal else [*kept, change.taint]
    return changed


def read_toleration(text: str) -> Object:
    """Read ``KEY=VALUE[:EFFECT]``, ``KEY[:EFFECT]`` for any value, or ``*[:EFFECT]`` for any taint."""
    key, value, effect = _split(text)
    if not key or effect not in (None, *EFFECTS) or (key == "*" and value is not None):
        raise Misuse(
            f"{text!r} is no toleration: write KEY=VALUE:EFFECT, KEY:EFFECT or KEY, or * for every taint; "
            f"the effect is one of {_EFFECT_LIST}"
        )
    if key == "*":
        return {"key": None, "operator": "Exists", "value": "", "effect": effect}
    _check(text, key, value)
    return {"key": key, "operator": "Exists" if value is None else "Equal", "value": value or "", "effect": effect}


def write_taints(taints: Any) -> str:
    """Write taints as they are given, one per line."""
    return "\n".join(_write(each) for each in taints or []) or "None"


def write_tolerations(tolerations: Any) -> str:
    """Write tolerations as they are given, one per line."""
    return "\n".join(_write({**each, "key": each.get("key") or "*"}) for each in tolerations or []) or "None"


def _write(item: Mapping[str, Any]) -> str:
    value = f"={item['value']}" if item.get("value") else ""
    effect = f":{item['effect']}" if item.get("effect") else ""
    return f"{item.get('key')}{value}{effect}"


def _split(text: str) -> tuple[str, str | None, str | None]:
    rest, colon, effect = text.partition(":")
    key, equals, value = rest.partition("=")
    return key, value if equals else None, effect if colon else None


def _check(text: str, key: str, value: str | None) -> None:
    from krake.data.names import label_key_problem, label_value_problem

    if label_key_problem(key) or (value and label_value_problem(value)):
        raise Misuse(f"{text!r} is not allowed: keys and values of taints are like those of labels, for example gpu=yes")
