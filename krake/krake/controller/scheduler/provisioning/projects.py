"""Binds Magnum clusters to projects of their namespace."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from krake.client import Client
from krake.controller.runtime import Informer, Recorder, Result, difference, patch_status
from krake.controller.scheduler.deciding.hosts import PROJECT_RULES, Host, HostChoice, choose_host, reason_of
from krake.controller.scheduler.deciding.inheritance import inherit_from_project
from krake.controller.scheduler.deciding.snapshot import Settings
from krake.controller.scheduler.explaining.chronicle import Chronicle
from krake.controller.scheduler.provisioning.hosting import Hosting, Measure
from krake.data import Key, ResourceRef
from krake.data.events import warning
from krake.data.openstack import MagnumCluster, MagnumClusterBinding, MagnumClusterState, Project

PLURAL = "projects"
LONGEST_WAIT = 60.0
"""Seconds after which a Magnum cluster that fits nowhere is looked at again, should nothing change."""


class ProjectHosting(Hosting[MagnumCluster]):
    """Reconciles Magnum clusters: each is bound to a project once, or says why it is not."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        chronicle: Chronicle,
        clusters: Informer[MagnumCluster],
        projects: Informer[Project],
        *,
        enqueue: Callable[[Key], None],
        measure: Measure,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._projects = projects
        self._settings = settings
        super().__init__(client, recorder, chronicle, clusters, [projects], enqueue=enqueue, measure=measure, now=now)

    def _host_of(self, guest: MagnumCluster) -> ResourceRef | None:
        return guest.status.project

    def _is_waiting(self, guest: MagnumCluster) -> bool:
        return guest.status.project is None

    def _choose(self, guest: MagnumCluster) -> HostChoice | None:
        candidates = self._candidates(self._projects, guest.key.namespace)
        return None if candidates is None else choose_host(PROJECT_RULES, guest, self._settings, candidates)

    async def _bind(self, guest: MagnumCluster, host: Host) -> MagnumCluster:
        project = host.resource
        assert isinstance(project, Project)
        guest = await self._hand_on(guest, project)
        # Before it is bound: the Magnum controller leaves alone what has failed.
        status = replace(guest.status, state=MagnumClusterState.PENDING, reason=None)
        guest = await patch_status(self._client, guest, status, informer=self._guests)
        binding = MagnumClusterBinding(project=host.ref, template=project.spec.template)
        return await self._client.act(MagnumCluster, guest.key, "binding", binding)

    async def _hand_on(self, guest: MagnumCluster, project: Project) -> MagnumCluster:
        """Store what a Magnum cluster inherits, for the cluster that is made of it."""
        heir = inherit_from_project(guest, project)
        changes: dict[str, Any] = {}
        if labels := difference(guest.metadata.labels, heir.metadata.labels):
            changes["metadata"] = {"labels": labels}
        if heir.spec.metrics != guest.spec.metrics:
            changes["spec"] = {"metrics": [metric.serialize() for metric in heir.spec.metrics]}
        if not changes:
            return guest
        version = {"resource_version": guest.metadata.resource_version}
        changes["metadata"] = {**changes.get("metadata", {}), **version}
        stored = await self._client.patch(MagnumCluster, guest.key, changes)
        self._guests.expect(stored.key, stored.metadata.resource_version)
        return stored

    async def _refuse(self, guest: MagnumCluster, choice: HostChoice) -> Result | None:
        reason = reason_of(choice, PLURAL)
        if guest.status.reason != reason:
            self._recorder.record(guest, warning("FailedScheduling", reason.message))
        status = replace(guest.status, state=MagnumClusterState.FAILED, reason=reason)
        await patch_status(self._client, guest, status, informer=self._guests)
        return Result(LONGEST_WAIT)
