"""The table of all commands. To add a group, a resource or an operation is to add an entry."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from rok import __version__, authorization, flags, verbs
from rok.cells import Object
from rok.errors import Failure, Misuse
from rok.flags import Flags
from rok.kinds import applications, clusters, events, maintenance, metrics, placements, plans, providers, quotas, rendering
from rok.output import Result, View
from rok.verbs import Call

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


def _written(
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


TABLE: tuple[Group | Single, ...] = (
    Single(
        plans.VIEW,
        Operation(
            "plan",
            "show what the scheduler would do, now or if something were different",
            plans.FLAGS,
            plans.show_plan,
            1,
            plans.REMARK,
        ),
    ),
    Single(events.VIEW, Operation("events", "show what happened, the latest last", events.FLAGS, events.list_events)),
    Group(
        "kubernetes",
        ("kube",),
        "applications and the clusters they run on",
        (
            Resource(
                "application",
                ("app",),
                "what runs on the clusters",
                applications.VIEW,
                (
                    Operation("list", "list applications", LIST, verbs.list_objects),
                    Operation(
                        "create",
                        "create an application",
                        applications.CREATE_FLAGS,
                        partial(verbs.create_object, body=applications.new_application, goals=applications.CREATE_GOALS),
                    ),
                    Operation("get", "show an application", (*ONE, *rendering.FLAGS), rendering.get_application),
                    Operation(
                        "update",
                        "change an application",
                        applications.UPDATE_FLAGS,
                        partial(verbs.update_object, change=applications.changed_application, goals=applications.UPDATE_GOALS),
                    ),
                    Operation(
                        "delete",
                        "delete an application",
                        applications.DELETE_FLAGS,
                        partial(verbs.delete_object, goals=applications.DELETE_GOALS),
                    ),
                    Operation(
                        "explain",
                        "say why an application is where it is",
                        placements.EXPLAIN_FLAGS,
                        placements.explain_application,
                    ),
                    Operation(
                        "history",
                        "show where an application was, and why it left, the latest last",
                        placements.HISTORY_FLAGS,
                        placements.show_history,
                    ),
                    Operation(
                        "retry",
                        "try anew what has failed: to run, move or delete an application",
                        ONE,
                        partial(verbs.act, action="retry"),
                    ),
                ),
            ),
            Resource(
                "cluster",
                (),
                "what applications run on",
                clusters.VIEW,
                (
                    Operation("register", "register a cluster that exists", clusters.REGISTER_FLAGS, clusters.register_cluster),
                    Operation(
                        "create",
                        "create a cluster on a cloud",
                        clusters.CREATE_FLAGS,
                        partial(verbs.create_object, body=clusters.new_cluster, goals=clusters.CREATE_GOALS),
                    ),
                    Operation("list", "list clusters", LIST, verbs.list_objects),
                    Operation("get", "show a cluster", ONE, clusters.get_cluster),
                    Operation(
                        "update",
                        "change a cluster",
                        clusters.UPDATE_FLAGS,
                        partial(verbs.update_object, change=clusters.changed_cluster, goals=clusters.UPDATE_GOALS),
                    ),
                    Operation(
                        "delete",
                        "delete a cluster, after its applications have gone elsewhere",
                        clusters.DELETE_FLAGS,
                        partial(maintenance.delete_cluster, goals=clusters.DELETE_GOALS),
                    ),
                    Operation(
                        "explain",
                        "say why a cluster is on its cloud",
                        placements.HISTORY_FLAGS,
                        placements.explain_cluster,
                    ),
                    Operation("cordon", "let a cluster take no more applications", ONE, maintenance.cordon_cluster),
                    Operation("uncordon", "let a cluster take applications again", ONE, maintenance.uncordon_cluster),
                    Operation(
                        "drain",
                        "have applications leave a cluster, and let it take no more",
                        maintenance.DRAIN_FLAGS,
                        maintenance.drain_cluster,
                    ),
                    Operation(
                        "taint",
                        "keep applications away from a cluster that do not tolerate it",
                        maintenance.TAINT_FLAGS,
                        maintenance.taint_cluster,
                    ),
                ),
            ),
        ),
    ),
    Group(
        "core",
        (),
        "metrics, where their values come from, and quotas",
        (
            _written(
                ("metricsprovider", "mp"),
                "metrics provider: where the values of metrics come from",
                providers.VIEW,
                providers.CREATE_FLAGS,
                providers.UPDATE_FLAGS,
                providers.new_provider,
                providers.changed_provider,
            ),
            _written(
                ("globalmetricsprovider", "gmp"),
                "global metrics provider: one for all namespaces",
                providers.GLOBAL_VIEW,
                providers.CREATE_FLAGS,
                providers.UPDATE_FLAGS,
                providers.new_provider,
                providers.changed_provider,
            ),
            _written(
                ("metric",),
                "metric: what clusters are ranked by",
                metrics.VIEW,
                metrics.CREATE_FLAGS,
                metrics.UPDATE_FLAGS,
                metrics.new_metric,
                metrics.changed_metric,
            ),
            _written(
                ("globalmetric", "gm"),
                "global metric: one for all namespaces",
                metrics.GLOBAL_VIEW,
                metrics.GLOBAL_CREATE_FLAGS,
                metrics.GLOBAL_UPDATE_FLAGS,
                metrics.new_metric,
                metrics.changed_metric,
            ),
            _written(
                ("quota",),
                "quota: how much of the clusters a namespace may take",
                quotas.VIEW,
                quotas.CREATE_FLAGS,
                quotas.UPDATE_FLAGS,
                quotas.new_quota,
                quotas.changed_quota,
                show=quotas.show_quota,
                list_all=quotas.list_quotas,
            ),
        ),
    ),
    Group(
        "auth",
        (),
        "who you are, and what you may do",
        commands=(
            Single(
                authorization.USER,
                Operation("whoami", "show your name and your roles", authorization.FLAGS, authorization.who_am_i),
            ),
            Single(
                authorization.RULES,
                Operation("can-i", "ask whether you may do something", authorization.ASK_FLAGS, authorization.can_i),
            ),
        ),
    ),
)


class PrintCompletion(argparse.Action):
    """Prints the completion script of a shell."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Print the script and end."""
        import shtab

        print(shtab.complete(parser, values))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Reads the words of a command; *misuse* is the exit status where they are wrong."""

    misuse = MISUSE

    def parse_known_args(self, *args: Any, **settings: Any) -> Any:
        """Read words. Where the status of misuse is an answer of the command, it does not mean misuse."""
        try:
            found, unknown = super().parse_known_args(*args, **settings)
        except Misuse as error:
            if self.misuse == MISUSE:
                raise
            raise Failure(str(error)) from None
        if unknown and self.misuse != MISUSE:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the process."""
        super().exit(self.misuse if status == MISUSE else status, message)


