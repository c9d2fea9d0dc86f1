"""One pair of Jobs: makes what is missing of it, and reads how far it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from krake.controller.kubernetes.application.pods import trouble_of
from krake.controller.kubernetes.application.settings import MigrationConfig
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.application.volumes import transfer
from krake.controller.kubernetes.application.volumes.credentials import Credentials, issue
from krake.controller.kubernetes.application.volumes.pair import JOB, SECRET, SERVICE, Pair, address_of
from krake.data.kubernetes import VolumeCopy
from krake.ports.cluster import COPY_LABEL, Object, identify, owner_of

MOST_STEPS = 100
LARGEST_STEP = 1 << 30
"""How far a copy goes is written down at most a hundred times, or each gibibyte."""


class Broken(Exception):
    """The copy has failed; the message says why."""


@dataclass(frozen=True)
class Volumes:
    """How far the volumes of a pair are.

    :param waiting: for what, if that is known.
    """

    volumes: Sequence[VolumeCopy]
    waiting: str | None = None


class Copier:
    """One pair of Jobs.

    :param volumes: that it copies, as they were written down last.
    """

    def __init__(self, source: Site, target: Site, pair: Pair, config: MigrationConfig, volumes: Sequence[VolumeCopy]) -> None:
        self._source, self._target, self._pair, self._config, self._volumes = source, target, pair, config, volumes

    async def advance(self, now: datetime) -> Volumes:
        """Make what is missing, and return how far it is.

        :raises Broken: it has failed.
        :raises ClusterError: a cluster does not answer, or refuses.
        """
        job = await self._target.look(self._pair.identity(JOB))
        if job is not None and owner_of(job) == self._pair.owner:
            return await self._follow(job)
        credentials = await self._credentials(now)
        addresses, waiting = await self._serve(credentials)
        if not addresses:
            return Volumes(self._volumes, waiting)
        connection = self._target.connection
        await connection.apply(self._pair.script(_code()))
        await connection.apply(self._pair.target_secret(credentials, addresses))
        self._target.note(await connection.apply(self._pair.target_job(self._config)))
        return Volumes([replace(each, state="copying", message=None) for each in self._volumes])

    async def _credentials(self, now: datetime) -> Credentials:
        """Return those that both sides use; they are made once, and kept on the source."""
        secret = await self._source.connection.get(self._pair.identity(SECRET))
        if secret is not None and owner_of(secret) == self._pair.owner and (known := Credentials.of(secret)):
            return known
        made = issue(now)
        await self._source.connection.apply(self._pair.source_secret(made))
        return made

    async def _serve(self, credentials: Credentials) -> tuple[list[tuple[str, int]], str]:
        """Have the source serve; returns where it does, or why it does not yet."""
        site, pair = self._source, self._pair
        job = await site.look(pair.identity(JOB))
        if job is None:
            await site.connection.apply(pair.script(_code()))
            await site.connection.apply(pair.service(self._config))
            site.note(await site.connection.apply(pair.source_job(self._config)))
        elif failure := _condition(job, "Failed"):
            raise Broken(f"the Job that serves them on {site.name} failed: {_told_of(self._pods(site)) or _words(failure)}")
        # One that has ended well where nobody runs it in earnest, as in a simulation, does not keep the target from trying.
        ended = job is not None and _condition(job, "Complete") is not None
        ready = next((pod for pod in self._pods(site) if ended or _is_ready(pod)), None)
        service = await site.connection.get(pair.identity(SERVICE))
        if ready is None or service is None:
            return [], f"waiting for the source to serve them: {self._why_not(site)}"
        addresses = address_of(service, ready, site.connection.host)
        return addresses, f"waiting for an address of Service {pair.job} on {site.name}"

    async def _follow(self, job: Object) -> Volumes:
        """Read how far the fetching side is."""
        pods = self._pods(self._target)
        if told := _told_of(pods):
            raise Broken(told)
        if _condition(job, "Complete"):
            return Volumes([self._copied(each, _sizes(pods).get(each.claim)) for each in self._volumes])
        if failure := _condition(job, "Failed"):
            raise Broken(f"the Job that fetches them on {self._target.name} failed: {_words(failure)}")
        running = next((pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"), None)
        if running is None:
            return Volumes(self._volumes, f"waiting for the target to fetch them: {self._why_not(self._target)}")
        report = await self._target.connection.last_report(identify({"apiVersion": "v1", "kind": "Pod", **running}))
        sizes = _sizes_in(report)
        return Volumes([_further(each, sizes.get(each.claim)) for each in self._volumes])

    @staticmethod
    def _copied(volume: VolumeCopy, sizes: tuple[int, int] | None) -> VolumeCopy:
        total = sizes[1] if sizes else volume.bytes_total
        return replace(volume, state="copied", bytes_done=total, bytes_total=total, message=None)

    def _pods(self, site: Site) -> list[Object]:
        # Labels are what anybody can give to Pods of their own, elsewhere.
        pods = [pod for pod in site.copiers_of(self._pair.owner) if pod["metadata"].get("namespace") == self._pair.namespace]
        return [pod for pod in pods if pod["metadata"]["labels"][COPY_LABEL] == self._pair.job]

    def _why_not(self, site: Site) -> str:
        told = next((text for pod in self._pods(site) if (text := trouble_of(pod))), None)
        return f"{told or 'its Pod is not ready yet'} ({site.name})"


def _further(volume: VolumeCopy, sizes: tuple[int, int] | None) -> VolumeCopy:
    """Write down only what is worth it: each time the status is written, everybody who watches is told."""
    if sizes is None:
        return replace(volume, state="copying")
    done, total = sizes
    step = min(total // MOST_STEPS, LARGEST_STEP)
    if total == volume.bytes_total and 0 <= done - volume.bytes_done < max(step, 1):
        done = volume.bytes_done
    return replace(volume, state="copying", bytes_done=done, bytes_total=total, message=None)


def _sizes(pods: Sequence[Object]) -> dict[str, tuple[int, int]]:
    """What the last Pod has told in the end."""
    return {claim: sizes for pod in pods for claim, sizes in _sizes_in(_result_of(pod)).items()}


def _sizes_in(report: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    volumes = report.get("volumes")
    found = {}
    for claim, sizes in volumes.items() if isinstance(volumes, Mapping) else ():
        if isinstance(sizes, list) and len(sizes) == 2 and all(isinstance(each, int) and each >= 0 for each in sizes):
            found[claim] = (sizes[0], sizes[1])
    return found


def _told_of(pods: Sequence[Object]) -> str | None:
    """Why the script says it has failed."""
    errors = [_result_of(pod).get("error") for pod in pods]
    return next((error.rstrip(".") for error in errors if isinstance(error, str) and error), None)


def _result_of(pod: Object) -> Mapping[str, Any]:
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        try:
            result = json.loads(ended.get("message") or "{}")
        except ValueError:
            continue
        if isinstance(result, dict):
            return result
    return {}


def _condition(obj: Object, type_: str) -> Mapping[str, Any] | None:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == type_ and each.get("status") == "True"), None)


def _words(condition: Mapping[str, Any]) -> str:
    return ": ".join(str(condition[key]).rstrip(".") for key in ("reason", "message") if condition.get(key))


def _is_ready(pod: Object) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and _condition(pod, "Ready") is not None


@cache
def _code() -> dict[str, str]:
    """The files of the script, which are the same everywhere."""
    files = resources.files(transfer).iterdir()
    return {file.name: file.read_text(encoding="utf-8") for file in files if file.name.endswith(".py")}
