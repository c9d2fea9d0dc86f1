"""Users who show a token in the header ``Authorization``."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import hdrs, web

from krake.api.authentication.chain import unauthenticated
from krake.api.authentication.verified import Verdict
from krake.api.problem import RETRY_AFTER, Problem, Title
from krake.api.requests import Identity
from krake.ports.identity import Rejected, Unavailable, User

_TOKEN = re.compile(r"[\x21-\x7e]+")
_RESERVED = "system:"
_MAX_NAME = 255
_INVALID = {"WWW-Authenticate": 'Bearer realm="krake", error="invalid_token"'}


@dataclass(frozen=True)
class TokenWay:
    """A way to know users by tokens.

    :param name: as in the configuration.
    :param verify: tells whose token it is.
    :param title: of the problem of a token that it refuses, if it is the only way.
    :param trusted: whether its users may have the names of Krake's own parts.
    """

    name: str
    verify: Callable[[str], Awaitable[Verdict]]
    title: Title
    trusted: bool = False


class Bearer:
    """Asks all ways to know users by tokens, as there is but one header for all.

    A token that the first does not know may be one of the next. Who shows a token is never taken for somebody who shows none.
    """

    def __init__(self, ways: Sequence[TokenWay]) -> None:
        self._ways = tuple(ways)

    async def identify(self, request: web.Request) -> Identity | None:
        """Return whose token it is; ``None`` if there is none.

        :raises Problem: 401 nobody accepts the token; 503 nobody does, but not all could be asked.
        """
        token = read_token(request.headers.getall(hdrs.AUTHORIZATION, ()))
        if token is None:
            return None
        refusals: list[Rejected] = []
        failures: list[Unavailable] = []
        for way in self._ways:
            verdict = await way.verify(token)
            if isinstance(verdict, User):
                return Identity(_checked_name(way, verdict.name), way.name)
            if isinstance(verdict, Unavailable):
                failures.append(verdict)
                continue
            refusals.append(verdict)
            if verdict.final:
                raise Problem(401, str(verdict), title=way.title, headers=_INVALID)
        raise self._refuse(refusals, failures)

    def _refuse(self, refusals: Sequence[Rejected], failures: Sequence[Unavailable]) -> Problem:
        if failures:
            detail = f"{' '.join(map(str, failures))} So nobody can tell whose token this is; nothing was done, try again."
            return Problem(503, detail, title=Title.IDENTITY_SERVICE_UNAVAILABLE, headers=RETRY_AFTER)
        if len(self._ways) == 1:
            return Problem(401, str(refusals[0]), title=self._ways[0].title, headers=_INVALID)
        detail = f"The token is accepted by none of: {', '.join(way.name for way in self._ways)}."
        return Problem(401, detail, title=Title.INVALID_TOKEN, headers=_INVALID)


def read_token(headers: Sequence[str]) -> str | None:
    """Return the token of the headers ``Authorization``: with the scheme ``Bearer``, or bare, as older clients send it.

    :raises Problem: 401 there is something else in it, or more than one.
    """
    if not any(headers):
        return None
    words = headers[0].split()
    if len(words) == 2 and words[0].lower() == "bearer":
        words = words[1:]
    if len(headers) != 1 or len(words) != 1 or words[0].lower() == "bearer" or not _TOKEN.fullmatch(words[0]):
        raise unauthenticated("The header Authorization must be 'Bearer' and one token.")
    return words[0]


def name_problem(name: str) -> str | None:
    """Why an outside service may not give a user this *name*, or nothing."""
    if name.startswith(_RESERVED):
        return f"begins with '{_RESERVED}', as the names of Krake's own parts do"
    if not name or len(name) > _MAX_NAME or name != name.strip() or not name.isprintable():
        return f"is not 1 to {_MAX_NAME} printable characters, without blanks around them"
    return None


def _checked_name(way: TokenWay, name: str) -> str:
    problem = None if way.trusted else name_problem(name)
    if problem is not None:
        detail = f"The token is valid, but the name of its user {problem}; such users may not use Krake."
        raise Problem(401, detail, title=way.title, headers=_INVALID)
    return name
