"""Puts the parts of the scheduler together."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from krake.adapters.metrics import Sources
from krake.client import Client
from krake.controller.runtime import Controller, Informer, Parts, Recorder
from krake.controller.scheduler.applications.controller import Applications
from krake.controller.scheduler.applications.failover import Failover
from krake.controller.scheduler.applications.movement import Movement
from krake.controller.scheduler.applications.placing import Placing
from krake.controller.scheduler.applications.sweep import Sweep
from krake.controller.scheduler.applications.world import NAMESPACE, World
from krake.controller.scheduler.deciding.snapshot import Settings
from krake.controller.scheduler.deciding.tenants import Tenant, tenant_of
from krake.controller.scheduler.explaining.chronicle import Chronicle
from krake.controller.scheduler.metrics.meter import Connect, Meter, Sight
from krake.controller.scheduler.metrics.reporting import Reporter
from krake.controller.scheduler.planning.planner import Planner
from krake.controller.scheduler.planning.whatif import Situation
from krake.controller.scheduler.provisioning.assembly import Provisioning
from krake.controller.scheduler.settings import SchedulerConfig
from krake.data import Key
from krake.data.kubernetes import Application, Cluster
from krake.data.quotas import Quota


def build(config: SchedulerConfig, client: Client, *, connect: Connect | None = None) -> Parts:
    """Return the parts of the scheduler.

    :param connect: makes the source of metrics that a provider declares, instead of the usual one.
    """
    apps, clusters = Informer(client, Application), Informer(client, Cluster)
    recorder, chronicle = Recorder(client, "scheduler"), Chronicle(client)
    chronicle.follow(apps)
    sources = Sources(config.metrics.destinations, config.metrics.timeout, forbidden=config.api_endpoint)
    sight = Sight.of(client)
    meter = Meter(sight, connect or sources.connect, recorder, config.metrics)
    reporter = Reporter(client, clusters, meter, recorder, lambda cluster: provisioning.effective(cluster).spec.metrics)
    world = _make_world(config, apps, clusters, lambda cluster: provisioning.effective(cluster), meter)
    meter.on_change(world.follow_metrics)
    quotas = Informer(client, Quota)
    quotas.on_change(world.follow_quota)

    placing: Controller[Key] = Controller(
        "scheduler",
        lambda key: applications.reconcile(key),
        config.worker_count,
        reads=[apps],
        debounce=config.debounce,
        rank=lambda key: applications.rank(key),
        share=lambda key: key.namespace,
    )

    def follow_heir(cluster: Key) -> None:
        reporter.controller.enqueue(cluster)
        world.touch([cluster])

    provisioning = Provisioning(
        client,
        recorder,
        chronicle,
        meter,
        apps,
        clusters,
        config=config,
        ledger=world.ledger,
        places=world,
        settings=world.settings,
        enqueue=placing.enqueue,
        changed=follow_heir,
    )
    quotas.on_change(provisioning.hosting.follow_quota)
    movement = _make_movement(config, placing, world)
    applications = Applications(
        client,
        apps,
        clusters,
        world,
        movement,
        Placing(client, recorder, apps, world, world.settings.reschedule_after),
        enqueue=placing.enqueue,
        consider=provisioning.consider,
        note=chronicle.note,
    )
    planner = _make_planner(config, client, apps, world, sight)
    sweep = Sweep(apps, world.look, placing.enqueue)
    world.on_change(sweep.stir)
    return Parts(
        informers=[apps, clusters, quotas, planner.plans, *meter.informers, *provisioning.informers],
        controllers=[*meter.controllers, reporter.controller, placing, planner.controller, *provisioning.controllers],
        tasks={"movement": movement.run, "sweep": sweep.run},
        resources=[sources, recorder, chronicle, *provisioning.resources],
    )


def _make_world(
    config: SchedulerConfig,
    apps: Informer[Application],
    clusters: Informer[Cluster],
    effective: Callable[[Cluster], Cluster],
    meter: Meter,
) -> World:
    def describe(app: Application) -> Tenant:
        bound = app.status.scheduled_to
        return tenant_of(app, None if bound is None else clusters.get(bound.key))

    wanted = config.failover
    return World(
        apps,
        clusters,
        describe=describe,
        effective=effective,
        measure=meter.measurement,
        settings=Settings(
            config.stickiness,
            timedelta(seconds=config.reschedule_after),
            weighted_constraints=config.metric_constraints == "weighted",
        ),
        failover=Failover(wanted.enabled, timedelta(seconds=wanted.after), timedelta(seconds=wanted.fail_back_after)),
        now=lambda: datetime.now(UTC),
    )


def _make_movement(config: SchedulerConfig, placing: Controller[Key], world: World) -> Movement:
    return Movement(
        placing.enqueue,
        at_once=config.moves.at_once,
        per_minute=config.moves.per_minute,
        failover_per_minute=config.failover.per_minute,
        moving=world.moving,
    )


def _make_planner(config: SchedulerConfig, client: Client, apps: Informer[Application], world: World, sight: Sight) -> Planner:
    def look(namespace: str) -> Situation | None:
        if (snapshot := world.look(namespace)) is None:
            return None
        return Situation(namespace, snapshot, {app.key.name: app for app in apps.lookup(NAMESPACE, namespace)}, sight.catalog)

    return Planner(client, look=look, limit=config.plans.time_limit)
