"""What `krake up` says about processes that ended."""

import json
import signal

import pytest

from krake.up.etcd import last_complaint
from krake.up.process import how_it_ended


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-signal.SIGKILL, "was ended by SIGKILL"),
        (-200, "was ended by signal 200"),
    ],
)
def test_statuses_are_put_in_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words


def entry(level: str, **parts: str) -> str:
    return json.dumps({"level": level, **parts})


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "nothing"),
        (["", "command not found", ""], "command not found"),
        (
            [entry("warn", msg="slow"), entry("panic", msg="failed to open", error="invalid"), "goroutine 1:"],
            "failed to open: invalid",
        ),
        ([entry("fatal", msg="first"), entry("fatal", msg="last", stacktrace="a\nb")], "last"),
        (["[1, 2]", '"text"'], '"text"'),
    ],
)
def test_the_last_complaint_of_an_etcd_is_found(lines: list[str], complaint: str) -> None:
    assert last_complaint("\n".join(lines)) == complaint
