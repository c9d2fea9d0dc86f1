"""The settings of the application controller."""

from urllib.parse import urlsplit

from marshmallow import ValidationError

from krake.controller.kubernetes.destinations import ClustersConfig
from krake.controller.runtime import ControllerConfig
from krake.controller.runtime.destinations import AskingConfig
from krake.data.names import at_least, one_of
from krake.data.record import Record, field


def check_external_endpoint(url: str | None) -> None:
    """Refuse what is no URL of a server; an empty text is none."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        raise ValidationError(f"{url!r} is not a URL.") from None
    if not parts.scheme or (not parts.netloc and "://" not in url):
        raise ValidationError(f"A scheme should be provided with the external endpoint. Current value: '{url}'.")
    if parts.scheme not in ("http", "https"):
        raise ValidationError(f"The provided scheme '{parts.scheme}' is not supported.")
    if not host:
        raise ValidationError(f"A host should be provided with the external endpoint. Current value: '{url}'.")


class CompleteHookConfig(Record):
    """How applications tell that they are complete.

    :param hook_user: that the certificates of applications are made out to.
    :param intermediate_src: authority that issues them, a PEM file; its key is in *intermediate_key_src*.
    :param cert_dest: folder of the certificate inside of the containers.
    :param env_token: variable of the containers with the token; *env_url* is the one with the URL to call.
    :param external_endpoint: of the API as the applications reach it, if it is not ``api_endpoint``.
    """

    hook_user: str = "system:complete-hook"
    intermediate_src: str = ""
    intermediate_key_src: str = ""
    cert_dest: str = "/etc/krake_complete_certs/"
    env_token: str = "KRAKE_COMPLETE_TOKEN"
    env_url: str = "KRAKE_COMPLETE_URL"
    external_endpoint: str | None = field(default=None, validate=check_external_endpoint)


class ShutdownHookConfig(Record):
    """How applications are asked to shut down, and tell that they have; see :class:`CompleteHookConfig` for the other keys.

    :param timeout: seconds that an application gets for it.
    :param failure_strategy: whether one that does not answer is deleted (``delete``) or left (``give_up``).
    :param failure_retry_count: how often it is asked again before.
    """

    hook_user: str = "system:shutdown-hook"
    intermediate_src: str = ""
    intermediate_key_src: str = ""
    cert_dest: str = "/etc/krake_shutdown_certs/"
    env_token: str = "KRAKE_SHUTDOWN_TOKEN"
    env_url: str = "KRAKE_SHUTDOWN_URL"
    external_endpoint: str | None = field(default=None, validate=check_external_endpoint)
    timeout: int = field(default=30, validate=at_least(1))
    failure_strategy: str = field(default="delete", validate=one_of("delete", "give_up"))
    failure_retry_count: int = field(default=0, validate=at_least(0))


class HooksConfig(Record):
    """The hooks."""

    complete: CompleteHookConfig = field(factory=CompleteHookConfig)
    shutdown: ShutdownHookConfig = field(factory=ShutdownHookConfig)


class MigrationRetryConfig(Record):
    """How migrations that failed are tried again.

    :param max: attempts for each file of a volume.
    :param timeout: seconds after a failed migration, times their number, before the next one.
    """

    max: int = field(default=10, validate=at_least(0))
    timeout: int = field(default=60, validate=at_least(0))


class MigrationVolumesConfig(Record):
    """How the data of volumes is copied: by a Job on either cluster.

    :param image: of both Jobs; it needs Python 3.9 or later, and nothing else.
    :param address: how the target reaches the source, by a Service of the type ``node_port`` or ``load_balancer``.
    :param timeout: seconds that copying a volume may take in all.
    """

    image: str = "docker.io/library/python:3-alpine"
    address: str = field(default="node_port", validate=one_of("node_port", "load_balancer"))
    timeout: int = field(default=86400, validate=at_least(1))


class MigrationConfig(Record):
    """How applications are moved.

    :param timeout: seconds that the new copy may take to become ready; while volumes are copied, seconds without any progress.
    """

    retry: MigrationRetryConfig = field(factory=MigrationRetryConfig)
    volumes: MigrationVolumesConfig = field(factory=MigrationVolumesConfig)
    timeout: int = field(default=180, validate=at_least(1))


class FetchingConfig(AskingConfig):
    """How templates and archives are fetched from the addresses that users give; *timeout* is for one document.

    :param max_size: bytes of all documents of an application together.
    """

    max_size: int = field(default=10_000_000, validate=at_least(1))


class ApplicationControllerConfig(ControllerConfig):
    """All keys of ``kubernetes_application.yaml``.

    :param lost_cluster_grace: seconds after its deletion for which a cluster that does not answer is waited for, to take
        applications from it.
    :param clusters: where they may be.
    """

    worker_count: int = field(default=20, validate=at_least(1))
    lost_cluster_grace: float = field(default=60.0, validate=at_least(0))
    hooks: HooksConfig = field(factory=HooksConfig)
    migration: MigrationConfig = field(factory=MigrationConfig)
    fetching: FetchingConfig = field(factory=FetchingConfig)
    clusters: ClustersConfig = field(factory=ClustersConfig)
