"""Authorities, and the certificates that they issue."""

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Pair:
    """A certificate and its key; *above* are the certificates that lead on to an authority that is trusted."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_pem(self) -> bytes:
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (self.certificate, *self.above))

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Self:
        """Read what the properties give. Raises ValueError."""
        first, *above = x509.load_pem_x509_certificates(certificate)
        loaded = serialization.load_pem_private_key(key, None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != first.public_key():
            raise ValueError("the key does not belong to the certificate")
        return cls(first, loaded, tuple(above))


class Authority:
    """Issues certificates by a certificate of its own."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    @classmethod
    def make(cls, name: str, days: float) -> Self:
        """Return a new authority that nobody stands above."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(Pair(_sign(_authority(_subject([name]), key.public_key(), days), _subject([name]), key), key))

    def make_below(self, name: str, days: float) -> "Authority":
        """Return a new authority that this one vouches for, and that can make none itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _authority(_subject([name]), key.public_key(), days, path_length=0)
        return Authority(Pair(self._sign(builder), key))

    def issue(
        self,
        names: str | Sequence[str],
        purposes: Iterable[x509.ObjectIdentifier] = (CLIENT,),
        *,
        days: float = 365,
        hosts: Iterable[str] = (),
    ) -> Pair:
        """Return a new certificate; without *purposes* it is for any.

        :param names: the common names of its owner.
        :param hosts: names and addresses under which its owner may be reached.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject([names] if isinstance(names, str) else names)
        builder = _begin(subject, key.public_key(), days).add_extension(x509.BasicConstraints(False, None), critical=True)
        if purposes := list(purposes):
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if alternatives := [_general_name(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Pair(self._sign(builder), key)

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return _sign(builder, self.pair.certificate.subject, self.pair.key)


def _subject(names: Iterable[str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _begin(subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    backdated = now - datetime.timedelta(minutes=5)  # forgives a clock that is slow
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(backdated, now + datetime.timedelta(days=days - 1)))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float, path_length: int | None = None
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _begin(subject, key, days).add_extension(x509.BasicConstraints(True, path_length), critical=True)
    return builder.add_extension(usage, critical=True)


def _sign(builder: x509.CertificateBuilder, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.issuer_name(issuer).add_extension(issuer_key, critical=False).sign(key, hashes.SHA256())
