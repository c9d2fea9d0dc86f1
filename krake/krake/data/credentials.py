"""What credentials may be, and where they are in other tools' formats that users hand over. See :mod:`krake.data.secrets`."""

import json
import re
from typing import Any

from marshmallow import ValidationError

from krake.data.rules import rule
from krake.data.secrets import MARK, SEALED, Place, Rewrite, Visit, rewrite_items, rewrite_values, rewrite_whole

_SHOWN_OF_USER = frozenset({"username"})
_APPLIED_BEFORE = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl writes the whole object, its data included, into this annotation."""

LONGEST_CREDENTIAL = 10_000
"""Characters; those who are told of users in the headers of requests take little more."""
_UNWRITABLE = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_CREDENTIAL = re.compile(rf"[^{_UNWRITABLE}\ud800-\udfff]*")


@rule({"pattern": f"^[^{_UNWRITABLE}]*$", "maxLength": LONGEST_CREDENTIAL})
def check_credential(text: str | None) -> None:
    """Refuse what could be taken for something else than a name or a password where users are told in lines of text."""
    if text is None:
        return
    if not _CREDENTIAL.fullmatch(text):
        raise ValidationError("Must not have line breaks or other control characters.")
    if len(text) > LONGEST_CREDENTIAL:
        raise ValidationError(f"Must not be longer than {LONGEST_CREDENTIAL} characters.")


@rule({"pattern": "-----BEGIN CERTIFICATE-----"})
def check_authorities(text: str | None) -> None:
    """Refuse what are no certificates in PEM, and keys, which do not belong where everybody may read them."""
    if text is None:
        return
    if "PRIVATE KEY-----" in text:
        raise ValidationError("Must not have a private key: give the certificates of the authorities only.")
    from cryptography import x509  # loading it takes a while, and commands of users read these declarations too

    try:
        x509.load_pem_x509_certificates(text.encode())
    except (ValueError, x509.InvalidVersion):
        raise ValidationError(
            "Must be one or more certificates in PEM, each beginning with -----BEGIN CERTIFICATE-----."
        ) from None


def rewrite_url(url: Any, place: Place, visit: Visit) -> Any:
    """A URL in which somebody's name or password stands. What should be a URL but is no text is a secret as well."""
    shown = isinstance(url, str) and url != MARK and not url.startswith(SEALED) and "@" not in url.partition("?")[0]
    return url if shown else rewrite_whole(url, place, visit)


def rewrite_kubeconfig(kubeconfig: Any, place: Place, visit: Visit) -> Any:
    """What a user logs in with, but not the name: so that one can see where the cluster is, and who asks there."""
    kubeconfig = _rewrite_key(kubeconfig, "users", place, visit, _rewrite_users)
    return _rewrite_key(kubeconfig, "clusters", place, visit, _rewrite_clusters)


def destination_of_kubeconfig(kubeconfig: Any) -> Any:
    """Where users log in, and what they trust to be that place: all but the users themselves."""
    return {key: value for key, value in kubeconfig.items() if key != "users"} if isinstance(kubeconfig, dict) else kubeconfig


def _rewrite_users(users: Any, place: Place, visit: Visit) -> Any:
    return rewrite_items(users, place, visit, lambda index, entry: _name_of(entry), _rewrite_user_entry)


def _rewrite_clusters(clusters: Any, place: Place, visit: Visit) -> Any:
    if not isinstance(clusters, list):
        return clusters
    return rewrite_items(clusters, place, visit, lambda index, entry: _name_of(entry), _rewrite_cluster_entry)


def _name_of(entry: Any) -> str:
    return str(entry.get("name")) if isinstance(entry, dict) else ""


def _rewrite_user_entry(entry: Any, place: Place, visit: Visit) -> Any:
    if not isinstance(entry, dict):
        return rewrite_whole(entry, place, visit)
    return _rewrite_key(entry, "user", place, visit, _rewrite_user)


def _rewrite_cluster_entry(entry: Any, place: Place, visit: Visit) -> Any:
    return _rewrite_key(entry, "cluster", place, visit, _rewrite_addresses)


def _rewrite_addresses(cluster: Any, place: Place, visit: Visit) -> Any:
    for key in ("server", "proxy-url"):
        cluster = _rewrite_key(cluster, key, place, visit, rewrite_url)
    return cluster


def _rewrite_user(user: Any, place: Place, visit: Visit) -> Any:
    if not isinstance(user, dict):
        return rewrite_whole(user, place, visit)
    secret = {key: value for key, value in user.items() if key not in _SHOWN_OF_USER}
    new = rewrite_values(secret, place, visit)
    return user if new is secret else {key: new.get(key, value) for key, value in user.items()}


def rewrite_manifest(manifest: Any, place: Place, visit: Visit) -> Any:
    """The contents of the Kubernetes Secrets among the objects."""
    if not isinstance(manifest, list):
        return manifest
    return rewrite_items(manifest, place, visit, lambda index, item: _identity(item), _rewrite_object)


def rewrite_overrides(overrides: Any, place: Place, visit: Visit) -> Any:
    """The contents of the Kubernetes Secrets among the patches. They are known by the clusters that they are meant for.

    So nobody who may not see them can have them sent to other clusters, by renaming one override or taking another one away.
    """
    return rewrite_items(overrides, place, visit, lambda index, each: _clusters_of(each), _rewrite_override)


def _clusters_of(override: Any) -> str:
    keys = ("cluster", "labels")
    return json.dumps([override.get(key) or None for key in keys] if isinstance(override, dict) else None)


def _rewrite_override(override: Any, place: Place, visit: Visit) -> Any:
    return _rewrite_key(override, "patches", place, visit, rewrite_manifest)


def _identity(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    metadata = item.get("metadata")
    names = (metadata.get("namespace"), metadata.get("name")) if isinstance(metadata, dict) else (None, None)
    return "/".join("" if part is None else str(part) for part in (item.get("apiVersion"), item.get("kind"), *names))


def _rewrite_object(item: Any, place: Place, visit: Visit) -> Any:
    if not isinstance(item, dict):
        return item
    kind = item.get("kind")
    if kind in ("List", "SecretList") and isinstance(item.get("items"), list):
        inner = _rewrite_secret if kind == "SecretList" else _rewrite_object
        items = rewrite_items(item["items"], place.key("items"), visit, lambda index, each: _identity(each), inner)
        return item if items is item["items"] else {**item, "items": items}
    return _rewrite_secret(item, place, visit) if kind == "Secret" else item


def _rewrite_secret(secret: Any, place: Place, visit: Visit) -> Any:
    if not isinstance(secret, dict):
        return secret
    for key in ("data", "stringData"):
        secret = _rewrite_key(secret, key, place, visit, rewrite_values)
    return _rewrite_key(secret, "metadata", place, visit, _rewrite_secret_metadata)


def _rewrite_secret_metadata(metadata: Any, place: Place, visit: Visit) -> Any:
    return _rewrite_key(metadata, "annotations", place, visit, _rewrite_annotations)


def _rewrite_annotations(annotations: Any, place: Place, visit: Visit) -> Any:
    return _rewrite_key(annotations, _APPLIED_BEFORE, place, visit, rewrite_whole)


def _rewrite_key(value: Any, key: str, place: Place, visit: Visit, rewrite: Rewrite) -> Any:
    if not isinstance(value, dict) or value.get(key) is None:
        return value
    new = rewrite(value[key], place.key(key), visit)
    return value if new is value[key] else {**value, key: new}
