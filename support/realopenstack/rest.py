"""Requests to the services, as their administrator."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from realkube.process import StartError

_LIMIT = 60
"""Seconds that an answer may take: the first one of a service has to be waited for."""


class Client:
    """Asks services.

    :param token: proves to them who asks.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def get(self, url: str) -> Any:
        return self._call("GET", url)

    def post(self, url: str, body: Any) -> Any:
        return self._call("POST", url, json.dumps(body).encode())

    def put(self, url: str, content: bytes | None = None, media: str = "application/octet-stream") -> None:
        self._call("PUT", url, content, media)

    def _call(self, method: str, url: str, content: bytes | None = None, media: str = "application/json") -> Any:
        headers: Mapping[str, str] = {"X-Auth-Token": self._token, "Content-Type": media}
        request = urllib.request.Request(url, content, dict(headers), method=method)
        try:
            with urllib.request.urlopen(request, timeout=_LIMIT) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read(2000).decode(errors="replace")
            raise StartError(f"{method} {url} was answered by {error.code}: {text}") from None
        except OSError as error:
            raise StartError(f"{method} {url} failed: {error}.") from None
