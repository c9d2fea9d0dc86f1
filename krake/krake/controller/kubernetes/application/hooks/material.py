"""What applications call back with: a token for each hook and, where the API is reached by TLS, a certificate."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from cryptography.hazmat.primitives.serialization import Encoding

from krake.certificates import read_certificates
from krake.controller.kubernetes.application.hooks.authority import Authority, Issued
from krake.controller.kubernetes.application.hooks.mangling import CA_BUNDLE, CERTIFICATE, KEY, Binding
from krake.controller.kubernetes.application.settings import (
    ApplicationControllerConfig,
    CompleteHookConfig,
    ShutdownHookConfig,
)
from krake.controller.runtime.settings import endpoint_of
from krake.data.kubernetes import Application, ApplicationStatus
from krake.data.metadata import Reason, ReasonCode
from krake.data.secrets import marked_fields
from krake.renewal import Renewed

HOOKS = ("complete", "shutdown")
LONGEST_WAIT = timedelta(minutes=5)
"""Until the next look at the files of the authorities, and at certificates that are to be replaced some day."""

HookConfig = CompleteHookConfig | ShutdownHookConfig


class HookProblem(Exception):
    """An application can not have its hooks; the message is one sentence that says why, and what to do."""

    @property
    def reason(self) -> Reason:
        """For the status."""
        return Reason(code=ReasonCode.INTERNAL_ERROR, message=str(self))


class Materials:
    """Keeps the material of applications as it should be; what it decides is written by others."""

    def __init__(self, config: ApplicationControllerConfig) -> None:
        self._tls = config.tls
        self._endpoint = endpoint_of(config)
        self._configs: Mapping[str, HookConfig] = {"complete": config.hooks.complete, "shutdown": config.hooks.shutdown}
        self._files: dict[str, Renewed[Any]] = {}

    def equip(self, app: Application, now: datetime) -> ApplicationStatus:
        """Return the status of an application with what its hooks need, and without what none of them does.

        It is to be written before any object is applied. If nothing is missing or too old, it equals the one before.

        :raises HookProblem: a certificate is needed and can not be issued, or the controller may not see secrets.
        """
        self._check(app)
        changes: dict[str, Any] = {}
        for hook in HOOKS:
            token, issued = None, None
            if hook in app.spec.hooks:
                token = getattr(app.status, f"{hook}_token") or secrets.token_urlsafe()
                issued = self._certify(app, hook, now) if self._tls.enabled else None
            changes[f"{hook}_token"] = token
            changes[f"{hook}_cert"] = issued and issued.certificate
            changes[f"{hook}_key"] = issued and issued.key
        return replace(app.status, **changes)

    def bindings(self, app: Application) -> list[Binding]:
        """Return what the hooks of an application need, as it stands in its status, which is equipped.

        :raises HookProblem: the authorities that the API is verified by can not be read.
        """
        return [self._bind(app, hook) for hook in HOOKS if hook in app.spec.hooks]

    def due(self, app: Application, now: datetime) -> float | None:
        """In how many seconds an application should be looked at again for its certificates; ``None`` if it has none."""
        if not self._tls.enabled or not app.spec.hooks:
            return None
        try:
            renewals = [self._renewal(app, hook) for hook in app.spec.hooks]
        except HookProblem:
            renewals = []
        waits = [max(timedelta(0), renewal - now) for renewal in renewals if renewal is not None]
        return min([LONGEST_WAIT, *waits]).total_seconds()

    def _check(self, app: Application) -> None:
        if not app.spec.hooks:
            return
        if hidden := [name for name in marked_fields(app.status) if name.startswith(HOOKS)]:
            raise HookProblem(
                f"The API does not show status.{hidden[0]} to this controller: its user needs the permission to get"
                " applications/secrets, or the API lacks the key that has sealed it."
            )
        folders = {self._configs[hook].cert_dest.rstrip("/") for hook in app.spec.hooks}
        if self._tls.enabled and len(folders) < len(set(app.spec.hooks)):
            raise HookProblem(
                "The certificates of both hooks would be in the same folder of the containers; the administrator has to set"
                " hooks.complete.cert_dest and hooks.shutdown.cert_dest to two."
            )

    def _certify(self, app: Application, hook: str, now: datetime) -> Issued:
        present, renewal = _issued(app.status, hook), self._renewal(app, hook)
        if present is not None and renewal is not None and now < renewal:
            return present
        authority = self._authority(hook)
        if authority.expires <= now:
            raise HookProblem(
                f"hooks.{hook}.intermediate_src: the certificate of the authority has expired;"
                " the administrator has to replace it."
            )
        return authority.issue(now)

    def _renewal(self, app: Application, hook: str) -> datetime | None:
        present = _issued(app.status, hook)
        return None if present is None else self._authority(hook).renewal_of(present)

    def _authority(self, hook: str) -> Authority:
        config, section = self._configs[hook], f"hooks.{hook}"
        paths = (config.intermediate_src, config.intermediate_key_src)
        authority: Authority = self._read(hook, paths, lambda: Authority.read(section, *paths, config.hook_user))
        return authority

    def _read(self, name: str, paths: Sequence[str], make: Callable[[], Any]) -> Any:
        try:
            if name not in self._files:
                self._files[name] = Renewed(paths, make)
            return self._files[name].value
        except ValueError as error:
            raise HookProblem(f"With TLS, hooks need certificates, and this controller can make none: {error}") from None

    def _bind(self, app: Application, hook: str) -> Binding:
        config, status = self._configs[hook], app.status
        files: tuple[tuple[str, str], ...] = ()
        if issued := _issued(status, hook):
            files = (*self._bundle(), (CERTIFICATE, issued.certificate), (KEY, issued.key))
        return Binding(
            hook=hook,
            token=getattr(status, f"{hook}_token") or "",
            url=self._url(app, hook),
            env_token=config.env_token,
            env_url=config.env_url,
            cert_dest=config.cert_dest,
            files=files,
        )

    def _bundle(self) -> tuple[tuple[str, str], ...]:
        """The authorities that the API is verified by; without any, those that the container's system trusts count."""
        path = self._tls.client_ca
        if not path:
            return ()
        certificates = self._read("tls", (path,), lambda: read_certificates("tls.client_ca", path))
        return ((CA_BUNDLE, "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)),)

    def _url(self, app: Application, hook: str) -> str:
        """Where an application calls back."""
        external = self._configs[hook].external_endpoint
        parts = urlsplit(external or self._endpoint)
        if self._tls.enabled:
            parts = parts._replace(scheme="https")  # an API with TLS does not serve without it
        namespace, name = (quote(part or "", safe="") for part in app.key)
        path = f"{parts.path.rstrip('/')}/kubernetes/namespaces/{namespace}/applications/{name}/{hook}"
        return urlunsplit(parts._replace(path=path, query="", fragment=""))


def _issued(status: ApplicationStatus, hook: str) -> Issued | None:
    certificate, key = getattr(status, f"{hook}_cert"), getattr(status, f"{hook}_key")
    return Issued(certificate, key) if certificate and key else None
