"""Numbers with units."""

import re
from collections.abc import Mapping
from typing import Any

_METRIC = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

SCALAR_UNITS: Mapping[str, Mapping[str, float]] = {
    "scalar-unit.size": {f"{prefix}B": factor for prefix, factor in (_METRIC | _BINARY).items()},
    "scalar-unit.time": {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "scalar-unit.frequency": {"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "scalar-unit.bitrate": {
        **{f"{prefix}bps": factor for prefix, factor in (_METRIC | _BINARY).items()},
        **{f"{prefix}Bps": factor * 8 for prefix, factor in (_METRIC | _BINARY).items()},
    },
}
"""The units of each type, and what each is in the first one."""

_SCALAR = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s{0,9}([A-Za-z]{1,4})")


def measure(value: Any, type_: str) -> float | None:
    """Return a number with a unit as a number of the smallest whole one, or nothing if it is none. Case does not matter."""
    match = _SCALAR.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    units = SCALAR_UNITS[type_]
    factor = units.get(match[2], {name.lower(): factor for name, factor in units.items()}.get(match[2].lower()))
    return None if factor is None else float(match[1]) * factor
