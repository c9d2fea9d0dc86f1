"""Takes applications from clusters."""

import asyncio
from collections.abc import Container, Iterable, Sequence

from krake.controller.kubernetes.application import departure, lifecycle
from krake.controller.kubernetes.application.asking import Asking
from krake.controller.kubernetes.application.deploy import remove
from krake.controller.kubernetes.application.desired import Declared
from krake.controller.kubernetes.application.volumes import clean
from krake.controller.kubernetes.application.workplace import PENDING, WORK_LIMIT, Away, Workplace
from krake.controller.runtime import Result, remove_finalizer
from krake.data.events import warning
from krake.data.kubernetes import Application
from krake.data.metadata import KUBERNETES_RESOURCES_DELETION, Reason, ReasonCode, ResourceRef
from krake.ports.cluster import Identity, Rejected, Unsupported


class Leaving:
    """Takes applications from clusters."""

    def __init__(self, workplace: Workplace, asking: Asking) -> None:
        self._workplace = workplace
        self._asking = asking

    async def delete(self, app: Application) -> Result | None:
        """Take an application that is being deleted from all clusters, and let it go."""
        at = self._workplace
        app, ready, result = await self._asking.is_ready(app)
        if not ready:
            return result
        app = await at.write(app, departure.deleting(app, app.status.reason))
        gone, problem = await self.remove_from(lifecycle.places_of(app), app)
        if len(gone) == len(lifecycle.places_of(app)):
            app = await at.write(app, departure.deleted(app))
            await remove_finalizer(at.client, app, KUBERNETES_RESOURCES_DELETION, informer=at.applications)
            return None
        app = await at.write(app, departure.deleting(app, problem))
        return at.retry(app) if problem else Result(PENDING)

    async def unbind(self, app: Application) -> Result | None:
        """Take an application that is bound to no cluster any more from all of them."""
        at = self._workplace
        app, ready, result = await self._asking.is_ready(app)
        if not ready:
            return result
        app = await at.write(app, departure.unbinding(app))
        places, keep = lifecycle.places_of(app), departure.data_of(app)
        gone, problem = await self.remove_from(places, app, keep=keep)
        if gone and keep:
            kept = ", ".join(map(str, sorted(keep)))
            at.recorder.record(app, warning("DataLeft", f"What holds its data stays on {', '.join(map(str, gone))}: {kept}."))
        app = await at.write_owners(await at.write(app, departure.unbound(app, gone)))
        if len(gone) < len(places):
            return at.retry(app) if problem else Result(PENDING)
        at.attempts.pop(app.key, None)
        return None

    async def clean(self, app: Application, declared: list[Declared]) -> tuple[Application, bool]:
        """Delete what is left on clusters that the application has nothing to do with any more.

        Returns it as it is stored then, and whether nothing is left.
        """
        at, places = self._workplace, lifecycle.left_behind(app)
        gone, _ = await self.remove_from(places, app)
        if gone:
            app = await at.write_owners(await at.write(app, lifecycle.cleaned(app, gone, declared)))
        return app, len(gone) == len(places)

    async def let_go(self, app: Application) -> Application:
        """Have nothing to do any more with clusters that are lost for good, unless the application is bound to them."""
        at, bound = self._workplace, None if app.metadata.deleted is not None else app.status.scheduled_to
        lost = [place for place in lifecycle.places_of(app) if place != bound and at.is_lost(place, app.key)]
        if not lost:
            return app
        app = await at.write(app, departure.let_go(app, lost))
        names = ", ".join(map(str, lost))
        at.recorder.record(app, warning("LetGo", f"{names} can not be reached any more; objects of it may remain there."))
        return await at.write_owners(app)

    async def remove_from(
        self, places: Iterable[ResourceRef], app: Application, *, keep: Container[Identity] = ()
    ) -> tuple[Sequence[ResourceRef], Reason | None]:
        """Delete all objects of an application on some clusters; returns where none is left, and what was wrong elsewhere.

        :param keep: what is not deleted.
        """
        gone: list[ResourceRef] = []
        problem: Reason | None = None
        for place in places:
            left, reason = await self._remove_from(place, app, keep)
            problem = problem or reason
            if not left:
                gone.append(place)
        return gone, problem

    async def _remove_from(self, place: ResourceRef, app: Application, keep: Container[Identity]) -> tuple[bool, Reason | None]:
        unwanted = [each for each in lifecycle.recorded_of(app) if each not in keep]
        try:
            with self._workplace.at(place, app.key) as site:
                async with asyncio.timeout(WORK_LIMIT):
                    identities, problems = await remove(site, unwanted, app.metadata.uid)
                    left = bool(identities) or (bool(app.status.volumes) and not await clean(app, site, place))
                if not left:
                    site.forget(app.metadata.uid)
        except Away as away:
            return True, away.reason
        except (Rejected, Unsupported) as error:
            return True, Reason(code=ReasonCode.KUBERNETES_ERROR, message=str(error))
        return left, problems[0] if problems else None
