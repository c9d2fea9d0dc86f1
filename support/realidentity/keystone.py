"""OpenStack Keystone."""

import json
import shutil
import sqlite3
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from realkube.process import Process, free_port

from .installing import provide

VERSION = "30.0.0"
ADMIN, PASSWORD = "admin", "secret"
_SERVER = Path(__file__).with_name("keystone_server.py")
_START_LIMIT = 60
_TEMPLATE_PORT = 5000

_CONFIGURATION = """\
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = true
backend = dogpile.cache.memory
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 4
"""


def install() -> Path:
    """Return the folder with Keystone in a virtual environment and, in `template`, its data after the bootstrap.

    Takes two minutes the first time.

    :raises Unavailable: it cannot be installed.
    """
    python = "environment/bin/python"
    bootstrap = (
        "import os, pathlib, subprocess, sys; folder = pathlib.Path('template').absolute(); folder.mkdir();"
        f"(folder / 'keystone.conf').write_text({_CONFIGURATION!r}.format(folder=folder));"
        "[subprocess.run([pathlib.Path(sys.executable).with_name('keystone-manage'),"
        " '--config-file', folder / 'keystone.conf', *words], check=True) for words in ("
        "('fernet_setup', '--keystone-user', str(os.getuid()), '--keystone-group', str(os.getgid())), ('db_sync',),"
        f"('bootstrap', '--bootstrap-password', {PASSWORD!r}, '--bootstrap-region-id', 'RegionOne',"
        f" *(word for kind in ('admin', 'public', 'internal') for word in"
        f" ('--bootstrap-' + kind + '-url', 'http://127.0.0.1:{_TEMPLATE_PORT}/v3'))))]"
    )
    return provide(
        "keystone",
        VERSION,
        [
            (sys.executable, "-m", "venv", "environment"),
            (python, "-m", "pip", "install", "--quiet", f"keystone=={VERSION}"),
            (python, "-c", bootstrap),
        ],
    )


