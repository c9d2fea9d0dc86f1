"""What is in the cloud: the catalogue of its services, and what a project needs to create machines and clusters."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from realidentity.keystone import Keystone
from realkube.process import StartError

from .configuration import PASSWORD, REGION, Ports
from .rest import Client

IMAGE, FLAVOR, KEYPAIR = "Ubuntu 22.04", "m1.medium", "krake"
CLUSTER_IMAGE = "Fedora CoreOS"
_MACHINES, _PUBLIC = "198.18.0.0/24", "203.0.113.0/24"
"""Of ranges for measurements and examples: they lead nowhere, so nobody takes other machines for these."""
_MEMORY, _CPUS, _DISK = 4096, 2, 10
_LIMIT = 120


@dataclass(frozen=True)
class Contents:
    """What is in the project ``admin``.

    :param template: the UUID of the template by which Magnum creates clusters.
    :param user: the id of the administrator.
    :param project: the id of the project.
    """

    template: str
    user: str
    project: str


def fill_catalogue(keystone: Keystone, ports: Ports) -> None:
    """Say in the catalogue where the services are, and let Magnum have the domain for its users."""
    client = Client(keystone.issue_token())
    base = keystone.endpoint
    # By these names some clients look for services; by others they do not find them.
    services = {
        ("image", "glance"): f"http://127.0.0.1:{ports.image}",
        ("network", "neutron"): f"http://127.0.0.1:{ports.network}",
        ("compute", "nova"): f"http://127.0.0.1:{ports.compute}/v2.1",
        ("placement", "placement"): f"http://127.0.0.1:{ports.placement}",
        ("container-infra", "magnum"): f"http://127.0.0.1:{ports.magnum}/v1",
        # Magnum looks these up before it does anything, though nothing here needs them.
        ("orchestration", "heat"): "http://127.0.0.1:1",
        ("volumev3", "cinderv3"): "http://127.0.0.1:1",
    }
    for (kind, name), url in services.items():
        service = client.post(f"{base}/services", {"service": {"type": kind, "name": name}})["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {"service_id": service, "interface": interface, "url": url, "region_id": REGION}
            client.post(f"{base}/endpoints", {"endpoint": endpoint})
    domain = keystone.create_domain("magnum")
    user = keystone.create_user("magnum", PASSWORD, domain_id=domain)
    role = client.get(f"{base}/roles?name=admin")["roles"][0]["id"]
    client.put(f"{base}/domains/{domain}/users/{user}/roles/{role}")


def fill(client: Client, ports: Ports) -> Contents:
    """Put images, a flavor, networks, a key and a template of clusters into the project, and await a machine to run on."""
    compute = f"http://127.0.0.1:{ports.compute}/v2.1"
    _add_image(client, ports, IMAGE, "ubuntu")
    _add_image(client, ports, CLUSTER_IMAGE, "fedora-coreos")
    flavor = {"name": FLAVOR, "ram": _MEMORY, "vcpus": _CPUS, "disk": _DISK}
    client.post(f"{compute}/flavors", {"flavor": flavor})
    client.post(f"{compute}/os-keypairs", {"keypair": {"name": KEYPAIR}})
    _add_networks(client, f"http://127.0.0.1:{ports.network}/v2.0")
    template = {
        "name": "kubernetes",
        "coe": "kubernetes",
        "image_id": CLUSTER_IMAGE,
        "keypair_id": KEYPAIR,
        "flavor_id": FLAVOR,
        "master_flavor_id": FLAVOR,
        "external_network_id": "public",
        "network_driver": "flannel",
        "docker_volume_size": 3,
    }
    uuid = str(client.post(f"http://127.0.0.1:{ports.magnum}/v1/clustertemplates", template)["uuid"])
    _await("a machine that machines run on", lambda: bool(client.get(f"{compute}/os-hypervisors")["hypervisors"]))
    identity = f"http://127.0.0.1:{ports.identity}/v3"
    user = client.get(f"{identity}/users?name=admin")["users"][0]["id"]
    project = client.get(f"{identity}/projects?name=admin")["projects"][0]["id"]
    return Contents(uuid, user, project)


def _add_image(client: Client, ports: Ports, name: str, distribution: str) -> None:
    images = f"http://127.0.0.1:{ports.image}/v2/images"
    image = {
        "name": name,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
        "os_distro": distribution,
        "os_version": "22.04",
    }
    id_ = client.post(images, image)["id"]
    client.put(f"{images}/{id_}/file", b"no system")


def _add_networks(client: Client, base: str) -> None:
    """Make a network for machines, and one of public addresses that is connected to it."""
    public, _ = _add_network(client, base, "public", _PUBLIC, external=True)
    _, machines = _add_network(client, base, "machines", _MACHINES)
    router = {"name": "public_router", "external_gateway_info": {"network_id": public}}
    id_ = client.post(f"{base}/routers", {"router": router})["router"]["id"]
    client.put(f"{base}/routers/{id_}/add_router_interface", json.dumps({"subnet_id": machines}).encode(), "application/json")


def _add_network(client: Client, base: str, name: str, addresses: str, *, external: bool = False) -> tuple[str, str]:
    network = {"name": name, "router:external": external}
    id_ = client.post(f"{base}/networks", {"network": network})["network"]["id"]
    subnet = {"network_id": id_, "name": name, "ip_version": 4, "cidr": addresses, "enable_dhcp": False}
    return id_, client.post(f"{base}/subnets", {"subnet": subnet})["subnet"]["id"]


def _await(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise StartError(f"OpenStack has not got {what} within {_LIMIT} seconds.")
        time.sleep(0.5)
