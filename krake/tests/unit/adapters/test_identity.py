"""What the clients of identity services make of texts."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.adapters.identity import Keycloak, Keystone, TokenFile, Web
from krake.adapters.identity.claims import read_expiry
from krake.adapters.identity.keys import read_keys
from krake.adapters.identity.token_file import parse

DIGEST = hashlib.sha256(b"token").hexdigest()
RSA = {"kty": "RSA", "kid": "r", "n": "sXchTRrl8k4DfB0W" * 22, "e": "AQAB"}


@pytest.mark.parametrize(
    ("text", "names", "wrong"),
    [
        ("", {}, []),
        ("# nobody\n\n   \n", {}, []),
        (f"ann {DIGEST}", {DIGEST: "ann"}, []),
        (f"  ann \t{DIGEST.upper()}  # the first\r\n", {DIGEST: "ann"}, []),
        (f"ann {DIGEST}\nann {DIGEST}\n", {DIGEST: "ann"}, []),
        (f"ann {DIGEST}\nbob {DIGEST}\n", {DIGEST: "ann"}, [2]),
        (f"ann\n{DIGEST}\nann {DIGEST[:-1]}\nann lee {DIGEST}\nbob {DIGEST}", {DIGEST: "bob"}, [1, 2, 3, 4]),
    ],
)
def test_token_files(text: str, names: dict[str, str], wrong: list[int]) -> None:
    assert parse(text) == (names, wrong)


@given(st.text())
def test_any_text_is_a_token_file_of_nobody(text: str) -> None:
    assert parse(text)[0] == {}


@pytest.mark.parametrize("content", [None, b"ann token\n", b"\xff\xfe\n"])
def test_a_token_file_that_is_wrong_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"^file: .*tokens"):
        TokenFile(str(file))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_can_not_be_used(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=r"^ca: .*ca\.pem"):
        Keystone(Web(1), "https://keystone.example/v3", ca=str(file))
    with pytest.raises(ValueError, match=r"^ca: .*ca\.pem"):
        Keycloak(Web(1), "https://keycloak.example", "krake", ca=str(file))


@pytest.mark.parametrize(
    ("entries", "ids"),
    [
        (None, []),
        ("keys", []),
        ([None, 5, {}, {"kty": "RSA"}, {"kty": ["RSA"]}, {"kty": "EC", "crv": "P-1"}], []),
        ([{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}], []),
        ([RSA, RSA | {"kid": "e", "use": "enc"}, RSA | {"kid": "a", "alg": "RSA-OAEP"}], ["r"]),
        ([RSA | {"kid": "p", "alg": "PS256"}, {"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": "A" * 43}], ["p", "o"]),
    ],
)
def test_published_keys(entries: object, ids: list[str]) -> None:
    assert [key.key_id for key in read_keys({"keys": entries})] == ids


@pytest.mark.parametrize(("algorithm", "key_id", "fits"), [("RS256", "r", True), ("PS512", None, True), ("ES256", "r", False)])
def test_a_key_fits_only_signatures_of_its_own_type(algorithm: str, key_id: str | None, fits: bool) -> None:
    (key,) = read_keys({"keys": [RSA]})
    assert key.fits(algorithm, key_id) is fits
    assert not key.fits(algorithm, "other")


@pytest.mark.parametrize("value", [None, "soon", [], float("inf"), float("nan"), 1e300, -1e300])
def test_moments_beyond_the_calendar(value: object) -> None:
    assert read_expiry({"exp": value}) is None
