"""The options and words of commands, each described once, and how they are read."""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rok.errors import Misuse

FORMATS = ("table", "wide", "json", "yaml", "name")
STRATEGIES = ("give_up", "delete")
SHUTDOWN_TIMEOUT = 60
"""Seconds that a shutdown hook is given if the user does not say."""
WAIT_TIMEOUT = 300.0
"""Seconds that ``--wait`` waits if the user does not say."""
CREATION_TIMEOUT = 3600.0
"""The same, where a cluster is created, or changed, on a cloud."""


@dataclass(frozen=True)
class Flag:
    """An option, or a word if its name has no hyphen; *settings* are those of :meth:`argparse.ArgumentParser.add_argument`."""

    names: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Let *parser* read this flag."""
        parser.add_argument(*self.names, **self.settings)


@dataclass(frozen=True)
class Exclusive:
    """Flags of which only one may be given."""

    flags: tuple[Flag, ...]

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Let *parser* read one of these flags."""
        group = parser.add_mutually_exclusive_group()
        for each in self.flags:
            each.add_to(group)


Flags = tuple[Flag | Exclusive, ...]


def flag(*names: str, **settings: Any) -> Flag:
    """Describe an option or a word."""
    return Flag(names, settings)


def switch(*names: str, help: str) -> Flag:
    """Describe an option without a value."""
    return flag(*names, action="store_true", help=help)


class AppendMetric(argparse.Action):
    """Gathers ``--metric NAME WEIGHT`` and ``--global-metric NAME WEIGHT`` in one list of references."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Append a reference to a metric."""
        name, text = values
        try:
            weight = float(text)
        except ValueError:
            raise argparse.ArgumentError(self, f"the weight {text!r} of the metric {name!r} is not a number") from None
        reference = {"name": name, "weight": weight, "namespaced": self.const}
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), reference])


