"""Answers plans: one at a time in each namespace, in small steps, so that others have their turn meanwhile."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from krake.client import ApiError, Client, Conflict, NotFound, Unavailable
from krake.controller.runtime import Controller, Informer, Result, patch_status
from krake.controller.scheduler.planning.forecast import Steps, work_out
from krake.controller.scheduler.planning.whatif import Impossible, Situation, imagine_slowly
from krake.data import Reason, ReasonCode
from krake.data.plans import Plan, PlanSpec, PlanState, PlanStatus

log = logging.getLogger(__name__)

SLICE = 0.005
"""Seconds of work after which others get their turn."""
UNMEASURED_WAIT = 0.5
"""Seconds after which it is looked again whether all clusters are measured."""

WORKERS = 2
"""Namespaces whose plans are worked out at the same time: more only hinder each other."""
WRITING = 60.0
"""Seconds that there are for writing the answer down."""

_BY_NAMESPACE = "namespace"


class Planner:
    """Reconciles namespaces: in each, the plans are answered one after the other, the oldest first.

    :param look: returns what the scheduler knows of a namespace; ``None`` if its clusters have yet to be measured.
    :param limit: seconds that working out a plan may take.
    """

    def __init__(
        self,
        client: Client,
        *,
        look: Callable[[str], Situation | None],
        limit: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._look = look
        self._limit = limit
        self._now = now
        self.plans = Informer(client, Plan)
        self.controller: Controller[str] = Controller("plans", self.reconcile, WORKERS, time_limit=limit + WRITING)
        self.plans.index(_BY_NAMESPACE, lambda plan: [plan.key.namespace])
        self.plans.on_change(self._follow)

    def _follow(self, old: Plan | None, new: Plan | None) -> None:
        if new is not None and new.metadata.namespace is not None and not _is_answered(new):
            self.controller.enqueue(new.metadata.namespace)

    async def reconcile(self, namespace: str) -> Result | None:
        """Answer the oldest plan of a namespace that has no answer yet."""
        open_ = [plan for plan in self.plans.lookup(_BY_NAMESPACE, namespace) if not _is_answered(plan)]
        if not open_:
            return None
        plan = min(open_, key=lambda each: (each.metadata.created, each.metadata.name))
        situation = self._look(namespace)
        if situation is not None:
            status = await self._answer(plan, situation)
        elif self._now() - plan.metadata.created < timedelta(seconds=self._limit):
            return Result(requeue_after=UNMEASURED_WAIT)
        else:
            status = _failed(
                "The metrics of the clusters have yet to be measured: look at the metrics providers, then try again."
            )
        if status is not None:
            await self._write(plan, status)
        return Result(requeue_after=0.0) if len(open_) > 1 else None

    async def _answer(self, plan: Plan, situation: Situation) -> PlanStatus | None:
        """Return the answer; ``None`` if nobody asks any more."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._limit):
                status = await self._walk(plan, _work_out(situation, plan.spec))
        except Impossible as error:
            return _failed(str(error), ReasonCode.INVALID_RESOURCE)
        except TimeoutError:
            return _failed(f"It was not worked out within {self._limit:g} s: raise plans.time_limit of the scheduler.")
        except Exception:
            # A plan nobody has thought of must not be tried again and again.
            log.exception("Working out %s failed.", plan.ref)
            return _failed("It could not be worked out: the log of the scheduler says why.")
        log.debug("%s took %.3f s.", plan.ref, time.monotonic() - started)
        return status

    async def _walk(self, plan: Plan, steps: Steps) -> PlanStatus | None:
        while True:
            until = time.perf_counter() + SLICE
            try:
                while time.perf_counter() < until:
                    next(steps)
            except StopIteration as ended:
                status: PlanStatus = ended.value
                return status
            await asyncio.sleep(0)
            current = self.plans.get(plan.key)
            if current is None or current.metadata.uid != plan.metadata.uid:
                return None

    async def _write(self, plan: Plan, status: PlanStatus) -> None:
        try:
            await self._put(plan, status)
        except NotFound:
            return
        except (Conflict, Unavailable):
            raise
        except ApiError as error:
            await self._put(plan, _failed(f"The answer can not be stored: {error.detail} Ask about less."))
        await self.plans.catch_up(plan.key)

    async def _put(self, plan: Plan, status: PlanStatus) -> None:
        answered = replace(status, observed_generation=plan.metadata.generation)
        await patch_status(self._client, plan, answered, informer=self.plans)


def _work_out(situation: Situation, spec: PlanSpec) -> Steps:
    after = yield from imagine_slowly(situation, spec)
    return (yield from work_out(situation, after, spec.explain))


def _is_answered(plan: Plan) -> bool:
    return plan.status.observed_generation >= plan.metadata.generation


def _failed(why: str, code: ReasonCode = ReasonCode.INTERNAL_ERROR) -> PlanStatus:
    return PlanStatus(state=PlanState.FAILED, reason=Reason(code=code, message=why))
