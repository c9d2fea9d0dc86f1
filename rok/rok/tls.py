"""What is wrong with a TLS connection, in words for its user."""

from collections.abc import Sequence

_FAILURES: Sequence[tuple[str, str]] = (
    (
        "mismatch, certificate is not valid for",
        "the certificate of Krake at {url} is made out to another name: correct api_url",
    ),
    ("certificate verify failed: certificate has expired", "the certificate of Krake at {url} has expired: look at client_ca"),
    (
        "certificate verify failed",
        "the certificate of Krake at {url} is not trusted (certificate verify failed): name its authority by tls.client_ca",
    ),
    ("alert certificate expired", "Krake at {url} says that your certificate has expired: get a new one for tls.client_cert"),
    ("alert certificate required", "Krake at {url} wants a certificate: name yours by tls.client_cert and tls.client_key"),
    ("alert unknown ca", "Krake at {url} does not know the authority of your certificate: correct tls.client_cert"),
    ("alert bad certificate", "Krake at {url} does not accept your certificate: correct tls.client_cert"),
    ("alert unsupported certificate", "Krake at {url} does not take your certificate for a user's: correct tls.client_cert"),
    ("wrong version number", "what answers at {url} does not speak TLS: correct api_url, or switch tls off,"),
    ("packet length too long", "what answers at {url} does not speak TLS: correct api_url, or switch tls off,"),
)
"""What OpenSSL says, and what that means; the first one that fits counts. The name of the configuration follows."""


def tls_failure(error: str) -> str | None:
    """Return what to tell about a failed connection, with ``{url}`` in it; ``None`` if it is not known to be about TLS."""
    known = error.lower().replace("_", " ")
    return next((text for sign, text in _FAILURES if sign in known), None)


def hung_up(error: str) -> bool:
    """Whether the other side has ended the connection without a word, as many servers do that do not like a certificate."""
    return "Remote end closed connection without response" in error or "Connection reset by peer" in error


def why_hung_up(tls: bool, certificate: bool) -> str:
    """Return what is the most likely reason, and what to do."""
    if not tls:
        return "if it wants TLS, switch tls on"
    if not certificate:
        return "if it wants a certificate, name yours by tls.client_cert and tls.client_key"
    return "if it is well, then it does not accept your certificate (another authority, or expired), see tls.client_cert"
