"""The command line of a controller."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from krake import config, logs
from krake.client import Client
from krake.controller.runtime.process import Parts, run_process
from krake.controller.runtime.settings import ControllerConfig, SettingsError, ssl_context_of, token_of

C = TypeVar("C", bound=ControllerConfig)


def run_command(
    name: str,
    description: str,
    settings: tuple[type[C], str],
    build: Callable[[C, Client], Parts],
    argv: Sequence[str] | None = None,
) -> int:
    """Read the configuration of a controller and run it until a signal ends it; return the exit status.

    :param settings: the class of the configuration and the name of its file.
    """
    cls, file_name = settings
    chosen = config.parse(cls, file_name, description, argv, verify=verify)
    try:
        logs.configure(chosen.log)
    except (ValueError, OSError) as error:
        print(f"krake-{name}: {error}", file=sys.stderr)
        return 1
    return run_process(name, partial(build, chosen), chosen)


def verify(config: ControllerConfig) -> None:
    """Raise ValueError or OSError for what a controller would not start with."""
    logs.configure(config.log)
    try:
        ssl_context_of(config.tls)
        token_of(config)
    except SettingsError as error:
        raise ValueError(str(error)) from None
