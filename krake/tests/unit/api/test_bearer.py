"""What the header with the token may look like, and the names that outsiders may have."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.api.authentication.bearer import name_problem, read_token
from krake.api.problem import Problem


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], None),
        ([""], None),
        (["abc"], "abc"),
        (["Bearer abc"], "abc"),
        (["bEaReR   a.b-c_~+/="], "a.b-c_~+/="),
        (["Bearerabc"], "Bearerabc"),
    ],
)
def test_tokens(headers: list[str], token: str | None) -> None:
    assert read_token(headers) == token


@given(st.lists(st.text(), max_size=3))
def test_any_header_gives_a_token_nothing_or_a_problem(headers: list[str]) -> None:
    with suppress(Problem):
        token = read_token(headers)
        assert token is None or (token.isascii() and token.isprintable() and " " not in token and len(headers) == 1)


@given(st.text())
def test_names_can_not_pass_for_others(name: str) -> None:
    if name_problem(name) is None:
        assert name
        assert name.isprintable()
        assert name == name.strip()
        assert not name.startswith("system:")
