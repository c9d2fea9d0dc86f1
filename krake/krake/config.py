"""Configuration: one description, read from a file, the environment and the command line.

A configuration is a :class:`~krake.data.record.Record`; its fields are the keys. ``tls.enabled`` is the key of a YAML file,
``KRAKE_TLS_ENABLED`` the variable and ``--tls-enabled`` the option. An option beats the variable, the variable beats the file,
and the file beats the default. The key ``log`` is special: it is a schema of :mod:`logging.config` and is handed over as it is.
"""

import argparse
import os
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from marshmallow import ValidationError

from krake.data.record import FieldInfo, Record, fields_of
from krake.data.schema import flatten_errors

R = TypeVar("R", bound=Record)

SYSTEM_DIRECTORY = Path("/etc/krake")
SCALARS = (str, int, float, bool)


class ConfigError(Exception):
    """The configuration can not be used; the message says which key of which source is wrong."""


def parse(
    cls: type[R], file_name: str, description: str, argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> R:
    """Return the configuration of a component; on a mistake, say what is wrong and exit with status 1 (2 for a wrong option).

    :param file_name: of the file that is looked for in the working directory, then in ``/etc/krake``. No file is no mistake.
    """
    parser = _parser(cls, file_name, description)
    options = vars(parser.parse_args(argv))
    try:
        return read(cls, file_name, options.pop("config"), options, os.environ if environ is None else environ)
    except ConfigError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def read(cls: type[R], file_name: str, path: str | None, options: Mapping[str, Any], environ: Mapping[str, str]) -> R:
    """Return the configuration of all sources.

    :param options: values of the command line by dotted path; ``None`` is one that was not given.
    :raises ConfigError: a source can not be read, or holds an unknown key or a wrong value.
    """
    source = _find_file(file_name, path)
    values = _read_file(source) if source else {}
    if unknown := list(_unknown_keys(cls, values)):
        raise ConfigError(_list_errors(source, [(key, "Unknown key.") for key in unknown]))
    for dotted, _ in leaves(cls):
        variable = "KRAKE_" + dotted.upper().replace(".", "_")
        if variable in environ:
            _put(values, dotted, environ[variable])
        if options.get(dotted) is not None:
            _put(values, dotted, options[dotted])
    try:
        return cls.deserialize(values)
    except ValidationError as error:
        raise ConfigError(_list_errors(source, flatten_errors(error.messages))) from None


def _list_errors(source: Path | None, errors: typing.Iterable[tuple[str, str]]) -> str:
    lines = [f" - field '{field}': {message}" for field, message in errors]
    return "\n".join([f"Parsing configuration failed with error(s) in {source or 'options or environment'}:", *lines])


def leaves(cls: type[Record], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted path and the field of each key that can be set by an option or a variable."""
    for info in fields_of(cls):
        dotted = f"{path}{info.name}"
        if isinstance(info.type, type) and issubclass(info.type, Record):
            yield from leaves(info.type, f"{dotted}.")
        elif info.type in SCALARS or info.type == list[str]:
            yield dotted, info


def _parser(cls: type[Record], file_name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "-c", "--config", metavar="FILE", help=f"configuration file (otherwise ./{file_name}, {SYSTEM_DIRECTORY}/{file_name})"
    )
    for dotted, info in leaves(cls):
        if info.flags.secret:
            continue  # All users of the machine can read the command lines of processes.
        name = "--" + dotted.replace(".", "-").replace("_", "-")
        shown = "required" if info.required else f"default: {info.make_default()!r}"
        options: dict[str, Any] = {"dest": dotted, "default": argparse.SUPPRESS, "help": shown}
        if info.type is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif info.type == list[str]:
            options |= {"action": "append", "metavar": "TEXT"}
        else:
            options |= {"type": info.type, "metavar": info.type.__name__.upper()}
        parser.add_argument(name, **options)
    return parser


def _find_file(file_name: str, path: str | None) -> Path | None:
    if path is not None:
        if not Path(path).exists():
            raise ConfigError(f"The configuration file '{path}' does not exist.")
        return Path(path)
    return next((each for each in (Path(file_name), SYSTEM_DIRECTORY / file_name) if each.is_file()), None)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The configuration file '{path}' can not be read: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"The configuration file '{path}' must hold a mapping of keys.")
    return {key: _underscored(value) if key != "log" else value for key, value in _underscored_keys(values).items()}


def _underscored(value: Any) -> Any:
    return {key: _underscored(each) for key, each in _underscored_keys(value).items()} if isinstance(value, dict) else value


def _underscored_keys(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def _unknown_keys(cls: type[Record], values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    known = {info.name: info for info in fields_of(cls)}
    for key, value in values.items():
        if key not in known:
            yield f"{path}{key}"
        elif isinstance(value, Mapping) and isinstance(known[key].type, type) and issubclass(known[key].type, Record):
            yield from _unknown_keys(known[key].type, value, f"{path}{key}.")


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    for section in sections:
        inner = values.get(section)
        values[section] = values = dict(inner) if isinstance(inner, Mapping) else {}
    values[key] = value
