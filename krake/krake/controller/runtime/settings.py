"""The settings that all controllers have."""

import ssl
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from krake.data.names import at_least, check_port, check_url
from krake.data.record import Record, field


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
    :param log: as :func:`logging.config.dictConfig` takes it.
    """

    api_endpoint: str = field(default="http://localhost:8080", validate=check_url)
    worker_count: int = field(default=5, validate=at_least(1))
    debounce: float = field(default=0.0, validate=at_least(0))
    health_port: int = field(default=0, validate=check_port)
    drain_timeout: float = field(default=20.0, validate=at_least(0))
    tls: TlsConfig = field(factory=TlsConfig)
    log: dict[str, Any] = field(factory=dict)


def endpoint_of(config: ControllerConfig) -> str:
    """Return the URL of the API; its scheme follows from whether TLS is enabled."""
    parts = urlsplit(config.api_endpoint)
    if config.tls.enabled and parts.scheme == "http":
        return urlunsplit(parts._replace(scheme="https"))
    return config.api_endpoint


def ssl_context_of(tls: TlsConfig) -> ssl.SSLContext | None:
    """Return how to verify the API and how to show who is asking; ``None`` without TLS.

    :raises SettingsError: a file is missing or holds no certificate or key.
    """
    if not tls.enabled:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.client_ca or None)
    except (OSError, ValueError) as error:
        raise SettingsError(f"tls.client_ca: no certificates can be read from {tls.client_ca!r}: {error}") from None
    if tls.client_cert:
        try:
            context.load_cert_chain(tls.client_cert, tls.client_key or None, password=_no_password)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"tls.client_cert, tls.client_key: no certificate with its key can be read from {tls.client_cert!r} and "
                f"{tls.client_key!r}: {error}"
            ) from None
    return context


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    raise ValueError("the key is encrypted, which is not supported")
