"""What is read of YAML that strangers have written, and what must not be."""

import tracemalloc

import pytest

from krake.adapters.tosca.documents import read_document
from krake.data.tosca import InvalidTemplate


def merges(levels: int) -> str:
    lines = (f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}" for level in range(1, levels))
    return "\n".join(["a0: &a0 {key: value}", *lines])


def aliases(levels: int) -> str:
    lines = (f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels))
    return "\n".join(["a0: &a0 value", *lines])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "[" * 100_000, "nested"),  # by which the parser itself would be killed
        ("{a: " * 100_000, "nested"),
        ("- " * 100_000, "nested"),
        ("a: &a [*a]", "nested"),
        (merges(12), "merges too much"),
        (aliases(12), "more than 500000 values"),
        ("a: 0x" + "F" * 10_000, "a number is too long"),
        ("a: " + "9" * 5_000, "a number is too long"),
        ("a: .nan", "neither text nor number"),
        ("? [a]\n: b", "unhashable"),
        ('a: "\\ud800"', "invalid Unicode"),
    ],
)
def test_what_nobody_can_mean_is_refused_in_time(text: str, said: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidTemplate, match=said):
            read_document(text, "The text")
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()


def test_numbers_are_those_of_kubernetes() -> None:
    text = "{port: 80, hex: 0x10, share: 0.5, time: 12:30:45, fraction: 1:30.5, day: 2026-03-01, long: " + "1:" * 50_000 + "1}"
    found = read_document(text, "The text")
    assert found.pop("long").startswith("1:1:")
    assert found == {
        "port": 80,
        "hex": 16,
        "share": 0.5,
        "time": "12:30:45",
        "fraction": "1:30.5",
        "day": "2026-03-01",
    }


def test_mappings_merge_others() -> None:
    assert read_document("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "The text")["b"] == {"x": 1, "y": 3}
