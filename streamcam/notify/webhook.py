"""Sends each event to a URL, by POST, signed if there is a secret."""

import hmac
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version
from threading import Timer
from urllib.parse import SplitResult, unquote, urlsplit

from streamcam.config.notify import WebhookConfig
from streamcam.errors import StreamcamError, first_line, redact_uri
from streamcam.event import Event
from streamcam.events.event_json import encode_event
from streamcam.notify.names import spool_name
from streamcam.notify.target import RefusedError, TryAgainError

SIGNATURE = "X-Streamcam-Signature"

TRY_AGAIN = frozenset({408, 429})
"""Answers of the kind 4xx that are about the moment, not about what was sent."""


def signature(secret: str, body: bytes) -> str:
    """Return what the header `X-Streamcam-Signature` says: sha256=HEX, the HMAC of the body."""
    return f"sha256={hmac.new(secret.encode(), body, sha256).hexdigest()}"


class WebhookTarget:
    """Sends events one by one. A redirect is not followed: it might lead the event to somebody else."""

    at_once, backoff_max_s = 1, 60.0

    def __init__(self, config: WebhookConfig) -> None:
        """Read the secret and the certificates; nothing is sent yet.

        Raises:
            StreamcamError: the secret or the certificates cannot be read.
        """
        self.name = spool_name("webhook", config.url)
        self.shown = redact_uri(config.url)
        self._url, self._timeout_s, self._secret = urlsplit(config.url), config.timeout_s, config.secret()
        self._tls = _tls_context(config) if self._url.scheme == "https" else None

    def tell(self, events: Sequence[Event]) -> None:
        """POST an event; 2xx means that it has arrived."""
        for event in events:
            status = self._post(encode_event(event))
            if 200 <= status < 300:
                continue
            if status >= 500 or status in TRY_AGAIN:
                raise TryAgainError(f"it answers {status}", answered=True)
            raise RefusedError(f"it answers {status}")

    def close(self) -> None:
        """Do nothing: each event has a connection of its own."""

    def _post(self, body: bytes) -> int:
        connection = self._connection()
        # The socket's own time limit is for each piece of an answer, and an answer may come in many.
        limit = Timer(self._timeout_s, _shut, [connection])
        limit.daemon = True
        try:
            limit.start()
            path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
            connection.request("POST", path, body, self._headers(body))
            return connection.getresponse().status
        except (OSError, HTTPException) as e:
            raise TryAgainError(first_line(e)) from None
        except ValueError as e:  # a host's name that cannot be one, or an answer that is none
            raise TryAgainError(first_line(e), answered=True) from None
        finally:
            limit.cancel()
            connection.close()

    def _connection(self) -> HTTPConnection:
        host = self._url.hostname or ""
        if self._tls is None:
            return HTTPConnection(host, self._url.port, timeout=self._timeout_s)
        return HTTPSConnection(host, self._url.port, timeout=self._timeout_s, context=self._tls)

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": f"streamcam/{version('streamcam')}"}
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret, body)
        if self._url.username is not None:
            headers["Authorization"] = f"Basic {_login(self._url)}"
        return headers


def _login(url: SplitResult) -> str:
    return b64encode(f"{unquote(url.username or '')}:{unquote(url.password or '')}".encode()).decode()


def _tls_context(config: WebhookConfig) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except OSError as e:
        raise StreamcamError(f"cannot read the certificates in ca_file {config.ca_file}: {first_line(e)}") from None


def _shut(connection: HTTPConnection) -> None:
    with suppress(OSError, AttributeError):  # there is no socket yet, or none any more
        connection.sock.shutdown(socket.SHUT_RDWR)
