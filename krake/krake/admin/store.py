"""Where the tools find the store: as the API does, or as their own options say."""

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from krake.api.secrets.source import make_source
from krake.api.secrets.store import SealedStore
from krake.api.secrets.vault import Vault
from krake.api.settings import ApiConfig
from krake.config import ConfigError, read
from krake.ports.store import Denied, Store, StoreError, Unavailable

OPTIONS = {
    "db_host": ("etcd.host", "HOST", "address of etcd"),
    "db_port": ("etcd.port", "PORT", "port of etcd"),
    "db_endpoint": ("etcd.endpoints", "URL", "member of a cluster of etcd, instead of host and port; may be repeated"),
    "db_username": ("etcd.username", "NAME", "user of etcd; the password is taken from KRAKE_ETCD_PASSWORD"),
    "db_ca": ("etcd.tls.ca", "FILE", "authorities that etcd is verified by; switches TLS on"),
    "db_cert": ("etcd.tls.cert", "FILE", "certificate to show to etcd; switches TLS on"),
    "db_key": ("etcd.tls.key", "FILE", "its key"),
}
_TLS = ("db_ca", "db_cert", "db_key")


class ToolError(Exception):
    """The tool can not do what it was asked for; the message says why, and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where the store is."""
    group = parser.add_argument_group("the store", "Where it is not said here, the configuration of the API holds.")
    group.add_argument(
        "-c", "--config", metavar="FILE", help="configuration of the API (otherwise ./api.yaml or /etc/krake/api.yaml, if any)"
    )
    for name, (_, metavar, text) in OPTIONS.items():
        options: dict[str, Any] = {"action": "append"} if name == "db_endpoint" else {}
        group.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text, **options)


def read_config(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> ApiConfig:
    """Return the configuration of the API with the options put above it.

    :raises ToolError: there is something wrong with it.
    """
    given = {path: getattr(options, name) for name, (path, _, _) in OPTIONS.items()}
    if any(getattr(options, name) for name in _TLS):
        given["etcd.tls.enabled"] = True
    if (options.db_host or options.db_port) and not options.db_endpoint:
        given["etcd.endpoints"] = []
    try:
        return read(ApiConfig, "api.yaml", options.config, given, environ)
    except ConfigError as error:
        raise ToolError(str(error)) from None


def sealed_by(config: ApiConfig, store: Store) -> Store:
    """Return the store that seals and unseals with the keys of the API; *store* itself if there are none."""
    if not (config.secrets.key_file or config.secrets.keys):
        return store
    try:
        return SealedStore(store, Vault(make_source(config.secrets)))
    except ValueError as error:
        raise ToolError(str(error)) from None


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the store complains of, and what is wrong with its settings, into a ToolError."""
    try:
        yield
    except Denied as error:
        raise ToolError(f"{error} Give --db-username, or a certificate by --db-cert and --db-key.") from None
    except Unavailable as error:
        doubt = " It is not known whether the last write was applied; run the command again." if error.outcome_unknown else ""
        raise ToolError(f"The store can not be used: {error}{doubt}") from None
    except (StoreError, ValueError) as error:
        raise ToolError(str(error)) from None
