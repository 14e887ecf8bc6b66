"""Runs the application in uvicorn, until Ctrl-C or a signal."""

import logging
import socket

import uvicorn

from streamcam.config.host_port import split_host_port
from streamcam.config.web import WebConfig
from streamcam.errors import StreamcamError
from streamcam.web.app import make_app

MAX_REQUEST_BYTES = 64 * 1024
"""A longer WebSocket message from a browser ends its connection."""
SHUTDOWN_S = 2
UNSENT_BYTES = 64 * 1024
"""The system takes so much for a client that it has not sent yet. By itself it takes megabytes: a slow reader of
pictures would see those of many seconds ago."""


def serve(config: WebConfig) -> None:
    """Serve the page until the process is told to stop.

    Raises:
        StreamcamError: the address is in use, or an endpoint or a file cannot be used.
    """
    app = make_app(config)
    listener = _bind(config)
    host, _ = split_host_port(config.bind)
    scheme = "https" if config.tls_cert else "http"
    print(f"the page is at {scheme}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/", flush=True)
    settings = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MAX_REQUEST_BYTES,
        ws_per_message_deflate=False,  # pictures do not shrink
        server_header=False,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    uvicorn.Server(settings).run(sockets=[listener])


def _bind(config: WebConfig) -> socket.socket:
    host, port = split_host_port(config.bind)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        return listener
    except (OSError, UnicodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "unknown host"
        raise StreamcamError(f"cannot serve the page at {config.bind}: {reason}; give another --bind") from None
