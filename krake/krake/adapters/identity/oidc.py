"""An OpenID provider whose tokens are verified here, by the keys that it publishes."""

from typing import Any

import jwt

from krake.adapters.identity.claims import read_expiry
from krake.adapters.identity.keys import ASYMMETRIC, Keys
from krake.adapters.identity.web import Web, trust
from krake.ports.identity import Rejected, User

_LEEWAY = 5.0
"""Seconds that the provider's clock and ours may differ by."""


class OpenIdProvider:
    """A provider, known by its *issuer*.

    :param issuer: exactly as it stands in the tokens.
    :param audience: that tokens must be meant for.
    :param username_claim: names the user, with *username_prefix* in front.
    :param ca: PEM file to verify it by; if empty, the authorities of the system do.
    :param refresh_interval: seconds between two looks for a key that is not known.
    :raises ValueError: *ca* can not be used; the message begins with ``ca``.
    """

    def __init__(
        self,
        web: Web,
        issuer: str,
        audience: str,
        *,
        username_claim: str = "preferred_username",
        username_prefix: str = "",
        ca: str = "",
        refresh_interval: float = 10.0,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._claim = username_claim
        self._prefix = username_prefix
        self._keys = Keys(web, issuer, trust(ca), refresh_interval)

    async def identify(self, token: str) -> User:
        """See the port."""
        header = self._read_header(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ASYMMETRIC:
            raise _rejected("it is not signed by a public-key algorithm")
        key = await self._keys.find(algorithm, key_id)
        if key is None:
            raise _rejected("it is signed by a key that the provider does not publish")
        return self._read_user(self._verify(token, algorithm, key))

    def _read_header(self, token: str) -> dict[str, Any]:
        """Return the header of a token that claims to be of this provider, of which nothing is verified yet."""
        try:
            unverified = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Rejected("The token is not a signed token (JWT).") from None
        if unverified["payload"].get("iss") != self._issuer:
            raise Rejected("The token is of another issuer.")
        return dict(unverified["header"])

    def _verify(self, token: str, algorithm: str, key: Any) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise _rejected("it has expired") from None
        except jwt.ImmatureSignatureError:
            raise _rejected("it is not valid yet") from None
        except jwt.InvalidAudienceError:
            raise _rejected("it is meant for another audience") from None
        except jwt.MissingRequiredClaimError as error:
            raise _rejected(f"it lacks the claim '{error.claim}'") from None
        except jwt.InvalidSignatureError:
            raise _rejected("its signature is wrong") from None
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError):
            raise _rejected("it breaks the rules of JWT") from None

    def _read_user(self, claims: dict[str, Any]) -> User:
        name = claims.get(self._claim)
        if not isinstance(name, str) or not name:
            raise _rejected(f"its claim '{self._claim}' does not name a user")
        if self._claim == "email" and claims.get("email_verified", True) is not True:
            raise _rejected("its e-mail address has not been verified by the provider")
        return User(f"{self._prefix}{name}", read_expiry(claims))


def _rejected(why: str) -> Rejected:
    return Rejected(f"The token is not accepted: {why}.", final=True)
