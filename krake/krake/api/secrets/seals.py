"""What a sealed secret looks like: ``sealed:v1:KEY-ID:BASE64``, the last part of a nonce and what AES-GCM made of the secret.

The secret is any JSON value. The seal is bound to its place, the key of the object in the store and the path within: put
elsewhere, it does not open.
"""

import base64
import json
import os
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from krake.api.secrets.keys import Key
from krake.data.secrets import SEALED

_NONCE_SIZE = 12


class SealBroken(ValueError):
    """The text was not sealed in this place by this key, or was changed since."""


def seal(key: Key, value: Any, place: Sequence[str]) -> str:
    """Return the sealed form of a JSON value for one place."""
    nonce = os.urandom(_NONCE_SIZE)
    ciphertext = AESGCM(key.secret).encrypt(nonce, json.dumps(value).encode(), _bound_to(place))
    return f"{SEALED}{key.id}:{base64.urlsafe_b64encode(nonce + ciphertext).decode()}"


def unseal(key: Key, sealed: str, place: Sequence[str]) -> Any:
    """Return the JSON value of a sealed form. Raises SealBroken."""
    try:
        raw = base64.urlsafe_b64decode(sealed.rpartition(":")[2])
        return json.loads(AESGCM(key.secret).decrypt(raw[:_NONCE_SIZE], raw[_NONCE_SIZE:], _bound_to(place)))
    except (InvalidTag, ValueError):
        raise SealBroken("The seal is broken.") from None


def is_sealed(value: Any) -> bool:
    """Whether a secret is in its sealed form."""
    return isinstance(value, str) and value.startswith(SEALED)


def sealed_by(sealed: str) -> str:
    """Return the name of the key that has sealed."""
    return sealed.removeprefix(SEALED).partition(":")[0]


def _bound_to(place: Sequence[str]) -> bytes:
    return json.dumps(place).encode()
