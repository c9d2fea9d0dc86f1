"""What is admitted, and the words of a refusal, which clients depend on."""

from typing import Any

import pytest
from marshmallow import ValidationError
from unit.tosca.templates import node, template

from krake.data.core import GlobalMetric, MetricsProvider, Role
from krake.data.infrastructure import Cloud, GlobalCloud, InfrastructureProvider
from krake.data.kinds import Resource
from krake.data.kubernetes import Application, ApplicationComplete, Cluster
from krake.data.record import Record
from krake.data.schema import Purpose, flatten_errors, load

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo"}, "spec": {"ports": [{"port": 80}]}}
KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:6443"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}
LENGTHS = {"observer_schema_list_min_length": 1, "observer_schema_list_max_length": 2}


def application(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": {"manifest": [DEPLOYMENT], "constraints": {"cluster": {}}, **spec}}


def observed(**schema: Any) -> dict[str, Any]:
    return application(
        observer_schema=[{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo"}, **schema}]
    )


def cluster(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c"}, "spec": {"kubeconfig": KUBECONFIG, "constraints": {"cloud": {}}, **spec}}


def role(**rule: Any) -> dict[str, Any]:
    return {"metadata": {"name": "r"}, "rules": [{"api": "", "resources": [], "namespaces": [], "verbs": [], **rule}]}


def metric(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "m"}, "spec": {"min": 0, "max": 1, "provider": {"name": "p", "metric": "m"}, **spec}}


PASSWORD = {"type": "password", "password": {"user": {"username": "u", "password": "p"}, "project": {"name": "p"}}}


def cloud(
    namespaced_provider: bool = False, namespaced_metric: bool = False, auth: dict[str, Any] = PASSWORD
) -> dict[str, Any]:
    openstack = {
        "url": "https://keystone:5000",
        "auth": auth,
        "metrics": [{"name": "m", "weight": 1, "namespaced": namespaced_metric}],
        "infrastructure_provider": {"name": "im", "namespaced": namespaced_provider},
    }
    return {"metadata": {"name": "c"}, "spec": {"type": "openstack", "openstack": openstack}}


UNWRITABLE = "Must not have line breaks or other control characters."


def local_cloud(name: str = "p", namespaced: bool = False) -> dict[str, Any]:
    reference = {"name": name, "namespaced": namespaced}
    return {"metadata": {"name": "c"}, "spec": {"type": "local", "local": {"infrastructure_provider": reference}}}


def provider(**im: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"type": "im", "im": {"url": "http://im:8800", **im}}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Application, application()),
        (Application, application(tosca="https://host/t.yaml", manifest=[])),
        (Application, application(csar="https://host/t.zip", manifest=[])),
        (Application, application(tosca=template(), manifest=[])),
        (Application, application(tosca=template({"n": {"type": "integer"}}), manifest=[], inputs={"n": "1"})),
        (Application, application(tosca=template({"n": {"type": "integer"}}))),
        (Application, application(backoff="3", backoff_limit=5.0)),
        (Application, observed(spec={"ports": [{"port": None}, LENGTHS]})),
        (
            Application,
            observed(spec={"replicas": None, "ports": [{"port": None}, LENGTHS | {"observer_schema_list_max_length": 0}]}),
        ),
        (Application, observed(metadata={"name": "echo", "labels": {"app": None}})),
        (Application, {**application(), "unknown": 1}),
        (Cluster, cluster()),
        (Role, role(verbs=["create", "list_all"])),
        (GlobalMetric, metric(allowed_values=[0, 1])),
        (Cloud, cloud(namespaced_provider=True, namespaced_metric=True)),
        (GlobalCloud, cloud()),
        (Cloud, local_cloud(namespaced=True)),
        (GlobalCloud, local_cloud()),
        (Cloud, cloud(auth={"type": "application_credential", "application_credential": {"id": "i", "secret": "s;s"}})),
        (InfrastructureProvider, {"metadata": {"name": "p"}, "spec": {"type": "local"}}),
        (InfrastructureProvider, provider(token="t")),
        (InfrastructureProvider, provider(username="Ä; = 'u'", password='"\\n')),
        (InfrastructureProvider, provider(username="u", password="p")),
        (ApplicationComplete, {"token": "t"}),
    ],
)
def test_admitted(kind: type[Record], body: dict[str, Any]) -> None:
    load(kind, body, Purpose.CREATE)


