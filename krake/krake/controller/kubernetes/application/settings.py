"""The settings of the application controller."""

from typing import Any

from krake.controller.runtime import ControllerConfig
from krake.data.record import Record, field


class MigrationRetryConfig(Record):
    """How migrations that failed are tried again.

    :param max: attempts for each file of a volume.
    :param timeout: seconds after a failed migration, times their number, before the next one.
    """

    max: int = 10
    timeout: int = 60


class MigrationConfig(Record):
    """How applications are moved.

    :param timeout: seconds that the new copy may take to become ready.
    """

    retry: MigrationRetryConfig = field(factory=MigrationRetryConfig)
    timeout: int = 180


class ApplicationControllerConfig(ControllerConfig):
    """All keys of ``kubernetes_application.yaml``.

    :param hooks: the settings of the hooks, which are not in use yet.
    """

    worker_count: int = 20
    hooks: dict[str, Any] = field(factory=dict)
    migration: MigrationConfig = field(factory=MigrationConfig)
