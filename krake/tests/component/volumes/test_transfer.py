"""The two processes that copy a volume: whatever happens to either, in the end both volumes are equal, or it says why not."""

import asyncio
import http.client
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from component.volumes.sides import PACKAGE, Sides, contents
from fixtures.polling import until
from fixtures.proxy import Proxy

from krake.controller.kubernetes.application.volumes.transfer.tree import PARTIAL

MIB = 1 << 20
StartProxy = Callable[[int], Awaitable[Proxy]]


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path)


def fill(root: Path) -> None:
    """Put something of everything into a volume."""
    (root / "folder" / "empty").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "file").chmod(0o640)
    (root / "nothing").touch()
    (root / "folder" / "program").write_bytes(os.urandom(3 * MIB + 17))
    (root / "folder" / "program").chmod(0o4755)
    os.link(root / "file", root / "folder" / "same")
    (root / "dangling").symlink_to("/nowhere")
    (root / os.fsdecode(b"odd \n \\ % \xff name")).write_text("odd")
    os.mkfifo(root / "pipe", 0o600)
    (root / "sealed").mkdir()
    (root / "sealed" / "inside").write_text("x")
    with (root / "holes").open("wb") as file:
        file.truncate(64 * MIB)
        file.seek(32 * MIB)
        file.write(b"island")
    if os.geteuid() == 0:
        os.chown(root / "folder", 1234, 4321)
        os.chown(root / "dangling", 1, 2, follow_symlinks=False)
    for index, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, ns=(index, 1_600_000_000_123_456_789 + index), follow_symlinks=False)
    (root / "sealed").chmod(0o500)


def test_a_copy_is_equal_in_everything(sides: Sides) -> None:
    fill(sides.there)
    with sides.serving():
        assert sides.fetch() is None
    assert contents(sides.here) == contents(sides.there)
    assert (sides.here / "holes").stat().st_blocks < 2048


def test_attributes_of_users_are_kept(sides: Sides) -> None:
    (sides.there / "file").write_text("content")
    try:
        os.setxattr(sides.there / "file", "user.kind", b"\x00odd")
    except OSError as error:
        pytest.skip(f"the file system of {sides.there} has no extended attributes: {error}")
    with sides.serving():
        assert sides.fetch() is None
    assert os.getxattr(sides.here / "file", "user.kind") == b"\x00odd"


def test_what_is_there_already_is_replaced_or_removed(sides: Sides) -> None:
    fill(sides.there)
    (sides.here / "file").mkdir()
    (sides.here / "file" / "deep").write_text("in the way")
    (sides.here / "folder").write_text("a file where a folder is")
    (sides.here / "sealed").symlink_to(sides.folder)
    (sides.here / "surplus" / "deep").mkdir(parents=True)
    (sides.here / "holes").write_text("old")
    os.link(sides.here / "holes", sides.here / "nothing")
    with sides.serving():
        assert sides.fetch() is None
    assert contents(sides.here) == contents(sides.there)
    assert (sides.folder / "result").exists()


def test_a_file_that_only_looks_the_same_is_fetched_again(sides: Sides) -> None:
    for root, text in ((sides.there, "right"), (sides.here, "wrong")):
        (root / "file").write_text(text)
        os.utime(root / "file", ns=(0, 1_600_000_000_000_000_000))
    with sides.serving():
        assert sides.fetch() is None
    assert (sides.here / "file").read_text() == "right"


async def test_fetching_that_is_killed_again_and_again_goes_on_where_it_was(sides: Sides, start_proxy: StartProxy) -> None:
    (sides.there / "large").write_bytes(os.urandom(48 * MIB))
    with sides.serving() as (_, port):
        proxy = await start_proxy(port)
        sides.tell(proxy.port)
        reached = 0
        while not (sides.here / "large").exists():
            process = sides.fetching()

            async def came_further(process: "subprocess.Popen[bytes]" = process, before: int = reached) -> bool:
                return process.poll() is not None or partial_size(sides) >= before + 12 * MIB

            await until(came_further, 60)
            process.kill()
            process.communicate()
            assert partial_size(sides) >= reached or (sides.here / "large").exists()
            reached = partial_size(sides)
        assert await asyncio.to_thread(sides.fetch) is None
    assert contents(sides.here) == contents(sides.there)


