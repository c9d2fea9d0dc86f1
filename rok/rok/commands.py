"""The table of all commands. To add a group, a resource or an operation is to add an entry."""

import argparse
from collections.abc import Sequence
from functools import partial

from rok import authorization, flags, verbs
from rok.kinds import (
    applications,
    clouds,
    clusters,
    events,
    infrastructure,
    magnumclusters,
    maintenance,
    metrics,
    placements,
    plans,
    projects,
    providers,
    quotas,
    rendering,
)
from rok.operations import LIST, ONE, Group, Operation, Resource, Single, registered, written
from rok.parser import make_parser
from rok.registration import change_registered
from rok.waiting import DELETED

TABLE: tuple[Group | Single, ...] = (
    Single(
        plans.VIEW,
        Operation(
            "plan",
            "show what the scheduler would do, now or if something were different",
            plans.FLAGS,
            plans.show_plan,
            1,
            plans.REMARK,
        ),
    ),
    Single(events.VIEW, Operation("events", "show what happened, the latest last", events.FLAGS, events.list_events)),
    Group(
        "kubernetes",
        ("kube",),
        "applications and the clusters they run on",
        (
            Resource(
                "application",
                ("app",),
                "what runs on the clusters",
                applications.VIEW,
                (
                    Operation("list", "list applications", LIST, verbs.list_objects),
                    Operation(
                        "create",
                        "create an application",
                        applications.CREATE_FLAGS,
                        applications.create_application,
                    ),
                    Operation("get", "show an application", (*ONE, *rendering.FLAGS), rendering.get_application),
                    Operation(
                        "update",
                        "change an application",
                        applications.UPDATE_FLAGS,
                        partial(verbs.update_object, change=applications.changed_application, goals=applications.UPDATE_GOALS),
                    ),
                    Operation(
                        "delete",
                        "delete an application",
                        applications.DELETE_FLAGS,
                        partial(verbs.delete_object, goals=applications.DELETE_GOALS),
                    ),
                    Operation(
                        "explain",
                        "say why an application is where it is",
                        placements.EXPLAIN_FLAGS,
                        placements.explain_application,
                    ),
                    Operation(
                        "history",
                        "show where an application was, and why it left, the latest last",
                        placements.HISTORY_FLAGS,
                        placements.show_history,
                    ),
                    Operation(
                        "retry",
                        "try anew what has failed: to run, move or delete an application",
                        ONE,
                        partial(verbs.act, action="retry"),
                    ),
                ),
            ),
            Resource(
                "cluster",
                (),
                "what applications run on",
                clusters.VIEW,
                (
                    Operation("register", "register a cluster that exists", clusters.REGISTER_FLAGS, clusters.register_cluster),
                    Operation(
                        "create",
                        "create a cluster on a cloud",
                        clusters.CREATE_FLAGS,
                        partial(verbs.create_object, body=clusters.new_cluster, goals=clusters.CREATE_GOALS),
                    ),
                    Operation("list", "list clusters", LIST, verbs.list_objects),
                    Operation("get", "show a cluster", ONE, clusters.get_cluster),
                    Operation(
                        "update",
                        "change a cluster",
                        clusters.UPDATE_FLAGS,
                        partial(verbs.update_object, change=clusters.changed_cluster, goals=clusters.UPDATE_GOALS),
                    ),
                    Operation(
                        "delete",
                        "delete a cluster, after its applications have gone elsewhere",
                        clusters.DELETE_FLAGS,
                        partial(maintenance.delete_cluster, goals=clusters.DELETE_GOALS),
                    ),
                    Operation(
                        "explain",
                        "say why a cluster is on its cloud",
                        placements.HISTORY_FLAGS,
                        placements.explain_cluster,
                    ),
                    Operation("cordon", "let a cluster take no more applications", ONE, maintenance.cordon_cluster),
                    Operation("uncordon", "let a cluster take applications again", ONE, maintenance.uncordon_cluster),
                    Operation(
                        "drain",
                        "have applications leave a cluster, and let it take no more",
                        maintenance.DRAIN_FLAGS,
                        maintenance.drain_cluster,
                    ),
                    Operation(
                        "taint",
                        "keep applications away from a cluster that do not tolerate it",
                        maintenance.TAINT_FLAGS,
                        maintenance.taint_cluster,
                    ),
                ),
            ),
        ),
    ),
    Group(
        "infrastructure",
        ("infra",),
        "clouds, and what creates clusters on them",
        (
            registered(
                ("globalinfrastructureprovider", "gprovider", "gip"),
                "global infrastructure provider: one for all namespaces",
                infrastructure.GLOBAL_VIEW,
                infrastructure.REGISTER_FLAGS,
                infrastructure.UPDATE_FLAGS,
                infrastructure.register_provider,
                infrastructure.changed_provider,
                infrastructure.CHECK,
            ),
            registered(
                ("infrastructureprovider", "provider", "ip"),
                "infrastructure provider: what creates clusters on clouds",
                infrastructure.VIEW,
                infrastructure.REGISTER_FLAGS,
                infrastructure.UPDATE_FLAGS,
                infrastructure.register_provider,
                infrastructure.changed_provider,
                infrastructure.CHECK,
            ),
            registered(
                ("globalcloud", "gcloud", "gc"),
                "global cloud: one for all namespaces",
                clouds.GLOBAL_VIEW,
                clouds.GLOBAL_REGISTER_FLAGS,
                clouds.GLOBAL_UPDATE_FLAGS,
                clouds.register_cloud,
                clouds.changed_cloud,
                infrastructure.CHECK,
                losses=", and all clusters on it",
            ),
            registered(
                ("cloud",),
                "cloud: where clusters are created",
                clouds.VIEW,
                clouds.REGISTER_FLAGS,
                clouds.UPDATE_FLAGS,
                clouds.register_cloud,
                clouds.changed_cloud,
                infrastructure.CHECK,
                losses=", and all clusters on it",
            ),
        ),
    ),
    Group(
        "openstack",
        ("os",),
        "clusters that OpenStack Magnum creates, and the projects they are in",
        (
            Resource(
                "project",
                (),
                "where Magnum creates clusters",
                projects.VIEW,
                (
                    Operation("list", "list projects", LIST, verbs.list_objects),
                    Operation(
                        "create",
                        "declare a project that exists",
                        (*projects.CREATE_FLAGS, *flags.COMMON),
                        projects.create_project,
                        remark=projects.CREATE_REMARK,
                    ),
                    Operation("get", "show a project", ONE, verbs.get_object),
                    Operation(
                        "update",
                        "change a project",
                        (*projects.UPDATE_FLAGS, *flags.COMMON),
                        partial(change_registered, change=projects.changed_project, check=infrastructure.CHECK),
                    ),
                    Operation(
                        "delete",
                        "delete a project, with the clusters that are in it",
                        (flags.NAME, *flags.wait("deleted", default="deleted"), *flags.COMMON),
                        partial(verbs.delete_object, goals={"deleted": DELETED}),
                    ),
                ),
            ),
            Resource(
                "cluster",
                (),
                "Kubernetes clusters that Magnum creates",
                magnumclusters.VIEW,
                (
                    Operation("list", "list Magnum clusters", LIST, verbs.list_objects),
                    Operation(
                        "create",
                        "create a Magnum cluster",
                        magnumclusters.CREATE_FLAGS,
                        partial(verbs.create_object, body=magnumclusters.new_magnum_cluster, goals=magnumclusters.CREATE_GOALS),
                    ),
                    Operation("get", "show a Magnum cluster", ONE, verbs.get_object),
                    Operation(
                        "update",
                        "change a Magnum cluster",
                        magnumclusters.UPDATE_FLAGS,
                        partial(
                            verbs.update_object,
                            change=magnumclusters.changed_magnum_cluster,
                            goals=magnumclusters.UPDATE_GOALS,
                        ),
                    ),
                    Operation(
                        "delete",
                        "delete a Magnum cluster, after its applications have gone elsewhere",
                        magnumclusters.DELETE_FLAGS,
                        partial(verbs.delete_object, goals=magnumclusters.DELETE_GOALS),
                    ),
                ),
            ),
        ),
    ),
    Group(
        "core",
        (),
        "metrics, where their values come from, and quotas",
        (
            written(
                ("metricsprovider", "mp"),
                "metrics provider: where the values of metrics come from",
                providers.VIEW,
                providers.CREATE_FLAGS,
                providers.UPDATE_FLAGS,
                providers.new_provider,
                providers.changed_provider,
            ),
            written(
                ("globalmetricsprovider", "gmp"),
                "global metrics provider: one for all namespaces",
                providers.GLOBAL_VIEW,
                providers.CREATE_FLAGS,
                providers.UPDATE_FLAGS,
                providers.new_provider,
                providers.changed_provider,
            ),
            written(
                ("metric",),
                "metric: what clusters are ranked by",
                metrics.VIEW,
                metrics.CREATE_FLAGS,
                metrics.UPDATE_FLAGS,
                metrics.new_metric,
                metrics.changed_metric,
            ),
            written(
                ("globalmetric", "gm"),
                "global metric: one for all namespaces",
                metrics.GLOBAL_VIEW,
                metrics.GLOBAL_CREATE_FLAGS,
                metrics.GLOBAL_UPDATE_FLAGS,
                metrics.new_metric,
                metrics.changed_metric,
            ),
            written(
                ("quota",),
                "quota: how much of the clusters a namespace may take",
                quotas.VIEW,
                quotas.CREATE_FLAGS,
                quotas.UPDATE_FLAGS,
                quotas.new_quota,
                quotas.changed_quota,
                show=quotas.show_quota,
                list_all=quotas.list_quotas,
            ),
        ),
    ),
    Group(
        "auth",
        (),
        "who you are, and what you may do",
        commands=(
            Single(
                authorization.USER,
                Operation("whoami", "show your name and your roles", authorization.FLAGS, authorization.who_am_i),
            ),
            Single(
                authorization.RULES,
                Operation("can-i", "ask whether you may do something", authorization.ASK_FLAGS, authorization.can_i),
            ),
        ),
    ),
)


def build_parser(table: Sequence[Group | Single] = TABLE) -> argparse.ArgumentParser:
    """Return the parser of the whole command line.

    What it reads has the attributes ``view`` and ``run`` beside those of the flags.
    """
    return make_parser(table)
