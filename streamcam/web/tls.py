"""The certificate and the key of https, checked before anything starts."""

import ssl
from pathlib import Path

from streamcam.errors import StreamcamError

REASONS = {
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "KEY_TYPE_MISMATCH": "the key belongs to another certificate",
    "NO_CERTIFICATE_ASSIGNED": "the key belongs to another certificate",
    "EE_KEY_TOO_SMALL": "the key is too short for today's browsers: make one of 2048 bits or more",
    "CA_MD_TOO_WEAK": "the certificate is signed in a way that browsers refuse today: make a new one",
}


class _EncryptedError(Exception):
    """The key can be read only with a passphrase."""


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return what a server needs for https.

    Args:
        cert: the certificate, and those that vouch for it, in PEM.
        key: its private key, in PEM, without a passphrase.

    Raises:
        StreamcamError: a file cannot be read or holds something else, or they do not belong together.
    """
    _check(cert, "tls_cert", "CERTIFICATE-----", "certificate")
    _check(key, "tls_key", "PRIVATE KEY-----", "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=_refuse)
    except _EncryptedError:
        raise StreamcamError(
            f"tls_key {key} needs a passphrase, which nobody could type; write one without: "
            f"openssl pkey -in {key} -out NEW.pem"
        ) from None
    except (ssl.SSLError, ValueError) as e:
        reason = REASONS.get(getattr(e, "reason", None) or "", "one of them is damaged")
        raise StreamcamError(f"cannot use tls_cert {cert} with tls_key {key}: {reason}") from None
    return context


def _check(path: Path, name: str, mark: str, what: str) -> None:
    try:
        text = path.read_bytes()
    except OSError as e:
        raise StreamcamError(f"cannot read {name} {path}: {e.strerror}") from None
    if mark.encode() not in text:
        raise StreamcamError(f"{name} {path} holds no {what}: expected PEM, with the line -----BEGIN … {mark}")


def _refuse() -> str:
    raise _EncryptedError