def build_parser(table: Sequence[Group | Single] = TABLE) -> argparse.ArgumentParser:
    """Return the parser of the whole command line.

    What it reads has the attributes ``view`` and ``run`` beside those of the flags.
    """
    parser = Parser(prog="rok", description="The command line of Krake.")
    parser.add_argument("--version", action="version", version=f"rok {__version__}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=("bash", "zsh", "tcsh", "fish"),
        help="print a script that completes the commands of rok in this shell",
    )
    groups = parser.add_subparsers(dest="group", metavar="GROUP", required=True)
    for entry in table:
        if isinstance(entry, Single):
            _add_operation(groups, entry.operation, entry.view)
        else:
            _add_group(groups, entry)
    return parser


def _add_group(groups: Any, group: Group) -> None:
    inner = _add(groups, group).add_subparsers(dest="resource", metavar="RESOURCE", required=True)
    for command in group.commands:
        _add_operation(inner, command.operation, command.view)
    for resource in group.resources:
        operations = _add(inner, resource).add_subparsers(dest="operation", metavar="OPERATION", required=True)
        for operation in resource.operations:
            _add_operation(operations, operation, resource.view)


def _add_operation(parsers: Any, operation: Operation, view: View) -> None:
    leaf = parsers.add_parser(
        operation.name, help=operation.summary, description=_sentence(operation.summary), epilog=operation.remark
    )
    for each in operation.flags:
        each.add_to(leaf)
    leaf.misuse = operation.misuse
    leaf.set_defaults(view=view, run=operation.run)


def _add(parsers: Any, entry: Group | Resource) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parsers.add_parser(
        entry.name, aliases=entry.aliases, help=entry.summary, description=_sentence(entry.summary)
    )
    return parser


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
