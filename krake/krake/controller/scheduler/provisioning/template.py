"""Reads the template of clusters that are created for applications."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Self

import yaml
from marshmallow import ValidationError

from krake.controller.runtime.settings import SettingsError
from krake.controller.scheduler.provisioning.creation import Template
from krake.controller.scheduler.settings import ClusterCreationConfig
from krake.data.manifests import check_cluster_tosca

log = logging.getLogger(__name__)

LARGEST = 1_000_000
"""Bytes of a template."""


class TemplateFile:
    """The template that the configuration names. Use it as an asynchronous context manager: entering reads the file.

    The file of the default configuration may be missing: then no clusters are created.

    :raises SettingsError: on entering, if the file can not be used.
    """

    def __init__(self, config: ClusterCreationConfig) -> None:
        self._config = config
        self.template: Template | None = None

    async def __aenter__(self) -> Self:
        self.template = await asyncio.to_thread(read_template, self._config)
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""


def read_template(config: ClusterCreationConfig) -> Template | None:
    """Return the template; ``None`` if the default one is missing, or none is configured.

    :raises SettingsError: the file can not be used.
    """
    path = config.tosca_file
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        if path != ClusterCreationConfig().tosca_file:
            raise _unusable(path, error) from None
        log.info("No clusters are created for applications: there is no template %s.", path)
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    tosca = _parse(path, content)
    return Template(tosca, tuple(config.custom_resources), config.backoff_limit, config.backoff_delay)


def _parse(path: str, content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST:
        raise _unusable(path, f"It has more than {LARGEST} bytes.")
    try:
        tosca = yaml.safe_load(content)
        if not isinstance(tosca, dict) or not tosca:
            raise _unusable(path, "It must be a TOSCA template.")
        check_cluster_tosca(tosca)
    except (yaml.YAMLError, ValidationError, ValueError, RecursionError) as error:
        raise _unusable(path, error.messages[0] if isinstance(error, ValidationError) else error) from None
    return tosca


def _unusable(path: str, why: object) -> SettingsError:
    return SettingsError(f"automatic_cluster_creation.tosca_file: {path} can not be used: {why}")
