"""Infrastructure providers, of a namespace and of all: what creates clusters on clouds."""

import argparse
from collections.abc import Mapping
from typing import Any

from krake.client.wire import Route

from rok import cells, flags
from rok.cells import Object, cell, dig
from rok.errors import Failure, Misuse
from rok.flags import Flags, flag
from rok.output import Result, View
from rok.passwords import ask_secret, read_secret
from rok.registration import Check, register
from rok.verbs import Call

LOGIN = ("username", "password", "token")
SETTINGS: Mapping[str, tuple[str, ...]] = {"im": ("url", *LOGIN, "ca"), "local": ()}
"""What a provider may have, by its type."""


def _view(kind: str, route: Route) -> View:
    shown = (
        *cells.BASE,
        cell("type", "spec.type"),
        cells.setting("url"),
        cells.STATE,
    )
    facts = (
        cells.REASON,
        cells.setting("username"),
        cells.setting("password", write=cells.hidden),
        cells.setting("token", write=cells.hidden),
        cells.setting("ca", write=cells.authorities),
        cell("checked", "status.checked", cells.time),
    )
    return View(route=route, kind=kind, columns=shown, rows=shown, facts=facts)


VIEW = _view("InfrastructureProvider", Route("infrastructure", "infrastructureproviders", True))
GLOBAL_VIEW = _view("GlobalInfrastructureProvider", Route("infrastructure", "globalinfrastructureproviders", False))

CA = flag("--ca", metavar="FILE", help="certificates of the authorities that it is known by, in PEM, instead of the system's")
NO_CA = flag(
    "--no-ca", dest="ca", action="store_const", const="", help="let it be known by the authorities of the system again"
)

_SETTINGS: Flags = (
    flag("--url", help="address of the provider, for example https://im.example:8800 (im)"),
    flag("--username", help="user of the provider (im)"),
    flag(
        "--password",
        type=read_secret,
        help="password of the user (im); - reads a line of the standard input; asked for on a terminal if it is needed",
    ),
    flag("--token", type=read_secret, help="token to log in by, instead (im); - reads a line of the standard input"),
    CA,
)
REGISTER_FLAGS: Flags = (
    flags.NAME,
    flag(
        "--type",
        choices=tuple(SETTINGS),
        required=True,
        help="im is an Infrastructure Manager, local the program that Krake's configuration names",
    ),
    *_SETTINGS,
    flags.NO_WAIT,
)
UPDATE_FLAGS: Flags = (flags.NAME, *_SETTINGS, NO_CA, flags.NO_WAIT)


def is_checked(item: Object) -> bool:
    """Whether it was asked if a provider or a cloud answers; those of older servers are never."""
    return "checked" not in (item.get("status") or {}) or dig(item, "status.checked") is not None


CHECK = Check(is_checked, "infrastructure controller")


def given_settings(args: argparse.Namespace, type_: str, known: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the settings that the words of a command name.

    :param known: all settings, by the type of the object.
    :raises Misuse: an object of this type has no such setting, or a file can not be read.
    """
    names = {name for each in known.values() for name in each}
    given = {name: value for name in sorted(names) if (value := getattr(args, name)) is not None}
    if foreign := [option(name) for name in given if name not in known.get(type_, names)]:
        raise Misuse(f"what is of the type {type_} has no {', '.join(foreign)}: leave it out")
    if "ca" in given:
        given["ca"] = read_authorities(given["ca"])
    return given


def read_authorities(path: str) -> str | None:
    """Return the certificates of a file; an empty path stands for none.

    :raises Misuse: it can not be read.
    """
    from rok.files import read_text

    return read_text(path) if path else None


def option(name: str) -> str:
    """Return the option that gives a setting."""
    return f"--{name.replace('_', '-')}"


def new_provider(kind: str, args: argparse.Namespace) -> Object:
    """Return the body of a request to register a provider."""
    given = given_settings(args, args.type, SETTINGS)
    if args.type == "im":
        _complete(given)
    spec = {"type": args.type, args.type: given}
    return {"api": "infrastructure", "kind": kind, "metadata": {"name": args.name}, "spec": spec}


def _complete(given: dict[str, Any]) -> None:
    """See to it that an Infrastructure Manager can be reached, and logged in to."""
    if "url" not in given:
        raise Misuse("a provider of the type im needs --url")
    if "token" in given:
        return
    if "username" not in given:
        raise Misuse("a provider of the type im needs --username and --password, or --token")
    if "password" not in given:
        given["password"] = ask_secret(f"Password of {given['username']}", "--password")


def register_provider(call: Call) -> Result:
    """Register a provider, and answer with what the first check of it found."""
    return register(call, new_provider(call.view.kind, call.args), CHECK)


def changed_provider(stored: Object, args: argparse.Namespace) -> Object:
    """Return a provider as a command changes it: what is not given stays, but a new login replaces another one."""
    type_ = str(dig(stored, "spec.type"))
    given = given_settings(args, type_, SETTINGS)
    if not given:
        raise Failure("nothing is to be changed: name what, for example --url or --password")
    old = dig(stored, f"spec.{type_}") or {}
    if "token" not in given and needs_password(old, given):
        given["password"] = args.password = ask_secret(
            f"Password of {given.get('username', old.get('username'))}", "--password"
        )
    if "token" in given:
        given = {"username": None, "password": None, **given}
    elif "username" in given or "password" in given:
        given["token"] = None
    return {**stored, "spec": {**stored["spec"], type_: {**old, **given}}}


def needs_password(old: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether a change is of use only with a password: that of another user is another one."""
    return "password" not in given and "username" in given and given["username"] != old.get("username")
