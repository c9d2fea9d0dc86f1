"""The configuration of the API: the keys of ``api.yaml`` and their defaults."""

from typing import Any

from krake.data.names import at_least, one_of
from krake.data.record import Record, field

PROBLEM_BASE_URL = "https://rak-n-rok.readthedocs.io/projects/krake/en/latest/user/problem.html"


class EtcdSettings(Record):
    """Where the store is. A write that loses against another one is tried again *retry_transactions* times."""

    host: str = "127.0.0.1"
    port: int = 2379
    retry_transactions: int = field(default=20, validate=at_least(0))


class DocsSettings(Record):
    """Where the problems are explained; an empty URL leaves the types of problems out."""

    problem_base_url: str = PROBLEM_BASE_URL


class TlsSettings(Record):
    """The server's certificate, and whose client certificates it trusts; paths of PEM files."""

    enabled: bool = False
    client_ca: str = ""
    cert: str = ""
    key: str = ""


class KeystoneSettings(Record):
    """Users are known by OpenStack Keystone."""

    enabled: bool = False
    endpoint: str = "http://localhost:5000/v3"


class KeycloakSettings(Record):
    """Users are known by Keycloak."""

    enabled: bool = False
    endpoint: str = "http://localhost:9080"
    realm: str = "krake"


class StaticSettings(Record):
    """Everybody is the user *name*."""

    enabled: bool = False
    name: str = "system"


class StrategySettings(Record):
    """How users are known."""

    keystone: KeystoneSettings = field(factory=KeystoneSettings)
    keycloak: KeycloakSettings = field(factory=KeycloakSettings)
    static: StaticSettings = field(factory=StaticSettings)


class AuthenticationSettings(Record):
    """Who is asking.

    ``cors_origin`` lists the web origins (separated by blanks) whose pages may call the API; ``*`` allows all, then without the
    credentials of their visitors; an empty text allows none.
    """

    cors_origin: str = ""
    allow_anonymous: bool = False
    strategy: StrategySettings = field(factory=StrategySettings)


class WatchSettings(Record):
    """The limits of watches.

    *history* is how many changes of each kind are kept for watches that resume; *buffer* how many lines may wait for a watcher
    that reads slowly, before its stream is ended.
    """

    history: int = field(default=2000, validate=at_least(1))
    buffer: int = field(default=2000, validate=at_least(1))


class ApiConfig(Record):
    """All keys of ``api.yaml``.

    *port* 0 picks a free one. *max_body_size* is in bytes. Reads are served for *max_staleness* seconds after the store was
    last reached. *default_roles* and *default_role_bindings* are created at the start if they do not exist.
    """

    host: str = "localhost"
    port: int = 8080
    max_body_size: int = field(default=1_048_576, validate=at_least(1))
    max_staleness: float = field(default=30.0, validate=at_least(1))
    etcd: EtcdSettings = field(factory=EtcdSettings)
    docs: DocsSettings = field(factory=DocsSettings)
    tls: TlsSettings = field(factory=TlsSettings)
    watch: WatchSettings = field(factory=WatchSettings)
    authentication: AuthenticationSettings = field(factory=AuthenticationSettings)
    authorization: str = field(default="RBAC", validate=one_of("always-allow", "always-deny", "RBAC"))
    default_roles: list[dict[str, Any]] = field(factory=list)
    default_role_bindings: list[dict[str, Any]] = field(factory=list)
    log: dict[str, Any] = field(factory=dict)