class Keystone:
    """A running Keystone with the administrator `ADMIN`; call `close` at the end.

    :param folder: for its data and its log.
    :param files: certificate and key of the server; without, it speaks plain HTTP.
    :param ca: by which its certificate is verified here.
    """

    def __init__(self, folder: Path, files: tuple[Path, Path] | None = None, ca: Path | None = None) -> None:
        self._installed = install()
        self._folder = folder
        self._files = files or ()
        self._context = ssl.create_default_context(cafile=ca) if ca else None
        self.port = free_port()
        self.endpoint = f"{'https' if files else 'http'}://127.0.0.1:{self.port}/v3"
        self._copy_template()
        self.process = self._start()

    def _copy_template(self) -> None:
        shutil.copytree(self._installed / "template", self._folder, dirs_exist_ok=True)
        (self._folder / "keystone.conf").write_text(_CONFIGURATION.format(folder=self._folder))
        with sqlite3.connect(self._folder / "keystone.db") as database:
            database.execute("UPDATE endpoint SET url = ?", (self.endpoint,))
        database.close()

    def _start(self) -> Process:
        python = self._installed / "environment" / "bin" / "python"
        process = Process(
            # -P: the folder of the server also holds this module, of the same name as what it serves.
            [python, "-P", _SERVER, str(self.port), *self._files],
            self._folder / "server.log",
            {"OS_KEYSTONE_CONFIG_DIR": str(self._folder), "PYTHONWARNINGS": "ignore"},
        )
        process.wait_until(self._answers, "an answer", _START_LIMIT)
        return process

    def _answers(self) -> bool:
        try:
            self._call("GET", "")
        except OSError:
            return False
        return True

    def close(self) -> None:
        self.process.stop()

    def issue_token(
        self, user: str = ADMIN, password: str = PASSWORD, *, domain: str = "Default", project_id: str | None = None
    ) -> str:
        """Return a new token of a user: of the project, or of none, but that of the administrator is of ``admin``."""
        name = {"name": user, "domain": {"name": domain}, "password": password}
        scope: Any = {"project": {"name": "admin", "domain": {"id": "default"}}} if user == ADMIN else "unscoped"
        if project_id is not None:
            scope = {"project": {"id": project_id}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": name}}, "scope": scope}}
        return str(self._call("POST", "/auth/tokens", body)[1]["X-Subject-Token"])

    def create_domain(self, name: str) -> str:
        """Return the id of a new domain."""
        return self._create("domain", {"name": name})

    def create_user(self, name: str, password: str, *, domain_id: str = "default") -> str:
        """Return the id of a new user."""
        return self._create("user", {"name": name, "password": password, "domain_id": domain_id})

    def create_project(self, name: str, user_id: str, *, domain_id: str = "default") -> str:
        """Return the id of a new project, of which a user is a member."""
        project = self._create("project", {"name": name, "domain_id": domain_id})
        roles, _ = self._administrate("GET", "/roles?name=member")
        self._administrate("PUT", f"/projects/{project}/users/{user_id}/roles/{roles['roles'][0]['id']}")
        return project

    def create_application_credential(self, token: str, user_id: str) -> tuple[str, str]:
        """Return id and secret of a new application credential of a user, for the project of a token of this user."""
        body = {"application_credential": {"name": f"krake-{token[-12:]}"}}
        path = f"/users/{user_id}/application_credentials"
        document, _ = self._call("POST", path, body, {"X-Auth-Token": token})
        return str(document["application_credential"]["id"]), str(document["application_credential"]["secret"])

    def create_endpoint(self, type: str, url: str, *, region: str = "RegionOne", interface: str = "public") -> None:
        """Put a service into the catalogue."""
        with suppress(HTTPError):  # it is there already
            self._administrate("PUT", f"/regions/{region}", {"region": {}})
        service = self._create("service", {"name": type, "type": type})
        self._create("endpoint", {"service_id": service, "url": url, "region_id": region, "interface": interface})

    def change_user(self, id: str, **changes: Any) -> None:
        """Change what Keystone knows of a user, such as ``password`` or ``enabled``; it ends all of the user's tokens."""
        self._administrate("PATCH", f"/users/{id}", {"user": changes})

    def change_project(self, id: str, **changes: Any) -> None:
        """Change what Keystone knows of a project, such as ``enabled``."""
        self._administrate("PATCH", f"/projects/{id}", {"project": changes})

    def take_roles(self, user_id: str, project_id: str) -> None:
        """Let a user do nothing in a project any more."""
        path = f"/projects/{project_id}/users/{user_id}/roles"
        for role in self._administrate("GET", path)[0]["roles"]:
            self.delete(f"{path}/{role['id']}")

    def delete(self, path: str, *, as_user: str | None = None) -> None:
        """Delete what is at a path below the endpoint.

        :param as_user: the token of who does it, instead of the administrator.
        """
        self._call("DELETE", path, None, {"X-Auth-Token": as_user or self.issue_token()})

    def revoke_token(self, token: str) -> None:
        """End a token before its time."""
        self._call("DELETE", "/auth/tokens", None, {"X-Auth-Token": self.issue_token(), "X-Subject-Token": token})

    def _create(self, kind: str, description: Mapping[str, Any]) -> str:
        document, _ = self._administrate("POST", f"/{kind}s", {kind: description})
        return str(document[kind]["id"])

    def _administrate(self, method: str, path: str, body: Any = None) -> tuple[Any, Mapping[str, str]]:
        return self._call(method, path, body, {"X-Auth-Token": self.issue_token()})

    def _call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.endpoint + path, data, {"Content-Type": "application/json", **(headers or {})}, method=method
        )
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            return json.loads(answer.read() or b"null"), answer.headers


def environment_of(keystone: Keystone) -> Mapping[str, str]:
    """Return the variables by which OpenStack's own commands find it."""
    return {
        "OS_AUTH_URL": keystone.endpoint,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": ADMIN,
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
    }
