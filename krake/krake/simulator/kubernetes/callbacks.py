"""What simulated Pods do by themselves: call a URL that they find in their environment, with a token that they find there, too.

Annotations of a Pod say when, and name the variables by what they begin with: ``fake-node/calls-on-put: APP`` lets it send
``{"token": "$APP_TOKEN"}`` by PUT to ``$APP_URL`` once somebody has sent it a PUT; ``fake-node/calls-when-ready`` once it is
ready. If one of its mounted Secrets holds ``cert.pem`` and ``key.pem``, it shows these, and trusts ``ca-bundle.pem``.
"""

import asyncio
import base64
import logging
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.storage import DELETED, Change, Storage
from krake.simulator.kubernetes.workloads.pods import is_ready

ON_PUT = "fake-node/calls-on-put"
WHEN_READY = "fake-node/calls-when-ready"
_TIMEOUT = aiohttp.ClientTimeout(total=10)

logger = logging.getLogger(__name__)


class Callbacks:
    """Has the Pods of a cluster make their calls."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: set[str] = set()

    def start(self) -> None:
        self._storage.listen(self._notice)

    async def stop(self) -> None:
        self._storage.ignore(self._notice)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def put(self, pod: Object) -> None:
        """Somebody has sent a PUT to a Pod."""
        self._begin(pod, ON_PUT)

    def _notice(self, change: Change) -> None:
        if change.resource != "pods":
            return
        uid = change.object["metadata"]["uid"]
        if change.type == DELETED:
            self._done.discard(uid)
        elif uid not in self._done and is_ready(change.object):
            self._done.add(uid)
            self._begin(change.object, WHEN_READY)

    def _begin(self, pod: Object, annotation: str) -> None:
        prefix = (pod["metadata"].get("annotations") or {}).get(annotation)
        if prefix:
            task = asyncio.create_task(self._call(pod, str(prefix)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, pod: Object, prefix: str) -> None:
        name = pod["metadata"]["name"]
        environment = dict(self._environment(pod))
        url, token = environment.get(f"{prefix}_URL"), environment.get(f"{prefix}_TOKEN")
        if not url or not token:
            logger.warning("%s should call back, but does not find %s_URL and %s_TOKEN", name, prefix, prefix)
            return
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.put(url, json={"token": token}, ssl=self._context(pod, prefix)) as response,
            ):
                logger.info("%s has called back to %s, which answers %d", name, url, response.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            logger.warning("%s can not call back to %s: %s", name, url, error)

    def _environment(self, pod: Object) -> Iterator[tuple[str, str]]:
        for container in pod["spec"]["containers"]:
            for variable in container.get("env") or ():
                reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
                if reference:
                    yield variable["name"], self._secret(pod, reference["name"]).get(reference["key"], "")
                else:
                    yield variable["name"], str(variable.get("value") or "")

    def _secret(self, pod: Object, name: str) -> Mapping[str, str]:
        secret = self._storage.get("secrets", (pod["metadata"]["namespace"], name)) or {}
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.get("data") or {}).items()}

    def _context(self, pod: Object, prefix: str) -> ssl.SSLContext | bool:
        """What the Pod shows and trusts: of several Secrets with certificates, that in the folder called by the prefix."""
        mounts = {
            mount["name"]: mount["mountPath"]
            for container in pod["spec"]["containers"]
            for mount in container.get("volumeMounts") or ()
        }
        mounted = {
            mounts[volume["name"]]: self._secret(pod, volume["secret"]["secretName"])
            for volume in pod["spec"].get("volumes") or ()
            if volume.get("secret") and volume["name"] in mounts
        }
        found = [path for path, files in sorted(mounted.items()) if {"cert.pem", "key.pem"} <= files.keys()]
        if not found:
            return True
        path = next((each for each in found if prefix.lower() in each), found[0])
        return _context_of(mounted[path])


def _context_of(files: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=files.get("ca-bundle.pem"))
    # Python reads them from files only.
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = (Path(folder, name) for name in ("cert.pem", "key.pem"))
        for path in (certificate, key):
            path.write_text(files[path.name])
        context.load_cert_chain(certificate, key)
    return context
