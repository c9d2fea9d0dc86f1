"""The authority that issues the certificates by which applications call back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from krake.certificates import read_certificates, read_file

LIFETIME = timedelta(days=90)
"""How long a certificate is valid, if its authority is for that long."""
BACKDATED = timedelta(minutes=5)
"""Forgives clocks that are slow."""
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM."""

    certificate: str
    key: str


class Authority:
    """Issues certificates to one user, in whose name all applications call back.

    :param lifetime: of the certificates.
    """

    def __init__(
        self, certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes, user: str, lifetime: timedelta = LIFETIME
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._user = user
        self._lifetime = lifetime

    @classmethod
    def read(cls, section: str, src: str, key_src: str, user: str) -> "Authority":
        """Read the files of an authority.

        :param section: of the configuration, for example ``hooks.complete``.
        :raises ValueError: a file is missing, or is not what it should be; the message begins with its key.
        """
        certificate = read_certificates(f"{section}.intermediate_src", src)[0]
        content = read_file(f"{section}.intermediate_key_src", key_src)
        try:
            key = serialization.load_pem_private_key(content, None)
        except (ValueError, TypeError):
            raise ValueError(
                f"{section}.intermediate_key_src: {key_src} is not a PEM file with a key that needs no password."
            ) from None
        if not isinstance(
            key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)
        ):
            raise ValueError(f"{section}.intermediate_key_src: {key_src} is no key that can sign certificates.")
        if key.public_key() != certificate.public_key():
            raise ValueError(
                f"{section}.intermediate_key_src: the key in {key_src} does not belong to the certificate in {src}."
            )
        if not user or len(user) > _LONGEST_COMMON_NAME:
            raise ValueError(f"{section}.hook_user: must be 1 to {_LONGEST_COMMON_NAME} characters, to stand in certificates.")
        return cls(certificate, key, user)

    @property
    def expires(self) -> datetime:
        """When the certificate of the authority ends."""
        return self._certificate.not_valid_after_utc

    def issue(self, now: datetime) -> Issued:
        """Make a certificate with a key of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._subject)
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(now + self._lifetime, self.expires))
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, None if isinstance(self._key, _EDWARDS) else hashes.SHA256())
        )
        return Issued(
            certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
        )

    @property
    def _subject(self) -> x509.Name:
        above = [each for each in self._certificate.subject if each.oid != NameOID.COMMON_NAME]
        return x509.Name([*above, x509.NameAttribute(NameOID.COMMON_NAME, self._user)])

    def renewal_of(self, issued: Issued) -> datetime | None:
        """When a certificate is to be replaced by another one; ``None`` if it is not one that this authority would issue."""
        try:
            certificate = x509.load_pem_x509_certificate(issued.certificate.encode())
            key = serialization.load_pem_private_key(issued.key.encode(), None)
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return None
        if key.public_key() != certificate.public_key() or certificate.subject != self._subject:
            return None
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        # Another one would not be valid any longer.
        return end if end >= self.expires else begin + (end - begin) * 2 / 3


_EDWARDS = (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)
