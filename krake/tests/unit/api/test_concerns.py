"""What the API warns of when it starts."""

from typing import Any

import pytest

from krake.api.__main__ import concerns
from krake.api.settings import ApiConfig

STATIC = {"authentication": {"strategy": {"static": {"enabled": True, "name": "ann"}}}}
ANONYMOUS = {"authentication": {"allow_anonymous": True}}
ALLOW = {"authorization": "always-allow"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ["Nobody can use this API"]),
        ({"tls": {"enabled": True, "client_ca": "ca.pem"}}, []),
        ({"tls": {"enabled": True}}, ["Nobody can use this API"]),
        ({"authentication": {"strategy": {"keystone": {"enabled": True}}}}, []),
        (STATIC, ["taken for ann"]),
        (ANONYMOUS, ["known or not"]),
        ({**STATIC, **ALLOW}, ["taken for ann", "may do everything"]),
        ({**ANONYMOUS, **ALLOW}, ["known or not", "may do everything"]),
        ({**STATIC, "secrets": {"allow_plain": True}}, ["taken for ann", "stored as they are"]),
        ({**STATIC, "host": "0.0.0.0"}, ["taken for ann", "can listen on the network"]),
    ],
)
def test_what_an_administrator_should_know(settings: dict[str, Any], said: list[str]) -> None:
    told = list(concerns(ApiConfig.deserialize(settings)))
    assert len(told) == len(said)
    assert all(part in line for part, line in zip(said, told, strict=True))
