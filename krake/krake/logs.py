"""Logging: the format of all processes, and the ``log`` section of their configuration."""

import logging
import logging.config
from collections.abc import Mapping
from typing import Any

FORMAT = "%(asctime)s - [%(name)s] - [%(levelname)-5s] - %(message)s"


def configure(log: Mapping[str, Any], level: str = "INFO") -> None:
    """Set logging up by a ``log`` section: a schema of :func:`logging.config.dictConfig` with ``level`` on top.

    An empty section logs to the standard error stream from *level* on.

    :raises ValueError: the section is not such a schema.
    """
    schema = dict(log)
    level = schema.pop("level", level)
    if schema:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **schema})
    else:
        logging.basicConfig(format=FORMAT, level=level, force=True)
    logging.getLogger().setLevel(level)
