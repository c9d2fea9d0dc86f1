"""Addresses of Services and Pods: cluster IPs, Pod IPs and node ports that are really free on loopback."""

import ipaddress
import itertools
import socket
from collections.abc import Iterable

from krake.simulator.kubernetes.kinds import Object
from krake.simulator.kubernetes.status import Cause, invalid_value

Address = tuple[str, int]  # host and port

LOOPBACK = "127.0.0.1"


class NodePorts:
    """Ports on loopback that belong to one cluster; each is bound from the moment it is handed out, so nobody else gets it."""

    def __init__(self, first: int, last: int, start: int) -> None:
        self.first, self.last = first, last
        self._next = start % (last - first + 1)
        self._sockets: dict[int, socket.socket | None] = {}

    def __contains__(self, port: int) -> bool:
        return port in self._sockets

    def take(self, port: int) -> None:
        """Hand out this port; when another process has it, the Service gets it all the same but never answers."""
        self._sockets[port] = _bind(port)

    def take_any(self) -> int | None:
        """Hand out the next free port; None when the range is used up."""
        size = self.last - self.first + 1
        for offset in range(size):
            port = self.first + (self._next + offset) % size
            if port in self._sockets:
                continue
            bound = _bind_alone(port)
            if bound is not None:
                self._sockets[port] = bound
                self._next = port - self.first + 1
                return port
        return None

    def give_back(self, port: int) -> None:
        bound = self._sockets.pop(port, None)
        if bound is not None:
            bound.close()

    def lend(self, address: Address) -> socket.socket | None:
        """A bound socket for a server that closes it in the end, at a node port or anywhere else; None when it can't be had."""
        host, port = address
        if host != LOOPBACK or port not in self._sockets:
            return _bind(port, host)
        bound = self._sockets[port] or _bind(port)
        self._sockets[port] = None
        if bound is not None:
            # For the connections that it accepts: those that have ended must not keep the port from being bound again.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return bound

    def reclaim(self, address: Address) -> None:
        """Bind a node port again that was lent and whose server is closed."""
        host, port = address
        if host == LOOPBACK and port in self._sockets and self._sockets[port] is None:
            self._sockets[port] = _bind(port)

    def close(self) -> None:
        for port in list(self._sockets):
            self.give_back(port)


def _bind(port: int, host: str = LOOPBACK) -> socket.socket | None:
    # Where connections have just ended a port can be had by its reuse only.
    return _bind_alone(port, host) or _bind_alone(port, host, reuse=True)


def _bind_alone(port: int, host: str = LOOPBACK, *, reuse: bool = False) -> socket.socket | None:
    """Bind a port. With *reuse* on both sides two sockets may have the same one, until the first of them listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        return None
    return bound


class Addresses:
    """Gives Services and Pods their addresses and takes them back."""

    def __init__(self, node_ports: NodePorts) -> None:
        self.node_ports = node_ports
        self._cluster_ips: set[str] = set()
        self._fresh_cluster_ips = map(str, ipaddress.ip_network("10.96.0.0/12").hosts())
        self._pod_numbers = itertools.count(2)

    def pod_address(self) -> str:
        number = next(self._pod_numbers)
        return str(ipaddress.ip_address("10.244.0.0") + number % 65534)

    def assign(self, service: Object, old: Object | None) -> list[Cause]:
        """Fill in the addresses of a Service that is about to be written; what is wrong with those it asks for."""
        spec, before = service["spec"], (old or {}).get("spec") or {}
        if spec["type"] == "ExternalName":
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(name, None)
            return []
        causes = self._assign_cluster_ip(spec, before)
        if causes:
            return causes
        ports = spec.get("ports") or []
        if spec["type"] in ("NodePort", "LoadBalancer"):
            return self._assign_node_ports(ports, before)
        for index, port in enumerate(ports):
            if port.get("nodePort") and spec["type"] == "ClusterIP" and old is None:
                text = "Forbidden: may not be used when `type` is 'ClusterIP'"
                causes.append(Cause(f"spec.ports[{index}].nodePort", "FieldValueForbidden", text))
            port.pop("nodePort", None)
        return causes

    def _assign_cluster_ip(self, spec: Object, before: Object) -> list[Cause]:
        held = before.get("clusterIP")
        wanted = spec.get("clusterIP") or held
        if held and wanted != held:
            return [invalid_value("spec.clusterIP", wanted, "field is immutable")]
        if wanted and wanted != "None" and not held:
            if wanted in self._cluster_ips:
                text = "failed to allocate IP " + wanted + ": provided IP is already allocated"
                return [invalid_value("spec.clusterIPs", [wanted], text)]
            try:
                ipaddress.ip_address(wanted)
            except ValueError:
                return [invalid_value("spec.clusterIPs[0]", wanted, "must be a valid IP address")]
        chosen = wanted or next(ip for ip in self._fresh_cluster_ips if ip not in self._cluster_ips)
        spec["clusterIP"], spec["clusterIPs"] = chosen, [chosen]
        if chosen != "None":
            self._cluster_ips.add(chosen)
        return []

    def _assign_node_ports(self, ports: list[Object], before: Object) -> list[Cause]:
        held = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in before.get("ports") or ()}
        own = set(held.values())
        for index, port in enumerate(ports):
            wanted = port.get("nodePort") or held.get((port["port"], port["protocol"]))
            field = f"spec.ports[{index}].nodePort"
            if not wanted:
                wanted = self.node_ports.take_any()
                if wanted is None:
                    return [Cause(field, "FieldValueInvalid", "Internal error: range is full")]
            elif wanted not in own:
                cause = self._take(wanted, field)
                if cause is not None:
                    return [cause]
            port["nodePort"] = wanted
        return []

    def _take(self, port: int, field: str) -> Cause | None:
        pool = self.node_ports
        if not pool.first <= port <= pool.last:
            text = f"provided port is not in the valid range. The range of valid ports is {pool.first}-{pool.last}"
            return invalid_value(field, port, text)
        if port in pool:
            return invalid_value(field, port, "provided port is already allocated")
        pool.take(port)
        return None

    def release(self, old: Object, new: Object | None) -> None:
        """Take back what the former state of a Service had and the new one has no more."""
        for port in _node_ports(old) - _node_ports(new):
            self.node_ports.give_back(port)
        address = old["spec"].get("clusterIP")
        if new is None or new["spec"].get("clusterIP") != address:
            self._cluster_ips.discard(address)


def _node_ports(service: Object | None) -> set[int]:
    ports: Iterable[Object] = ((service or {}).get("spec") or {}).get("ports") or ()
    return {port["nodePort"] for port in ports if port.get("nodePort")}