@pytest.mark.parametrize(
    ("kind", "body", "place", "said"),
    [
        (Role, {}, "metadata", "Missing data for required field."),
        (Role, {"metadata": []}, "metadata", "Invalid input type."),
        (Role, [], "", "Invalid input type."),
        (Role, role() | {"api": "kubernetes"}, "api", "Must be equal to core."),
        (Role, role() | {"kind": "Rule"}, "kind", "Must be equal to Role."),
        (Role, role(verbs=["fly"]), "rules[0].verbs[0]", "Invalid enum member fly"),
        (Role, role(verbs=[1]), "rules[0].verbs[0]", "Enum name must be string"),
        (Role, role(resources=[None]), "rules[0].resources[0]", "Field may not be null."),
        (Role, role(resources="roles"), "rules[0].resources", "Not a valid list."),
        (Role, {"metadata": {"name": "a b"}, "rules": []}, "metadata.name", "Invalid character in resource name."),
        (Role, {"metadata": {"name": "a" * 256}, "rules": []}, "metadata.name", "Invalid character in resource name."),
        (Role, {"metadata": {"name": "a", "labels": None}, "rules": []}, "metadata.labels", "Field may not be null."),
        (
            Role,
            {"metadata": {"name": "a", "labels": {"k": ""}}, "rules": []},
            "metadata.labels.",
            r"Label value '' does not match the regex '\w|(\w[\w\-_.]{0,61}\w)'.",
        ),
        (Application, application(manifest=[3]), "spec.manifest[0]", "Not a valid mapping type."),
        (Application, application(manifest=[{}]), "spec.manifest", "Field 'metadata.name' not found in resource at index 0"),
        (
            Application,
            application(manifest=[{"metadata": {"name": "x"}, "kind": "Pod"}]),
            "spec.manifest",
            "Field 'apiVersion' not found in resource at index 0 (metadata.name: 'x')",
        ),
        (
            Application,
            application(manifest=[{"metadata": None}]),
            "spec.manifest",
            "Field 'metadata' not found in resource at index 0",
        ),
        (
            Application,
            application(manifest=[]),
            "spec",
            "The application should be defined by a manifest file, a TOSCA template or a CSAR file.",
        ),
        (
            Application,
            application(tosca={"a": 1}),
            "spec.tosca",
            "Invalid TOSCA template content. tosca_definitions_version must be one of tosca_simple_yaml_1_0,"
            " tosca_simple_yaml_1_1, tosca_simple_yaml_1_2, tosca_simple_yaml_1_3, not 'null'.",
        ),
        (
            Application,
            application(tosca=template(nodes={"echo": node(type_="Own")})),
            "spec.tosca",
            "Invalid TOSCA template content. Node 'echo': its type 'Own' is not defined; define it, or import it.",
        ),
        (
            Application,
            application(tosca=template({"n": {"type": "integer"}}), inputs={"n": "many"}),
            "spec",
            "The inputs do not fit the TOSCA template: The input 'n' must be an integer, not 'many'.",
        ),
        (
            Application,
            application(tosca="https://host/t.yaml?x"),
            "spec.tosca",
            "Invalid TOSCA template URL. It must end with .yaml or .yml.",
        ),
        (
            Application,
            application(tosca="file:///etc/t.yaml"),
            "spec.tosca",
            "Invalid TOSCA template URL. It must begin with http:// or https://.",
        ),
        (Application, application(csar=""), "spec.csar", "Invalid CSAR archive URL. It must end with .csar or .zip."),
        (
            Application,
            application(csar="https://me:secret@host/t.zip"),
            "spec.csar",
            "Invalid CSAR archive URL. URLs with a user or a password are not fetched, as everybody who sees the application"
            " would know them.",
        ),
        (Application, application(backoff=5.9), "spec.backoff", "Not a valid integer."),
        (Application, application(backoff=True), "spec.backoff", "Not a valid integer."),
        (Application, application(hooks=["explode"]), "spec.hooks", "Must be one of: complete, shutdown."),
        (Application, application(constraints=None), "spec.constraints", "Field may not be null."),
        (
            Application,
            application(constraints={"cluster": {"labels": ["zone"]}}),
            "spec.constraints.cluster.labels[0]",
            "Invalid label constraint",
        ),
        (
            Application,
            application(constraints={"cluster": {"metrics": ["load"]}}),
            "spec.constraints.cluster.metrics[0]",
            "Invalid metric constraint",
        ),
        (
            Application,
            observed(metadata={"name": "other"}),
            "spec",
            "Observer schema of resource at index 0: Observed resource must be in manifest",
        ),
        (
            Application,
            observed(metadata=None),
            "spec",
            "Observer schema of resource at index 0: metadata dictionary is not defined",
        ),
        (Application, observed(spec=1), "spec", "Observer schema of resource at index 0: Value of 'spec' is not 'None'"),
        (
            Application,
            observed(spec=[None]),
            "spec",
            "Observer schema of resource at index 0: Special list control dictionary not found",
        ),
        (Cluster, cluster(kubeconfig={}), "spec", "The cluster should be defined by a kubeconfig file or a TOSCA template."),
        (
            Cluster,
            cluster(kubeconfig={"contexts": "x"}),
            "spec.kubeconfig",
            "Invalid kube-config file. Expected key current-context in kube-config",
        ),
        (
            Cluster,
            cluster(kubeconfig=KUBECONFIG | {"contexts": "x"}),
            "spec.kubeconfig",
            "Invalid kube-config file. Expected list contexts in kube-config",
        ),
        (Cluster, cluster(kubeconfig=KUBECONFIG | {"users": []}), "spec.kubeconfig", "Only one user is allowed"),
        (
            Cluster,
            cluster(kubeconfig={}, tosca={"topology_template": {}}),
            "spec.tosca",
            "Invalid TOSCA template content. The output `kubeconfig` is missing.",
        ),
        (
            Application,
            application(constraints={"cluster": {"metrics": ["load > high"]}}),
            "spec.constraints.cluster.metrics[0]",
            "Invalid metric constraint: 'high' is not a number",
        ),
        (
            Cluster,
            cluster(metrics=[{"name": "a", "weight": 1}, {"name": "a", "weight": 2}]),
            "spec.metrics",
            "Named more than once: a.",
        ),
        (GlobalMetric, metric(min=1), "spec", "The minimum must be lower than the maximum."),
        (GlobalMetric, metric(max="inf"), "spec.max", "Special numeric values (nan or infinity) are not permitted."),
        (
            GlobalCloud,
            cloud(namespaced_provider=True),
            "",
            "A non-namespaced global cloud resource cannot reference the namespaced infrastructure provider resource.",
        ),
        (
            GlobalCloud,
            cloud(namespaced_metric=True),
            "",
            "A non-namespaced global cloud resource cannot reference the namespaced metric resource.",
        ),
        (
            InfrastructureProvider,
            provider(username="u"),
            "spec",
            "At least one authentication should be defined in the IM infrastructure provider spec.",
        ),
        (
            GlobalCloud,
            local_cloud(namespaced=True),
            "",
            "A non-namespaced global cloud resource cannot reference the namespaced infrastructure provider resource.",
        ),
        (Cloud, local_cloud(name="../p"), "spec.infrastructure_provider.name", "Invalid character in resource name."),
        (InfrastructureProvider, provider(token="t\nid = x"), "spec.token", UNWRITABLE),
        (InfrastructureProvider, provider(username="u\x7f", password="p"), "spec.username", UNWRITABLE),
        (InfrastructureProvider, provider(token="t" * 10_001), "spec.token", "Must not be longer than 10000 characters."),
        (
            Cloud,
            cloud(auth={"type": "application_credential", "application_credential": {"id": "i", "secret": "s\u2028"}}),
            "spec.auth.secret",
            UNWRITABLE,
        ),
        (Cloud, {"metadata": {"name": "c"}, "spec": {"type": "azure"}}, "spec.type", "Unknown type 'azure'"),
        (InfrastructureProvider, {"metadata": {"name": "p"}, "spec": {"type": "x"}}, "spec.type", "Unknown type 'x'"),
        (MetricsProvider, {"metadata": {"name": "p"}, "spec": {"type": "crystal"}}, "spec.type", "Unknown type 'crystal'"),
        (MetricsProvider, {"metadata": {"name": "p"}, "spec": {"type": "static"}}, "spec.static", "Field is required"),
        (
            MetricsProvider,
            {"metadata": {"name": "p"}, "spec": {"type": "prometheus", "prometheus": {}}},
            "spec.url",
            "Missing data for required field.",
        ),
    ],
)
def test_refused(kind: type[Resource], body: Any, place: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load(kind, body, Purpose.CREATE)
    assert (place, said) in list(flatten_errors(refused.value.messages))


@pytest.mark.parametrize(
    ("user", "cluster_entry"),
    [
        ({"exec": {"command": "sh"}}, {}),
        ({"auth-provider": {"name": "gcp"}}, {}),
        ({"client-certificate": "/etc/passwd"}, {}),
        ({"client-key": "key.pem"}, {}),
        ({"tokenFile": "/run/token"}, {}),
        ({}, {"certificate-authority": "/etc/ca.pem"}),
    ],
)
def test_kubeconfigs_that_run_or_read_something_are_refused(user: dict[str, Any], cluster_entry: dict[str, Any]) -> None:
    kubeconfig = {
        **KUBECONFIG,
        "users": [{"name": "u", "user": user}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1", **cluster_entry}}],
    }
    with pytest.raises(ValidationError, match="is not allowed: embed the data itself"):
        load(Cluster, cluster(kubeconfig=kubeconfig), Purpose.CREATE)
