"""TLS of the API: what it shows, and whose certificates it accepts."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from krake.api.settings import TlsSettings
from krake.certificates import read_certificates, show_certificate
from krake.renewal import Renewed

HANDSHAKE_LIMIT = 10.0
"""Seconds that a client has for the handshake."""


@dataclass(frozen=True)
class Trust:
    """What new connections are made with.

    :param users: the authorities that issue the certificates of users.
    :param hooks: those that issue the certificates of hooks.
    """

    context: ssl.SSLContext
    users: Sequence[x509.Certificate]
    hooks: Sequence[x509.Certificate]


class ServerTls:
    """The server's side of TLS; its files may be replaced while it serves.

    :raises ValueError: a file cannot be used; the message begins with its key, as ``tls.cert``.
    """

    def __init__(self, settings: TlsSettings) -> None:
        paths = [settings.cert, settings.key, settings.client_ca, settings.hook_ca]
        self._trust = Renewed(paths, lambda: read_trust(settings))
        self.context = read_trust(settings).context
        """For the listening socket."""
        self.context.sni_callback = self._begin

    @property
    def trust(self) -> Trust:
        """What holds now."""
        return self._trust.value

    def _begin(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called at the beginning of each handshake, with or without a name: lets it go on with the files as they are now."""
        connection.context = self.trust.context


def read_trust(settings: TlsSettings) -> Trust:
    """Read the files. Raises ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    show_certificate(context, ("tls.cert", "tls.key"), (settings.cert, settings.key))
    users = read_certificates("tls.client_ca", settings.client_ca) if settings.client_ca else ()
    hooks = read_certificates("tls.hook_ca", settings.hook_ca) if settings.hook_ca else ()
    keys = [authority.public_key() for authority in users]
    for authority in hooks:
        if authority.public_key() in keys:
            raise ValueError(
                f"tls.hook_ca: {authority.subject.rfc4514_string()} is also in tls.client_ca;"
                " whoever makes certificates for hooks could make them for users."
            )
    for path in filter(None, (settings.client_ca, settings.hook_ca)):
        context.load_verify_locations(path)
        # Optional: those who have none may be known by a token.
        context.verify_mode = ssl.CERT_OPTIONAL
    # An authority in the middle may be trusted without the one above it, which may have issued others.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return Trust(context, users, hooks)
