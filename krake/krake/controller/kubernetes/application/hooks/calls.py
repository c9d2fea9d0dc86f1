"""The calls that ask applications to get ready to be stopped.

A call is ``PUT /shutdown``, without a body, to a service of the application itself, as its cluster says where that is: whatever
stands in the status, users may have written. The service is called ``shutdown``; where several applications share a namespace,
only one can have that name, so any service with the label `HOOK_LABEL` does as well.
"""

import asyncio
import hashlib
import hmac
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, NamedTuple, Self

from krake.adapters.shutdown import CallFailed, put
from krake.controller.kubernetes.application.desired import recorded_identity
from krake.controller.kubernetes.application.hooks.shutdown import SHUTDOWN
from krake.controller.kubernetes.application.services import PENDING, SERVICE, ports_of
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.fields import mapping, mappings
from krake.data.kubernetes import Application
from krake.data.metadata import Key
from krake.lib.backoff import Backoff
from krake.ports.cluster import ClusterError, Object, Unreachable, owner_of

TIMESTAMP, DEADLINE, SIGNATURE = "Krake-Timestamp", "Krake-Deadline", "Krake-Signature"
PATH = "/shutdown"
HOOK_LABEL = "krake.cloud/hook"
"""With the value ``shutdown``, it says which service is to be called."""
REPEATS = Backoff(1.0, 10.0)
"""Between calls of one attempt that do not get through."""

log = logging.getLogger(__name__)


def sign(token: str, timestamp: int, deadline: int) -> str:
    """Return by what an application knows that it is Krake who calls: the token itself is never sent to it.

    :param timestamp: of the call, and *deadline* for the answer, in seconds since 1970.
    """
    text = f"PUT {PATH}\n{timestamp}\n{deadline}"
    return "sha256=" + hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()


class _Attempt(NamedTuple):
    """An attempt to shut an application down from a cluster."""

    site: Site
    number: int
    deadline: datetime


@dataclass
class _Asking:
    attempt: _Attempt
    task: asyncio.Task[None]
    trouble: str | None = None


class ShutdownCalls:
    """Asks applications, each by a task of its own: however slow they are, nobody else waits.

    Within an attempt, calls are repeated until one gets through. A process that continues an attempt of another one calls as
    well, since nobody knows whether the other did.

    :param call: is called with the key of an application that should be looked at, as a call has failed.
    """

    def __init__(self, call: Callable[[Key], None], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._call = call
        self._clock = clock
        self._asked: dict[str, _Asking] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [asking.task for asking in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ask(self, app: Application, site: Site) -> None:
        """Have an application asked in its attempt under way, unless it has been; returns at once."""
        deadline = app.status.shutdown_grace_period
        if deadline is None:
            return
        attempt = _Attempt(site, app.status.shutdown_attempts, deadline)
        known = self._asked.get(app.metadata.uid)
        if known is not None and known.attempt == attempt:
            return
        self.forget(app.metadata.uid)
        task = asyncio.create_task(self._ask(app, site, deadline), name=f"shutdown-{app.key}")
        self._asked[app.metadata.uid] = _Asking(attempt, task)

    def trouble(self, app: Application) -> str | None:
        """Why the last call to an application did not get through, if it did not."""
        asking = self._asked.get(app.metadata.uid)
        return asking.trouble if asking is not None else None

    def forget(self, uid: str) -> None:
        """Ask an application no more."""
        asking = self._asked.pop(uid, None)
        if asking is not None:
            asking.task.cancel()

    async def _ask(self, app: Application, site: Site, deadline: datetime) -> None:
        failures = 0
        with suppress(TimeoutError):
            async with asyncio.timeout((deadline - self._clock()).total_seconds()):
                while True:
                    try:
                        await ask(app, site, self._clock())
                        return self._note(app, None)
                    except CallFailed as error:
                        failures += 1
                        self._note(app, str(error))
                    except Unreachable as error:
                        failures += 1
                        self._note(app, f"Its cluster does not answer: {error}")
                        site.lose(error)
                    await asyncio.sleep(REPEATS.delay(failures, random.uniform(0.5, 1.0)))

    def _note(self, app: Application, trouble: str | None) -> None:
        asking = self._asked.get(app.metadata.uid)
        if asking is None or asking.task is not asyncio.current_task() or asking.trouble == trouble:
            return
        asking.trouble = trouble
        if trouble is not None:
            log.info("%s could not be asked to get ready to be stopped: %s", app.key, trouble)
            self._call(app.key)


async def ask(app: Application, site: Site, now: datetime) -> None:
    """Ask an application once.

    :raises CallFailed: it did not accept.
    :raises Unreachable: its cluster does not answer.
    """
    token, deadline = app.status.shutdown_token, app.status.shutdown_grace_period
    if not token or deadline is None:
        raise CallFailed("It has no token to answer with yet.")
    service = await _find_service(app, site)
    timestamp, until = int(now.timestamp()), int(deadline.timestamp())
    headers = {TIMESTAMP: str(timestamp), DEADLINE: str(until), SIGNATURE: sign(token, timestamp, until)}
    url = url_of(service, site.connection.host)
    await put(url, headers, local=_is_loopback(site.connection.host))


async def _find_service(app: Application, site: Site) -> Object:
    services = [(recorded_identity(item), _hook_of(item)) for item in app.status.last_applied_manifest]
    identities = sorted(each for each, hook in services if each.type == SERVICE and SHUTDOWN in (hook, each.name))
    if not identities:
        raise CallFailed("It has no service called 'shutdown', by which it could be asked.")
    try:
        live = [obj for each in identities if (obj := await site.look(each)) is not None]
    except Unreachable:
        raise
    except ClusterError as error:
        raise CallFailed(f"Its service called 'shutdown' is not shown: {error}") from None
    for service in live:
        if owner_of(service) == app.metadata.uid:
            return service
    raise CallFailed("Its service called 'shutdown' is not on its cluster (any more).")


def _hook_of(recorded: Mapping[str, Any]) -> object:
    labels = (recorded.get("metadata") or {}).get("labels")
    return labels.get(HOOK_LABEL) if isinstance(labels, Mapping) else None


def url_of(service: Object, host: str) -> str:
    """Return the URL by which an application is asked: by TLS if the port is called ``https`` or is number 443.

    The port is the one that is called ``shutdown``, ``https`` or ``http``, or else the first.

    :param host: of the API server of the cluster.
    :raises CallFailed: it can not be reached from outside of the cluster.
    """
    # External addresses are what the user says they are, whosever they may be.
    spec = {key: value for key, value in mapping(service, "spec").items() if key != "externalIPs"}
    addresses = ports_of({**service, "spec": spec}, host)
    name = next((each for each in (SHUTDOWN, "https", "http") if each in addresses), next(iter(addresses), None))
    if name is None:
        raise CallFailed(
            "Its service called 'shutdown' can not be reached from outside: it needs the type NodePort or LoadBalancer."
        )
    if PENDING in addresses[name]:
        raise CallFailed("Its service called 'shutdown' has no address yet.")
    port = next((port for port in mappings(spec, "ports") if name in (port.get("name"), str(port.get("port")))), {})
    return f"{'https' if _is_tls(port) else 'http'}://{addresses[name]}{PATH}"


def _is_tls(port: Mapping[str, Any]) -> bool:
    return "https" in (port.get("name"), port.get("appProtocol")) or port.get("port") == 443


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
