"""Makes of a user's kubeconfig one that Krake can use elsewhere: one context, and nothing that lies in other files."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rok.errors import Failure
from rok.files import read_documents

EMBEDDED = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}
"""Keys that name files, and the keys that hold the same in base64."""

PROGRAMS = {"exec": "runs a program to log in", "auth-provider": "logs in by a plugin"}
"""Ways to log in that work only on the user's machine."""


def read_kubeconfig(path: str, context: str | None) -> dict[str, Any]:
    """Return the kubeconfig of one context of a file, certificates and keys embedded.

    Files it names are looked for beside it, then in the working directory.

    :param context: name of the context; ``None`` for the current one.
    :raises Failure: it can not be read, or not be used on another machine.
    """
    document = read_documents(path)[0]
    name = context or document.get("current-context")
    if not name:
        raise Failure(f"{path} has no current-context: choose a context with -c ({_choices(document)})")
    chosen = _entry(document, "contexts", "context", name, path)
    cluster_name, user_name = chosen.get("cluster"), chosen.get("user")
    cluster = _entry(document, "clusters", "cluster", cluster_name, path)
    user = _entry(document, "users", "user", user_name, path)
    for key, what in PROGRAMS.items():
        if key in user:
            raise Failure(
                f"the user {user_name!r} of {path} {what} ({key}), which Krake can not do:"
                " give the user a token (kubectl create token) or a client certificate"
            )
    directory = Path.cwd() if path == "-" else Path(path).expanduser().parent
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": chosen}],
        "clusters": [{"name": cluster_name, "cluster": _embed(cluster, directory, path)}],
        "users": [{"name": user_name, "user": _embed(user, directory, path)}],
    }


def cluster_name(kubeconfig: Mapping[str, Any]) -> str:
    """Return what a kubeconfig of one context calls its cluster."""
    return str(kubeconfig["clusters"][0]["name"])


def _entry(document: Mapping[str, Any], plural: str, inner: str, name: Any, path: str) -> dict[str, Any]:
    entries = document.get(plural)
    found = (
        [each for each in entries if isinstance(each, dict) and each.get("name") == name] if isinstance(entries, list) else []
    )
    if not found:
        hint = f": choose one with -c ({_choices(document)})" if plural == "contexts" else ""
        raise Failure(f"{path} has no {inner} {name!r}{hint}")
    value = found[0].get(inner)
    if value is None and inner == "user":
        return {}
    if not isinstance(value, dict):
        raise Failure(f"the {inner} {name!r} of {path} is empty")
    return value


def _choices(document: Mapping[str, Any]) -> str:
    entries = document.get("contexts")
    names = [str(each.get("name")) for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return ", ".join(names) or "the file has none"


def _embed(values: Mapping[str, Any], directory: Path, path: str) -> dict[str, Any]:
    """Return a cluster or user of a kubeconfig with the content of the files in place of their names."""
    result = {key: value for key, value in values.items() if key not in EMBEDDED and key not in ("tokenFile", "extensions")}
    for key, data_key in EMBEDDED.items():
        if values.get(key) and not values.get(data_key):
            result[data_key] = base64.b64encode(_read(values[key], key, directory, path)).decode()
    if values.get("tokenFile") and not values.get("token"):
        result["token"] = _read(values["tokenFile"], "tokenFile", directory, path).decode(errors="replace").strip()
    return result


def _read(name: Any, key: str, directory: Path, path: str) -> bytes:
    given = Path(str(name)).expanduser()
    candidates = list(dict.fromkeys((directory / given, Path.cwd() / given)))
    for candidate in candidates:
        try:
            return candidate.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Failure(f"can not read {candidate}, the {key} of {path}: {error.strerror}") from None
    tried = " or ".join(str(candidate) for candidate in candidates)
    raise Failure(f"the {key} of {path} is not there: put it at {tried}, or correct the path")
