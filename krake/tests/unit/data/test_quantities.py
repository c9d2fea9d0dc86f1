"""Quantities as Kubernetes writes them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake.data.quantities import format_quantity, parse_quantity, read_quantities


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1), ("1500m", "1.5"), ("0.5Gi", 2**29), ("2k", 2000), ("1e3", 1000), ("1E", 10**18), (4, 4), (1.5, "1.5"),
        ("", None), ("Gi", None), ("1 Gi", None), ("nan", None), ("inf", None), (None, None), (True, None), ([], None),
        ("1" * 65, None), ("1Zi", None),
    ],
)  # fmt: skip
def test_what_is_read(text: Any, number: Any) -> None:
    assert parse_quantity(text) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("8", "8"),
        ("1.5", "1500m"),
        ("0.0001", "1m"),
        ("1.9999", "2"),
        (2**34, "16Gi"),
        (3 * 2**10, "3Ki"),
        (10**8, "100M"),
    ],
)
def test_what_is_written(number: Any, text: str) -> None:
    assert format_quantity(Decimal(number)) == text


@given(st.integers(0, 2**70))
def test_what_is_written_is_read_the_same(number: int) -> None:
    assert parse_quantity(format_quantity(Decimal(number))) == number
    assert parse_quantity(format_quantity(Decimal(number) / 1000)) == Decimal(number) / 1000


@given(st.text() | st.floats() | st.none() | st.lists(st.integers()))
def test_anything_is_a_quantity_or_not(value: Any) -> None:
    quantity = parse_quantity(value)
    assert quantity is None or quantity.is_finite()


def test_what_is_no_quantity_is_left_out() -> None:
    assert read_quantities({"cpu": "1", "memory": "much", 3: "1", "pods": None, "disk": "-1"}) == {"cpu": 1}
    assert read_quantities(["cpu"]) == {}


@pytest.mark.parametrize("number", ["2147483647000000000000002147483647", "1e60", "123456789012345678901234567890123456789.5"])
def test_amounts_of_any_size_can_be_written(number: str) -> None:
    """They stand in messages: an application that asks for absurdly much must only harm itself."""
    assert parse_or_int(format_quantity(Decimal(number))) == pytest.approx(float(number))


def parse_or_int(text: str) -> float:
    digits = text.rstrip("mkKMGTPEi")
    factor = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "": 1.0}
    suffix = text[len(digits) :]
    return float(digits) * (factor[suffix] if suffix in factor else 2.0 ** (10 * ("KMGTPE".index(suffix[0]) + 1)))