def partial_size(sides: Sides) -> int:
    """How much of a file has arrived that is not complete yet."""
    with suppress(FileNotFoundError):
        return sum(each.stat().st_size for each in (sides.here / PARTIAL).iterdir())
    return 0


async def test_a_source_that_is_killed_is_waited_for(sides: Sides) -> None:
    (sides.there / "large").write_bytes(os.urandom(48 * MIB))
    with sides.serving() as (_, port):
        process = sides.fetching()

        async def has_begun() -> bool:
            return partial_size(sides) > MIB or process.poll() is not None

        await until(has_begun)
    assert process.poll() is None
    with sides.serving(port):
        await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0
    assert contents(sides.here) == contents(sides.there)


async def test_connections_that_break_do_no_harm(sides: Sides, start_proxy: StartProxy) -> None:
    for index in range(12):
        (sides.there / f"file-{index}").write_bytes(os.urandom(3 * MIB))
    with sides.serving() as (_, port):
        proxy = await start_proxy(port)
        sides.tell(proxy.port)
        process = sides.fetching()
        for _ in range(20):
            await asyncio.sleep(0.02)  # at any moment
            proxy.cut()
        await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0
    assert contents(sides.here) == contents(sides.there)


def test_what_has_arrived_damaged_is_fetched_again(sides: Sides) -> None:
    (sides.there / "file").write_bytes(os.urandom(4 * MIB))
    with sides.serving():
        process = sides.fetching()
        process.kill()
        process.communicate()
        assert sides.fetch() is None
        # The same once more, with what a disk makes of it that was switched off at the wrong moment.
        (sides.here / "file").unlink()
        name = partial_name(sides)
        (sides.here / PARTIAL).mkdir()
        (sides.here / PARTIAL / name).write_bytes(bytes(3 * MIB))
        assert sides.fetch() is None
    assert contents(sides.here) == contents(sides.there)


def partial_name(sides: Sides) -> str:
    from krake.controller.kubernetes.application.volumes.transfer.fetching import Counter, Volume
    from krake.controller.kubernetes.application.volumes.transfer.source import Source
    from krake.controller.kubernetes.application.volumes.transfer.tree import walk

    entry = next(each for each in walk(str(sides.there)) if each["type"] == "file")
    volume = Volume(str(sides.here), Source("", "data"), 1, Counter())
    return os.path.basename(volume._partial_of(entry))


async def test_what_is_changed_meanwhile_is_fetched_again(sides: Sides) -> None:
    for index in range(40):
        (sides.there / f"file-{index:02}").write_bytes(os.urandom(MIB))
    with sides.serving():
        process = sides.fetching()

        async def has_begun() -> bool:
            return (sides.here / "file-00").exists()

        await until(has_begun)
        (sides.there / "file-00").write_bytes(b"later")
        (sides.there / "file-01").unlink()
        (sides.there / "file-02").rename(sides.there / "moved")
        (sides.there / "file-39").write_bytes(os.urandom(2 * MIB))
        await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0
    assert contents(sides.here) == contents(sides.there)


async def test_what_never_comes_to_rest_is_given_up(sides: Sides) -> None:
    (sides.there / "file").write_text("x")
    with sides.serving():
        process = asyncio.create_task(asyncio.to_thread(sides.fetch, 3))
        count = 0
        while not process.done():
            count += 1
            (sides.there / "file").write_text(f"{count}")
            await asyncio.sleep(0.001)
    assert "keeps changing" in str(await process)


def test_nobody_is_served_without_the_token(sides: Sides) -> None:
    (sides.there / "file").write_text("secret")
    with sides.serving() as (_, port):
        (sides.folder / "target-access" / "token").write_text("another")
        assert "refuses the token" in str(sides.fetch())
        assert get(sides, port, "/list/data", None).status == 401
    assert contents(sides.here).keys() == {"."}


def test_nothing_but_volumes_is_served(sides: Sides) -> None:
    (sides.folder / "source" / "outside").write_text("secret")
    (sides.there / "file").write_text("x")
    (sides.there / "link").symlink_to("../outside")
    (sides.there / "folder").symlink_to("..")
    token = (sides.folder / "source-access" / "token").read_text()
    with sides.serving() as (_, port):
        assert get(sides, port, "/file/data/0/file", token).status == 200
        for path in (
            "/file/data/0/folder/outside",
            "/file/data/0/../outside",
            "/file/data/0/%2e%2e/outside",
            "/file/../0/x",
            "/file/data/0/link",
            "/list/..",
            "/file/data/0/..%2foutside",
            "/file/data/0/file/",
            "/file/data/x/file",
            "/list",
            "/",
            "/file/data/0//etc/passwd",
        ):
            assert get(sides, port, path, token).status == 404, path


