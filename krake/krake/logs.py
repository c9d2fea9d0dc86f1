"""Logging: the formats of all processes, and the ``log`` section of their configuration.

Whatever a message holds, it can not pass for another record: as text, each record begins in the first column and each further
line of it (of a traceback, for example) is indented; as JSON, each record is one line.
"""

import json
import logging
import logging.config
import re
from collections.abc import Iterator, Mapping
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from krake.lib import context

FORMAT = "%(asctime)s - [%(name)s] - [%(levelname)-5s] - %(message)s"
FORMATS = ("text", "json")

_INDENTATION = "  | "
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that end a line, or that make a terminal show something else than what is there."""
_CONTROL_BUT_NEWLINE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure(log: Mapping[str, Any], level: str = "INFO") -> None:
    """Set logging up by a ``log`` section: a schema of :func:`logging.config.dictConfig` with ``level`` and ``format`` on top.

    A section without such a schema logs to the standard error stream from *level* on. The *format* ``json`` replaces the
    formatters of the schema.

    :raises ValueError: the section is not such a schema.
    """
    schema = dict(log)
    level = schema.pop("level", level)
    chosen = schema.pop("format", "text")
    if chosen not in FORMATS:
        raise ValueError(f"log.format: {chosen!r} is not one of {', '.join(FORMATS)}.")
    if schema:
        _apply(_without_unused(schema))
    else:
        logging.basicConfig(format=FORMAT, level=level, force=True)
    logging.getLogger().setLevel(level)
    for handler in _handlers():
        handler.setFormatter(JsonFormatter() if chosen == "json" else TextFormatter(handler.formatter))


def _apply(schema: dict[str, Any]) -> None:
    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **schema})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        # The first cause says best what is wrong.
        cause = error.__cause__.__cause__ or error.__cause__ if error.__cause__ else None
        raise ValueError(f"log: {error}" + (f" ({cause})" if cause else "")) from None


def _without_unused(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without the handlers that no logger has, so that no files are opened for them; makes the folders of the
    files of those that are left."""
    handlers, loggers = schema.get("handlers"), schema.get("loggers")
    if not isinstance(handlers, Mapping):
        return schema
    named = [schema.get("root"), *(loggers.values() if isinstance(loggers, Mapping) else ())]
    used = [name for each in named if isinstance(each, Mapping) for name in each.get("handlers") or ()]
    for handler in filter(lambda each: isinstance(each, Mapping), handlers.values()):
        used += [handler.get("target"), *(handler.get("handlers") or ())]
    kept = {name: handler for name, handler in handlers.items() if name in used}
    for handler in kept.values():
        if isinstance(handler, Mapping) and isinstance(file := handler.get("filename"), str):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
    return {**schema, "handlers": kept}


def _handlers() -> Iterator[logging.Handler]:
    loggers = [logging.getLogger(), *logging.getLogger().manager.loggerDict.values()]
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            yield from logger.handlers


class TextFormatter(logging.Formatter):
    """Formats as another formatter does, but so that nobody can forge a record.

    :param inner: that other one.
    """

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if _CONTROL.search(message):
            record = copy(record)
            record.msg, record.args = _CONTROL.sub(_escape, message), None
        text = self._inner.format(record)
        if "\n" in text:
            text = text.replace("\n", f"\n{_INDENTATION}")
        return _CONTROL_BUT_NEWLINE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class JsonFormatter(logging.Formatter):
    """One JSON object in one line: ``time``, ``level``, ``logger``, ``message``, and where there is one, ``request_id``,
    ``key`` (what a controller works on) and ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request_id := context.request_id.get()) is not None:
            entry["request_id"] = request_id
        if (key := context.key.get()) is not None:
            entry["key"] = key
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)