def read_pair(what: str) -> Callable[[str], tuple[str, str]]:
    """Return a reader of ``KEY=VALUE``."""

    def read(text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Misuse(f"the {what} {text!r} is not KEY=VALUE: write for example location=DE")
        return key, value

    return read


def read_name(text: str) -> str:
    """Read what becomes a part of the path of a request."""
    if text in ("", ".", ".."):
        raise Misuse(f"{text!r} is not a name: use letters, digits, '_', '-', '.' and ':'")
    return text


def read_seconds(text: str) -> float:
    """Read a time limit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise Misuse(f"the time limit {text!r} is not a number of seconds above 0")
    return seconds


@dataclass(frozen=True)
class Shutdown:
    """What ``--hook-shutdown`` says; ``None`` is left to Krake."""

    timeout: int = SHUTDOWN_TIMEOUT
    strategy: str | None = None
    retries: int | None = None


def read_shutdown(text: str) -> Shutdown:
    """Read ``[SECONDS[,STRATEGY[,RETRIES]]]``, what :func:`separate` makes of the words after ``--hook-shutdown``."""
    words = [word.strip() for word in text.split(",")] if text else []
    fits = len(words) <= 3 and all(pattern.fullmatch(word) for pattern, word in zip(_SHUTDOWN_WORDS, words, strict=False))
    if not fits:
        raise Misuse(f"--hook-shutdown {text!r} is not [SECONDS [give_up|delete [RETRIES]]]: write for example 60 delete 3")
    return Shutdown(
        timeout=int(words[0]) if words else SHUTDOWN_TIMEOUT,
        strategy=words[1] if len(words) > 1 else None,
        retries=int(words[2]) if len(words) > 2 else None,
    )


_SHUTDOWN_WORDS = (re.compile(r"\d+"), re.compile("|".join(STRATEGIES)), re.compile(r"\d+"))
_OPTION = re.compile(r"(--[a-z][\w-]*)((?:=.*)?)", re.DOTALL)
_STATE = re.compile("pending|creating|connecting|running|online|reconciling|drained|deleting|deleted")
_PAIR = re.compile(r"[^-=][^=]*=.*", re.DOTALL)


def separate(argv: Sequence[str]) -> list[str]:
    """Return the words of a command line as argparse can read them.

    Underscores in names of options become hyphens. An option whose values are optional takes only the words that can be its
    values, so that the name of the object may follow it.
    """
    words = list(argv)
    out: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            return [*out, word, *words]
        match = _OPTION.fullmatch(word)
        if match is None and word != "-i":
            out.append(word)
            continue
        option, value = (match[1].replace("_", "-"), match[2]) if match else (word, "")
        out += [option + value] if value else _with_values(option, words)
    return out


def _with_values(option: str, rest: list[str]) -> Iterator[str]:
    """Yield an option with its values, which are taken from *rest*."""
    if _abbreviates(option, "--hook-shutdown", "--hook-s"):
        yield f"--hook-shutdown={','.join(_take(rest, _SHUTDOWN_WORDS))}"
    elif _abbreviates(option, "--wait", "--w"):
        yield f"--wait={''.join(_take(rest, (_STATE,)))}"
    elif option == "-i" or _abbreviates(option, "--inject", "--inj"):
        yield option
        yield from rest[:1]
        del rest[:1]
        while rest and _PAIR.fullmatch(rest[0]):
            yield from (option, rest.pop(0))
    else:
        yield option


def _abbreviates(option: str, full: str, shortest: str) -> bool:
    return option.startswith(shortest) and full.startswith(option)


def _take(rest: list[str], patterns: Iterable[re.Pattern[str]]) -> Iterator[str]:
    for pattern in patterns:
        if not rest or not pattern.fullmatch(rest[0]):
            return
        yield rest.pop(0)


NAME = flag("name", type=read_name, help="name of the object")
NAMESPACE = flag("-n", "--namespace", type=read_name, help="namespace (default: the user of the configuration)")
ALL = switch("-a", "--all", help="list the objects of all namespaces")
OUTPUT = flag(
    "-o",
    "--output",
    choices=FORMATS,
    default="table",
    help="format of the output (default: table, with as many columns as the terminal has room for; wide shows all)",
)
CONFIG = flag("--config", metavar="FILE", help="configuration file (default: rok.yaml here, in ~/.config or in /etc/rok)")
COMMON: Flags = (NAMESPACE, OUTPUT, CONFIG)
EVERYWHERE: Flags = (OUTPUT, CONFIG)
"""What is common to the commands for kinds without namespaces."""

LABEL = flag(
    "-l",
    "--label",
    dest="labels",
    metavar="KEY=VALUE",
    action="append",
    type=read_pair("label"),
    default=[],
    help="label of the object; may be repeated",
)
METRICS: Flags = (
    flag(
        "--metric",
        dest="metrics",
        action=AppendMetric,
        const=True,
        nargs=2,
        metavar=("NAME", "WEIGHT"),
        default=[],
        help="metric of the same namespace and its weight; may be repeated",
    ),
    flag(
        "--global-metric",
        dest="metrics",
        action=AppendMetric,
        const=False,
        nargs=2,
        metavar=("NAME", "WEIGHT"),
        default=[],
        help="global metric and its weight; may be repeated",
    ),
)
GLOBAL_METRIC = METRICS[1]
BACKOFF: Flags = (
    flag(
        "--backoff", type=int, metavar="FACTOR", help="what the delay grows by after each failed attempt (Krake's default: 1)"
    ),
    flag("--backoff-delay", type=int, metavar="SECONDS", help="time between attempts (Krake's default: 1)"),
    flag(
        "--backoff-limit", type=int, metavar="ATTEMPTS", help="attempts before giving up, -1 for no limit (Krake's default: -1)"
    ),
)
NO_WAIT = switch("--no-wait", help="answer at once, before it was checked")
REMOVE_LABELS = switch("--remove-existing-labels", help="drop the labels that are not given anew")
REMOVE_METRICS = switch("--remove-existing-metrics", help="drop the metrics that are not given anew")
CASCADE = switch("--cascade", help="delete the applications of the cluster as well, instead of moving them elsewhere")
FORCE = switch("--force", help="remove the object from Krake at once, whatever is left of it outside")


def repeated(*names: str, dest: str, metavar: str, help: str, read: Callable[[str], Any] = str) -> Flag:
    """Describe an option that may be given several times."""
    return flag(*names, dest=dest, metavar=metavar, action="append", default=[], type=read, help=f"{help}; may be repeated")


def wait(*states: str, default: str, timeout: float | None = WAIT_TIMEOUT, depending: str = "") -> Flags:
    """Describe ``--wait [STATE]`` for a command that can wait for *states*.

    :param timeout: in seconds, if the user does not say; ``None`` if it depends on other options.
    :param depending: how it does so, in words.
    """

    def read(text: str) -> str:
        if (text or default) in states:
            return text or default
        raise Misuse(f"--wait can not wait for {text!r} here: choose {', '.join(states)}")

    return (
        flag(
            "--wait",
            type=read,
            metavar=f"[{'|'.join(states)}]",
            help=f"answer when this state is reached (without a word: {default})",
        ),
        flag(
            "--timeout",
            type=read_seconds,
            default=timeout,
            metavar="SECONDS",
            help=f"how long to wait (default: {depending if timeout is None else format(timeout, '.0f')})",
        ),
    )


def joined(kept: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """Return both lists as one, without what is given twice."""
    return [*kept, *(each for index, each in enumerate(given) if each not in kept and each not in given[:index])]


def merged_metrics(kept: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return both lists of references; of a metric that is given anew only the new weight counts."""
    anew = {(each["name"], each["namespaced"]) for each in given}
    stay = [each for each in kept if (each["name"], each["namespaced"]) not in anew]
    return joined(stay, given)


def check_labels(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return labels as a mapping; of a key that is given twice the last counts.

    :raises Misuse: a key or a value is not allowed.
    """
    if pairs:
        from krake.data.names import label_key_problem, label_value_problem

        for key, value in pairs:
            if label_key_problem(key):
                raise Misuse(f"the label key {key!r} is not allowed: {_LABEL_RULE}, perhaps after a prefix and a slash")
            if label_value_problem(value):
                raise Misuse(f"the value {value!r} of the label {key!r} is not allowed: {_LABEL_RULE}")
    return dict(pairs)


_LABEL_RULE = "use 1 to 63 letters, digits, '_', '-' and '.', with a letter, digit or '_' at both ends"
