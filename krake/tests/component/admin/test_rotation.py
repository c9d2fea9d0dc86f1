"""``krake secrets`` beside running APIs that write, killed at any moment."""

import asyncio
import itertools
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures.api import Http, Serve
from fixtures.polling import until
from fixtures.samples import path_of, sample
from fixtures.tools import Tools

from krake.adapters.etcd import EtcdStore
from krake.api.secrets.resealing import count_seals
from krake.api.secrets.source import read_keys
from krake.data.infrastructure import InfrastructureProvider
from krake.data.kubernetes import Cluster

CLUSTERS = 300


@pytest.fixture
async def key_file(tools: Tools, etcd_store: EtcdStore) -> Path:
    path = tools.folder / "secrets.keys"
    made = await tools("krake", "secrets", "create-key", str(path))
    assert made.status == 0, made.err
    return path


def text_of(path: Path) -> str:
    return path.read_text()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
    target.chmod(0o600)


def ids_of(key_file: Path) -> list[str]:
    return [key.id for key in read_keys(key_file).keys]


async def rotate(tools: Tools, key_file: Path, *options: str, status: int = 0) -> str:
    ended = await tools("krake", "secrets", "rotate", "--key-file", str(key_file), "--wait", "0.5", *options)
    assert ended.status == status, ended.err
    return ended.out + ended.err


async def fill(http: Http, number: int = CLUSTERS) -> None:
    answers = await asyncio.gather(*(http.post(path_of(Cluster), sample(Cluster, f"c{i}")) for i in range(number)))
    assert {answer.status for answer in answers} == {201}


async def tokens(http: Http) -> set[str]:
    listing = (await http.get(path_of(Cluster))).json
    return {each["spec"]["kubeconfig"]["users"][0]["user"]["token"] for each in listing["items"]}


@asynccontextmanager
async def writing(*apis: Http) -> AsyncIterator[list[Any]]:
    """Write and read through all APIs, as long as the context lasts; gives the answers that were not as expected."""
    wrong: list[Any] = []

    async def write(http: Http, number: int) -> None:
        name = f"busy{number}"
        body = sample(Cluster, name)
        await http.post(path_of(Cluster), body)
        for label in itertools.count():
            body["metadata"]["labels"] = {"n": str(label)}
            answer = await http.put(path_of(Cluster, name), body)
            if answer.status != 200 or answer.json["spec"]["kubeconfig"] != body["spec"]["kubeconfig"]:
                wrong.append(answer)

    tasks = [asyncio.create_task(write(http, number)) for number, http in enumerate(apis)]
    try:
        yield wrong
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_key_files_are_private_and_never_overwritten(tools: Tools, key_file: Path) -> None:
    assert mode_of(key_file) == 0o600
    before = text_of(key_file)
    again = await tools("krake", "secrets", "create-key", str(key_file))
    assert again.status == 1
    assert "exists" in again.err
    assert text_of(key_file) == before


async def test_rotation_beside_two_apis_that_write(
    tools: Tools, key_file: Path, serve_api: Serve, etcd_store: EtcdStore
) -> None:
    secrets = {"secrets": {"key_file": str(key_file)}}
    async with serve_api(**secrets) as one, serve_api(**secrets) as other:
        await fill(one)
        (old,) = ids_of(key_file)
        async with writing(one, other) as wrong:
            said = await rotate(tools, key_file, "--drop-old")
        assert wrong == []
        (new,) = ids_of(key_file)
        assert new != old
        assert f"Removed the keys that nothing is sealed with: {old}" in said
        assert set(await count_seals(etcd_store)) == {new}
        assert await tokens(one) == {"t0k"}
        # Whatever is written from now on is sealed with the new key.
        await one.post(path_of(InfrastructureProvider), sample(InfrastructureProvider))
        assert set(await count_seals(etcd_store)) == {new}
    assert mode_of(key_file) == 0o600
    async with serve_api(**secrets) as http:
        assert await tokens(http) == {"t0k"}


