"""Runs the application in uvicorn, until Ctrl-C or a signal."""

import errno
import logging
import os
import socket
import ssl
import sys
from collections.abc import Sequence

import uvicorn

from streamcam.config.host_port import split_host_port
from streamcam.config.web import WebConfig
from streamcam.errors import StreamcamError, first_line
from streamcam.web.app import make_app
from streamcam.web.guard.guard import Guard
from streamcam.web.http_protocol import MAX_HEADER_BYTES, MAX_REQUESTS, ImpatientProtocol
from streamcam.web.log_lines import LineHandler, log_lines
from streamcam.web.tls import tls_context

MAX_REQUEST_BYTES = 64 * 1024
"""A longer WebSocket message from a browser ends its connection."""
SHUTDOWN_S = 2
ANY_HOST = frozenset({"0.0.0.0", "::"})
UNSENT_BYTES = 64 * 1024
"""The system takes so much for a client that it has not sent yet. By itself it takes megabytes: a slow reader of
pictures would see those of many seconds ago."""


def serve(config: WebConfig) -> None:
    """Serve the page until the process is told to stop.

    Raises:
        StreamcamError: the address is in use, or an endpoint or a file cannot be used.
    """
    tls = None if config.tls_cert is None or config.tls_key is None else tls_context(config.tls_cert, config.tls_key)
    app = make_app(config)
    listener = _bind(config)
    print(f"the page is at {_address(config, listener)}", flush=True)
    with listener:
        run(app, listener, tls=tls, secrets=[config.token() or ""])


def run(app: Guard, listener: socket.socket, *, tls: ssl.SSLContext | None = None, secrets: Sequence[str] = ()) -> None:
    """Run an application at a bound socket until the process is told to stop.

    Args:
        app: what answers.
        listener: the socket.
        tls: for https.
        secrets: what is never logged.

    Raises:
        StreamcamError: the application cannot start.
        KeyboardInterrupt: the process has been told to stop.
    """
    handler = LineHandler(lambda line: print(line, file=sys.stderr, flush=True), secrets=secrets)
    with log_lines(handler):
        try:
            _Server(_settings(app, tls), app, handler).run(sockets=[listener])
        except SystemExit:  # uvicorn has logged why
            raise StreamcamError("the page could not be started") from None


class _Server(uvicorn.Server):
    """uvicorn's server; it ends streams before it waits for them."""

    def __init__(self, settings: uvicorn.Config, app: Guard, handler: LineHandler) -> None:
        super().__init__(settings)
        self._guard, self._handler = app, handler

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._handler.is_silent = True
        self._guard.close()
        await super().shutdown(sockets)


def _settings(app: Guard, tls: ssl.SSLContext | None) -> uvicorn.Config:
    settings = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        workers=1,
        proxy_headers=False,  # the guard reads them, where there is a proxy
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=MAX_REQUEST_BYTES,
        ws_per_message_deflate=False,  # pictures do not shrink
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        limit_concurrency=MAX_REQUESTS,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    settings.load()
    settings.ssl = tls
    return settings


def _address(config: WebConfig, listener: socket.socket) -> str:
    host, _ = split_host_port(config.bind)
    if host in ANY_HOST:
        host = socket.gethostname()
    return f"{'https' if config.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{_port(listener)}/"


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _bind(config: WebConfig) -> socket.socket:
    host, port = split_host_port(config.bind)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        return listener
    except (OSError, UnicodeError) as e:
        raise StreamcamError(f"cannot serve the page at {config.bind}: {_reason(e)}; give another --bind") from None


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError | socket.gaierror):
        return "unknown host"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for root"
    return os.strerror(error.errno) if error.errno else first_line(error)
