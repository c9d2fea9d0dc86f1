"""Clouds, of a namespace and of all: where clusters are created."""

import argparse
from collections.abc import Mapping
from typing import Any

from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Cell, Object, cell, dig
from rok.errors import Failure, Misuse
from rok.flags import Flag, Flags, flag
from rok.kinds.infrastructure import CA, CHECK, NO_CA, given_settings, needs_password, option
from rok.output import Result, View
from rok.passwords import ask_secret, read_secret
from rok.registration import register
from rok.verbs import Call

USER: Mapping[str, tuple[str, str]] = {
    "username": ("user", "username"),
    "password": ("user", "password"),
    "domain_name": ("user", "domain_name"),
    "project": ("project", "name"),
    "domain_id": ("project", "domain_id"),
}
"""Where the settings of a login by password are in its wire form."""
SETTINGS: Mapping[str, tuple[str, ...]] = {"openstack": ("url", *USER, "application_credential", "ca"), "local": ()}
"""What a cloud may have besides metrics and a provider, by its type."""

_LOGIN = "auth.password"
_CREDENTIAL = "auth.application_credential"


def _view(kind: str, route: Route) -> View:
    shown = (
        *cells.BASE,
        cell("type", "spec.type"),
        cells.setting("metrics", write=cells.listing),
        cells.setting("infra_provider", "infrastructure_provider.name"),
        cells.STATE,
    )
    facts = (
        cells.REASON,
        Cell("failing_metrics", lambda item: dig(item, "status.metrics_reasons") or None, cells.reasons),
        cells.setting("url"),
        cells.setting("ca", write=cells.authorities),
        cells.setting("auth type", "auth.type"),
        *(cells.setting(name, f"{_LOGIN}.{'.'.join(path)}") for name, path in USER.items() if name != "password"),
        cells.setting("password", f"{_LOGIN}.user.password", cells.hidden),
        cells.setting("application_credential", f"{_CREDENTIAL}.id"),
        cell("checked", "status.checked", cells.time),
    )
    return View(route=route, kind=kind, columns=shown, rows=shown, facts=facts)


VIEW = _view("Cloud", Route("infrastructure", "clouds", True))
GLOBAL_VIEW = _view("GlobalCloud", Route("infrastructure", "globalclouds", False))


class KeepCredential(argparse.Action):
    """Reads ``--application-credential ID SECRET``."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Keep an id and a secret."""
        id_, secret = values
        setattr(namespace, self.dest, {"id": id_, "secret": read_secret(secret)})


_SETTINGS: Flags = (
    flag("--url", help="address of the identity service, for example https://keystone.example:5000 (openstack)"),
    flag("--project", help="project to log in to (openstack)"),
    flag("--username", help="user to log in as (openstack)"),
    flag(
        "--password",
        type=read_secret,
        help="password of the user (openstack); - reads a line of the standard input; asked for on a terminal if it is needed",
    ),
    flag("--domain-name", metavar="NAME", help="domain of the user (openstack; Krake's default: Default)"),
    flag("--domain-id", metavar="ID", help="domain of the project (openstack; Krake's default: default)"),
    flag(
        "--application-credential",
        action=KeepCredential,
        nargs=2,
        metavar=("ID", "SECRET"),
        help="log in by this, instead of user and project (openstack); - as secret reads a line of the standard input",
    ),
    CA,
)
_PROVIDER = flag("--infra-provider", metavar="NAME", help="provider of the same namespace that creates the clusters")


def _global_provider(*, required: bool = False) -> Flag:
    return flag("--global-infra-provider", metavar="NAME", required=required, help="global provider that creates the clusters")


_TYPE = flag("--type", choices=tuple(SETTINGS), required=True, help="local is where a provider of that type creates clusters")
_REMOVE: Flags = (flags.REMOVE_LABELS, flags.REMOVE_METRICS)

_OWN: Flags = (_PROVIDER, _global_provider(), *flags.METRICS, flags.LABEL)
REGISTER_FLAGS: Flags = (flags.NAME, _TYPE, *_SETTINGS, *_OWN, flags.NO_WAIT)
UPDATE_FLAGS: Flags = (flags.NAME, *_SETTINGS, NO_CA, *_OWN, *_REMOVE, flags.NO_WAIT)
GLOBAL_REGISTER_FLAGS: Flags = (
    flags.NAME,
    _TYPE,
    *_SETTINGS,
    _global_provider(required=True),
    flags.GLOBAL_METRIC,
    flags.LABEL,
    flags.NO_WAIT,
)
GLOBAL_UPDATE_FLAGS: Flags = (
    flags.NAME,
    *_SETTINGS,
    NO_CA,
    _global_provider(),
    flags.GLOBAL_METRIC,
    flags.LABEL,
    *_REMOVE,
    flags.NO_WAIT,
)


