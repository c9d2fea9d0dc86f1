"""The authority of a simulated cluster, which signs real certificates."""

import ipaddress
import ssl
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
PEM = serialization.Encoding.PEM
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class InvalidRequest(Exception):
    """What is to be signed is no request for a certificate."""


class Authority:
    """One such authority; making it takes some milliseconds."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        builder = self._begin(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        self._certificate = builder.add_extension(_SIGNS, critical=True).sign(self._key, hashes.SHA256())

    def dump(self) -> dict[str, str]:
        """Return all there is to it, its key included."""
        return {"key": _dump_key(self._key), "certificate": self.pem}

    @classmethod
    def restore(cls, document: Mapping[str, str]) -> Self:
        """Make what `dump` gave again. Raises ValueError, TypeError, LookupError or AttributeError if it is something else."""
        found = cls.__new__(cls)
        key = serialization.load_pem_private_key(document["key"].encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the key is none of an authority")
        found._key = key
        found._certificate = x509.load_pem_x509_certificate(document["certificate"].encode())
        found._name = found._certificate.subject
        return found

    @property
    def pem(self) -> str:
        """Its own certificate."""
        return self._certificate.public_bytes(PEM).decode()

    def sign(self, request: str) -> str:
        """Return the certificate that is asked for by a request; both in PEM.

        :raises InvalidRequest: it is none.
        """
        try:
            read = x509.load_pem_x509_csr(request.encode())
        except ValueError:
            raise InvalidRequest("it can not be read") from None
        if not read.is_signature_valid:
            raise InvalidRequest("it is not signed by its key")
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = self._begin(read.subject, read.public_key()).add_extension(usage, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(PEM).decode()

    def server_context(self) -> ssl.SSLContext:
        """Return what a server on loopback shows, that is known by this authority and knows others by it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
        certificate = self._begin(subject, key.public_key()).add_extension(addresses, critical=False)
        chain = _dump_key(key) + certificate.sign(self._key, hashes.SHA256()).public_bytes(PEM).decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", prefix="krake-simulator-") as file:  # it is read from files only
            file.write(chain)
            file.flush()
            context.load_cert_chain(file.name)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.pem)
        return context

    def _begin(self, subject: x509.Name, key: CertificatePublicKeyTypes) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _dump_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
