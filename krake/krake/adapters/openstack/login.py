"""How to log in at Keystone, from each of the ways in which clouds and projects declare it. Pure."""

from dataclasses import dataclass, field
from typing import Any

from krake.data.infrastructure import CloudPassword, OpenstackSpec
from krake.data.openstack import ApplicationCredential, ProjectPassword, ProjectSpec
from krake.ports.infrastructure import Rejected

_Spec = OpenstackSpec | ProjectSpec


@dataclass(frozen=True)
class Login:
    """What is sent to Keystone to get a token.

    :param url: of Keystone's API of version 3, without a slash at its end.
    :param auth: the value of ``auth`` in the request.
    :param secrets: what of it nobody else may see.
    :param ca: certificates in PEM by which Keystone and the other services are known, instead of those of the system.
    """

    url: str
    auth: dict[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    ca: str | None = field(repr=False)


def login_to_cloud(spec: OpenstackSpec) -> Login:
    """Return the login of a cloud, whose users and projects are named.

    :raises Rejected: it can not be logged in by what is declared.
    """
    match spec.auth.value:
        case CloudPassword() as method:
            if method.version.partition(".")[0].removeprefix("v") != "3":
                raise Rejected(f"Version {method.version} of Keystone is not supported: only version 3 is.")
            user = {"name": method.user.username, "domain": {"name": method.user.domain_name}}
            project = {"name": method.project.name, "domain": {"id": method.project.domain_id}}
            return _by_password(spec, user, method.user.password, project)
        case ApplicationCredential() as credential:
            return _by_application_credential(spec, credential)
    raise Rejected(f"Nobody can log in to a cloud by '{spec.auth.type}'.")


def login_to_project(spec: ProjectSpec) -> Login:
    """Return the login of a project, which is given by ids.

    :raises Rejected: it can not be logged in by what is declared.
    """
    match spec.auth.value:
        case ProjectPassword() as method:
            return _by_password(spec, {"id": method.user.id}, method.user.password, {"id": method.project.id})
        case ApplicationCredential() as credential:
            return _by_application_credential(spec, credential)
    raise Rejected(f"Nobody can log in to a project by '{spec.auth.type}'.")


def _by_password(spec: _Spec, user: dict[str, Any], password: str, project: dict[str, Any]) -> Login:
    identity = {"methods": ["password"], "password": {"user": {**user, "password": password}}}
    return Login(_version_3(spec.url), {"identity": identity, "scope": {"project": project}}, (password,), spec.ca)


def _by_application_credential(spec: _Spec, credential: ApplicationCredential) -> Login:
    # These have their project already: Keystone refuses to be told one.
    shown = {"id": credential.id, "secret": credential.secret}
    identity = {"methods": ["application_credential"], "application_credential": shown}
    return Login(_version_3(spec.url), {"identity": identity}, (credential.secret,), spec.ca)


def _version_3(url: str) -> str:
    base = url.partition("?")[0].partition("#")[0].rstrip("/")
    return base if base.endswith("/v3") else f"{base}/v3"
