"""The objects that copy volumes: a Job on the source that serves them, behind a Service, and one on the target. Pure."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from krake.controller.kubernetes.application.desired import MANAGED_BY
from krake.controller.kubernetes.application.settings import MigrationConfig
from krake.controller.kubernetes.application.volumes.credentials import Credentials
from krake.ports.cluster import COPY_LABEL, OWNER_LABEL, Identity, Object, ObjectType

SECRET = ObjectType("v1", "Secret")
CONFIG_MAP = ObjectType("v1", "ConfigMap")
SERVICE = ObjectType("v1", "Service")
JOB = ObjectType("batch/v1", "Job")
PORT = 8443
_NEEDED = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD"]
"""To read all files, and give them the owners that they have. More than these is not needed."""
_PLACES = {"node_port": "NodePort", "load_balancer": "LoadBalancer"}


class Pair(NamedTuple):
    """What copies some claims of one namespace; all its objects are called alike.

    :param owner: the uid of the application.
    :param pod: the spec of the Pod that mounts the claims: on the target the Job runs where it will.
    """

    owner: str
    namespace: str
    job: str
    claims: Sequence[str]
    pod: Mapping[str, Any]

    def identity(self, type_: ObjectType) -> Identity:
        """The object of a type."""
        return Identity(type_, self.namespace, self.job)

    def _object(self, type_: ObjectType, **content: Any) -> dict[str, Any]:
        metadata = {"name": self.job, "namespace": self.namespace, "labels": {MANAGED_BY: "krake", **self.labels}}
        return {"apiVersion": type_.api_version, "kind": type_.kind, "metadata": metadata, **content}

    @property
    def labels(self) -> dict[str, str]:
        """Of all its objects and their Pods."""
        return {OWNER_LABEL: self.owner, COPY_LABEL: self.job}

    def script(self, code: Mapping[str, str]) -> dict[str, Any]:
        """The ConfigMap of the script, by the names of its files."""
        return self._object(CONFIG_MAP, data=dict(code))

    def source_secret(self, credentials: Credentials) -> dict[str, Any]:
        """The Secret of the side that serves."""
        data = {"token": credentials.token, "tls.crt": credentials.certificate, "tls.key": credentials.key}
        return self._object(SECRET, data=_encoded(data))

    def target_secret(self, credentials: Credentials, addresses: Iterable[tuple[str, int]]) -> dict[str, Any]:
        """The Secret of the side that fetches."""
        data = {"token": credentials.token, "tls.crt": credentials.certificate, "addresses": json.dumps(list(addresses))}
        return self._object(SECRET, data=_encoded(data))

    def service(self, config: MigrationConfig) -> dict[str, Any]:
        """The Service through which the target reaches the source."""
        port = {"name": "https", "port": PORT, "targetPort": PORT, "protocol": "TCP"}
        return self._object(SERVICE, spec={"type": _PLACES[config.volumes.address], "selector": self.labels, "ports": [port]})

    def source_job(self, config: MigrationConfig) -> dict[str, Any]:
        """The Job that serves, until it is deleted."""
        container = {
            **self._container(config, ["serve", f"--port={PORT}"], read_only=True),
            "ports": [{"containerPort": PORT, "protocol": "TCP"}],
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        }
        # The claims may be on a node that is just being emptied.
        placement = {"tolerations": [{"operator": "Exists"}]}
        return self._job(config, {**placement, "restartPolicy": "OnFailure", "containers": [container]})

    def target_job(self, config: MigrationConfig) -> dict[str, Any]:
        """The Job that fetches, until it has everything."""
        attempts = max(config.retry.max, 1)
        arguments = ["fetch", f"--attempts={attempts}", "--result=/dev/termination-log"]
        container = self._container(config, arguments, read_only=False)
        placement = {key: self.pod[key] for key in ("nodeSelector", "tolerations") if self.pod.get(key)}
        affinity = self.pod.get("affinity")
        if isinstance(affinity, Mapping) and affinity.get("nodeAffinity"):
            placement["affinity"] = {"nodeAffinity": affinity["nodeAffinity"]}
        return self._job(config, {**placement, "restartPolicy": "Never", "containers": [container]})

    def _container(self, config: MigrationConfig, arguments: Sequence[str], *, read_only: bool) -> dict[str, Any]:
        side, *options = arguments
        mounts = [
            {"name": f"volume-{index}", "mountPath": f"/volumes/{claim}", "readOnly": read_only}
            for index, claim in enumerate(self.claims)
        ]
        return {
            "name": "transfer",
            "image": config.volumes.image,
            "command": ["python3", "-m", "transfer", side, "/volumes", "/access", *options],
            "workingDir": "/code",
            "env": [{"name": "PYTHONUTF8", "value": "1"}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"cpu": "2", "memory": "512Mi"},
            },
            "securityContext": {
                "runAsUser": 0,
                "runAsGroup": 0,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"], "add": _NEEDED},
            },
            "volumeMounts": [
                {"name": "code", "mountPath": "/code/transfer"},
                {"name": "access", "mountPath": "/access"},
                *mounts,
            ],
        }

    def _job(self, config: MigrationConfig, pod: Mapping[str, Any]) -> dict[str, Any]:
        volumes = [
            {"name": "code", "configMap": {"name": self.job}},
            {"name": "access", "secret": {"secretName": self.job}},
            *(
                {"name": f"volume-{index}", "persistentVolumeClaim": {"claimName": claim}}
                for index, claim in enumerate(self.claims)
            ),
        ]
        spec = {
            **pod,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "volumes": volumes,
        }
        return self._object(
            JOB,
            spec={
                "backoffLimit": config.retry.max,
                "activeDeadlineSeconds": config.volumes.timeout,
                "template": {"metadata": {"labels": self.labels}, "spec": spec},
            },
        )


def _encoded(data: Mapping[str, str]) -> dict[str, str]:
    return {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}


def address_of(service: Object, pod: Object, host: str) -> list[tuple[str, int]]:
    """Where the target may find the source: the best first; empty as long as it is not known.

    :param host: of the API server of the source, where its services are looked for as well.
    """
    spec, status = service["spec"], service.get("status") or {}
    if spec.get("type") == "LoadBalancer":
        places = [each.get("ip") or each.get("hostname") for each in (status.get("loadBalancer") or {}).get("ingress") or ()]
        return [(place, PORT) for place in places if place]
    port = spec["ports"][0].get("nodePort")
    node = (pod.get("status") or {}).get("hostIP")
    return [(place, port) for place in dict.fromkeys((host, node)) if place] if port else []
