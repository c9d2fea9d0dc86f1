"""How Krake logs in to a Kubernetes cluster of Magnum: by a certificate that the authority of the cluster has signed. Pure,
except for the keys that `make_key` makes.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

GROUP = "system:masters"
"""What applications consist of is up to their users, who may bring definitions and roles as well: less would not do."""
USER = "krake"
EARLY = timedelta(days=30)
"""How long before its end a certificate is replaced, or a third of its life if that is shorter."""


@dataclass(frozen=True)
class Request:
    """A key, and the request for its certificate; both in PEM."""

    key: str
    csr: str


def make_request() -> Request:
    """Return a new key with the request for a certificate by which Krake may do everything on a cluster."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = (x509.NameAttribute(NameOID.ORGANIZATION_NAME, GROUP), x509.NameAttribute(NameOID.COMMON_NAME, USER))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Request(secret.decode(), request.public_bytes(serialization.Encoding.PEM).decode())


@dataclass(frozen=True)
class Credentials:
    """By which authority a cluster is known, and what Krake shows to it; all in PEM."""

    authority: str
    certificate: str
    key: str


def make_kubeconfig(name: str, address: str, credentials: Credentials | None = None) -> dict[str, Any]:
    """Return the kubeconfig of a cluster.

    :param address: URL of its API.
    :param credentials: ``None`` for a cluster that lets in everybody, as those do whose template disables TLS.
    """
    cluster, user = {"server": address}, {}
    if credentials is not None:
        cluster["certificate-authority-data"] = _encode(credentials.authority)
        user["client-certificate-data"] = _encode(credentials.certificate)
        user["client-key-data"] = _encode(credentials.key)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": USER, "user": user}],
        "contexts": [{"name": "admin", "context": {"cluster": name, "user": USER}}],
        "current-context": "admin",
    }


def address_of(kubeconfig: Mapping[str, Any]) -> str | None:
    """Return the URL that a kubeconfig leads to."""
    return _first(kubeconfig, "clusters", "cluster").get("server")


def authority_of(kubeconfig: Mapping[str, Any]) -> str | None:
    """Return by what authority the cluster of a kubeconfig is known, in PEM."""
    return _decode(_first(kubeconfig, "clusters", "cluster").get("certificate-authority-data"))


def validity_of(kubeconfig: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """Return from when until when the certificate of a kubeconfig is valid; ``None`` if there is none that can be read."""
    pem = _decode(_first(kubeconfig, "users", "user").get("client-certificate-data"))
    try:
        certificate = x509.load_pem_x509_certificate((pem or "").encode())
    except ValueError:
        return None
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def is_good(kubeconfig: Mapping[str, Any], address: str, now: datetime) -> bool:
    """Whether a kubeconfig leads to an address, and will do so for a while."""
    validity = validity_of(kubeconfig)
    if address_of(kubeconfig) != address:
        return False
    if validity is None:
        return not address.startswith("https://")
    begin, end = validity
    return now < end - min(EARLY, (end - begin) / 3)


def _first(kubeconfig: Mapping[str, Any], plural: str, inner: str) -> Mapping[str, Any]:
    entries = kubeconfig.get(plural)
    entry = entries[0] if isinstance(entries, list) and entries else None
    found = entry.get(inner) if isinstance(entry, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()


def _decode(data: object) -> str | None:
    try:
        return b64decode(data, validate=True).decode() if isinstance(data, str) else None
    except ValueError:
        return None
