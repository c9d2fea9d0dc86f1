"""What of a request may be written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.api.operations.redaction import redact


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/core/roles", "/core/roles"),
        ("/core/roles?watch&heartbeat=3", "/core/roles?watch&heartbeat=3"),
        ("/core/roles?label_selector=a%3Db", "/core/roles?label_selector=a%3Db"),
        ("/core/roles?token=s3cret&watch", "/core/roles?token=…&watch"),
        ("/core/roles?s3cret", "/core/roles?…"),
        ("/core/roles?watch=1&watch=%0aINFO", "/core/roles?watch=1&watch=%0AINFO"),
        ("/a?", "/a?"),
    ],
)
def test_only_known_parameters_show_their_values(path: str, shown: str) -> None:
    assert redact(path) == shown


@given(st.text(min_size=4), st.text(min_size=1))
def test_unknown_values_never_show(secret: str, name: str) -> None:
    assert f"s3cret{secret}" not in redact(f"/core?x{name}=s3cret{secret}")


def test_long_ones_are_cut() -> None:
    assert len(redact("/" + "a" * 8000)) == 1025
