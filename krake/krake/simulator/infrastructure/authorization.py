r"""Who asks: the ``Authorization`` header of an Infrastructure Manager. Pure.

It has a line for each service, with ``key = value`` pairs that semicolons separate. As headers have no lines, a backslash and
an ``n`` stand for the end of one. A value may be in quotes, and then have semicolons in it. All may as well be JSON: a list
of objects.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PAIR = re.compile(r"""\s*(\w+) = ("[^"]*"|'[^']*'|[^;]*)\s*(?:;|$)""")

Entry = Mapping[str, str]


class Unauthorized(Exception):
    """The header says nothing of who asks."""


@dataclass(frozen=True)
class Authorization:
    """Who asks.

    :param owner: what tells users apart; infrastructures of others are out of reach.
    :param clouds: the entries of clouds.
    """

    owner: Sequence[str]
    clouds: Sequence[Entry]


def parse(header: str) -> Authorization:
    """Read a header.

    :raises Unauthorized: it names no user of the Infrastructure Manager.
    """
    text = header.replace("\\n", "\n")
    entries = _read_json(text)
    if entries is None:
        entries = [dict(_pairs(line)) for line in text.splitlines() if line.strip()]
    own = [entry for entry in entries if entry.get("type") == "InfrastructureManager"]
    if not own or not ("token" in own[0] or "username" in own[0]):
        raise Unauthorized("No credentials provided for the InfrastructureManager.")
    owner = (own[0]["token"],) if "token" in own[0] else (own[0]["username"], own[0].get("password", ""))
    return Authorization(owner, [entry for entry in entries if entry.get("type") != "InfrastructureManager"])


def _read_json(text: str) -> list[dict[str, str]] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    entries = found if isinstance(found, list) else [found]
    return [{str(key): str(value) for key, value in each.items()} for each in entries if isinstance(each, dict)]


def _pairs(line: str) -> list[tuple[str, str]]:
    found = []
    position = 0
    while match := _PAIR.match(line, position):
        value = match[2].strip()
        found.append((match[1], value[1:-1] if value[:1] in ('"', "'") and value[-1:] == value[:1] else value))
        position = match.end()
        if position >= len(line):
            break
    return found
