"""Configuration: one description, read from a file, the environment and the command line.

A configuration is a :class:`~krake.data.record.Record`; its fields are the keys. ``tls.enabled`` is the key of a YAML file,
``KRAKE_TLS_ENABLED`` the variable and ``--tls-enabled`` the option. An option beats the variable, the variable beats the file,
and the file beats the default. A list of texts is given by repeating the option, and with commas or blanks in the variable;
what has deeper contents (``log``) is given as YAML. The key ``log`` is special: it is a schema of :mod:`logging.config` and is
handed over as it is.
"""

import argparse
import difflib
import os
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
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


@dataclass
class Values:
    """The values of all sources, and by the path of each key (``tls.enabled``) where it was said."""

    tree: dict[str, Any] = dataclass_field(default_factory=dict)
    places: dict[str, str] = dataclass_field(default_factory=dict)

    def place_of(self, path: str) -> str:
        """Where *path*, or the innermost section around it that was said at all, stands; nothing if it is a default."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get(path, "")

    def put(self, path: str, value: Any, place: str) -> None:
        """Set a key, in a section that is there or not."""
        self.places[path] = place
        values = self.tree
        *sections, key = path.split(".")
        for section in sections:
            inner = values.get(section)
            values[section] = values = dict(inner) if isinstance(inner, Mapping) else {}
        values[key] = value


def parse(
    cls: type[R],
    file_name: str,
    description: str,
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    verify: Callable[[R], None] = lambda config: None,
) -> R:
    """Return the configuration of a component; on a mistake, say what is wrong and exit with status 1 (2 for a wrong option).

    With ``--check``, say that nothing is wrong and exit with status 0.

    :param file_name: of the file that is looked for in the working directory, then in ``/etc/krake``. No file is no mistake.
    :param verify: asked by ``--check``, too; raises ValueError or OSError for what the component would not start with.
    """
    parser = _parser(cls, file_name, description)
    options = vars(parser.parse_args(argv))
    path, check = options.pop("config"), options.pop("check")
    try:
        config = read(cls, file_name, path, options, os.environ if environ is None else environ)
        if check:
            verify(config)
    except (ConfigError, ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if check:
        print(f"The configuration is in order ({find_file(file_name, path) or 'there is no file'}).")
        raise SystemExit(0)
    return config


def read(cls: type[R], file_name: str, path: str | None, options: Mapping[str, Any], environ: Mapping[str, str]) -> R:
    """Return the configuration of all sources.

    :param options: values of the command line by dotted path; ``None`` is one that was not given.
    :raises ConfigError: a source can not be read, or holds an unknown key or a wrong value.
    """
    source = find_file(file_name, path)
    values = _read_file(source) if source else Values()
    _leave_out_empty_sections(cls, values.tree)
    if unknown := list(_unknown_keys(cls, values.tree)):
        raise ConfigError(_list_errors(unknown, values))
    for dotted, info in leaves(cls):
        variable, option = "KRAKE_" + dotted.upper().replace(".", "_"), _option(dotted)
        if variable in environ:
            values.put(dotted, _read_text(info, environ[variable], variable), f"variable {variable}")
        if options.get(dotted) is not None:
            values.put(dotted, _read_text(info, options[dotted], option), f"option {option}")
    try:
        return cls.deserialize(values.tree)
    except ValidationError as error:
        raise ConfigError(_list_errors(flatten_errors(error.messages), values)) from None


def _list_errors(errors: typing.Iterable[tuple[str, str]], values: Values) -> str:
    lines = []
    for path, message in errors:
        place = values.place_of(path)
        lines.append(f" - field '{path}': {message}" + (f" ({place})" if place else ""))
    return "\n".join(["Parsing configuration failed with error(s):", *lines])


def leaves(cls: type[Record], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted path and the field of each key that is no section."""
    for info in fields_of(cls):
        if section := _section(info):
            yield from leaves(section, f"{path}{info.name}.")
        else:
            yield f"{path}{info.name}", info


def _section(info: FieldInfo) -> type[Record] | None:
    return info.type if isinstance(info.type, type) and issubclass(info.type, Record) else None


