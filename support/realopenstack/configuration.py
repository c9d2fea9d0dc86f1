"""The files that the services read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from realkube.process import free_port

from .sandbox import HOME

PASSWORD = "secret"
"""Of the administrator, and of everybody else: everything listens on loopback only."""
REGION = "RegionOne"
_PLUGINS = Path(__file__).with_name("plugins")
_ENTRY_POINTS = """\
[neutron.ml2.mechanism_drivers]
krake = krake_networks:EverySegment
[magnum.drivers]
krake = krake_clusters:Pretending
"""
_FOREIGN_DRIVERS = (
    "k8s_coreos_v1,k8s_fedora_atomic_v1,k8s_fedora_coreos_v1,k8s_fedora_ironic_v1,"
    "mesos_ubuntu_v1,swarm_fedora_atomic_v1,swarm_fedora_atomic_v2"
)

Sections = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Ports:
    """Where on 127.0.0.1 what listens."""

    identity: int
    database: int
    queue: int
    queue_peers: int
    queue_names: int
    image: int
    placement: int
    network: int
    compute: int
    magnum: int

    @classmethod
    def choose(cls, identity: int) -> "Ports":
        """Return ports on which nothing listens now."""
        chosen = {identity}
        while len(chosen) < 10:
            chosen.add(free_port())
        return cls(identity, *(chosen - {identity}))


def write_files(run: Path, ports: Ports) -> None:
    """Write everything that is read below the folder of a run."""
    for name in ("state", "lock", "images", "plugins/krake-1.dist-info"):
        (run / name).mkdir(parents=True)
    for path in _PLUGINS.glob("*.py"):
        (run / "plugins" / path.name).write_text(path.read_text())
    told = run / "plugins" / "krake-1.dist-info"
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: krake\nVersion: 1\n")
    (told / "entry_points.txt").write_text(_ENTRY_POINTS)
    for name, sections in _files(ports).items():
        (run / f"{name}.conf").write_text(_render(sections))


def _render(sections: Sections) -> str:
    parts = (f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items()) for name, each in sections.items())
    return "\n".join(parts)


def _files(ports: Ports) -> dict[str, Sections]:
    return {
        "glance": _glance(ports),
        "placement": _placement(ports),
        "neutron": _neutron(ports),
        "nova": _nova(ports),
        "magnum": _magnum(ports),
    }


def _service(name: str, ports: Ports) -> dict[str, Mapping[str, object]]:
    """What every service has in common."""
    return {
        "DEFAULT": {"log_file": f"{HOME}/log/{name}.log", "state_path": f"{HOME}/state", "transport_url": _queue(ports)},
        "oslo_concurrency": {"lock_path": f"{HOME}/lock"},
        "keystone_authtoken": {
            "www_authenticate_uri": _identity(ports),
            "auth_version": "v3",
            "service_token_roles_required": False,
            **_login(ports),
        },
    }


def _login(ports: Ports) -> dict[str, object]:
    return {
        "auth_type": "password",
        "auth_url": _identity(ports),
        "project_domain_id": "default",
        "user_domain_id": "default",
        "project_name": "admin",
        "username": "admin",
        "password": PASSWORD,
    }


def _identity(ports: Ports) -> str:
    return f"http://127.0.0.1:{ports.identity}/v3"


def _queue(ports: Ports) -> str:
    return f"rabbit://guest:guest@127.0.0.1:{ports.queue}/"


def _database(name: str, ports: Ports) -> dict[str, object]:
    return {"connection": f"mysql+pymysql://{PASSWORD}:{PASSWORD}@127.0.0.1:{ports.database}/{name}"}


def _glance(ports: Ports) -> Sections:
    sections = _service("glance", ports)
    return {
        **sections,
        "DEFAULT": {**sections["DEFAULT"], "bind_host": "127.0.0.1", "bind_port": ports.image, "workers": 0},
        "database": _database("glance", ports),
        "paste_deploy": {"flavor": "keystone", "config_file": "/etc/glance/glance-api-paste.ini"},
        "glance_store": {"stores": "file", "default_store": "file", "filesystem_store_datadir": f"{HOME}/images"},
    }


def _placement(ports: Ports) -> Sections:
    return {
        **_service("placement", ports),
        "placement_database": _database("placement", ports),
        "api": {"auth_strategy": "keystone"},
    }


def _neutron(ports: Ports) -> Sections:
    sections = _service("neutron", ports)
    server = {
        "bind_host": "127.0.0.1",
        "bind_port": ports.network,
        "api_workers": 1,
        "rpc_workers": 0,
        "rpc_state_report_workers": 0,
        "core_plugin": "ml2",
        "service_plugins": "router",
        "dhcp_agent_notification": False,
    }
    return {
        **sections,
        "DEFAULT": {**sections["DEFAULT"], **server},
        "database": _database("neutron", ports),
        "ml2": {
            "type_drivers": "local,flat",
            "tenant_network_types": "local",
            "mechanism_drivers": "krake",
            "extension_drivers": "port_security",
        },
        "ml2_type_flat": {"flat_networks": "public"},
        "nova": {**_login(ports), "region_name": REGION},
    }


def _nova(ports: Ports) -> Sections:
    sections = _service("nova", ports)
    others = {**_login(ports), "region_name": REGION}
    server = {
        "compute_driver": "fake.FakeDriver",
        "my_ip": "127.0.0.1",
        "enabled_apis": "osapi_compute",
        "osapi_compute_listen": "127.0.0.1",
        "osapi_compute_listen_port": ports.compute,
        "osapi_compute_workers": 1,
    }
    return {
        **sections,
        "DEFAULT": {**sections["DEFAULT"], **server},
        "database": _database("nova", ports),
        "api_database": _database("nova_api", ports),
        "api": {"auth_strategy": "keystone"},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 2},
        "glance": {"api_servers": f"http://127.0.0.1:{ports.image}"},
        "vnc": {"enabled": False},
        "workarounds": {"disable_rootwrap": True},
        "placement": others,
        "neutron": others,
        "service_user": {"send_service_user_token": False, **others},
    }


def _magnum(ports: Ports) -> Sections:
    return {
        **_service("magnum", ports),
        "api": {"host": "127.0.0.1", "port": ports.magnum, "workers": 1},
        "conductor": {"workers": 1},
        "database": _database("magnum", ports),
        "certificates": {"cert_manager_type": "x509keypair"},
        "drivers": {"disabled_drivers": _FOREIGN_DRIVERS},
        "cinder_client": {"region_name": REGION},
        "trust": {
            "trustee_domain_name": "magnum",
            "trustee_domain_admin_name": "magnum",
            "trustee_domain_admin_password": PASSWORD,
            "trustee_keystone_interface": "public",
        },
        "keystone_auth": _login(ports),
    }
