"""Certificates and keys of configured files, for both ends of TLS connections.

Whatever is wrong with a file is a ValueError of one line that begins with its key of the configuration, as ``tls.cert``.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509


def read_file(key: str, path: str) -> bytes:
    """Return the content of a file. Raises ValueError."""
    if not path:
        raise ValueError(f"{key}: no file is named.")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{key}: {path} cannot be read: {error.strerror}.") from None


def read_certificates(key: str, path: str) -> Sequence[x509.Certificate]:
    """Return the certificates of a PEM file, at least one. Raises ValueError."""
    content = read_file(key, path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError(f"{key}: {path} is not a PEM file with certificates.") from None


def show_certificate(context: ssl.SSLContext, keys: tuple[str, str], paths: tuple[str, str]) -> None:
    """Let *context* show the certificate of a file, with its key from another one. Raises ValueError.

    :param keys: under which the two paths are configured.
    """
    (cert_key, key_key), (cert, key) = keys, paths
    read_certificates(cert_key, cert)
    read_file(key_key, key)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{key_key}: the key in {key} does not belong to the certificate in {cert}.") from None
        raise ValueError(f"{key_key}: {key} is not a PEM file with a key ({error.reason or error}).") from None
    except _Encrypted:
        raise ValueError(f"{key_key}: the key in {key} is encrypted; store it without a password.") from None


class _Encrypted(Exception):
    """A password is asked for."""


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal.
    raise _Encrypted
