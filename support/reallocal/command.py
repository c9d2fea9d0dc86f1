"""The command line of `support/local-clusters`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from realkube.binaries import Unavailable
from realkube.process import StartError

from . import keeper
from .folder import Folder, Occupied
from .template import WrongTemplate
from .verbs import Incomplete, NotThere, TooMany, Verbs

_VERBS = ("check", "list", "create", "observe", "update", "reconfigure", "delete", "kubeconfig")
_MOST = 5
_STATUS: dict[type[Exception], int] = {
    Incomplete: os.EX_USAGE,
    WrongTemplate: os.EX_DATAERR,
    TooMany: os.EX_DATAERR,
    NotThere: os.EX_NOINPUT,
    Unavailable: os.EX_UNAVAILABLE,
    StartError: os.EX_UNAVAILABLE,
    OSError: os.EX_UNAVAILABLE,
    Occupied: os.EX_TEMPFAIL,
}
_DESCRIPTION = """\
Make Kubernetes clusters on this machine: the program that Krake asks where a provider has the type `local`.

Each cluster is a kube-apiserver with etcd, kube-controller-manager and kube-scheduler on 127.0.0.1. Its machines are
simulated: Pods become ready and no container runs. Clusters go on when this program, or Krake, ends.
"""
_EPILOG = """\
The question is a JSON object on standard input, the answer one on standard output: see docs/user/local-clusters.md.
In a terminal: `list`; `observe ID`, `kubeconfig ID`, `reconfigure ID` and `delete ID`; and `delete --all`.

Kubernetes must be there: `support/kubernetes --build-only` builds it once, in 4 to 9 minutes.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == [keeper.VERB]:  # nobody types this
        return keeper.keep(Folder(Path(arguments[1])), int(arguments[2]))
    options = _parser().parse_args(arguments)
    try:
        print(json.dumps(_answer(options), indent=2 if sys.stdout.isatty() else None), flush=True)
    except tuple(_STATUS) as error:
        print(_word(error), file=sys.stderr)
        return next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    return 0


def _word(error: Exception) -> str:
    """Say in one line what is wrong."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} can not be used ({error.strerror})."
    return str(error).splitlines()[0]


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    verbs = Verbs(options.dir.absolute(), options.most)
    if options.all:
        ids = [each["id"] for each in verbs.ask("list", {})["infrastructures"]]
        return {"answers": [verbs.ask(options.verb, {"id": each}) for each in ids]}
    return verbs.ask(options.verb, {"id": options.id} if options.id else _question())


def _question() -> dict[str, Any]:
    """Read the question.

    Raises:
        Incomplete: It is none.
    """
    if sys.stdin.isatty():
        return {}
    try:
        question = json.loads(sys.stdin.read() or "{}")
    except ValueError:
        question = None
    if not isinstance(question, dict):
        raise Incomplete("The question on standard input is no JSON object.")
    return question


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "support/local-clusters",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=_VERBS)
    parser.add_argument("id", nargs="?", help="the cluster, instead of a question")
    parser.add_argument("--all", action="store_true", help="do it with all clusters")
    parser.add_argument(
        "--dir", type=Path, default=_state_folder(), help=f"keep the clusters here (default: {_state_folder()})"
    )
    parser.add_argument(
        "--most", type=int, default=_MOST, metavar="N", help=f"so many clusters may be there (default: {_MOST})"
    )
    return parser


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "krake" / "local-clusters"
