"""Who may use a cloud: users, projects, application credentials, and the tokens that they were given. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Record = Mapping[str, str]


class Denied(Exception):
    """A login or a token is not accepted."""


class Unknown(Exception):
    """A token that something is to be done with is none, or has ended; or there is no such application credential."""


class Malformed(Exception):
    """A login is none; the message says why."""


@dataclass
class User:
    """Who logs in; changing *password* or *enabled* ends what was possible before."""

    id: str
    name: str
    password: str
    domain: str = "default"
    enabled: bool = True


@dataclass(frozen=True)
class Project:
    """What is logged in to.

    :param members: the ids of the users who may.
    """

    id: str
    name: str
    members: Sequence[str]
    domain: str = "default"


@dataclass(frozen=True)
class ApplicationCredential:
    """Lets somebody log in to a project without the password of the user."""

    id: str
    secret: str
    user: str
    project: str


@dataclass(frozen=True)
class Token:
    """Shows who asks, and for which project.

    :param credential: the id of the application credential that it was given for.
    """

    value: str
    user: User
    project: Project | None
    methods: Sequence[str]
    issued: datetime
    expires: datetime
    credential: str | None = None


@dataclass
class Directory:
    """All that Keystone knows. Domains are names by their ids.

    :param lifetime: of tokens.
    """

    users: list[User] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    credentials: list[ApplicationCredential] = field(default_factory=list)
    domains: dict[str, str] = field(default_factory=lambda: {"default": "Default"})
    tokens: dict[str, Token] = field(default_factory=dict)
    lifetime: timedelta = timedelta(hours=1)

    def change_password(self, name: str, password: str) -> None:
        """Give a user another password, which ends the tokens that there are."""
        user = next(user for user in self.users if user.name == name)
        user.password = password
        self._end_tokens(user)

    def disable(self, name: str, *, enabled: bool = False) -> None:
        """Keep a user out, tokens and application credentials included."""
        user = next(user for user in self.users if user.name == name)
        user.enabled = enabled
        self._end_tokens(user)

    def delete_credential(self, id: str) -> None:
        """Take an application credential back, which ends the tokens that were given for it."""
        self.credentials = [each for each in self.credentials if each.id != id]
        self.tokens = {value: token for value, token in self.tokens.items() if token.credential != id}

    def _end_tokens(self, user: User) -> None:
        self.tokens = {value: token for value, token in self.tokens.items() if token.user is not user}

    def log_in(self, body: Any, value: str, now: datetime) -> Token:
        """Return a new token for the body of a login.

        :param value: what shows the token.
        :raises Malformed: it is no login.
        :raises Denied: it is not accepted.
        :raises Unknown: it is by a token or an application credential that is none.
        """
        auth = _section(body, "auth")
        identity = _section(auth, "identity")
        methods = identity.get("methods")
        if not isinstance(methods, list) or len(methods) != 1:
            raise Malformed("Expecting to find methods in identity.")
        project: Project | None
        credential: str | None = None
        match methods[0]:
            case "password":
                user = self._by_password(_section(_section(identity, "password"), "user"))
                project = self._scope(auth.get("scope"), user)
            case "application_credential":
                given = _section(identity, "application_credential")
                user, project = self._by_credential(given)
                credential = str(given["id"])
                if "scope" in auth:
                    raise Denied
            case "token":
                earlier = self.find(str(_section(identity, "token").get("id")), now)
                user, project = earlier.user, self._scope(auth.get("scope"), earlier.user)
            case _:
                raise Denied
        token = Token(value, user, project, methods, now, now + self.lifetime, credential)
        self.tokens = {value: each for value, each in self.tokens.items() if each.expires > now}
        self.tokens[value] = token
        return token

    def check(self, value: str, now: datetime) -> Token:
        """Return the token by which somebody asks.

        :raises Denied: it is none.
        """
        try:
            return self.find(value, now)
        except Unknown:
            raise Denied from None

    def find(self, value: str, now: datetime) -> Token:
        """Return the token that a value shows.

        :raises Unknown: it shows none.
        """
        token = self.tokens.get(value)
        if token is None or token.expires <= now or not token.user.enabled:
            raise Unknown
        return token

    def _by_password(self, given: Mapping[str, Any]) -> User:
        if "password" not in given:
            raise Malformed("Expecting to find password in user.")
        found = [user for user in self.users if self._is(user, given)]
        if not found or not found[0].enabled or found[0].password != given["password"]:
            raise Denied
        return found[0]

    def _by_credential(self, given: Mapping[str, Any]) -> tuple[User, Project]:
        credential = next((each for each in self.credentials if each.id == given.get("id")), None)
        if credential is None:
            raise Unknown(f"Could not find Application Credential: {given.get('id')}.")
        user = next(user for user in self.users if user.id == credential.user)
        if credential.secret != given.get("secret") or not user.enabled:
            raise Denied
        return user, next(project for project in self.projects if project.id == credential.project)

    def _scope(self, scope: Any, user: User) -> Project | None:
        if scope is None or scope == "unscoped":
            return None
        given = _section(scope, "project")
        for project in self.projects:
            if self._is(project, given) and user.id in project.members:
                return project
        raise Denied

    def _is(self, record: User | Project, given: Mapping[str, Any]) -> bool:
        if "id" in given:
            return bool(record.id == given["id"])
        domain = _section(given, "domain")
        known = domain["id"] == record.domain if "id" in domain else domain.get("name") == self.domains.get(record.domain)
        return bool(known and record.name == given.get("name"))


def _section(document: Any, name: str) -> dict[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise Malformed(f"Expecting to find {name} in request body.")
    return found
