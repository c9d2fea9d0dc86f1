"""Lists in pages: what a continue token says and where the next page starts."""

import base64
import binascii
import json
from dataclasses import dataclass

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.status import bad_request
from krake.simulator.kubernetes.storage import Key, key_of


@dataclass(frozen=True, slots=True)
class Position:
    """Go on after `key` in the list as it was at `revision`."""

    revision: int
    key: Key

    def token(self) -> str:
        document = {"v": "meta.k8s.io/v1", "rv": self.revision, "start": "/".join(self.key)}
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()

    @classmethod
    def parse(cls, token: str) -> "Position":
        """Raises `ApiStatus` (400) for a token that no list has given out."""
        try:
            document = json.loads(base64.urlsafe_b64decode(token))
            namespace, _, name = document["start"].rpartition("/")
            return cls(int(document["rv"]), (namespace, name))
        except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise bad_request(f"continue key is not valid: {error}") from None


def cut(objects: list[Object], limit: int, after: Key | None, revision: int) -> tuple[list[Object], Object]:
    """One page of a sorted list, and what the list's metadata say about the rest."""
    start = [obj for obj in objects if after is None or key_of(obj) > after]
    if not limit or len(start) <= limit:
        return start, {}
    page = start[:limit]
    rest = {
        "continue": Position(revision, key_of(page[-1])).token(),
        "remainingItemCount": len(start) - limit,
    }
    return page, rest
