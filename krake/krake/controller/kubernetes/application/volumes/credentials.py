"""By what both sides of a copy know each other: a token, and a certificate that is trusted because both have it."""

import base64
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from krake.controller.kubernetes.application.volumes.transfer.source import SERVER_NAME
from krake.ports.cluster import Object

VALIDITY = timedelta(days=365)
SKEW = timedelta(days=1)
"""The clocks of two clusters may differ."""


class Credentials(NamedTuple):
    """What the serving side is given; the other one gets all but the key."""

    token: str
    certificate: str
    key: str

    @classmethod
    def of(cls, secret: Object) -> Self | None:
        """Return what a Secret holds, if it is complete."""
        data = secret.get("data") or {}
        try:
            values = [base64.b64decode(data[name]).decode() for name in ("token", "tls.crt", "tls.key")]
        except (KeyError, TypeError, ValueError):
            return None
        return cls(*values)


def issue(now: datetime) -> Credentials:
    """Make new ones."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)])
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder(
            issuer_name=name, subject_name=name, public_key=public, serial_number=x509.random_serial_number()
        )
        .not_valid_before(now - SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return Credentials(secrets.token_urlsafe(32), certificate.public_bytes(serialization.Encoding.PEM).decode(), private)
