"""The credentials of one control plane: its own CA, the server's certificate, the administrator's two ways in."""

import base64
import datetime
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Credentials:
    """The files of one control plane, all in one folder only its owner can read."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def server(self) -> tuple[Path, Path]:
        """Certificate and key of the API server."""
        return self.folder / "server.crt", self.folder / "server.key"

    @property
    def admin(self) -> tuple[Path, Path]:
        """Certificate and key of the administrator."""
        return self.folder / "admin.crt", self.folder / "admin.key"

    @property
    def service_accounts(self) -> Path:
        """The key that signs the tokens of service accounts."""
        return self.folder / "service-accounts.key"

    @property
    def tokens(self) -> Path:
        """The API server's table of static tokens."""
        return self.folder / "tokens.csv"

    @property
    def token(self) -> str:
        """The administrator's token."""
        return self.tokens.read_text().split(",")[0]

    def create(self, addresses: Sequence[str] = ("127.0.0.1",), names: Sequence[str] = ("localhost",)) -> None:
        """Make all files, unless an earlier run left them in the folder; *addresses* and *names* are those of the server."""
        if self.tokens.exists():  # written last
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = _Authority(f"{self.folder.parent.name} CA")
        _write(self.ca, authority.certificate)
        found_at = x509.SubjectAlternativeName(
            [*map(x509.DNSName, names), *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses)]
        )
        server = authority.issue("kube-apiserver", ExtendedKeyUsageOID.SERVER_AUTH, names=found_at)
        admin = authority.issue("admin", ExtendedKeyUsageOID.CLIENT_AUTH, group="system:masters")
        for paths, pair in ((self.server, server), (self.admin, admin)):
            for path, pem in zip(paths, pair, strict=True):
                _write(path, pem)
        _write(self.service_accounts, _key_pem(ec.generate_private_key(ec.SECP256R1())))
        _write(self.tokens, f'{secrets.token_hex(16)},admin,admin,"system:masters"\n'.encode())

    def kubeconfig(self, name: str, server: str) -> dict[str, Any]:
        """Return a kubeconfig with everything embedded: context `name` uses the client certificate, `name`-token the token."""
        certificate, key = self.admin
        users = {
            name: {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)},
            f"{name}-token": {"token": self.token},
        }
        cluster = {"server": server, "certificate-authority-data": _base64(self.ca)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": user, "user": entry} for user, entry in users.items()],
            "contexts": [{"name": user, "context": {"cluster": name, "user": user}} for user in users],
            "current-context": name,
        }


class _Authority:
    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
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
        builder = (
            _begin(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        self.certificate = _pem(builder.sign(self._key, hashes.SHA256()))

    def issue(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        *,
        group: str | None = None,
        names: x509.SubjectAlternativeName | None = None,
    ) -> tuple[bytes, bytes]:
        """Return certificate and key in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _begin(_subject(name, group), self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(issuer, critical=False)
        )
        if names:
            builder = builder.add_extension(names, critical=False)
        return _pem(builder.sign(self._key, hashes.SHA256())), _key_pem(key)


def _subject(name: str, group: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(attributes)


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # forgives a clock that is set back a little
        .not_valid_after(now + _LIFETIME)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
