"""The store as the configuration names it, for the API and for the tools of administrators."""

import ssl
from collections.abc import Sequence

from krake.adapters.etcd import EtcdStore, Login, Tls
from krake.api.settings import EtcdSettings, EtcdTlsSettings
from krake.certificates import read_certificates, read_file, show_certificate


def open_store(settings: EtcdSettings, timeout: float = 5.0) -> EtcdStore:
    """Return the store, to be used as an asynchronous context manager; nothing is sent before its first call.

    :param timeout: seconds that a call may take.
    :raises ValueError: a setting cannot be used; the message begins with its key, as ``etcd.tls.ca``.
    """
    login = None
    if settings.username:
        login = Login(settings.username, settings.password)
    elif settings.password:
        raise ValueError("etcd.username: it is missing, although there is etcd.password.")
    if settings.username and not settings.password:
        raise ValueError("etcd.password: it is missing, although there is etcd.username.")
    tls = _read_tls(settings.tls) if settings.tls.enabled else None
    endpoints = endpoints_of(settings)
    try:
        return EtcdStore(endpoints, tls=tls, login=login, timeout=timeout)
    except ValueError as error:
        raise ValueError(f"etcd.endpoints: {error}") from None


def endpoints_of(settings: EtcdSettings) -> Sequence[str]:
    """Return the URLs of the members of the cluster.

    :raises ValueError: one has the scheme of plain connections although TLS is enabled, or the other way round.
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.tls.enabled else "http"
    endpoints = []
    for named in settings.endpoints or [f"{host}:{settings.port}"]:
        given, _, address = named.strip().rpartition("://")
        if given not in ("", scheme):
            state = "enabled" if settings.tls.enabled else "not enabled"
            raise ValueError(f"etcd.endpoints: {named} begins with {given}, although etcd.tls is {state}.")
        endpoints.append(f"{scheme}://{address.rstrip('/')}")
    return endpoints


def _read_tls(settings: EtcdTlsSettings) -> Tls:
    if settings.ca:
        read_certificates("etcd.tls.ca", settings.ca)
    if settings.cert or settings.key:
        # gRPC would not tell what is wrong with them.
        show_certificate(
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ("etcd.tls.cert", "etcd.tls.key"), (settings.cert, settings.key)
        )
    content = {
        key: read_file(f"etcd.tls.{key}", path) if path else None
        for key, path in (("ca", settings.ca), ("cert", settings.cert), ("key", settings.key))
    }
    return Tls(content["ca"], content["cert"], content["key"])
