"""Where the API is and who asks: the file ``rok.yaml``."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rok.errors import Failure, warn

FILE_NAME = "rok.yaml"
SYSTEM_FILE = Path("/etc/rok") / FILE_NAME
KEYS = ("api_url", "user", "tls", "token", "token_file")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
TLS_KEYS = ("enabled", "client_ca", "client_cert", "client_key")
TOKEN_VARIABLE = "ROK_TOKEN"


@dataclass(frozen=True)
class Tls:
    """How the connection is secured.

    :param ca: certificates that may vouch for the server; ``None`` for those of the system.
    :param pair: certificate and key of the user.
    """

    ca: str | None = None
    pair: tuple[str, str] | None = None


@dataclass(frozen=True)
class Config:
    """The configuration.

    :param user: the default namespace.
    :param token: the bearer token that tells who asks.
    :param source: the file it was read from.
    """

    api_url: str = "http://localhost:8080"
    user: str = "system:admin"
    tls: Tls | None = None
    token: str | None = field(default=None, repr=False)
    source: Path | None = None


def find_config(given: str | None, environ: Mapping[str, str]) -> Config:
    """Return the configuration of the first file there is, or the defaults; the variable ``ROK_TOKEN`` beats the file.

    :param given: path that the user named.
    :raises Failure: the named file is not there, or the file can not be used.
    """
    path = _find_file(given, environ)
    config = Config() if path is None else read_config(path)
    if token := environ.get(TOKEN_VARIABLE):
        config = replace(config, token=_check_token(token, TOKEN_VARIABLE))
    if config.token and config.tls is None and urlsplit(config.api_url).hostname not in LOOPBACK:
        warn(f"the token is sent to {config.api_url} for everybody on the way to read: switch TLS on")
    return config


def _find_file(given: str | None, environ: Mapping[str, str]) -> Path | None:
    if given is not None:
        if not Path(given).is_file():
            raise Failure(f"there is no configuration file {given!r}: correct --config, or leave it out")
        return Path(given)
    return next((path for path in _places(environ) if path.is_file()), None)


def _places(environ: Mapping[str, str]) -> list[Path]:
    places = [Path(FILE_NAME)]
    if environ.get("XDG_CONFIG_HOME"):
        places.append(Path(environ["XDG_CONFIG_HOME"]) / FILE_NAME)
    elif environ.get("HOME"):
        places.append(Path(environ["HOME"]) / ".config" / FILE_NAME)
    return [*places, SYSTEM_FILE]


def read_config(path: Path) -> Config:
    """Return the configuration of a file.

    :raises Failure: it can not be read, or holds something else than a configuration.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"can not read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Failure(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    values = _mapping(content, KEYS, str(path))
    tls = _read_tls(_mapping(values.get("tls"), TLS_KEYS, f"{path}, tls"), path)
    return Config(
        api_url=_with_scheme(_text(values, "api_url", path) or Config.api_url, tls is not None, path),
        user=_text(values, "user", path) or Config.user,
        tls=tls,
        token=_read_token(values, path),
        source=path,
    )


def _mapping(value: Any, keys: tuple[str, ...], place: str) -> dict[str, Any]:
    """Return *value* if it is a mapping with no other than these keys; nothing counts as an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Failure(f"{place}: write a mapping with the keys {', '.join(keys)}")
    for key in value:
        if key not in keys:
            raise Failure(f"{place}: there is no key {key!r}; the keys are {', '.join(keys)}")
    return value


def _text(values: Mapping[str, Any], key: str, path: Path) -> str | None:
    value = values.get(key)
    if value is not None and (not isinstance(value, str) or value in ("", ".", "..")):
        raise Failure(f"{path}: {key} is {value!r}, which can not be: write a text, or leave it out")
    return value


def _read_tls(values: Mapping[str, Any], path: Path) -> Tls | None:
    enabled = values.get("enabled", False)
    if not isinstance(enabled, bool):
        raise Failure(f"{path}: the value of tls.enabled must be true or false, not {enabled!r}")
    if not enabled:
        return None
    certificate, key = (_file(values, name, path) for name in ("client_cert", "client_key"))
    if (certificate is None) != (key is None):
        missing = "client_key" if key is None else "client_cert"
        raise Failure(f"{path}: tls.{missing} is missing: give both client_cert and client_key, or none of them")
    pair = (certificate, key) if certificate is not None and key is not None else None
    return Tls(ca=_file(values, "client_ca", path), pair=pair)


def _read_token(values: Mapping[str, Any], path: Path) -> str | None:
    token, file = _text(values, "token", path), _file(values, "token_file", path)
    if file is None:
        return None if token is None else _check_token(token, f"{path}: token")
    if token is not None:
        raise Failure(f"{path}: there are both token and token_file: leave one of them out")
    try:
        return _check_token(Path(file).read_text(encoding="ascii").strip(), file)
    except OSError as error:
        raise Failure(f"can not read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Failure(f"{file} does not hold a token: write nothing but the token into it") from None


def _check_token(token: str, place: str) -> str:
    """Return a token that can be sent; the message does not show one that can not."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(f"{place} does not hold a token: write nothing but the token into it")
    return token


def _file(values: Mapping[str, Any], key: str, path: Path) -> str | None:
    """Return the path of a file that the configuration names; a relative one starts where the configuration is, or here."""
    value = _text(values, key, path)
    if value is None:
        return None
    candidates = [path.parent / os.path.expanduser(value), Path(os.path.expanduser(value))]
    for candidate in candidates:
        if candidate.is_file():
            return str(candidate)
    place = key if key in KEYS else f"tls.{key}"
    raise Failure(f"{path}: {place} names {value!r}, which is not there")


def _with_scheme(url: str, secure: bool, path: Path) -> str:
    """Return *url* with the scheme that fits whether TLS is on."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        usable = bool(parts.hostname) and parts.scheme in ("", "http", "https") and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise Failure(f"{path}: api_url is {url!r}, which is not a URL: write for example {Config.api_url}")
    scheme = "https" if secure else "http"
    if parts.scheme not in ("", scheme):
        state = "on" if secure else "off"
        warn(f"api_url of {path} starts with {parts.scheme}:, but TLS is {state}: {scheme}: is used")
    return SplitResult(scheme, parts.netloc, parts.path.rstrip("/"), "", "").geturl()
