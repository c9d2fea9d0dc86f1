"""What Krake asks for. No verb waits for its outcome, and each may be asked again, and be killed at any moment."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realkube.kubeconfigs import leave_one_context
from realkube.process import free_port

from . import keeper
from .folder import Folder, Folders, Plan
from .template import hosts_of

_MARK = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

Answer = dict[str, Any]
Question = Mapping[str, Any]


class NotThere(Exception):
    """There is no such cluster."""


class TooMany(Exception):
    """There are as many clusters as may be."""


class Incomplete(Exception):
    """A question lacks something."""


class Verbs:
    """The verbs, on the clusters below a folder; each method but those that begin with ``_`` is one.

    Args:
        most: So many clusters may be there.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._folders = Folders(path)
        self._most = most

    def ask(self, verb: str, question: Question) -> Answer:
        """Return the answer of a verb. Raises one of the errors of this package."""
        verbs = {
            "check": self.check,
            "list": self.list,
            "create": self.create,
            "observe": self.observe,
            "update": self.update,
            "reconfigure": self.reconfigure,
            "delete": self.delete,
            "kubeconfig": self.kubeconfig,
        }
        with self._folders.alone():
            return verbs[verb](question)

    def check(self, _question: Question) -> Answer:
        """Whether clusters can be made here."""
        return {"version": keeper.provide_binaries().version}

    def list(self, _question: Question) -> Answer:
        """All clusters, half-made ones included: they are named by their marks."""
        return {"infrastructures": [{"id": folder.name, "mark": folder.name} for folder in self._folders]}

    def create(self, question: Question) -> Answer:
        """Begin to make a cluster. There is never a second one with the same mark."""
        folder = self._folders[mark := _text(question, "mark")]
        if not _MARK.fullmatch(mark):
            raise Incomplete(f"The mark {mark[:80]!r} can not name a folder.")
        hosts = hosts_of(_template(question))
        if not folder.exists:
            keeper.provide_binaries()
            if len(list(self._folders)) >= self._most:
                raise TooMany(f"There are {self._most} local clusters, and no more are allowed here; delete one.")
            folder.create(Plan(mark, free_port(), hosts))
        keeper.start(folder)
        return {"id": folder.name}

    def observe(self, question: Question) -> Answer:
        """How a cluster is."""
        folder = self._folder(question)
        plan, report = folder.plan, folder.report
        planned = [host.name for host in plan.hosts]
        if not folder.kept:
            message = report.message or "The cluster does not run: the process that keeps it has ended."
            return {"phase": "unconfigured", "machines": dict.fromkeys(planned, "unconfigured"), "message": message}
        if report.version == plan.version:
            return {"phase": report.phase, "machines": report.machines, "message": report.message}
        machines = {name: report.machines.get(name, "pending") for name in planned}
        return {"phase": "creating", "machines": machines, "message": None}

    def update(self, question: Question) -> Answer:
        """Begin to make a cluster what a template says, and to run if it does not."""
        folder = self._folder(question)
        plan, hosts = folder.plan, hosts_of(_template(question))
        if plan.hosts != hosts:
            folder.plan = dataclasses.replace(plan, hosts=hosts, version=plan.version + 1)
        keeper.start(folder)
        return {}

    def reconfigure(self, question: Question) -> Answer:
        """Begin to start a cluster anew, unless it is being started; what is stored in it remains."""
        folder = self._folder(question)
        if folder.report.phase != "creating":
            folder.kill()
        keeper.start(folder)
        return {}

    def delete(self, question: Question) -> Answer:
        """Remove a cluster."""
        folder = self._folder(question)
        if not folder.kill():
            raise OSError(f"Processes of {folder.name} do not end.")
        folder.drop()
        return {}

    def kubeconfig(self, question: Question) -> Answer:
        """Access to a cluster, once it has been complete."""
        folder = self._folder(question)
        return {"kubeconfig": leave_one_context(json.loads(folder.kubeconfig.read_text())) if folder.report.complete else None}

    def _folder(self, question: Question) -> Folder:
        name = _text(question, "id")
        folder = self._folders[name]
        if not _MARK.fullmatch(name) or not folder.exists:
            raise NotThere(f"There is no cluster {name[:80]!r} in {self._path}.")
        return folder


def _text(question: Question, key: str) -> str:
    if not isinstance(value := question.get(key), str):
        raise Incomplete(f"The question has no text {key!r}.")
    return value


def _template(question: Question) -> Mapping[str, Any]:
    if not isinstance(value := question.get("template"), dict):
        raise Incomplete("The question has no object 'template'.")
    return value
