"""``krake_generate_config`` fills the templates of configuration files.

It needs nothing but Python's own library, so that it works before anything is installed.
"""

import argparse
import base64
import contextlib
import os
import secrets
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

DESCRIPTION = (
    "Fill templates of configuration files. Each $name in a template stands for the value of the option --name. The values are"
    " safe ones unless --allow-anonymous or --static-authentication-enabled are given."
)
PROBLEM_BASE_URL = "https://rak-n-rok.readthedocs.io/projects/krake/en/latest/user/problem.html"
MODES = ("RBAC", "always-allow", "always-deny")

FLAGS = {
    "tls-enabled": "reach the API by TLS",
    "etcd-tls-enabled": "reach etcd by TLS",
    "allow-anonymous": "let everybody in who is not known otherwise; for trying only",
    "keystone-authentication-enabled": "know users by OpenStack Keystone",
    "keycloak-authentication-enabled": "know users by Keycloak",
    "static-authentication-enabled": "take everybody for one user; for trying only",
}
TEXTS: Mapping[str, tuple[str, str]] = {
    "keystone-authentication-endpoint": ("http://localhost:5000/v3", "URL of Keystone"),
    "keycloak-authentication-endpoint": ("http://localhost:9080", "URL of Keycloak"),
    "keycloak-authentication-realm": ("krake", "realm of Keycloak"),
    "static-authentication-username": ("system:admin", "user that everybody is taken for"),
    "cors-origin": ("", "web origins whose pages may call the API, separated by blanks; * allows all"),
    "api-host": ("localhost", "address of the API"),
    "etcd-version": ("v3.5.12", "version of etcd"),
    "etcd-host": ("127.0.0.1", "address of etcd"),
    "im-host": ("127.0.0.1", "address of the Infrastructure Manager"),
    "docs-problem-base-url": (PROBLEM_BASE_URL, "page that explains the problems"),
    "cluster-creation-tosca-file": ("examples/automation/cluster.yaml", "template of clusters that the scheduler creates"),
    "complete-hook-user": ("system:complete-hook", "user of the hook 'complete'"),
    "complete-hook-cert-dest": ("/etc/krake_complete_certs/", "folder of its certificate inside of containers"),
    "complete-hook-env-token": ("KRAKE_COMPLETE_TOKEN", "variable of its token"),
    "complete-hook-env-url": ("KRAKE_COMPLETE_URL", "variable of its URL"),
    "shutdown-hook-user": ("system:shutdown-hook", "user of the hook 'shutdown'"),
    "shutdown-hook-cert-dest": ("/etc/krake_shutdown_certs/", "folder of its certificate inside of containers"),
    "shutdown-hook-env-token": ("KRAKE_SHUTDOWN_TOKEN", "variable of its token"),
    "shutdown-hook-env-url": ("KRAKE_SHUTDOWN_URL", "variable of its URL"),
    "external-endpoint": ("", "URL of the API as applications on clusters reach it, if it is another one"),
}
NUMBERS: Mapping[str, tuple[int | float, str]] = {
    "api-port": (8080, "port of the API"),
    "etcd-port": (2379, "port of etcd"),
    "etcd-peer-port": (2380, "port of etcd for its other members"),
    "im-port": (8800, "port of the Infrastructure Manager"),
    "debounce": (0.0, "seconds that controllers hold changes back"),
    "reschedule-after": (60.0, "seconds after which placements are considered anew"),
    "stickiness": (0.1, "how much the present cluster of an application is preferred"),
    "cluster-creation-deletion-retention": (600, "seconds that clusters without applications are kept"),
    "poll-interval": (30.0, "seconds between two looks at clusters that are being created"),
    "docker-daemon-mtu": (1450, "largest packet of Docker's network"),
}
WORKERS = {"worker_count": 5, "application_worker_count": 20, "infrastructure_worker_count": 20}


