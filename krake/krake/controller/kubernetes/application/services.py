"""Where the services of an application are reached from outside of its cluster. Pure.

The map goes from the name of a service to ``host:port`` of its first port. What does not fit in there has a name that no
service can have: further ports are ``service/port``, and services of one name in other namespaces ``service.namespace``.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from krake.controller.kubernetes.fields import mapping, mappings
from krake.ports.cluster import Identity, Object, ObjectType

PENDING = "<pending>"
"""Stands for what a load balancer has not got yet."""
SERVICE = ObjectType("v1", "Service")


def services_of(declared: Iterable[Identity], live: Mapping[Identity, Object], host: str) -> dict[str, str]:
    """Return where the services of an application are; those that nobody reaches from outside are left out.

    :param declared: all objects of the application; where services share a name, the first one has it for itself.
    :param live: those that are there.
    :param host: of the API server of the cluster, which forwards node ports.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for identity in declared:
        if identity.type != SERVICE:
            continue
        name = f"{identity.name}.{identity.namespace}" if identity.name in taken else identity.name
        taken.add(identity.name)
        ports = ports_of(live[identity], host) if identity in live else {}
        for index, (port, address) in enumerate(ports.items()):
            found[f"{name}/{port}" if index else name] = address
    return found


def address_of(service: Object, host: str) -> str | None:
    """Where the first port of a service is reached, as ``host:port``; ``None`` if none is.

    :param host: of the API server of the cluster.
    """
    return next(iter(ports_of(service, host).values()), None)


def ports_of(service: Object, host: str) -> dict[str, str]:
    """Where the ports of a service are reached, by their names (or numbers, if they have none), as ``host:port``.

    :param host: of the API server of the cluster.
    """
    spec = mapping(service, "spec")
    ports = [port for port in mappings(spec, "ports") if _number(port, "port")]
    match spec.get("type"):
        case "LoadBalancer":
            return _balanced(ports, mapping(mapping(service, "status"), "loadBalancer"))
        case "ExternalName":
            return {}
    outside = next((each for each in _texts(spec, "externalIPs") if each), None)
    found = {}
    for port in ports:
        if node_port := _number(port, "nodePort"):
            found[_name_of(port)] = _join(host, node_port)
        elif outside is not None:
            found[_name_of(port)] = _join(outside, port["port"])
    return found


def _balanced(ports: list[Mapping[str, Any]], balancer: Mapping[str, Any]) -> dict[str, str]:
    if not ports:
        return {"": f"{PENDING}:{PENDING}"}
    hosts = ((each, each.get("ip") or each.get("hostname")) for each in mappings(balancer, "ingress"))
    entry, host = next(((each, name) for each, name in hosts if isinstance(name, str) and name), ({}, PENDING))
    broken = {each.get("port") for each in mappings(entry, "ports") if each.get("error")}
    return {_name_of(port): _join(host, port["port"]) for port in ports if port["port"] not in broken}


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def _name_of(port: Mapping[str, Any]) -> str:
    return str(port.get("name") or port["port"])


def _number(port: Mapping[str, Any], key: str) -> int | None:
    value = port.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else None


def _texts(holder: Mapping[str, Any], key: str) -> Iterator[str]:
    value = holder.get(key)
    yield from (each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
