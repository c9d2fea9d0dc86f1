"""What stands in the logs, whatever somebody puts into a message."""

import io
import json
import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krake import logs
from krake.lib import context


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    formatters = [handler.formatter for handler in handlers]
    yield
    root.handlers[:] = handlers
    for handler, formatter in zip(handlers, formatters, strict=True):
        handler.setFormatter(formatter)
    root.setLevel(level)


def written(log: dict[str, Any], write: Any) -> str:
    """What *write* does to the log of a process that is configured by *log*."""
    stream = io.StringIO()
    handler = {"class": "logging.StreamHandler", "stream": stream, "formatter": "plain"}
    schema = {"formatters": {"plain": {"format": "%(name)s: %(message)s"}}, "handlers": {"h": handler}}
    logs.configure({**schema, "root": {"handlers": ["h"]}, **log})
    write(logging.getLogger("krake.test"))
    return stream.getvalue()


def fail(logger: logging.Logger, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("It failed: %s", text)


@given(st.text())
def test_as_text_nothing_passes_for_another_record(text: str) -> None:
    formatter = logs.TextFormatter(logging.Formatter("RECORD %(message)s"))
    for error in (None, (ValueError, ValueError(text), None)):
        record = logging.LogRecord("krake", logging.INFO, __file__, 1, "%s", (text,), error)
        first, *others = formatter.format(record).splitlines()
        assert first.startswith("RECORD ")
        assert all(line.startswith("  | ") for line in others)
        assert error is not None or not others


@given(st.text())
def test_as_json_each_record_is_a_line(text: str) -> None:
    record = logging.LogRecord("krake", logging.INFO, __file__, 1, "%s", (text,), (ValueError, ValueError(text), None))
    (line,) = logs.JsonFormatter().format(record).splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("INFO", "krake", text)
    assert text in entry["exception"]


def test_text_that_deceives_terminals_is_escaped() -> None:
    text = written({}, lambda logger: logger.info("a\r\x1b[2Jb\x85\u2028\u202ec\td"))
    assert text == "krake.test: a\\r\\x1b[2Jb\\x85\\u2028\\u202ec\td\n"


def test_a_traceback_is_readable_and_indented() -> None:
    lines = written({}, lambda logger: fail(logger, "x\nkrake.test: forged")).splitlines()
    assert lines[0] == "krake.test: It failed: x\\nkrake.test: forged"
    assert lines[1] == "  | Traceback (most recent call last):"
    assert lines[-2:] == ["  | ValueError: x", "  | krake.test: forged"]


def test_json_names_the_request_and_the_key() -> None:
    context.request_id.set("id-1")
    context.key.set("app ns/a")
    text = written({"format": "json", "level": "WARNING"}, lambda logger: (logger.info("quiet"), fail(logger, "x\ny")))
    entry = json.loads(text)
    assert entry["time"].endswith("+00:00")
    assert (entry["request_id"], entry["key"]) == ("id-1", "app ns/a")
    assert entry["exception"].startswith("Traceback")


def test_a_format_that_is_not_known() -> None:
    with pytest.raises(ValueError, match=r"log.format: 'xml' is not one of text, json\."):
        logs.configure({"format": "xml"})


def file_handlers(folder: Path) -> dict[str, Any]:
    return {name: {"class": "logging.FileHandler", "filename": str(folder / name / "krake.log")} for name in ("used", "unused")}


def test_only_handlers_that_are_used_make_files(tmp_path: Path) -> None:
    schema = {"root": {"handlers": ["used"]}, "loggers": {"krake": {"level": "INFO"}}, "handlers": file_handlers(tmp_path)}
    logs.configure({"level": "INFO", **schema})
    logging.getLogger("krake").info("hello")
    assert "hello" in (tmp_path / "used" / "krake.log").read_text()
    assert not (tmp_path / "unused").exists()
    logging.getLogger().handlers[0].close()


def test_what_a_handler_writes_through_is_used(tmp_path: Path) -> None:
    memory = {"class": "logging.handlers.MemoryHandler", "capacity": 1, "target": "used"}
    logs.configure({"root": {"handlers": ["memory"]}, "handlers": file_handlers(tmp_path) | {"memory": memory}})
    logging.getLogger("krake").info("hello")
    assert "hello" in (tmp_path / "used" / "krake.log").read_text()
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.handlers.MemoryHandler)
    assert handler.target is not None
    handler.target.close()


@pytest.mark.parametrize("schema", [{"handlers": 5}, {"root": {"handlers": ["none"]}}, {"root": 5}, {"level": "LOUD"}])
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        logs.configure(schema)
