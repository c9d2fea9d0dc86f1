"""Answers what somebody may do, without their trying it."""

import json

from aiohttp import web

from krake.api.authorization.authorizers import Authorizer
from krake.api.authorization.rules import Permission
from krake.api.body import read_object
from krake.api.handlers import answer
from krake.api.reader import Reader
from krake.api.requests import USER
from krake.data.access import AccessRequest, AccessReview, AccessVerdict
from krake.data.kinds import KINDS, Kind
from krake.data.metadata import Verb
from krake.data.schema import Purpose, load

READ_OTHERS = Permission("core", ("authorizations",), Verb.get)
"""Whoever has it may ask about other users."""


class ReviewHandlers:
    """Handles the requests about permissions; everybody who is known may ask about themselves."""

    def __init__(self, authorizer: Authorizer, reader: Reader) -> None:
        self._authorizer = authorizer
        self._reader = reader

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/authorize", self.list_rules)
        router.add_post("/authorize", self.review)

    async def list_rules(self, request: web.Request) -> web.Response:
        """``GET /authorize``: all rules that grant something to a user."""
        user = self._user(request, request.query.get("user"))
        rules = [rule.serialize() for rule in self._authorizer.rules_of(user)]
        return answer(json.dumps({"user": user, "rules": rules}).encode())

    async def review(self, request: web.Request) -> web.Response:
        """``POST /authorize``: answers one question or, under ``requests``, several."""
        body = await read_object(request)
        single = "requests" not in body
        # One question is the list of it, but its errors name its own fields.
        asked = [load(AccessRequest, body, Purpose.FULL)] if single else []
        given = load(AccessReview, {"requests": []} | body, Purpose.FULL)
        user = self._user(request, given.user)
        verdicts = [self._judge(user, each).serialize() for each in asked or given.requests]
        return answer(json.dumps(verdicts[0] if single else {"user": user, "results": verdicts}).encode())

    def _user(self, request: web.Request, asked: str | None) -> str:
        self._reader.check()
        if asked is not None and asked != request[USER]:
            self._authorizer.check(request[USER], READ_OTHERS)
            return asked
        return request[USER]

    def _judge(self, user: str, asked: AccessRequest) -> AccessVerdict:
        allowed, reason = self._authorizer.judge(user, _permission(asked))
        if asked.resource not in ("", *READ_OTHERS.resources) and not _kinds(asked):
            reason += f" (There is no kind '{asked.resource}' in the API '{asked.api}'.)"
        return AccessVerdict(allowed=allowed, reason=reason)


def _permission(asked: AccessRequest) -> Permission:
    verb, namespace = asked.verb, asked.namespace
    kinds = _kinds(asked)
    if kinds and not any(kind.namespaced for kind in kinds):
        return Permission(asked.api, (asked.resource,), verb)
    if namespace is None and verb in (Verb.list, Verb.list_all):
        return Permission(asked.api, (asked.resource,), Verb.list, everywhere=True)
    return Permission(asked.api, (asked.resource,), verb, namespace or "")


def _kinds(asked: AccessRequest) -> list[Kind]:
    plural = asked.resource.partition("/")[0]
    kinds = [kind.definition for kind in KINDS.values()]
    return [kind for kind in kinds if asked.api in ("", kind.api) and plural in ("", kind.plural)]
