"""Users known by the certificates that they show when they connect."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from krake.api.authentication.chain import unauthenticated
from krake.api.problem import Problem
from krake.api.requests import Identity
from krake.api.tls import ServerTls, Trust

USER_NAME = re.compile(r"[\w.:@+-]+( [\w.:@+-]+)*")
"""What a certificate may name its owner; nothing that could be taken for something else in a log."""

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a certificate is good for."""

    identity: Identity | None
    refusal: str
    until: datetime


class Certificates:
    """The user is the first common name of the certificate.

    TLS has made sure that the client has its key, and that a trusted authority stands at the end of its chain. Here counts who
    stands at the beginning: whoever may issue certificates of hooks must not make users.
    """

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._trust = tls.trust
        self._verdicts: dict[bytes, _Verdict] = {}

    async def identify(self, request: web.Request) -> Identity | None:
        connection = None if request.transport is None else request.transport.get_extra_info("ssl_object")
        shown = None if connection is None else connection.getpeercert(binary_form=True)
        if not shown:
            return None
        verdict = self._judge(shown)
        if verdict.identity is None:
            raise _refused(verdict.refusal)
        # A connection may outlive the certificate that it began with.
        if datetime.now(UTC) > verdict.until:
            raise _refused(f"The certificate of '{verdict.identity.name}' has expired.")
        return verdict.identity

    def _judge(self, shown: bytes) -> _Verdict:
        trust = self._tls.trust
        if trust is not self._trust or len(self._verdicts) >= _REMEMBERED:
            self._trust = trust
            self._verdicts.clear()
        verdict = self._verdicts.get(shown)
        if verdict is None:
            verdict = self._verdicts[shown] = _judge(x509.load_der_x509_certificate(shown), trust)
        return verdict


def _judge(certificate: x509.Certificate, trust: Trust) -> _Verdict:
    until = certificate.not_valid_after_utc

    def refuse(why: str) -> _Verdict:
        return _Verdict(None, why, until)

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    if not USER_NAME.fullmatch(name):
        return refuse("The certificate has no common name that could be the name of a user.")
    if _is_authority(certificate):
        return refuse("The certificate is that of an authority, and not of a user.")
    if _is_issued_by(certificate, trust.hooks):
        return _Verdict(Identity(name, "certificate", hooks_only=True), "", until)
    if _is_issued_by(certificate, trust.users):
        return _Verdict(Identity(name, "certificate"), "", until)
    return refuse("The certificate is not directly issued by an authority that this API knows.")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_issued_by(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> bool:
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _refused(detail: str) -> Problem:
    problem = unauthenticated(detail)
    # The client comes back by another connection, for which it can show another certificate.
    problem.headers["Connection"] = "close"
    return problem
