"""What all work on applications shares: the API, where everything is written down, and the ways into the clusters."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from krake.client import Client, Invalid, Unavailable
from krake.controller.kubernetes.application import lifecycle
from krake.controller.kubernetes.application.calm import Calm
from krake.controller.kubernetes.application.events import tell
from krake.controller.kubernetes.application.settings import ApplicationControllerConfig
from krake.controller.kubernetes.application.site import Site
from krake.controller.kubernetes.application.sites import Sites
from krake.controller.runtime import Informer, Recorder, Result, patch_status
from krake.data.kubernetes import Application, ApplicationStatus, Cluster, ClusterBinding
from krake.data.metadata import Key, Reason, ReasonCode, ResourceRef
from krake.data.secrets import without_secrets
from krake.lib.backoff import Backoff
from krake.ports.cluster import Unreachable

ATTEMPTS = Backoff(1.0, 60.0)
"""Between attempts at what a cluster refuses; whatever changes leads to another one at once."""
PENDING = 0.5
"""Seconds until another look at what Kubernetes is not done with."""
WORK_LIMIT = 120.0
"""Seconds that the work on one application may take at once."""

LONGEST_MESSAGE = 4000
"""So many characters of a reason are kept: clusters say what they like."""
TOO_LARGE = 413


class TooLarge(Exception):
    """An application can not be written down with its objects."""

    code = ReasonCode.INVALID_RESOURCE

    def __str__(self) -> str:
        return (
            "The manifest is too large: the application can not be stored together with its objects as they are applied."
            " Declare several applications instead."
        )


class Away(Exception):
    """A cluster can not be worked on now; the application is called for as soon as it can be.

    :param problem: why; ``None`` if that is just being found out.
    """

    def __init__(self, problem: str | None) -> None:
        super().__init__(problem)
        self.reason = Reason(code=ReasonCode.CLUSTER_NOT_REACHABLE, message=problem) if problem else None


@dataclass(frozen=True)
class Workplace:
    """What all work on applications shares."""

    client: Client
    config: ApplicationControllerConfig
    clock: Callable[[], datetime]
    recorder: Recorder
    applications: Informer[Application]
    clusters: Informer[Cluster]
    sites: Sites
    attempts: dict[Key, int] = field(default_factory=dict)
    calm: Calm = field(default_factory=Calm)
    unanswered: set[Key] = field(default_factory=set)
    """Applications of which it is not known whether the status that was written last has arrived."""

    def retry(self, app: Application) -> Result:
        """Return when to try again what has failed."""
        self.attempts[app.key] = self.attempts.get(app.key, 0) + 1
        return self.look_again(app, ATTEMPTS.delay(self.attempts[app.key], random.uniform(0.2, 1.0)))

    def look_again(self, app: Application, delay: float) -> Result:
        """Return when to look at an application again: sooner than in *delay* seconds if a cluster is to be let go before."""
        return Result(min([delay, *self._graces(app)]))

    def _graces(self, app: Application) -> Iterator[float]:
        """In how many seconds clusters that are being deleted are waited for no longer."""
        now = self.clock()
        for place in lifecycle.places_of(app):
            ends = self._grace_of(place, app.key)
            if ends is not None and ends > now:
                yield (ends - now).total_seconds()

    def _grace_of(self, place: ResourceRef, key: Key) -> datetime | None:
        cluster = self.find(place, key)
        deleted = cluster.metadata.deleted if cluster is not None else None
        return None if deleted is None else deleted + timedelta(seconds=self.config.lost_cluster_grace)

    def is_lost(self, place: ResourceRef, key: Key) -> bool:
        """Whether there is no way to a cluster any more, or it has been waited for long enough while being deleted."""
        if self.find(place, key) is None:
            return True
        ends = self._grace_of(place, key)
        return ends is not None and ends <= self.clock() and not self.answers(place, key)

    def takes_back(self, place: ResourceRef, key: Key) -> bool:
        """Whether an application can be bound again to the cluster where it comes from."""
        cluster = self.find(place, key)
        return cluster is not None and cluster.metadata.deleted is None and self.answers(place, key)

    def answers(self, place: ResourceRef, key: Key) -> bool:
        """Whether a cluster can be worked on, as far as is known."""
        try:
            return self._open(place, key).problem is None
        except Away:
            return False

    async def write(self, app: Application, status: ApplicationStatus) -> Application:
        """Write what differs, and tell what is worth it; returns the application as stored."""
        if status.reason is not None and status.reason != app.status.reason:
            # Kubernetes quotes what it does not like.
            message = without_secrets(status.reason.message, app.spec)
            status = replace(status, reason=replace(status.reason, message=message[:LONGEST_MESSAGE]))
        after = await self._write(app, status)
        self.recorder.record(after, *tell(app, after))
        return after

    async def _write(self, app: Application, status: ApplicationStatus) -> Application:
        try:
            after = await patch_status(self.client, app, status, informer=self.applications)
        except Unavailable as error:
            if error.outcome_unknown:
                self.unanswered.add(app.key)
            raise
        except Invalid as error:
            if error.status != TOO_LARGE:
                raise
            if not status.last_observed_manifest:
                raise TooLarge from error
        else:
            if after is not app:  # Only what is known as it is stored can be written.
                self.unanswered.discard(app.key)
            return after
        # What was observed is there only to be read.
        return await self._write(app, replace(status, last_observed_manifest=[]))

    async def write_owners(self, app: Application) -> Application:
        """Make the clusters in use the owners of an application."""
        owners = lifecycle.owners_of(app)
        if owners == app.metadata.owners:
            return app
        metadata = {"owners": [owner.serialize() for owner in owners], "resource_version": app.metadata.resource_version}
        app = await self.client.patch(Application, app.key, {"metadata": metadata})
        self.applications.expect(app.key, app.metadata.resource_version)
        return app

    async def bind(self, app: Application, cluster: ResourceRef) -> None:
        """Hand an application over to a cluster."""
        bound = await self.client.act(Application, app.key, "binding", ClusterBinding(cluster=cluster))
        self.applications.expect(bound.key, bound.metadata.resource_version)

    def find(self, place: ResourceRef, key: Key) -> Cluster | None:
        """Return a cluster that an application may be on."""
        # A status can name any cluster, but nobody works by means of their applications on the clusters of others.
        return self.clusters.get(place.key) if place.namespace == key.namespace else None

    @contextmanager
    def at(self, place: ResourceRef, key: Key) -> Iterator[Site]:
        """Work on a cluster. Raises `Away`, also where the cluster stops to answer meanwhile."""
        site = self._open(place, key)
        if not site.enter(key):
            raise Away(site.problem)
        try:
            yield site
        except Unreachable as error:
            site.lose(error)
            raise Away(str(error)) from error
        finally:
            site.leave()

    def _open(self, place: ResourceRef, key: Key) -> Site:
        cluster = self.find(place, key)
        if cluster is None:
            raise Away(f"There is no {place} (any more) in the namespace of the application.")
        if not cluster.spec.kubeconfig:
            raise Away(f"{place} can not be reached before it has a kubeconfig.")
        try:
            return self.sites.open(cluster)
        except Unreachable as error:
            raise Away(str(error)) from None
