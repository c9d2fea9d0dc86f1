"""Where to addresses that users give may lead. Pure: names are resolved elsewhere."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DENIED = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.0/24",
    "224.0.0.0/3",
    "::/127",
    "fe80::/10",
    "fd00:ec2::/32",
    "ff00::/8",
)
"""This machine, what is on the same link (where clouds tell machines their credentials), and what is no single machine."""

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


class Denied(Exception):
    """An address leads where nobody may send Krake; the message says which one and why."""


def read_url(url: str) -> SplitResult:
    """Return the parts of a URL that can be fetched.

    :raises Denied: it is no URL of http or https with a host, or has a user or a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Denied(f"{url} is no URL.") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise Denied(f"{url} must be an http or https URL.")
    if parts.username is not None or parts.password is not None:
        raise Denied("URLs with a user or a password are not fetched, as everybody who sees the application would know them.")
    return parts


def port_of(parts: SplitResult) -> int:
    """Return the port that a URL names or means."""
    return parts.port or _PORTS[parts.scheme]


def check_destinations(entries: Sequence[str]) -> None:
    """Refuse what is no network, address, or name of a host.

    :raises ValidationError: there is one.
    """
    for entry in entries:
        if _network(entry) is None and not _is_host(entry):
            raise ValidationError(f"{entry!r} is no network (10.0.0.0/8), address, or name of a host (*.example.org).")


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None


def _is_host(entry: str) -> bool:
    labels = entry.removeprefix("*.").split(".")
    return all(label and all(char.isalnum() or char in "-_" for char in label) for label in labels)


class Destinations:
    """Which hosts may be reached. What is allowed beats what is denied; whatever is neither may be reached.

    :param allow: networks, addresses, and names of hosts; ``*.`` stands for all names that end so.
    :param deny: likewise.
    """

    def __init__(self, allow: Sequence[str] = (), deny: Sequence[str] = DENIED) -> None:
        self._allow = _Rules(allow)
        self._deny = _Rules(deny)

    def may_reach(self, host: str, address: str) -> bool:
        """Whether *host*, which is at *address*, may be reached."""
        addresses = meanings_of(address)
        if self._allow.match_host(host) or any(map(self._allow.match_address, addresses)):
            return True
        return not (self._deny.match_host(host) or any(map(self._deny.match_address, addresses)))


class _Rules:
    def __init__(self, entries: Sequence[str]) -> None:
        self._networks = [network for entry in entries if (network := _network(entry)) is not None]
        self._hosts = [entry.lower() for entry in entries if _network(entry) is None]

    def match_host(self, host: str) -> bool:
        name = host.lower().rstrip(".")
        return any(name.endswith(entry[1:]) if entry.startswith("*.") else name == entry for entry in self._hosts)

    def match_address(self, address: Address) -> bool:
        return any(address in network for network in self._networks if network.version == address.version)


def meanings_of(text: str) -> list[Address]:
    """Return an address, and the one of IPv4 that it leads to in the end."""
    address = ipaddress.ip_address(text.partition("%")[0])
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        found += [inner] if inner is not None else []
    return found