async def test_rotation_survives_kill_at_any_moment(
    tools: Tools, key_file: Path, serve_api: Serve, etcd_store: EtcdStore
) -> None:
    secrets = {"secrets": {"key_file": str(key_file)}}
    async with serve_api(**secrets) as http:
        await fill(http)
        (old,) = ids_of(key_file)
        for sealed in (0, 1, CLUSTERS // 3, CLUSTERS - 50, CLUSTERS):
            process = await tools.start("krake", "secrets", "rotate", "--key-file", str(key_file), "--wait", "60")

            async def come_far(sealed: int = sealed) -> bool:
                new = ids_of(key_file)[0]
                return new != old and (await count_seals(etcd_store))[new] >= sealed

            await until(come_far)
            process.kill()
            await process.communicate()
            assert set(await count_seals(etcd_store)) <= set(ids_of(key_file))
            assert await tokens(http) == {"t0k"}
        assert "Carrying on" in await rotate(tools, key_file)
        assert len(ids_of(key_file)) == 2
        assert set(await count_seals(etcd_store)) == {ids_of(key_file)[0]}
        assert "rotating" not in text_of(key_file)
        assert await tokens(http) == {"t0k"}


async def test_rotation_in_two_steps_for_several_machines(
    tools: Tools, key_file: Path, serve_api: Serve, etcd_store: EtcdStore
) -> None:
    elsewhere = tools.folder / "elsewhere.keys"
    copy(key_file, elsewhere)
    async with (
        serve_api(secrets={"key_file": str(key_file)}) as here,
        serve_api(secrets={"key_file": str(elsewhere)}) as there,
    ):
        await fill(here, 20)
        (old,) = ids_of(key_file)
        await rotate(tools, key_file, "--stage")
        first, staged = ids_of(key_file)
        assert first == old
        assert "waits to be used" in await rotate(tools, key_file, "--stage", status=1)
        copy(key_file, elsewhere)
        await rotate(tools, key_file)
        assert ids_of(key_file) == [staged, old]
        assert await tokens(there) == {"t0k"}
        assert set(await count_seals(etcd_store)) == {staged}
        # As long as the other machine has the file of before, it seals with the old key.
        await there.patch(path_of(Cluster, "c0"), {"metadata": {"labels": {"a": "b"}}})
        assert set(await count_seals(etcd_store)) == {staged, old}
        copy(key_file, elsewhere)
        dropped = await tools("krake", "secrets", "drop-old", "--key-file", str(key_file), "--wait", "3")
        assert dropped.status == 0, dropped.err
        assert ids_of(key_file) == [staged]
        assert set(await count_seals(etcd_store)) == {staged}
        assert await tokens(there) == await tokens(here) == {"t0k"}


async def test_what_cannot_be_unsealed_is_named_and_kept(
    tools: Tools, key_file: Path, serve_api: Serve, etcd_store: EtcdStore
) -> None:
    async with serve_api() as http:  # with a key of its own
        await fill(http, 3)
        said = await rotate(tools, key_file, status=1)
        assert "The key test that has sealed secrets" in said
        assert set(await count_seals(etcd_store)) == {"test"}
        assert await tokens(http) == {"t0k"}


async def test_plain_secrets_are_sealed_by_rotation(
    tools: Tools, key_file: Path, serve_api: Serve, etcd_store: EtcdStore
) -> None:
    async with serve_api(secrets={"allow_plain": True}) as http:
        await fill(http, 3)
    assert set(await count_seals(etcd_store)) == {""}
    await rotate(tools, key_file)
    status = await tools("krake", "secrets", "status")
    assert status.out.split() == ["3", "sealed", "with", ids_of(key_file)[0]]


async def test_watchers_see_nothing_but_new_versions(tools: Tools, key_file: Path, serve_api: Serve) -> None:
    async with serve_api(secrets={"key_file": str(key_file)}) as http:
        await fill(http, 1)
        async with http.watch(path_of(Cluster), resource_version="0") as lines:
            _, before = await lines.next()
            await rotate(tools, key_file)
            kind, after = await lines.next()
            assert kind == "MODIFIED"
            assert {**after, "metadata": None} == {**before, "metadata": None}
