"""The keys that an OpenID provider publishes, kept for a while."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt

from krake.adapters.identity.web import Web
from krake.ports.identity import Unavailable

ASYMMETRIC: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""The algorithms by which tokens may be signed, and the type of key for each. With a shared secret, Krake could forge tokens;
and a public key must never be taken for one."""

_NAME = "The OpenID provider"
_LIFETIME = 600.0
"""Seconds after which keys are read anew: what the provider has withdrawn counts no longer."""
_PAUSE = 1.0
"""Seconds between a failure and the next attempt."""


class Key(NamedTuple):
    """A published key that verifies signatures."""

    key_id: str | None
    key_type: str
    algorithm: str | None
    public: Any

    def fits(self, algorithm: str, key_id: str | None) -> bool:
        """Whether it may have made a signature by *algorithm*; a token need not name its key."""
        return self.key_type == ASYMMETRIC[algorithm] and self.algorithm in (None, algorithm) and key_id in (None, self.key_id)


def read_keys(document: Mapping[str, Any]) -> tuple[Key, ...]:
    """Return the keys of a JWKS document that are good for verifying; others, broken ones too, are left out."""
    entries = document.get("keys")
    return tuple(key for entry in (entries if isinstance(entries, list) else ()) if (key := _read_key(entry)) is not None)


def _read_key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") not in ASYMMETRIC.values():
        return None
    try:
        public = jwt.PyJWK(entry).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return Key(entry.get("kid"), entry["kty"], entry.get("alg"), public)


class Keys:
    """The keys of the provider *issuer*."""

    def __init__(self, web: Web, issuer: str, trusted: ssl.SSLContext, refresh_interval: float) -> None:
        self._web = web
        self._issuer = issuer
        self._trusted = trusted
        self._refresh_interval = refresh_interval
        self._keys: tuple[Key, ...] = ()
        self._read_at = float("-inf")
        self._failure: Unavailable | None = None
        self._failed_at = float("-inf")
        self._lock = asyncio.Lock()

    async def find(self, algorithm: str, key_id: str | None) -> Any | None:
        """Return the public key for a signature, or ``None`` if the provider has none, or several and the token names none.

        :raises Unavailable: the keys are not known, or too old, and can not be read now.
        """
        age = self._age()
        key = self._choose(algorithm, key_id)
        limit = self._refresh_interval if key is None else _LIFETIME
        if age < limit:
            return key
        async with self._lock:
            if self._age() >= limit:
                await self._refresh()
        return self._choose(algorithm, key_id)

    def _age(self) -> float:
        return time.monotonic() - self._read_at

    def _choose(self, algorithm: str, key_id: str | None) -> Any | None:
        fitting = [key.public for key in self._keys if key.fits(algorithm, key_id)]
        return fitting[0] if len(fitting) == 1 else None

    async def _refresh(self) -> None:
        if self._failure is not None and time.monotonic() - self._failed_at < _PAUSE:
            raise Unavailable(str(self._failure))
        try:
            async with asyncio.timeout(self._web.timeout):
                self._keys = await self._read()
        except (Unavailable, TimeoutError) as error:
            late = f"{_NAME} did not answer within {self._web.timeout:g} seconds."
            self._failure = error if isinstance(error, Unavailable) else Unavailable(late)
            self._failed_at = time.monotonic()
            raise Unavailable(str(self._failure)) from error
        self._failure, self._read_at = None, time.monotonic()

    async def _read(self) -> tuple[Key, ...]:
        configuration = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if configuration.get("issuer") != self._issuer:
            raise Unavailable(f"{_NAME} calls itself by another issuer than the one that is configured.")
        address = configuration.get("jwks_uri")
        if not isinstance(address, str) or not self._may_be_read(address):
            raise Unavailable(f"{_NAME} does not say where its keys are.")
        return read_keys(await self._get(address))

    def _may_be_read(self, address: str) -> bool:
        """Keys come by the same scheme as what says where they are, or by a safer one."""
        schemes = {"https", urlsplit(self._issuer).scheme}
        try:
            return urlsplit(address).scheme in schemes
        except ValueError:
            return False

    async def _get(self, address: str) -> Mapping[str, Any]:
        reply = await self._web.request(_NAME, "GET", address, self._trusted)
        return reply.document(_NAME)
