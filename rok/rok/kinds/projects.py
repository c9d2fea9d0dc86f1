"""OpenStack projects, in which Magnum creates clusters."""

import argparse
import os
from collections.abc import Mapping
from typing import Any

from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Cell, Object, cell, dig
from rok.errors import Failure
from rok.flags import Flags, flag
from rok.kinds.clouds import KeepCredential
from rok.kinds.infrastructure import CA, CHECK, NO_CA, read_authorities
from rok.output import Result, View
from rok.passwords import read_secret
from rok.registration import register
from rok.verbs import Call

VARIABLES = {"auth_url": "OS_AUTH_URL", "user_id": "OS_USER_ID", "password": "OS_PASSWORD", "project_id": "OS_PROJECT_ID"}
"""Variables of the environment, as OpenStack's own commands have them, that stand for what is not given."""


def _notable_state(item: Object) -> str | None:
    state = dig(item, "status.state")
    return None if state == "ONLINE" else state


_PASSWORD = "spec.auth.password"
_ROWS = (*cells.BASE, cell("url", "spec.url"), cell("template", "spec.template"), cell("auth type", "spec.auth.type"))
VIEW = View(
    route=Route("openstack", "projects", True),
    kind="Project",
    columns=cells.BASE,
    rows=_ROWS,
    remarks=(Cell("state", _notable_state, lambda state: state or "ONLINE"),),
    facts=(
        cells.STATE,
        cells.REASON,
        cell("ca", "spec.ca", cells.authorities),
        cell("user id", f"{_PASSWORD}.user.id"),
        cell("project id", f"{_PASSWORD}.project.id"),
        cell("application credential", "spec.auth.application_credential.id"),
        Cell("metrics", lambda item: dig(item, "spec.metrics") or None, cells.listing),
        Cell("failing_metrics", lambda item: dig(item, "status.metrics_reasons") or None, cells.reasons),
        cell("checked", "status.checked", cells.time),
    ),
)

_LOGIN: Flags = (
    flag("--auth-url", metavar="URL", help="address of the identity service, for example https://keystone.example:5000/v3"),
    flag(
        "--application-credential",
        action=KeepCredential,
        nargs=2,
        metavar=("ID", "SECRET"),
        help="log in by this, instead of user and project; - as secret reads a line of the standard input",
    ),
    flag("--user-id", metavar="ID", help="user to log in as"),
    flag("--password", type=read_secret, help="password of the user; - reads a line of the standard input"),
    flag("--project-id", metavar="ID", help="project to log in to"),
    CA,
)
_TEMPLATE = "id of the cluster template that Magnum creates clusters by"
CREATE_FLAGS: Flags = (
    flags.NAME,
    flag("--template", metavar="UUID", required=True, help=_TEMPLATE),
    *_LOGIN,
    *flags.METRICS,
    flags.LABEL,
    flags.NO_WAIT,
)
CREATE_REMARK = f"What is not given is taken from {', '.join(VARIABLES.values())}."
UPDATE_FLAGS: Flags = (
    flags.NAME,
    flag("--template", metavar="UUID", help=_TEMPLATE),
    *_LOGIN,
    NO_CA,
    *flags.METRICS,
    flags.LABEL,
    flags.REMOVE_LABELS,
    flags.REMOVE_METRICS,
    flags.NO_WAIT,
)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name in VARIABLES if (value := getattr(args, name)) is not None}


def _setting(name: str, given: Mapping[str, Any], kept: str | None = None) -> str:
    """Return a setting of the login as it is given, as it was, or as the environment has it.

    :raises Failure: it is nowhere.
    """
    value = given.get(name) or kept or os.environ.get(VARIABLES[name])
    if not value:
        raise Failure(f"give --{name.replace('_', '-')}, or set {VARIABLES[name]}")
    return str(value)


def _by_password(given: Mapping[str, Any], old: Mapping[str, Any]) -> Object:
    user, project = old.get("user") or {}, old.get("project") or {}
    # The password of another user is another one.
    same = given.get("user_id") in (None, user.get("id"))
    login = {
        "user": {
            "id": _setting("user_id", given, user.get("id")),
            "password": _setting("password", given, user.get("password") if same else None),
            "comment": user.get("comment") if same else None,
        },
        "project": {"id": _setting("project_id", given, project.get("id")), "comment": project.get("comment")},
    }
    return {"type": "password", "password": login}


def _login(args: argparse.Namespace, given: Mapping[str, Any], old: Mapping[str, Any]) -> Object:
    credential = args.application_credential
    if credential is None:
        return _by_password(given, old)
    if foreign := [f"--{name.replace('_', '-')}" for name in given if name != "auth_url"]:
        raise Failure(f"an application credential has its user and project: leave out {', '.join(foreign)}")
    return {"type": "application_credential", "application_credential": credential}


def new_project(args: argparse.Namespace) -> Object:
    """Return the body of a request to declare a project."""
    given = _given(args)
    spec = {
        "url": _setting("auth_url", given),
        "ca": read_authorities(args.ca or ""),
        "auth": _login(args, given, {}),
        "template": args.template,
        "metrics": flags.joined([], args.metrics),
    }
    metadata = {"name": args.name, "labels": flags.check_labels(args.labels)}
    return {"api": "openstack", "kind": "Project", "metadata": metadata, "spec": spec}


def create_project(call: Call) -> Result:
    """Declare a project, and answer with what the first check of it found."""
    return register(call, new_project(call.args), CHECK)


def changed_project(stored: Object, args: argparse.Namespace) -> Object:
    """Return a project as a command changes it: labels and metrics are added, and what is not given stays."""
    given = _given(args)
    changes = (given, args.application_credential, args.template, args.metrics, args.labels, args.ca is not None)
    if not any((*changes, args.remove_existing_labels, args.remove_existing_metrics)):
        raise Failure("nothing is to be changed: name what, for example --template or --password")
    metadata, old = stored["metadata"], stored["spec"]
    metrics = [] if args.remove_existing_metrics else old.get("metrics") or []
    spec = {**old, "metrics": flags.merged_metrics(metrics, args.metrics)}
    if args.template is not None:
        spec["template"] = args.template
    if "auth_url" in given:
        spec["url"] = given.pop("auth_url")
    if args.ca is not None:
        spec["ca"] = read_authorities(args.ca)
    if given or args.application_credential is not None:
        spec["auth"] = _login(args, given, dig(old, "auth.password") or {})
    labels = {**({} if args.remove_existing_labels else metadata["labels"]), **flags.check_labels(args.labels)}
    return {**stored, "metadata": {**metadata, "labels": labels}, "spec": spec}
