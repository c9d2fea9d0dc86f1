"""How a cluster is reached and who asks, as a kubeconfig says it. Nothing but the data embedded in it is used."""

import base64
import binascii
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from krake.data.secrets import MARK
from krake.ports.cluster import Unreachable


@dataclass(frozen=True)
class Access:
    """The part of a kubeconfig that Krake uses: its current context.

    :param address: of the API server as messages may show it, without credentials.
    :param authorization: value of the header ``Authorization``, if there is one.
    :param certificate: client certificate and key, PEM.
    """

    server: str
    address: str
    host: str
    namespace: str
    verify: bool = True
    server_name: str | None = None
    ca: str | None = field(default=None, repr=False)
    certificate: tuple[bytes, bytes] | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, kubeconfig: Mapping[str, Any]) -> "Access":
        """Read a kubeconfig.

        :raises Unreachable: it is incomplete, or needs something that is not embedded in it.
        """
        try:
            return _read(kubeconfig)
        except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
            raise Unreachable(f"The kubeconfig can not be used ({error or type(error).__name__}); register it anew.") from None

    def ssl_context(self) -> ssl.SSLContext:
        """Build the TLS settings. Takes some milliseconds and touches the disk: call it in a thread.

        :raises Unreachable: the certificates or keys are damaged.
        """
        try:
            context = ssl.create_default_context(cadata=self.ca)
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.certificate is not None:
                _load_certificate(context, *self.certificate)
        except (ssl.SSLError, ValueError, OSError) as error:
            raise Unreachable(f"The certificates in the kubeconfig can not be used: {error}.") from None
        return context


def _load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # Python takes client certificates from files only; nobody else can read these, and they are gone at once.
    with tempfile.TemporaryDirectory(prefix="krake-") as folder:
        path = Path(folder, "client.pem")
        path.touch(mode=0o600)
        path.write_bytes(certificate + b"\n" + key)
        context.load_cert_chain(path)


def _read(kubeconfig: Mapping[str, Any]) -> Access:
    context = _named(kubeconfig["contexts"], kubeconfig["current-context"], "context")
    cluster = _named(kubeconfig["clusters"], context["cluster"], "cluster")
    user = _named(kubeconfig.get("users") or [], context.get("user"), "user")
    if MARK in user.values():
        raise Unreachable(
            "The API does not show the secrets of the kubeconfig to this controller: its user needs the permission to get"
            " clusters/secrets, or the API lacks the key that has sealed them."
        )
    parts = urlsplit(cluster["server"])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("server is not an http or https URL")
    return Access(
        server=cluster["server"].rstrip("/"),
        address=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        host=parts.hostname,
        namespace=str(context.get("namespace") or "default"),
        verify=not cluster.get("insecure-skip-tls-verify"),
        server_name=cluster.get("tls-server-name"),
        ca=_text(cluster.get("certificate-authority-data")),
        certificate=_certificate(user),
        authorization=_authorization(user),
    )


def _named(entries: Any, name: Any, inner: str) -> Mapping[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            value = entry.get(inner) or {}
            if isinstance(value, Mapping):
                return value
    if inner == "user":
        return {}
    raise ValueError(f"there is no {inner} {name!r}")


def _certificate(user: Mapping[str, Any]) -> tuple[bytes, bytes] | None:
    certificate, key = user.get("client-certificate-data"), user.get("client-key-data")
    return (_bytes(certificate), _bytes(key)) if certificate and key else None


def _authorization(user: Mapping[str, Any]) -> str | None:
    if token := user.get("token"):
        value = f"Bearer {token}"
    elif user.get("username") is not None:
        pair = f"{user['username']}:{user.get('password') or ''}"
        value = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        return None
    if not value.isprintable():
        raise ValueError("the token holds characters that a token can not have")
    return value


def _text(data: Any) -> str | None:
    return _bytes(data).decode("ascii") if data else None


def _bytes(data: Any) -> bytes:
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, AttributeError, TypeError, ValueError):
        raise ValueError("its certificates are not base64") from None