def get(sides: Sides, port: int, path: str, token: str | None) -> http.client.HTTPResponse:
    context = ssl.create_default_context(cafile=str(sides.folder / "target-access" / "tls.crt"))
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def test_the_token_is_shown_to_nobody_else(sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Sides(tmp_path_factory.mktemp("other"))
    (other.there / "trap").write_text("x")
    (sides.there / "file").write_text("x")
    with other.serving() as (_, wrong), sides.serving() as (_, right):
        sides.tell(wrong)
        assert "CERTIFICATE_VERIFY_FAILED" in str(sides.fetch(attempts=2))
        sides.tell(wrong, free_port(), right)
        assert sides.fetch() is None
    assert contents(sides.here) == contents(sides.there)


def test_a_source_that_never_answers_is_given_up(sides: Sides) -> None:
    sides.tell(free_port())
    assert "can not be reached" in str(sides.fetch(attempts=3))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def small_disk(sides: Sides) -> list[str]:
    """What has to lead a command so that the target has one mebibyte only."""
    where = sides.here
    script = f'mount -t tmpfs -o size=1m none {where} && exec "$@"'
    command = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-m", "sh", "-c", script, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("file systems can not be mounted here")
    return command


def test_a_full_disk_is_told(sides: Sides, small_disk: list[str]) -> None:
    (sides.there / "large").write_bytes(os.urandom(3 * MIB))
    sides.before = small_disk
    with sides.serving():
        assert sides.fetch() == "The volume of data is full on the target; its claim there must ask for more."


def test_many_files_are_copied_in_reasonable_time(sides: Sides) -> None:
    for folder in range(20):
        (sides.there / str(folder)).mkdir()
        for name in range(100):
            (sides.there / str(folder) / str(name)).write_text(f"{folder} {name}")
    with sides.serving():
        assert sides.fetch(timeout=60) is None
        assert sides.fetch(timeout=60) is None
    assert contents(sides.here) == contents(sides.there)


def hostile_source(sides: Sides, entries: list[dict[str, object]]) -> None:
    """Let the source list what is not in its volume."""
    for name in os.listdir(PACKAGE / "transfer"):
        if name.endswith(".py"):
            shutil.copy(PACKAGE / "transfer" / name, sides.folder / "hostile" / "transfer" / name)
    with open(sides.folder / "hostile" / "transfer" / "serving.py", "a") as file:
        file.write(f"\n\ndef walk(root):\n    yield from {entries!r}\n")


@pytest.mark.parametrize(
    ("entries", "made"),
    [
        ([{"type": "folder", "path": "../elsewhere"}], "elsewhere"),
        ([{"type": "link", "path": "../elsewhere", "to": "/"}], "elsewhere"),
        ([{"type": "link", "path": "out", "to": ".."}, {"type": "link", "path": "out/elsewhere", "to": "/"}], "elsewhere"),
        ([{"type": "folder", "path": ".krake-volume-copy"}], None),
        ([{"type": "folder", "path": ".."}], None),
        ([{"type": "end", "path": ""}, {"type": "end", "path": ""}], None),
        ([{"type": "end", "path": ""}, {"type": "link", "path": "elsewhere", "to": "/"}], None),
    ],
)
def test_the_source_does_not_lead_out_of_the_volume(sides: Sides, entries: list[dict[str, object]], made: str | None) -> None:
    about = {"mode": 0o755, "owner": [os.getuid(), os.getgid()], "time": 0}
    (sides.folder / "hostile" / "transfer").mkdir(parents=True)
    hostile_source(sides, [{**about, **each} for each in ({"type": "folder", "path": ""}, *entries)])
    with sides.serving(package=sides.folder / "hostile"):
        error = sides.fetch(attempts=1)
    assert error is not None
    assert "not where it says" in error
    assert made is None or not os.path.lexists(sides.here.parent / made)