def _provider(args: argparse.Namespace) -> Object | None:
    """Return the reference to the provider that the words of a command name, if they do."""
    own = getattr(args, "infra_provider", None)
    if own is not None and args.global_infra_provider is not None:
        raise Failure("a cloud has one provider: give --infra-provider or --global-infra-provider, not both")
    name = own if own is not None else args.global_infra_provider
    return None if name is None else {"name": name, "namespaced": own is not None}


def new_cloud(kind: str, args: argparse.Namespace) -> Object:
    """Return the body of a request to register a cloud."""
    given = given_settings(args, args.type, SETTINGS)
    provider = _provider(args)
    if provider is None:
        raise Failure("a cloud needs a provider: give --infra-provider or --global-infra-provider")
    settings = {"metrics": flags.joined([], args.metrics), "infrastructure_provider": provider}
    if args.type == "openstack":
        if "url" not in given:
            raise Misuse("a cloud of the type openstack needs --url")
        settings |= {"url": given.pop("url"), "ca": given.pop("ca", None), "auth": _new_login(given)}
    metadata = {"name": args.name, "labels": flags.check_labels(args.labels)}
    spec = {"type": args.type, args.type: settings}
    return {"api": "infrastructure", "kind": kind, "metadata": metadata, "spec": spec}


def register_cloud(call: Call) -> Result:
    """Register a cloud, and answer with what the first check of it found."""
    return register(call, new_cloud(call.view.kind, call.args), CHECK)


def _new_login(given: Mapping[str, Any]) -> Object:
    """Return how to log in, by settings that have to be complete."""
    if "application_credential" in given:
        _check_alone(given)
        return {"type": "application_credential", "application_credential": given["application_credential"]}
    if missing := [option(name) for name in ("username", "project") if name not in given]:
        raise Misuse(f"a cloud of the type openstack needs {' and '.join(missing)}, or --application-credential")
    password = given.get("password")
    if password is None:
        password = ask_secret(f"Password of {given['username']}", "--password")
    defaults = {"domain_name": "Default", "domain_id": "default"}
    return _changed_login({"version": "3"}, {**defaults, **given, "password": password})


def _check_alone(given: Mapping[str, Any]) -> None:
    if foreign := [option(name) for name in USER if name in given]:
        raise Misuse(f"an application credential has its user and project: leave out {', '.join(foreign)}")


def _changed_login(old: Mapping[str, Any], given: Mapping[str, Any]) -> Object:
    login: dict[str, Any] = {**old, **{part: dict(old.get(part) or {}) for part in ("user", "project")}}
    for name, (part, key) in USER.items():
        if name in given:
            login[part][key] = given[name]
    return {"type": "password", "password": login}


def changed_cloud(stored: Object, args: argparse.Namespace) -> Object:
    """Return a cloud as a command changes it: labels and metrics are added, and what is not given stays."""
    type_ = str(dig(stored, "spec.type"))
    given = given_settings(args, type_, SETTINGS)
    provider = _provider(args)
    changes = (given, provider, args.metrics, args.labels, args.remove_existing_labels, args.remove_existing_metrics)
    if not any(changes):
        raise Failure("nothing is to be changed: name what, for example --password or --label")
    metadata, old = stored["metadata"], dig(stored, f"spec.{type_}") or {}
    metrics = [] if args.remove_existing_metrics else old.get("metrics") or []
    settings = {**old, "metrics": flags.merged_metrics(metrics, args.metrics)}
    if provider is not None:
        settings["infrastructure_provider"] = provider
    settings |= {name: given.pop(name) for name in ("url", "ca") if name in given}
    if given:
        settings["auth"] = _login_of(dig(old, "auth.password"), given, args)
    labels = {**({} if args.remove_existing_labels else metadata["labels"]), **flags.check_labels(args.labels)}
    return {**stored, "metadata": {**metadata, "labels": labels}, "spec": {**stored["spec"], type_: settings}}


def _login_of(old: Mapping[str, Any] | None, given: dict[str, Any], args: argparse.Namespace) -> Object:
    """Return how to log in after a change.

    :param old: the login by password until now, if it is one.
    """
    if old is None or "application_credential" in given:
        login = _new_login(given)
        args.password = dig(login, "password.user.password")
        return login
    if needs_password(old.get("user") or {}, given):
        given["password"] = args.password = ask_secret(f"Password of {given['username']}", "--password")
    return _changed_login(old, given)
