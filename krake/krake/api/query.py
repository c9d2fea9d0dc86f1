"""Reads the parameters of requests: the query, and the token that continues a list."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from krake.api.problem import FieldError, of_fields
from krake.api.selector import Selector, parse_selector

_FALSE = {"false", "False", "0", "no"}
_HEARTBEAT = 10
_MAX_HEARTBEAT = 86_400
_MAX_NUMBER = 2**63 - 1


def is_set(query: Mapping[str, str], name: str) -> bool:
    """Whether a flag is given, with any value but a negative one: ``?watch``, ``?watch=`` and ``?watch=true`` are the same."""
    return name in query and query[name] not in _FALSE


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The parameters of a list or a watch.

    :param heartbeat: seconds between the signs of life of a watch; 0 for none.
    :param resource_version: after which a watch begins; ``None`` for now.
    :param page: where a continued list goes on.
    """

    watch: bool
    heartbeat: int
    bookmarks: bool
    resource_version: int | None
    selector: Selector | None
    limit: int | None
    page: "Page | None"

    @property
    def whole(self) -> bool:
        """Whether all objects are asked for."""
        return self.selector is None and self.limit is None and self.page is None

    @classmethod
    def of(cls, query: Mapping[str, str], prefix: str) -> "ListQuery":
        """Return the parameters of a query on the objects below *prefix*. Raises Problem 422 that names what is wrong."""
        errors: list[FieldError] = []
        heartbeat = _number(query, "heartbeat", 0, errors)
        made = cls(
            watch=is_set(query, "watch"),
            heartbeat=_HEARTBEAT if heartbeat is None else min(heartbeat, _MAX_HEARTBEAT),
            bookmarks=is_set(query, "bookmarks") or is_set(query, "allow_bookmarks"),
            resource_version=_number(query, "resource_version", 0, errors),
            selector=_selector(query, errors),
            limit=_number(query, "limit", 1, errors),
            page=_page(query, prefix, errors),
        )
        if errors:
            raise of_fields((f"query.{name}", message) for name, message in errors)
        return made


@dataclass(frozen=True, slots=True)
class Page:
    """Where a cut list goes on: behind the store key *after*, in the state at *revision*."""

    revision: int
    after: str

    @property
    def token(self) -> str:
        """The page as the text that clients hand back; they should not look inside."""
        return base64.urlsafe_b64encode(json.dumps([self.revision, self.after]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "Page":
        """Return the page of a token. Raises ValueError."""
        try:
            revision, after = json.loads(base64.urlsafe_b64decode(token.encode() + b"=="))
        except (ValueError, TypeError, RecursionError, binascii.Error):
            raise ValueError("Not a token of a list.") from None
        if type(revision) is not int or not 0 < revision <= _MAX_NUMBER:
            raise ValueError("Not a token of a list.")
        if not isinstance(after, str) or not after.isascii():
            raise ValueError("Not a token of a list.")
        return cls(revision, after)


def _number(query: Mapping[str, str], name: str, least: int, errors: list[FieldError]) -> int | None:
    text = query.get(name)
    if text is None or (text == "" and name != "heartbeat"):
        return None
    if not text.isascii() or not text.removeprefix("-").isdecimal() or len(text) > 20:
        errors.append((name, "Not a valid integer."))
    elif not least <= int(text) <= _MAX_NUMBER:
        errors.append((name, f"Must be greater than or equal to {least}."))
    else:
        return int(text)
    return None


def _selector(query: Mapping[str, str], errors: list[FieldError]) -> Selector | None:
    text = query.get("label_selector", "").strip()
    if not text:
        return None
    try:
        return parse_selector(text)
    except ValueError as error:
        errors.append(("label_selector", str(error)))
        return None


def _page(query: Mapping[str, str], prefix: str, errors: list[FieldError]) -> Page | None:
    token = query.get("continue", "")
    if not token:
        return None
    try:
        page = Page.parse(token)
    except ValueError as error:
        errors.append(("continue", str(error)))
        return None
    if not page.after.startswith(prefix):
        errors.append(("continue", "The token belongs to another list."))
    return page