class GenerationError(Exception):
    """A file cannot be made; the message says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make the files; return the exit status."""
    options = _parser().parse_args(argv)
    try:
        values = placeholders(options)
        for template in dict.fromkeys(options.templates):
            _generate(template, options.dst, values)
    except GenerationError as error:
        print(f"krake_generate_config: {error}", file=sys.stderr)
        return 1
    if options.authorization_mode is None and values["authorization_mode"] == "always-allow":
        print("Everybody will be allowed to do everything: do not use this where others reach the API.", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="krake_generate_config",
        description=DESCRIPTION,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("templates", nargs="+", type=Path, metavar="TEMPLATE", help="FILE.template, becomes FILE")
    parser.add_argument("--dst", type=Path, default=Path("."), metavar="DIR", help="folder of the files")
    parser.add_argument("--cert-dir", type=Path, default=Path("tmp/pki"), metavar="DIR", help="folder of the certificates")
    parser.add_argument(
        "--secrets-key-file",
        type=Path,
        default=Path("secrets.key"),
        metavar="FILE",
        help="key that secrets are sealed with, below DIR; it is made if it is not there",
    )
    parser.add_argument(
        "--authorization-mode",
        choices=MODES,
        default=argparse.SUPPRESS,
        help="who may do what (default: RBAC; always-allow with both --allow-anonymous and --static-authentication-enabled)",
    )
    parser.set_defaults(authorization_mode=None)
    parser.add_argument(
        "--worker-count",
        type=int,
        default=argparse.SUPPRESS,
        metavar="NUMBER",
        help=f"how much a controller does at once (default: {WORKERS['worker_count']}; of the application and the"
        f" infrastructure controller {WORKERS['application_worker_count']})",
    )
    parser.set_defaults(worker_count=None)
    for name, text in FLAGS.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    for name, (default, text) in TEXTS.items():
        parser.add_argument(f"--{name}", default=default, metavar="TEXT", help=text)
    for name, (number, text) in NUMBERS.items():
        parser.add_argument(f"--{name}", type=type(number), default=number, metavar="NUMBER", help=text)
    parser.add_argument("--logging-level", type=str.upper, default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    parser.add_argument("--logging-handler", default="console", choices=("console", "file", "rotating"))
    return parser


def placeholders(options: argparse.Namespace) -> dict[str, str]:
    """Return what each placeholder stands for. Raises GenerationError if a value can not stand in a file."""
    lax = options.allow_anonymous and options.static_authentication_enabled
    workers = {name: options.worker_count or default for name, default in WORKERS.items()}
    external = (
        f'external_endpoint: "{_text("external-endpoint", options.external_endpoint)}"' if options.external_endpoint else ""
    )
    values = {name: value for name, value in vars(options).items() if name not in ("templates", "dst")}
    values |= workers
    values |= {
        # Services may be started elsewhere than here.
        "cert_dir": options.cert_dir.resolve(),
        "secrets_key_file": (options.dst / options.secrets_key_file).resolve(),
        "authorization_mode": options.authorization_mode or ("always-allow" if lax else "RBAC"),
        "api_endpoint": f"{'https' if options.tls_enabled else 'http'}://{options.api_host}:{options.api_port}",
    }
    rendered = {name: _render(name, value) for name, value in values.items()}
    return rendered | dict.fromkeys(
        ("external_complete_endpoint_key_and_value", "external_shutdown_endpoint_key_and_value"), external
    )


def _render(name: str, value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else _text(name.replace("_", "-"), str(value))


def _text(name: str, value: str) -> str:
    """Return a text as it stands between the double quotes of YAML."""
    if not value.isprintable():
        raise GenerationError(f"The value of --{name} holds characters that can not be printed.")
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _generate(path: Path, folder: Path, values: Mapping[str, str]) -> None:
    if not path.is_file():
        raise GenerationError(f"The given path '{path}' should be a file")
    target = folder / path.name.removesuffix(".template")
    try:
        if target.resolve() == path.resolve():
            raise GenerationError(f"The file {target} would replace its own template; choose another --dst.")
        template = string.Template(path.read_text(encoding="utf-8"))
        text = _fill(template, path, values)
        folder.mkdir(parents=True, exist_ok=True)
        if "secrets_key_file" in template.get_identifiers():
            _make_key(Path(values["secrets_key_file"]))
        _write(target, text)
    except (OSError, UnicodeDecodeError) as error:
        raise GenerationError(f"{target} can not be made of {path}: {error}") from None
    print(f"Generated file: {target}")


def _fill(template: string.Template, path: Path, values: Mapping[str, str]) -> str:
    try:
        return template.substitute(values)
    except KeyError as error:
        raise GenerationError(f"{path} asks for ${error.args[0]}, which is no option.") from None
    except ValueError as error:
        raise GenerationError(f"{path}: {error}; write $$ for a dollar sign.") from None


def _write(target: Path, text: str) -> None:
    """Replace a file so that there is always either the old or the new one."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        # Not by a link that somebody has put there.
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
        partial.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _make_key(path: Path) -> None:
    """Make the file with a key that secrets are sealed with; one that is there is needed to read what it has sealed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(f"key-{secrets.token_hex(4)} {base64.b64encode(secrets.token_bytes(32)).decode()}\n")
    print(f"Generated file: {path}")


if __name__ == "__main__":
    sys.exit(main())
