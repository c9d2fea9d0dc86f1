"""Takes applications from clusters."""

import asyncio

from krake.controller.kubernetes.application import lifecycle
from krake.controller.kubernetes.application.deploy import remove
from krake.controller.kubernetes.application.desired import Declared
from krake.controller.kubernetes.application.workplace import PENDING, WORK_LIMIT, Away, Workplace
from krake.controller.runtime import Result, remove_finalizer
from krake.data.kubernetes import Application
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Reason, ResourceRef


class Leaving:
    """Takes applications from clusters."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    async def delete(self, app: Application) -> Result | None:
        """Take an application that is being deleted from all clusters, and let it go."""
        at = self._workplace
        app = await at.write(app, lifecycle.deleting(app, app.status.reason))
        left, problem = False, None
        for place in lifecycle.places_of(app):
            remains, reason = await self._remove_from(place, app)
            left, problem = left or remains, problem or reason
        if not left:
            app = await at.write(app, lifecycle.deleted(app))
            await remove_finalizer(at.client, app, KUBERNETES_RESOURCES_DELETION, informer=at.applications)
            return None
        app = await at.write(app, lifecycle.deleting(app, problem))
        return at.retry(app.key) if problem else Result(PENDING)

    async def clean(self, app: Application, declared: list[Declared]) -> bool:
        """Delete what is left on clusters that the application has nothing to do with any more; true once nothing is."""
        places = lifecycle.left_behind(app)
        gone = [place for place in places if not (await self._remove_from(place, app))[0]]
        if gone:
            await self._workplace.write(app, lifecycle.cleaned(app, gone, declared))
        return len(gone) == len(places)

    async def _remove_from(self, place: ResourceRef, app: Application) -> tuple[bool, Reason | None]:
        """Delete all objects of an application on a cluster; returns whether some are left, and why."""
        if self._workplace.find(place, app.key) is None:
            return False, None  # it was unregistered: there is no way to reach it any more
        try:
            with self._workplace.at(place, app.key) as site:
                async with asyncio.timeout(WORK_LIMIT):
                    left, problems = await remove(site, lifecycle.recorded_of(app), app.metadata.uid)
                if not left:
                    site.forget(app.metadata.uid)
        except Away as away:
            return True, away.reason
        return bool(left), problems[0] if problems else None
