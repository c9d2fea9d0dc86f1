"""Taints and tolerations, as they are written on the command line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rok.commands import build_parser
from rok.errors import Misuse
from rok.flags import separate
from rok.taints import EFFECTS, change_taints, read_taint, read_toleration, write_taints, write_tolerations

GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
OLD = {"key": "old", "value": "", "effect": "PreferNoSchedule"}

keys = st.from_regex(r"[a-z]([a-z0-9.-]{0,5}[a-z0-9])?(/[a-z]{1,4})?", fullmatch=True)
values = st.from_regex(r"([a-z0-9]([a-z0-9.-]{0,5}[a-z0-9])?)?", fullmatch=True)


@given(keys, values, st.sampled_from(EFFECTS))
def test_what_is_written_is_read_again(key: str, value: str, effect: str) -> None:
    taint = {"key": key, "value": value, "effect": effect}
    assert read_taint(write_taints([taint])).taint == taint
    equal = {**taint, "operator": "Equal" if value else "Exists"}
    assert read_toleration(write_tolerations([equal])) == equal


@pytest.mark.parametrize(
    ("before", "words", "after"),
    [
        ([], ["gpu=yes:NoSchedule"], [GPU]),
        ([GPU], ["gpu=yes:NoSchedule"], [GPU]),
        ([GPU], ["gpu=no:NoSchedule"], [{**GPU, "value": "no"}]),
        ([GPU], ["gpu:NoExecute"], [GPU, {"key": "gpu", "value": "", "effect": "NoExecute"}]),
        ([GPU, OLD], ["gpu:NoSchedule-"], [OLD]),
        ([GPU, OLD], ["gpu=yes:NoSchedule-"], [OLD]),
        ([GPU, OLD], ["gpu:NoExecute-"], [GPU, OLD]),
        ([GPU, {**GPU, "effect": "NoExecute"}, OLD], ["gpu-"], [OLD]),
        ([GPU], ["gpu-", "old:PreferNoSchedule"], [OLD]),
    ],
)
def test_taints_are_added_and_removed(before: list[Any], words: list[str], after: list[Any]) -> None:
    assert change_taints(before, [read_taint(word) for word in words]) == after


@pytest.mark.parametrize("text", ["", "-", "gpu", "gpu=yes", ":NoSchedule", "gpu:Never", "gpu:", "gpu:Never-", "g u:NoExecute"])
def test_what_is_no_taint_is_refused(text: str) -> None:
    with pytest.raises(Misuse):
        read_taint(text)


@pytest.mark.parametrize(
    ("text", "toleration"),
    [
        ("gpu=yes:NoSchedule", {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}),
        ("gpu=yes", {"key": "gpu", "operator": "Equal", "value": "yes", "effect": None}),
        ("gpu=", {"key": "gpu", "operator": "Equal", "value": "", "effect": None}),
        ("gpu", {"key": "gpu", "operator": "Exists", "value": "", "effect": None}),
        ("gpu:NoExecute", {"key": "gpu", "operator": "Exists", "value": "", "effect": "NoExecute"}),
        ("*", {"key": None, "operator": "Exists", "value": "", "effect": None}),
        ("*:NoExecute", {"key": None, "operator": "Exists", "value": "", "effect": "NoExecute"}),
    ],
)
def test_a_toleration_is_read(text: str, toleration: dict[str, Any]) -> None:
    assert read_toleration(text) == toleration


@pytest.mark.parametrize("text", ["", ":NoSchedule", "gpu:Never", "*=x", "g u", "gpu:"])
def test_what_is_no_toleration_is_refused(text: str) -> None:
    with pytest.raises(Misuse):
        read_toleration(text)


def test_the_state_of_a_drain_needs_no_name() -> None:
    for line in (
        "kube cluster drain --wait north",
        "kube cluster drain --wait drained north",
        "kube cluster drain north --wait",
    ):
        args = build_parser().parse_args(separate(line.split()))
        assert (args.name, args.wait) == ("north", "drained")
