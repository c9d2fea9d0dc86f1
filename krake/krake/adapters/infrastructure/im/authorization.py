"""What IM is told about who asks: the value of a header with the users of IM itself and of the cloud. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from krake.data.infrastructure import ApplicationCredential, CloudPassword, ImSpec, OpenstackSpec
from krake.ports.infrastructure import Rejected

_ID = re.compile(r"[A-Za-z_.][A-Za-z0-9_.-]*")
"""What IM takes as an id."""
_PLAIN = re.compile(r"[!-~]([ -~]*[!-~])?")
_MEANINGFUL = re.compile(r"[;=\"'\\]")
"""What separates, quotes or escapes in a line of the header."""

Entry = Mapping[str, str]


@dataclass(frozen=True)
class Authorization:
    """The value of the header ``Authorization``, and what of it nobody else may see."""

    header: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def authorize(name: str, im: ImSpec, cloud_name: str | None = None, cloud: OpenstackSpec | None = None) -> Authorization:
    """Return who asks: a user of an IM, and one of a cloud as well if it is asked to do something there.

    :param name: of the provider.
    :raises Rejected: IM knows no login like this.
    """
    entries = [_user_of_im(name, im)]
    secrets = [im.token, im.password]
    if cloud_name is not None and cloud is not None:
        user, secret = _user_of_cloud(cloud_name, cloud)
        entries.append(user)
        secrets.append(secret)
    known = [secret for secret in secrets if secret]
    return Authorization(_write(entries), (*known, *(_write_json(secret)[1:-1] for secret in known)))


def _user_of_im(name: str, im: ImSpec) -> Entry:
    if im.token is not None:
        return {"id": _id_of(name), "token": im.token, "type": "InfrastructureManager"}
    return {"id": _id_of(name), "username": im.username or "", "password": im.password or "", "type": "InfrastructureManager"}


def _user_of_cloud(name: str, cloud: OpenstackSpec) -> tuple[Entry, str]:
    place = {"id": _id_of(name), "host": cloud.url}
    match cloud.auth.value:
        case CloudPassword(version=version, user=user, project=project):
            return {
                **place,
                "auth_version": f"{version}.x_password",
                "username": user.username,
                "password": user.password,
                "tenant": project.name,
                "domain": user.domain_name,
                "tenant_domain_id": project.domain_id,
                "type": "OpenStack",
            }, user.password
        case ApplicationCredential(id=id, secret=secret):
            return {
                **place,
                "auth_version": "3.x_appcred",
                "username": id,
                "password": secret,
                "tenant": id,  # The credential has its project; but IM wants to be told something.
                "type": "OpenStack",
            }, secret
    raise Rejected(f"IM can not log in to a cloud by '{cloud.auth.type}'.")


def _id_of(name: str) -> str:
    return name if _ID.fullmatch(name) else f"_{name}"


def _write(entries: Sequence[Entry]) -> str:
    """Return entries as lines; or as JSON, if something in them would mean more in a line than it is."""
    if all(_is_plain(value) for entry in entries for value in entry.values()):
        return r"\n".join(";".join(f"{key} = {value}" for key, value in entry.items()) for entry in entries)
    return _write_json(entries)


def _write_json(value: Any) -> str:
    """Write JSON with no backslash but before ``u``: IM replaces others before it reads."""
    return re.sub(r"\\([^u])", _spell_out, json.dumps(value))


def _spell_out(escaped: re.Match[str]) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in json.loads(f'"{escaped[0]}"'))


def _is_plain(value: str) -> bool:
    if value.startswith("file(") and value.endswith(")"):  # IM would read a file of its machine instead
        return False
    return _PLAIN.fullmatch(value) is not None and _MEANINGFUL.search(value) is None
