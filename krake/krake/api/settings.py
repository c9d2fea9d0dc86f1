"""The configuration of the API: the keys of ``api.yaml`` and their defaults."""

from typing import Any

from krake.data.names import at_least, check_port, check_url, each_of, one_of
from krake.data.record import Record, field

PROBLEM_BASE_URL = "https://rak-n-rok.readthedocs.io/projects/krake/en/latest/user/problem.html"


class EtcdTlsSettings(Record):
    """How the store is verified, and what this API shows it; paths of PEM files."""

    enabled: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""


class EtcdSettings(Record):
    """Where the store is. A write that loses against another one is tried again *retry_transactions* times.

    *endpoints* (``host:port``, or URLs) name the members of a cluster, instead of *host* and *port*.
    """

    host: str = "127.0.0.1"
    port: int = field(default=2379, validate=check_port)
    endpoints: list[str] = field(factory=list)
    username: str = ""
    password: str = field(default="", secret=True)
    tls: EtcdTlsSettings = field(factory=EtcdTlsSettings)
    retry_transactions: int = field(default=20, validate=at_least(0))


class DocsSettings(Record):
    """Where the problems are explained; an empty URL leaves the types of problems out."""

    problem_base_url: str = PROBLEM_BASE_URL


class TlsSettings(Record):
    """The server's certificate, and whose client certificates it trusts; paths of PEM files.

    A user's certificate must be issued by one of *client_ca* itself. Certificates issued by one of *hook_ca* are accepted on
    the routes of hooks only.
    """

    enabled: bool = False
    client_ca: str = ""
    hook_ca: str = ""
    cert: str = ""
    key: str = ""


class KeystoneSettings(Record):
    """Users are known by OpenStack Keystone; *ca* is a PEM file to verify it by, if not by the system's.

    :param domain: name or id of the one whose users are known. If empty, users of the same name in several are one to Krake.
    """

    enabled: bool = False
    endpoint: str = field(default="http://localhost:5000/v3", validate=check_url)
    domain: str = ""
    ca: str = ""


class KeycloakSettings(Record):
    """Users are known by Keycloak. Before version 17, its paths began with *base_path* ``/auth``."""

    enabled: bool = False
    endpoint: str = field(default="http://localhost:9080", validate=check_url)
    realm: str = "krake"
    base_path: str = "/auth"
    ca: str = ""


class OidcSettings(Record):
    """Users are known by the signed tokens of an OpenID provider, which are verified here, by the keys that it publishes.

    :param audience: that tokens must be meant for.
    :param username_claim: of the token, that names the user; *username_prefix* is put in front of it.
    """

    enabled: bool = False
    issuer: str = ""
    audience: str = "krake"
    username_claim: str = "preferred_username"
    username_prefix: str = ""
    ca: str = ""


class TokenSettings(Record):
    """Users are known by the bearer tokens of a *file*: one user a line, ``NAME SHA256-OF-TOKEN``."""

    enabled: bool = False
    file: str = ""


class StaticSettings(Record):
    """Everybody is the user *name*."""

    enabled: bool = False
    name: str = "system"


class StrategySettings(Record):
    """How users are known."""

    tokens: TokenSettings = field(factory=TokenSettings)
    oidc: OidcSettings = field(factory=OidcSettings)

    keystone: KeystoneSettings = field(factory=KeystoneSettings)
    keycloak: KeycloakSettings = field(factory=KeycloakSettings)
    static: StaticSettings = field(factory=StaticSettings)


WAYS = ("certificate", "tokens", "oidc", "keystone", "keycloak", "static")
"""The ways to know users, in the order in which they are asked if nothing else is said."""


class AuthenticationSettings(Record):
    """Who is asking. Of the ways that are enabled, the first in *order* that knows the user decides.

    What an identity service says of a token is believed for *cache* seconds, and waited for *timeout* seconds at most.

    ``cors_origin`` lists the web origins (separated by blanks) whose pages may call the API; ``*`` allows all, then without the
    credentials of their visitors; an empty text allows none.
    """

    cors_origin: str = ""
    allow_anonymous: bool = False
    order: list[str] = field(factory=lambda: list(WAYS), validate=each_of(*WAYS))
    timeout: float = field(default=5.0, validate=at_least(0.1))
    cache: float = field(default=60.0, validate=at_least(0))
    strategy: StrategySettings = field(factory=StrategySettings)


class WatchSettings(Record):
    """The limits of watches.

    *history* is how many changes of each kind are kept for watches that resume; *buffer* how many lines may wait for a watcher
    that reads slowly, before its stream is ended. A user may have *per_user* watches open.
    """

    history: int = field(default=2000, validate=at_least(1))
    buffer: int = field(default=2000, validate=at_least(1))
    per_user: int = field(default=1000, validate=at_least(1))


class SecretsSettings(Record):
    """How secrets are sealed in the store.

    :param key_file: one key a line, ``ID BASE64-OF-32-BYTES``, the first of which seals and all of which unseal.
    :param keys: the same as text, for the environment (``KRAKE_SECRETS_KEYS``); instead of a file.
    :param allow_plain: without any key, secrets are stored as they are; otherwise the API does not start.
    """

    key_file: str = ""
    keys: str = field(default="", secret=True)
    allow_plain: bool = False


class AuditSettings(Record):
    """The record of who did what: lines of JSON in *file* (``-`` is the standard output). Reads are left out unless *reads*."""

    file: str = ""
    reads: bool = False


class RateSettings(Record):
    """How many requests each user may send: *per_second* in the long run (0 is without limit), *burst* at once.

    *failed_logins* is how many attempts to log in may fail in a minute from one address.
    """

    per_second: float = field(default=1000.0, validate=at_least(0))
    burst: int = field(default=2000, validate=at_least(1))
    failed_logins: int = field(default=100, validate=at_least(1))


class EventSettings(Record):
    """Events are kept for *ttl* seconds after they happened last."""

    ttl: int = field(default=3600, validate=at_least(1))


class ApiConfig(Record):
    """All keys of ``api.yaml``.

    *port* 0 picks a free one. *max_body_size* is in bytes. Reads are served for *max_staleness* seconds after the store was
    last reached. Told to stop, the API takes requests for another *stop_delay* seconds, so that load balancers, which see that
    it is not ready any more, and clients can turn to another one. *default_roles* and *default_role_bindings* are created at
    the start if they do not exist.
    """

    host: str = "localhost"
    port: int = field(default=8080, validate=check_port)
    max_body_size: int = field(default=1_048_576, validate=at_least(1))
    max_staleness: float = field(default=30.0, validate=at_least(1))
    stop_delay: float = field(default=0.5, validate=at_least(0))
    etcd: EtcdSettings = field(factory=EtcdSettings)
    docs: DocsSettings = field(factory=DocsSettings)
    tls: TlsSettings = field(factory=TlsSettings)
    secrets: SecretsSettings = field(factory=SecretsSettings)
    watch: WatchSettings = field(factory=WatchSettings)
    rate: RateSettings = field(factory=RateSettings)
    audit: AuditSettings = field(factory=AuditSettings)
    events: EventSettings = field(factory=EventSettings)
    authentication: AuthenticationSettings = field(factory=AuthenticationSettings)
    authorization: str = field(default="RBAC", validate=one_of("always-allow", "always-deny", "RBAC"))
    default_roles: list[dict[str, Any]] = field(factory=list)
    default_role_bindings: list[dict[str, Any]] = field(factory=list)
    log: dict[str, Any] = field(factory=dict)
