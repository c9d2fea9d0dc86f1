"""The settings that all controllers have."""

import logging
import ssl
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from krake.certificates import read_certificates, read_file, show_certificate
from krake.data.names import at_least, check_port, check_url
from krake.data.record import Record, field
from krake.renewal import Renewed

log = logging.getLogger(__name__)


class SettingsError(Exception):
    """A setting cannot be used; the message says which and why."""


class TlsConfig(Record):
    """How the API is reached by TLS: files with the authorities it is verified by, and with the certificate to show."""

    enabled: bool = False
    client_ca: str = ""
    client_cert: str = ""
    client_key: str = ""


class ControllerConfig(Record):
    """What every controller needs to know.

    :param worker_count: so many objects are worked on at once.
    :param debounce: seconds that a change is held back, so that those that follow it closely are handled with it.
    :param health_port: of ``/livez``, ``/readyz`` and ``/metrics`` on the loopback interface; 0 picks a free one.
    :param drain_timeout: seconds that work under way gets to end when the process is told to stop.
    :param token_file: with the bearer token of a controller that has no certificate.
    :param log: as :func:`logging.config.dictConfig` takes it.
    """

    api_endpoint: str = field(default="http://localhost:8080", validate=check_url)
    worker_count: int = field(default=5, validate=at_least(1))
    debounce: float = field(default=0.0, validate=at_least(0))
    health_port: int = field(default=0, validate=check_port)
    drain_timeout: float = field(default=20.0, validate=at_least(0))
    tls: TlsConfig = field(factory=TlsConfig)
    token_file: str = ""
    log: dict[str, Any] = field(factory=dict)


def endpoint_of(config: ControllerConfig) -> str:
    """Return the URL of the API; its scheme follows from whether TLS is enabled."""
    parts = urlsplit(config.api_endpoint)
    scheme = "https" if config.tls.enabled else "http"
    if parts.scheme not in ("http", "https"):
        return config.api_endpoint
    if parts.scheme != scheme:
        state = "enabled" if config.tls.enabled else "not enabled"
        log.warning(
            "api_endpoint begins with %s, but tls.enabled says that TLS is %s: %s is used.", parts.scheme, state, scheme
        )
    return urlunsplit(parts._replace(scheme=scheme))


def ssl_context_of(tls: TlsConfig) -> Renewed[ssl.SSLContext] | None:
    """Return how to verify the API and how to show who is asking, as the files say; ``None`` without TLS.

    :raises SettingsError: a file is missing or holds no certificate or key.
    """
    if not tls.enabled:
        return None
    try:
        return Renewed([tls.client_ca, tls.client_cert, tls.client_key], lambda: _read_tls(tls))
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _read_tls(tls: TlsConfig) -> ssl.SSLContext:
    if tls.client_ca:
        read_certificates("tls.client_ca", tls.client_ca)
    context = ssl.create_default_context(cafile=tls.client_ca or None)
    if tls.client_cert or tls.client_key:
        show_certificate(context, ("tls.client_cert", "tls.client_key"), (tls.client_cert, tls.client_key))
    return context


def token_of(config: ControllerConfig) -> Renewed[str] | None:
    """Return the token of the file, as it is at any time; ``None`` if there is no such file.

    :raises SettingsError: it cannot be read, or holds no token.
    """
    if not config.token_file:
        return None
    try:
        return Renewed([config.token_file], lambda: _read_token(config.token_file))
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _read_token(path: str) -> str:
    token = read_file("token_file", path).decode("ascii", errors="replace").strip()
    if not token or not token.isprintable() or not token.isascii() or " " in token:
        raise ValueError(f"token_file: {path} must hold one token and nothing else.")
    return token
