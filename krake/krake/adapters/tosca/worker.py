"""The process that reads what users have written: one job from its input, one answer to its output, and no other effects.

A job is a JSON object with the ``template``, or the ``url`` or ``archive`` where it is fetched from, the ``inputs``, and the
``documents`` that are there so far, in base64, by their URL. The answer has the ``manifest``, a ``problem``, or the URLs that
are ``missing``.
"""

import base64
import json
import os
import resource
import sys
from collections.abc import Mapping
from typing import Any

from krake.adapters.tosca.archive import Archive
from krake.adapters.tosca.documents import read_document, read_documents
from krake.data.manifests import object_problems
from krake.data.tosca import Import, InvalidTemplate, imports_of, translate

MEMORY = 1_000_000_000
CPU_SECONDS = 5
DOCUMENT_LIMIT = 50
"""How many documents a template may need."""
OBJECT_LIMIT = 1_000

Answer = dict[str, Any]


def answer(job: Mapping[str, Any]) -> Answer:
    """Return what comes of a job."""
    try:
        return _Reading(job).answer()
    except InvalidTemplate as error:
        return {"problem": str(error)}
    except RecursionError:
        return {"problem": "The template is nested too deeply."}
    except MemoryError:
        return {"problem": "The template needs too much memory."}


class _Reading:
    """The documents of a template, as far as they are there."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = job
        self._fetched = {url: base64.b64decode(content) for url, content in job["documents"].items()}
        self._imported: list[tuple[dict[str, Any], str | None]] = []
        self._missing: list[str] = []
        self._seen: set[Import] = set()
        self._archive: Archive | None = None

    def answer(self) -> Answer:
        job = self._job
        location = job["archive"] or job["url"]
        if location is not None and location not in self._fetched:
            return {"missing": [location]}
        if job["archive"] is not None:
            self._archive = Archive(self._fetched[location], location)
            location = self._archive.entry()
        template = job["template"] if location is None else self._read(location)
        self._gather(template, location)
        if self._missing:
            return {"missing": self._missing}
        return {"manifest": _manifest_of(translate(template, self._imported, job["inputs"]))}

    def _read(self, location: str) -> dict[str, Any]:
        if location in self._fetched:
            return read_document(self._fetched[location], location)
        assert self._archive is not None
        return read_document(self._archive.read(location), f"{location} of the archive")

    def _gather(self, template: dict[str, Any], location: str | None) -> None:
        """Read all that a template imports, and what that imports."""
        pending = imports_of(template, location)
        while pending:
            each = pending.pop(0)
            if each in self._seen:
                continue
            self._seen.add(each)
            if len(self._seen) > DOCUMENT_LIMIT:
                raise InvalidTemplate(f"The template needs more than {DOCUMENT_LIMIT} other documents.")
            if "://" in each.location and each.location not in self._fetched:
                self._missing.append(each.location)
                continue
            document = self._read(each.location)
            self._imported.append((document, each.prefix))
            pending += imports_of(document, each.location)


def _manifest_of(specs: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    manifest: list[dict[str, Any]] = []
    for node, spec in specs:
        what = f"Node {node!r}: its spec"
        objects = read_documents(spec, what) if isinstance(spec, str) else spec if isinstance(spec, list) else [spec]
        if not objects:
            raise InvalidTemplate(f"{what} has no Kubernetes object.")
        for number, each in enumerate(objects, start=1):
            if not isinstance(each, dict):
                raise InvalidTemplate(f"{what}: its document {number} must be a Kubernetes object, not {each!r:.40}.")
            for problem in object_problems(each, number - 1):
                raise InvalidTemplate(f"{what}: {problem}.")
        manifest += objects
        if len(manifest) > OBJECT_LIMIT:
            raise InvalidTemplate(f"The template has more than {OBJECT_LIMIT} Kubernetes objects.")
    return manifest


def main() -> None:
    """Do one job."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = json.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(answer(job)).encode())


if __name__ == "__main__":
    main()