def _option(dotted: str) -> str:
    return "--" + dotted.replace(".", "-").replace("_", "-")


def _parser(cls: type[Record], file_name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "-c", "--config", metavar="FILE", help=f"configuration file (otherwise ./{file_name}, {SYSTEM_DIRECTORY}/{file_name})"
    )
    parser.add_argument(
        "--check", action="store_true", default=False, help="say whether the configuration is in order, and exit"
    )
    for dotted, info in leaves(cls):
        if info.flags.secret:
            continue  # All users of the machine can read the command lines of processes.
        shown = "required" if info.required else f"default: {info.make_default()!r}".replace("%", "%%")
        options: dict[str, Any] = {"dest": dotted, "default": argparse.SUPPRESS, "help": shown}
        if info.type is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif info.type == list[str]:
            options |= {"action": "append", "metavar": "TEXT"}
        elif info.type in SCALARS:
            options |= {"type": info.type, "metavar": info.type.__name__.upper()}
        else:
            options["metavar"] = "YAML"
        parser.add_argument(_option(dotted), **options)
    return parser


def _read_text(info: FieldInfo, value: Any, place: str) -> Any:
    """Return the value of a variable or an option: of a text, what it means for this key."""
    if not isinstance(value, str) or info.type in SCALARS:
        return value
    if info.type == list[str]:
        return value.replace(",", " ").split()
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"{place} must hold YAML.") from None


def find_file(file_name: str, path: str | None) -> Path | None:
    """Return the file to read, if there is one. Raises ConfigError if *path* is named but is not there."""
    if path is not None:
        if not Path(path).exists():
            raise ConfigError(f"The configuration file '{path}' does not exist.")
        return Path(path)
    return next((each for each in (Path(file_name), SYSTEM_DIRECTORY / file_name) if each.is_file()), None)


def _read_file(path: Path) -> Values:
    try:
        text = path.read_text(encoding="utf-8")
        tree, node = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"The configuration file '{path}' can not be read: {error}") from None
    if tree is None:
        return Values()
    if not isinstance(tree, dict):
        raise ConfigError(f"The configuration file '{path}' must hold a mapping of keys.")
    lines: dict[str, int] = {}
    for key, line in _lines_of(node, ""):
        if key in lines:
            raise ConfigError(f"The key '{key}' stands twice in '{path}': in line {lines[key]} and in line {line}.")
        lines[key] = line
    places = {key: f"{path}, line {line}" for key, line in lines.items()}
    return Values(
        {key: _underscored(value) if key != "log" else value for key, value in _underscored_keys(tree).items()}, places
    )


def _lines_of(node: yaml.Node | None, path: str) -> Iterator[tuple[str, int]]:
    """Yield the path of each key and item below *node*, with the line that it stands in."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value) if f"{path}.".startswith("log.") else str(key.value).replace("-", "_")
            inner = f"{path}.{name}" if path else name
            yield inner, key.start_mark.line + 1
            yield from _lines_of(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield f"{path}[{index}]", item.start_mark.line + 1
            yield from _lines_of(item, f"{path}[{index}]")


def _underscored(value: Any) -> Any:
    return {key: _underscored(each) for key, each in _underscored_keys(value).items()} if isinstance(value, dict) else value


def _underscored_keys(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def _leave_out_empty_sections(cls: type[Record], values: dict[str, Any]) -> None:
    """A section of which all keys are commented out is as good as none."""
    for info in fields_of(cls):
        section = _section(info)
        value = values.get(info.name)
        if value is None and (section or info.type == dict[str, Any]):
            values.pop(info.name, None)
        elif section and isinstance(value, dict):
            _leave_out_empty_sections(section, value)


def _unknown_keys(cls: type[Record], values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    known = {info.name: info for info in fields_of(cls)}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            yield f"{path}{key}", "Unknown key." + (f" Did you mean '{path}{near[0]}'?" if near else "")
        elif isinstance(value, Mapping) and (section := _section(known[key])):
            yield from _unknown_keys(section, value, f"{path}{key}.")
