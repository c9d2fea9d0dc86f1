"""The program that makes local infrastructure may do whatever it likes: who asks it gets an answer or a sentence, in time."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from fixtures.polling import until
from fixtures.up import alive

from krake.adapters.infrastructure.local import Driver, LocalInfrastructures
from krake.data.infrastructure import InfrastructureProviderSpec, LocalProviderSpec
from krake.ports.infrastructure import (
    Busy,
    Infrastructure,
    InfrastructureError,
    NotFound,
    Phase,
    Refused,
    Rejected,
    Unavailable,
)

Write = Callable[[str], Driver]
LIMIT = 2.0


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that makes a driver of a shell script, which is in the folder of the test."""

    def make(script: str, timeout: float = 20.0, at_once: int = 4) -> Driver:
        path = tmp_path / "driver"
        path.write_text(f"#!/bin/sh\ncd '{tmp_path}'\n{script}\n")
        path.chmod(0o700)
        return Driver([str(path)], timeout=timeout, at_once=at_once)

    return make


async def test_asks_and_understands(write: Write, tmp_path: Path) -> None:
    driver = write(
        """
        cat > "$1.json"
        case "$1" in
        list) echo '{"infrastructures": [{"id": "a", "mark": "mine"}, {"id": "b", "mark": "other"}, {"id": "c"}]}' ;;
        create) echo '{"id": "a"}' ;;
        observe) echo '{"phase": "creating", "machines": {"m": "failed"}, "message": "so slow"}' ;;
        kubeconfig) echo '{"kubeconfig": null}' ;;
        *) echo '{}' ;;
        esac
        """
    )
    infrastructures = LocalInfrastructures(driver, "laptop", "here")
    assert await infrastructures.find("mine") == ["a"]
    assert await infrastructures.create("mine", {"töpfe": 1}) == "a"
    assert await infrastructures.observe("a") == Infrastructure(Phase.CREATING, {"m": Phase.FAILED}, "so slow")
    assert await infrastructures.kubeconfig("a") is None
    await infrastructures.check()
    await infrastructures.update("a", {})
    await infrastructures.reconfigure("a")
    await infrastructures.delete("a")
    asked = (tmp_path / "create.json").read_text()
    assert asked == '{"protocol": 1, "provider": "laptop", "cloud": "here", "mark": "mine", "template": {"t\\u00f6pfe": 1}}'


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (os.EX_DATAERR, Rejected),
        (os.EX_NOINPUT, NotFound),
        (os.EX_TEMPFAIL, Busy),
        (os.EX_NOPERM, Refused),
        (os.EX_UNAVAILABLE, Unavailable),
        (1, Unavailable),
    ],
)
async def test_status_is_the_kind_of_the_error_and_the_last_line_its_text(
    status: int, error: type[InfrastructureError], write: Write
) -> None:
    driver = write(f"echo noise >&2; printf 'No \\033[1mroom\\n \\n' >&2; echo '{{}}'; exit {status}")
    with pytest.raises(InfrastructureError) as raised:
        await driver.ask("create", {})
    assert (type(raised.value), str(raised.value)) == (error, "No [1mroom")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "ended with status 3 at 'create'"),
        ("kill -9 $$", "was ended by signal 9 at 'create'"),
        ("echo nonsense", "does not answer 'create' by a JSON object"),
        ("echo '[]'", "does not answer 'create' by a JSON object"),
        (":", "does not answer 'create' by a JSON object"),
        ("""exec python3 -c 'print("[" * 100000)'""", "does not answer 'create' by a JSON object"),
        ("echo '{\"id\": 7}'", "answers to 'create' is not understood"),
        ("echo '{}'", "answers to 'create' is not understood"),
        ("cat /dev/zero", "more than 4194304 bytes"),
        ("printf '%.100000d' 0 >&2; exit 1", "0" * 300),
    ],
)
async def test_nonsense_is_trouble_of_the_provider(script: str, words: str, write: Write) -> None:
    with pytest.raises(Unavailable) as raised:
        await LocalInfrastructures(write(script), "laptop", "here").create("mark", {"large": "x" * 1_000_000})
    assert words in str(raised.value)
    assert len(str(raised.value)) < 350


