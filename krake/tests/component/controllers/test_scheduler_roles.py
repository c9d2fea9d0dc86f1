"""The shipped role lets the scheduler do all that it does with clouds, projects and the clusters that it creates."""

import json
from functools import partial
from pathlib import Path

import yaml
from component.controllers.hosts import TOSCA, add_cloud, add_magnum_cluster, add_metrics, add_project
from component.controllers.world import eventually, running
from fixtures.api import Serve

from krake.client import Client
from krake.controller.scheduler.controller import build
from krake.controller.scheduler.settings import ClusterCreationConfig, MetricsConfig, SchedulerConfig
from krake.data import Key
from krake.data.infrastructure import Cloud, CloudState
from krake.data.kubernetes import Application, ApplicationSpec, Cluster, ClusterConstraints, Constraints
from krake.data.metadata import Metadata
from krake.data.openstack import MagnumCluster, Project, ProjectState

ROLES = Path(__file__).parents[4] / "templates" / "bootstrapping" / "base_roles.yaml"
SCHEDULER = {"strategy": {"static": {"enabled": True, "name": "system:scheduler"}}}


async def test_the_shipped_role_is_enough(serve_api: Serve, tmp_path: Path) -> None:
    template = tmp_path / "cluster.yaml"
    template.write_text(json.dumps(TOSCA))
    config = SchedulerConfig(
        metrics=MetricsConfig(interval=0.2),
        automatic_cluster_creation=ClusterCreationConfig(tosca_file=str(template), deletion_retention=0),
    )
    async with serve_api() as admin, serve_api(authentication=SCHEDULER, authorization="RBAC") as strict:
        for document in yaml.safe_load_all(ROLES.read_text()):
            plural = "roles" if document.pop("kind") == "Role" else "rolebindings"
            assert (await admin.post(f"/core/{plural}", document)).status == 201
        async with Client(admin.url) as client, running(partial(build, config), strict.url):
            await add_metrics(client, load=0.5)
            await add_cloud(client, "cloud", metrics=["load", "missing"])
            await add_project(client, "project", labels={"zone": "a"}, metrics=["missing"])
            cloud = partial(client.get, Cloud, Key("red", "cloud"))
            await eventually(cloud, lambda it: it.status.state is CloudState.FAILING_METRICS)
            project = partial(client.get, Project, Key("red", "project"))
            await eventually(project, lambda it: it.status.state is ProjectState.FAILING_METRICS)
            await add_magnum_cluster(client, "magnum")
            magnum = partial(client.get, MagnumCluster, Key("red", "magnum"))
            await eventually(magnum, lambda it: it.status.project is not None and it.metadata.labels == {"zone": "a"})
            await client.create(
                Application(
                    metadata=Metadata(name="app", namespace="red"),
                    spec=ApplicationSpec(
                        manifest=[{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}],
                        constraints=Constraints(cluster=ClusterConstraints()),
                        auto_cluster_create=True,
                    ),
                )
            )
            clusters = partial(client.list, Cluster, "red")
            await eventually(clusters, lambda found: any(it.status.scheduled_to for it in found.items))
            await client.delete(Application, Key("red", "app"), force=True)
            await eventually(clusters, lambda found: all(it.metadata.deleted for it in found.items))
