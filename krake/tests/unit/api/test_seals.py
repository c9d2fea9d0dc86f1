"""Sealing: what comes back, and what does not open."""

import json
from typing import Any

import pytest
from fixtures.records import json_values, records
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from krake.api.secrets.keys import Key, Keyring, Stage, begin_rotation, drop_unused, end_rotation, parse_keys, stage
from krake.api.secrets.seals import SealBroken, is_sealed, seal, sealed_by, unseal
from krake.api.secrets.source import KeySource
from krake.api.secrets.vault import Vault, kinds_with_secrets, seals_of
from krake.data import Resource
from krake.data.secrets import secrets_of
from krake.ports.store import Entry

SLOW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
ONE, TWO, THREE = (Key(name, name.encode() * 32) for name in "abc")
places = st.lists(st.text(max_size=4), min_size=1, max_size=3)


def vault(*keys: Key) -> Vault:
    return Vault(KeySource("test", Keyring(keys)))


def entry_of(record: Resource) -> Entry:
    key = record.definition.store_key(record.key)
    return Entry(key, json.dumps(record.serialize()).encode(), 1, 1)


def sealed(entry: Entry, by: Vault) -> Entry:
    return Entry(entry.key, by.seal(entry.key, entry.value), 1, 1)


@given(json_values, places)
def test_what_is_unsealed_is_what_was_sealed(value: Any, place: list[str]) -> None:
    text = seal(ONE, value, place)
    assert is_sealed(text)
    assert sealed_by(text) == ONE.id
    assert unseal(ONE, text, place) == value
    assert seal(ONE, value, place) != text


@given(json_values, places, places)
def test_a_seal_opens_in_its_place_only(value: Any, place: list[str], other: list[str]) -> None:
    assume(place != other)
    with pytest.raises(SealBroken):
        unseal(ONE, seal(ONE, value, place), other)
    with pytest.raises(SealBroken):
        unseal(TWO, seal(ONE, value, place), place)


@given(st.data())
def test_a_seal_that_was_changed_does_not_open(data: st.DataObject) -> None:
    text = seal(ONE, "secret", ["x"])
    position = data.draw(st.integers(text.rindex(":") + 1, len(text) - 1))
    changed = text[:position] + data.draw(st.sampled_from("Aaz9-_!é\n=")) + text[position + 1 :]
    try:
        assert unseal(ONE, changed, ["x"]) == "secret"  # The last letters hold bits that mean nothing.
    except SealBroken:
        assert changed != text


@SLOW
@given(st.sampled_from(kinds_with_secrets()).flatmap(records))
def test_objects_come_back_as_they_were(record: Resource) -> None:
    kind, plain = type(record), entry_of(record)
    assume(not any(is_sealed(value) for value in secrets_of(kind, json.loads(plain.value)).values()))
    stored = sealed(plain, vault(ONE))
    assert set(seals_of(stored)) <= {ONE.id}
    assert all(map(is_sealed, secrets_of(kind, json.loads(stored.value)).values()))
    assert vault(TWO, ONE).open(stored) == plain
    # Rotation changes nothing but the seals.
    renewed = vault(TWO, ONE).reseal(stored)
    assert (renewed is None) == (stored == plain)
    if renewed is not None:
        assert vault(TWO).open(Entry(plain.key, renewed, 1, 1)) == plain
        assert vault(TWO).reseal(Entry(plain.key, renewed, 1, 1)) is None
    # Without the key it stays sealed, and is stored as it is.
    ignorant = vault(THREE)
    assert ignorant.open(stored) == stored
    assert ignorant.seal(stored.key, stored.value) == stored.value
    assert ignorant.reseal(stored) is None
    assert set(ignorant.missing) == ({ONE.id} if stored != plain else set())


@SLOW
@given(st.sampled_from(kinds_with_secrets()).flatmap(records))
def test_objects_that_were_put_elsewhere_do_not_open(record: Resource) -> None:
    stored = sealed(entry_of(record), vault(ONE))
    elsewhere = Entry(f"{stored.key}x", stored.value, 1, 1)
    assert vault(ONE).open(elsewhere).value == stored.value


def test_what_is_no_object_is_left_as_it_is() -> None:
    for value in (
        b"",
        b"{",
        b'["sealed:v1:a:x"]',
        b'{"spec": "sealed:v1:a:x"}',
        b'"sealed:v1:a:x"',
        b"[" * 100_000 + b'"sealed:v1:',
    ):
        entry = Entry("/kubernetes/clusters/ns/c", value, 1, 1)
        assert vault(ONE).open(entry) == entry
        assert seals_of(entry) == []


def test_keys_are_written_as_they_are_read() -> None:
    ring = Keyring((ONE, Key("d", b"d" * 32, Stage.STAGED)))
    assert parse_keys(f"# keys\n\n{ring}", "x") == ring
    assert parse_keys(str(ring).strip().replace("\n", ","), "x") == ring
    assert ONE.secret.decode() not in repr(ring)


def test_the_stages_of_a_rotation() -> None:
    start = Keyring((ONE,))
    begun = begin_rotation(start, TWO)
    assert [key.id for key in begun.keys] == ["b", "a"]
    assert begin_rotation(begun, THREE) == begun
    done = end_rotation(begun)
    assert [key.id for key in begin_rotation(done, THREE).keys] == ["c", "b", "a"]
    staged = stage(done, THREE)
    assert [key.id for key in staged.keys] == ["b", "c", "a"]
    with pytest.raises(ValueError, match="waits to be used"):
        stage(staged, ONE)
    assert [key.id for key in begin_rotation(staged, Key("d", b"d" * 32)).keys] == ["c", "b", "a"]
    assert [key.id for key in drop_unused(staged, {"b"}).keys] == ["b", "c"]
    assert [key.id for key in drop_unused(done, {"a"}).keys] == ["b", "a"]