@pytest.mark.parametrize("answer", ['{"phase": "superb"}', '{"phase": "pending", "machines": []}', '{"phase": []}'])
async def test_unknown_phases_are_not_understood(answer: str, write: Write) -> None:
    with pytest.raises(Unavailable, match="not understood"):
        await LocalInfrastructures(write(f"echo '{answer}'"), "laptop", "here").observe("a")


async def test_what_is_gone_need_not_be_deleted(write: Write) -> None:
    infrastructures = LocalInfrastructures(write(f"exit {os.EX_NOINPUT}"), "laptop", "here")
    await infrastructures.delete("a")
    with pytest.raises(NotFound):
        await infrastructures.observe("a")


async def test_one_that_hangs_is_killed_with_all_that_it_started(write: Write, tmp_path: Path) -> None:
    driver = write("sleep 1000 & echo $! > child; echo $$ > parent; trap '' TERM; wait", timeout=LIMIT)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer 'create' within 2 s"):
        await driver.ask("create", {})
    assert time.monotonic() - started < LIMIT + 2
    await _all_ended(tmp_path, "parent", "child")


async def test_one_whose_asker_gives_up_is_killed(write: Write, tmp_path: Path) -> None:
    asking = asyncio.ensure_future(write("echo $$ > parent; sleep 1000").ask("create", {}))
    await until(lambda: asyncio.sleep(0, (tmp_path / "parent").exists() and (tmp_path / "parent").read_text()))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await _all_ended(tmp_path, "parent")


async def test_what_it_leaves_running_is_not_waited_for(write: Write, tmp_path: Path) -> None:
    driver = write('setsid sleep 1000 & echo $! > left; echo \'{"id": "a"}\'', timeout=20)
    started = time.monotonic()
    assert await driver.ask("create", {}) == {"id": "a"}
    assert time.monotonic() - started < 5
    left = int((tmp_path / "left").read_text())
    assert alive(left)
    os.kill(left, 9)


async def test_only_some_run_at_once(write: Write, tmp_path: Path) -> None:
    driver = write("ls running.* 2> /dev/null; touch running.$$; sleep 0.1; rm running.$$; echo '{}'", at_once=1)
    assert await asyncio.gather(*(driver.ask("check", {}) for _ in range(5))) == [{}] * 5
    slow = write("sleep 1000", timeout=LIMIT, at_once=1)
    outcomes = await asyncio.gather(*(slow.ask("check", {}) for _ in range(3)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable, Busy}


async def test_one_that_is_not_there_is_not_told_to_users_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="can not be started") as raised:
        await Driver([str(tmp_path / "absent")], timeout=1, at_once=1).ask("check", {})
    assert str(tmp_path) not in str(raised.value)


async def test_none_is_named() -> None:
    with pytest.raises(Rejected, match=r"local\.command"):
        await Driver([], timeout=1, at_once=1).ask("check", {})


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("setsid sleep 2 & cat > /dev/null; echo '{}'", "{}"),
        ("echo '{}'", "{}"),
        ("exec <&-; echo '{}'", "{}"),
        ("echo no >&2; exit 66", "no"),
        ("cat /dev/zero", "more than"),
        ("sleep 1000", "did not answer"),
    ],
)
def test_works_on_the_event_loop_of_the_controllers(script: str, expected: str, write: Write) -> None:
    """They use another one than the tests, with processes of its own."""

    async def ask() -> str:
        limit = LIMIT if "1000" in script else 20
        try:
            return str(await write(script, timeout=limit).ask("create", {"large": "x" * 1_000_000}))
        except InfrastructureError as error:
            return str(error)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert expected in runner.run(ask())


def test_users_say_nothing_of_the_program() -> None:
    assert InfrastructureProviderSpec(value=LocalProviderSpec()).serialize() == {"type": "local", "local": {}}
    given: Any = {"type": "local", "local": {"command": ["rm", "-rf", "/"]}}
    assert "rm" not in str(InfrastructureProviderSpec.restore(given).serialize())


async def _all_ended(folder: Path, *names: str) -> None:
    for name in names:
        pid = int((folder / name).read_text())
        await until(lambda pid=pid: asyncio.sleep(0, not alive(pid)))
