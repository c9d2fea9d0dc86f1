"""What the table of commands is made of."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rok import flags, verbs
from rok.cells import Object
from rok.errors import Misuse
from rok.flags import Flags
from rok.output import Result, View
from rok.registration import Check, change_registered
from rok.verbs import Call
from rok.waiting import DELETED

Run = Callable[[Call], Result]
MISUSE = Misuse.status


@dataclass(frozen=True)
class Operation:
    """A command: what it is called, what it reads and what it does.

    :param misuse: the exit status where its words are wrong.
    :param remark: what is said below its options.
    """

    name: str
    summary: str
    flags: Flags
    run: Run
    misuse: int = MISUSE
    remark: str | None = None


@dataclass(frozen=True)
class Resource:
    """A kind, and the commands for it."""

    name: str
    aliases: tuple[str, ...]
    summary: str
    view: View
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Single:
    """A command that is about no kind; *view* shows what it answers."""

    view: View
    operation: Operation


@dataclass(frozen=True)
class Group:
    """An API and its kinds, or commands that are about no kind."""

    name: str
    aliases: tuple[str, ...]
    summary: str
    resources: tuple[Resource, ...] = ()
    commands: tuple[Single, ...] = ()


LIST: Flags = (flags.ALL, *flags.COMMON)
ONE: Flags = (flags.NAME, *flags.COMMON)
NewObject = Callable[[str, argparse.Namespace], Object]
"""Makes the body of a request from the name of a kind and the words of a command."""


def written(
    names: tuple[str, ...],
    summary: str,
    view: View,
    create: Flags,
    update: Flags,
    new: NewObject,
    change: verbs.Change,
    *,
    show: Run = verbs.get_object,
    list_all: Run = verbs.list_objects,
) -> Resource:
    """Return the commands for a kind that is only written down: nothing of it is waited for."""
    what, (name, *aliases) = summary.split(":")[0], names
    common = flags.COMMON if view.route.namespaced else flags.EVERYWHERE
    one, several = (flags.NAME, *common), LIST if view.route.namespaced else common
    operations = (
        Operation("list", f"list {what}s", several, list_all),
        Operation(
            "create",
            f"create a {what}",
            (*create, *common),
            partial(verbs.create_object, body=partial(new, view.kind), goals={}),
        ),
        Operation("get", f"show a {what}", one, show),
        Operation("update", f"change a {what}", (*update, *common), partial(verbs.update_object, change=change, goals={})),
        Operation("delete", f"delete a {what}", one, partial(verbs.delete_object, goals={})),
    )
    return Resource(name, tuple(aliases), summary, view, operations)


def registered(
    names: tuple[str, ...],
    summary: str,
    view: View,
    register: Flags,
    update: Flags,
    run: Run,
    change: verbs.Change,
    check: Check,
    *,
    losses: str = "",
) -> Resource:
    """Return the commands for what exists outside of Krake, and is checked from time to time.

    :param losses: what is deleted with an object, as it is said to users.
    """
    what, (name, *aliases) = summary.split(":")[0], names
    common = flags.COMMON if view.route.namespaced else flags.EVERYWHERE
    operations = (
        Operation("list", f"list {what}s", LIST if view.route.namespaced else common, verbs.list_objects),
        Operation("register", f"register a {what} that exists", (*register, *common), run),
        Operation("get", f"show a {what}", (flags.NAME, *common), verbs.get_object),
        Operation("update", f"change a {what}", (*update, *common), partial(change_registered, change=change, check=check)),
        Operation(
            "delete",
            f"delete a {what}{losses}",
            (flags.NAME, flags.FORCE, *flags.wait("deleted", default="deleted"), *common),
            partial(verbs.delete_object, goals={"deleted": DELETED}),
        ),
    )
    return Resource(name, tuple(aliases), summary, view, operations)
