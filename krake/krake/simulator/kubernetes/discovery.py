"""The documents by which clients find out what a cluster serves."""

from krake.simulator.kubernetes.kinds import Kind, Object, Registry

VERSION = "v1.31.0+krake-simulator"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
SUBRESOURCE_VERBS = {"binding": ["create"], "eviction": ["create"], "finalize": ["update"], "log": ["get"]}


def version() -> Object:
    return {
        "major": "1",
        "minor": "31",
        "gitVersion": VERSION,
        "gitCommit": "simulated",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none (simulated)",
        "compiler": "python",
        "platform": "krake/simulator",
    }


def core_versions(address: str) -> Object:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups(registry: Registry) -> Object:
    found: dict[str, list[str]] = {}
    for kind in registry:
        versions = found.setdefault(kind.group, [])
        if kind.version not in versions:
            versions.append(kind.version)
    found.pop("")
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions) for name, versions in found.items()],
    }


def _group(name: str, versions: list[str]) -> Object:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def group(registry: Registry, name: str) -> Object | None:
    versions = list(dict.fromkeys(kind.version for kind in registry if kind.group == name))
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def resources(registry: Registry, group: str, version: str) -> Object | None:
    """The resources of one group and version, or None when it isn't served."""
    kinds = [kind for kind in registry if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kinds[0].api_version,
        "resources": [entry for kind in kinds for entry in _resource(kind)],
    }


def _resource(kind: Kind) -> list[Object]:
    main: Object = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": VERBS,
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.in_all:
        main["categories"] = ["all"]
    return [main, *(_subresource(kind, name) for name in kind.subresources)]


def _subresource(kind: Kind, name: str) -> Object:
    entry: Object = {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": {"scale": "Scale", "binding": "Binding", "eviction": "Eviction"}.get(name, kind.kind),
        "verbs": SUBRESOURCE_VERBS.get(name, ["get", "patch", "update"]),
    }
    if name == "scale":
        entry |= {"group": "autoscaling", "version": "v1"}
    return entry
