"""Asks the metrics providers, and keeps what they said, for all who want to know.

Each provider is asked for all of its metrics at once, again and again, apart from all others: how many resources use a metric
makes no difference, and a provider that hangs costs nobody else anything. What nobody has wanted to know for a while is not
asked for any more.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from krake.client import Client
from krake.controller.runtime import Controller, Informer, Recorder, Result
from krake.controller.scheduler.deciding.snapshot import Measurement
from krake.controller.scheduler.metrics.measuring import (
    AnyMetric,
    Catalog,
    Provider,
    Track,
    advance,
    expiry_of,
    find,
    measure,
    metric_key,
    provider_key,
    source_of,
)
from krake.controller.scheduler.settings import MetricsConfig
from krake.data import Key
from krake.data.core import GlobalMetric, GlobalMetricsProvider, Metric, MetricRef, MetricsProvider
from krake.data.events import normal, warning
from krake.data.kubernetes import Cluster
from krake.lib.backoff import Backoff
from krake.ports.metrics import Answers, MetricsSource, ProviderError

log = logging.getLogger(__name__)

KEPT = 300.0
"""Seconds for which a metric is asked for after somebody has wanted to know it."""

LONGEST_SILENCE = 60.0
"""Seconds after which a provider that fails is asked again, unless the interval is longer."""

HEALTHY, AILING = 64, 64
"""How many providers are asked at once: of those that answered the last time, and quickly, and of the others."""

SLOW = 2.0
"""Seconds; a provider that takes longer is asked with those that fail, so that the quick ones need not wait for it."""

PROVIDER = "provider"
"""Index of the metrics."""

Connect = Callable[[Provider], MetricsSource]


@dataclass(frozen=True)
class Sight:
    """The informers by which the meter sees the world."""

    metrics: Informer[Metric]
    providers: Informer[MetricsProvider]
    global_metrics: Informer[GlobalMetric]
    global_providers: Informer[GlobalMetricsProvider]

    @classmethod
    def of(cls, client: Client) -> Self:
        """Return the sight that a client has."""
        return cls(
            Informer(client, Metric),
            Informer(client, MetricsProvider),
            Informer(client, GlobalMetric),
            Informer(client, GlobalMetricsProvider),
        )

    @property
    def informers(self) -> list[Informer[Any]]:
        """All of them."""
        return [self.metrics, self.providers, self.global_metrics, self.global_providers]

    @property
    def catalog(self) -> Catalog:
        """The metrics and providers as they are now."""
        return Catalog(self.metrics.objects, self.providers.objects, self.global_metrics.objects, self.global_providers.objects)


@dataclass
class _Health:
    """How the last attempts to ask a provider went.

    :ivar slow: whether the last one took long.
    """

    source: MetricsSource | None = None
    failures: int = 0
    slow: bool = False

    @property
    def ailing(self) -> bool:
        """Whether the next one had better not be waited for."""
        return self.slow or self.failures > 0


@dataclass
class _Known:
    """What is known of a metric; *gist* is what was told of it last."""

    wanted: float
    gist: object = None


class Meter:
    """Keeps what is known of all metrics that somebody wants to know.

    :param connect: makes the source of a provider.
    :param now: seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        sight: Sight,
        connect: Connect,
        recorder: Recorder,
        settings: MetricsConfig,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sight = sight
        self._connect = connect
        self._recorder = recorder
        self._settings = settings
        self._now = now
        self._backoff = Backoff(settings.interval, max(settings.interval, LONGEST_SILENCE))
        self._tracks: dict[Key, Track] = {}
        self._known: dict[Key, _Known] = {}
        self._health: dict[Key, _Health] = {}
        self._handlers: list[Callable[[frozenset[Key]], None]] = []
        self._healthy: Controller[Key] = Controller("meter", partial(self._poll, ailing=False), HEALTHY)
        self._ailing: Controller[Key] = Controller("meter-ailing", partial(self._poll, ailing=True), AILING)
        for metrics in (sight.metrics, sight.global_metrics):
            metrics.index(PROVIDER, lambda metric: [provider_key(metric)])
            metrics.on_change(self._follow_metric)
        for providers in (sight.providers, sight.global_providers):
            providers.on_change(self._follow_provider)

    @property
    def controllers(self) -> Sequence[Controller[Key]]:
        """What works for the meter."""
        return self._healthy, self._ailing

    @property
    def informers(self) -> Sequence[Informer[Any]]:
        """What the meter sees the world by."""
        return self._sight.informers

    def measure(self, namespace: str | None, refs: Collection[MetricRef]) -> Measurement | None:
        """Return what counts for a resource of *namespace* with some metrics, and keep it up to date from now on.

        ``None`` while one of them has never been asked for; whoever waits for it is told by `on_change`.
        """
        now = self._now()
        for ref in refs:
            self._want(metric_key(namespace, ref), now)
        return measure(namespace, refs, self._sight.catalog, self._tracks, now)

    def measurement(self, cluster: Cluster) -> Measurement | None:
        """Return what counts for a cluster; see `measure`."""
        return self.measure(cluster.metadata.namespace, cluster.spec.metrics)

    def on_change(self, handler: Callable[[frozenset[Key]], None]) -> None:
        """Have *handler* told, from now on, of the metrics of which `measure` says something else than before but for the age.

        They are named by their keys, those of global ones without a namespace: see `metric_key`.
        """
        self._handlers.append(handler)

    def _want(self, key: Key, now: float) -> None:
        known = self._known.get(key)
        if known is not None:
            known.wanted = now
            return
        self._known[key] = _Known(now)
        if (metric := self._sight.catalog.metric(key)) is not None:
            self._enqueue(provider_key(metric))

    def _enqueue(self, provider: Key) -> None:
        health = self._health.get(provider)
        (self._ailing if health and health.ailing else self._healthy).enqueue(provider)

    async def _poll(self, key: Key, *, ailing: bool) -> Result | None:
        """Ask a provider for all of its metrics that are wanted."""
        provider, metrics = self._sight.catalog.provider(key), self._forget_unwanted(self._metrics_of(key))
        if provider is None or not metrics:
            self._health.pop(key, None)
            return self._tell_until(metrics)
        health = self._health.setdefault(key, _Health())
        if health.ailing != ailing:
            self._enqueue(key)
            return None
        began = self._now()
        answers = await self._ask(provider, health, {metric.spec.provider.metric for metric in metrics.values()})
        if self._health.get(key) is not health:
            return None  # the provider was changed meanwhile, and is enqueued for that
        health.slow = self._now() - began > SLOW
        self._note_health(provider, health, answers)
        self._take_in(provider, answers, asked=metrics)
        if health.ailing != ailing:
            (self._healthy if ailing else self._ailing).enqueue(key, self._delay(health))
            return self._tell_until(metrics)
        wait = self._tell_until(metrics).requeue_after
        delay = self._delay(health)
        return Result(delay if wait is None else min(delay, wait))

    def _metrics_of(self, provider: Key) -> dict[Key, AnyMetric]:
        informer: Informer[Any] = self._sight.global_metrics if provider.namespace is None else self._sight.metrics
        return {metric.key: metric for metric in informer.lookup(PROVIDER, provider) if metric.key in self._known}

    def _forget_unwanted(self, metrics: dict[Key, AnyMetric]) -> dict[Key, AnyMetric]:
        limit = self._now() - max(KEPT, 3 * self._settings.interval)
        for key in [key for key in metrics if self._known[key].wanted < limit]:
            del metrics[key], self._known[key]
            self._tracks.pop(key, None)
        return metrics

    async def _ask(self, provider: Provider, health: _Health, names: set[str]) -> Answers | ProviderError:
        name, limit = provider.metadata.name, self._settings.timeout
        try:
            # The source keeps to the limit itself, and says what it knows until then.
            async with asyncio.timeout(limit * 1.5):
                if health.source is None:
                    health.source = self._connect(provider)
                return await health.source.fetch(names)
        except ProviderError as error:
            return error
        except TimeoutError:
            return ProviderError(f"The metrics provider '{name}' did not answer within {limit:g} s.")
        except Exception:
            # Nothing must stay unmeasured for ever because of an answer that nobody has thought of.
            log.exception("Asking %s failed.", provider.ref)
            return ProviderError(f"The metrics provider '{name}' answered something that can not be read.")

    def _note_health(self, provider: Provider, health: _Health, answers: Answers | ProviderError) -> None:
        failed = isinstance(answers, ProviderError)
        if failed and not health.failures:
            log.warning("%s fails: %s", provider.ref, answers)
            self._recorder.record(provider, warning("ProviderFailing", str(answers)))
        elif health.failures and not failed:
            log.info("%s answers again.", provider.ref)
            self._recorder.record(provider, normal("ProviderRecovered", "It answers again."))
        health.failures = health.failures + 1 if failed else 0

    def _take_in(self, provider: Provider, answers: Answers | ProviderError, asked: Iterable[Key]) -> None:
        now, catalog = self._now(), self._sight.catalog
        for key in asked:
            metric = catalog.metric(key)
            if metric is None or provider_key(metric) != provider.key or key not in self._known:
                continue
            # What has got another name at its provider meanwhile is asked for anew.
            name = metric.spec.provider.metric
            answer = answers if isinstance(answers, ProviderError) else answers.get(name)
            self._tracks[key] = advance(self._tracks.get(key), metric, provider, answer, now)

    def _delay(self, health: _Health) -> float:
        """How long to wait before a provider is asked again; spread, so that not all are asked at once."""
        wait = self._backoff.limit(health.failures) if health.failures else self._settings.interval
        return wait * random.uniform(0.9, 1.1)

    def _tell_until(self, metrics: Iterable[Key]) -> Result:
        """Tell what is to be said of metrics now, and return when there is something else to say by the lapse of time alone."""
        self._tell(metrics)
        now, catalog = self._now(), self._sight.catalog
        times = [
            expiry
            for key in metrics
            if (metric := catalog.metric(key)) is not None
            and (track := self._tracks.get(key)) is not None
            and (expiry := expiry_of(metric.spec, track)) is not None
            and expiry > now
        ]
        return Result(min(times) - now if times else None)

    def _tell(self, metrics: Iterable[Key]) -> None:
        now, catalog = self._now(), self._sight.catalog
        changed = set()
        for key in metrics:
            known = self._known.get(key)
            if known is None:
                continue
            finding = find(key, catalog, self._tracks, now)
            gist = finding and finding.gist
            if gist != known.gist:
                known.gist = gist
                changed.add(key)
        for handler in self._handlers if changed else ():
            handler(frozenset(changed))

    def _follow_metric(self, old: AnyMetric | None, new: AnyMetric | None) -> None:
        obj = new or old
        assert obj is not None
        if obj.key not in self._known or (old is not None and new is not None and old.spec == new.spec):
            return
        track = self._tracks.get(obj.key)
        if track is not None and (new is None or track.source != self._source(new)):
            del self._tracks[obj.key]
        if new is not None:
            self._enqueue(provider_key(new))
        self._tell([obj.key])

    def _source(self, metric: AnyMetric) -> tuple[str, str] | None:
        provider = self._sight.catalog.provider(provider_key(metric))
        return source_of(metric, provider) if provider else None

    def _follow_provider(self, old: Provider | None, new: Provider | None) -> None:
        obj = new or old
        assert obj is not None
        if old is not None and new is not None and old.spec == new.spec:
            return
        # Whatever failed before, the new declaration deserves an attempt of its own.
        self._health.pop(obj.key, None)
        self._enqueue(obj.key)
        self._tell(self._metrics_of(obj.key))
