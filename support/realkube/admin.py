"""Asks an API server as its administrator, with what Python brings along."""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from .certificates import Credentials


class Administrator:
    """Whoever has the token; proves the server by its authority."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.tls = ssl.create_default_context(cafile=str(credentials.ca))
        self.headers = {"Authorization": f"Bearer {credentials.token}"}
        self._url = url
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)
        )

    def answers(self, path: str) -> bool:
        """Tell whether the server has a good answer for *path* now."""
        return self._ask(urllib.request.Request(self._url + path, headers=self.headers)) is not None

    def get(self, path: str) -> Any:
        """Return the object at *path*; None if there is none now, or no answer."""
        answer = self._ask(urllib.request.Request(self._url + path, headers=self.headers))
        return None if answer is None else json.loads(answer)

    def create(self, path: str, manifest: object) -> bool:
        """Create an object in the collection at *path*; return whether that was done."""
        headers = {**self.headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, json.dumps(manifest).encode(), headers, method="POST")
        return self._ask(request) is not None

    def change(self, path: str, patch: object) -> bool:
        """Change the object at *path* by a merge patch; return whether that was done."""
        headers = {**self.headers, "Content-Type": "application/merge-patch+json"}
        request = urllib.request.Request(self._url + path, json.dumps(patch).encode(), headers, method="PATCH")
        return self._ask(request) is not None

    def delete(self, path: str) -> bool:
        """Delete the object at *path*; return whether that was done."""
        return self._ask(urllib.request.Request(self._url + path, headers=self.headers, method="DELETE")) is not None

    def _ask(self, request: urllib.request.Request) -> bytes | None:
        try:
            with self._opener.open(request, timeout=5) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return None
        except OSError:
            return None
