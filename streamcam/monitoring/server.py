"""A small HTTP server for /metrics and /healthz, in threads of its own."""

import logging
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streamcam.errors import StreamcamError, first_line, one_line, redact

log = logging.getLogger(__name__)

MAX_CLIENTS = 16
"""So many are served at once. Who comes then is hung up on."""

CLIENT_S = 5.0
"""A client is hung up on after so long, whatever it does."""

POLL_S = 0.1
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is sent."""

    code: int
    media: str
    body: bytes


class MetricsServer:
    """A server for anybody who can reach its address. It has no password, and shows no picture."""

    def __init__(self, host: str, port: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Bind to an address; `start` begins to serve.

        Args:
            host: a name or an address of this machine.
            port: the TCP port; 0 for any that is free.
            clock: gives seconds.

        Raises:
            StreamcamError: the address is in use, or not one of this machine's.
        """
        shown = f"[{host}]" if ":" in host else host
        try:
            self._server = _bind(host, port, clock)
        except (OSError, UnicodeError) as e:  # UnicodeError: no host can have such a name
            reason = e.strerror if isinstance(e, OSError) else "unknown host"
            raise StreamcamError(
                f"cannot serve metrics at {shown}:{port}: {reason}; give another --metrics-bind"
            ) from None
        self.address = f"{shown}:{self._server.server_address[1]}"
        """Where it is bound: HOST:PORT."""
        self._thread: Thread | None = None

    def start(self, registry: CollectorRegistry, trouble: Callable[[], str | None]) -> None:
        """Begin to serve.

        Args:
            registry: what /metrics shows.
            trouble: says in one line why the process is not healthy; None while it is.
        """
        self._server.pages = {
            "/metrics": lambda accept: _metrics(registry, accept),
            "/healthz": lambda _: _health(trouble()),
        }
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True, name="metrics")
        self._thread.start()

    def close(self) -> None:
        """Stop serving. Closing twice is fine."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class _Server(ThreadingMixIn, TCPServer):
    """A server with a thread for each client, for a bounded number of them and a bounded time."""

    allow_reuse_address, allow_reuse_port = True, False
    daemon_threads, block_on_close = True, False
    request_queue_size = MAX_CLIENTS

    def __init__(self, family: socket.AddressFamily, address: Any, clock: Callable[[], float]) -> None:
        self.address_family, self._clock = family, clock
        self.pages: Mapping[str, Callable[[str], Answer]] = {}
        self._ends_s: dict[Any, float] = {}  # by socket: when its client is hung up on
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client in a thread of its own, if there are not too many."""
        if len(self._ends_s) >= MAX_CLIENTS:
            self.shutdown_request(request)
            return
        self._ends_s[request] = self._clock() + CLIENT_S
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End the connection to a client."""
        self._ends_s.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Hang up on clients whose time is over; called every `POLL_S`. Their threads then end."""
        for request, end_s in list(self._ends_s.items()):
            if self._clock() >= end_s:
                with suppress(OSError):  # it has ended just now
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the client has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer with a page."""
        path = self.path.partition("?")[0]
        page = self.server.pages.get(path)
        if page is None:
            self._send(Answer(404, TEXT, b"there is /metrics and /healthz\n"))
            return
        try:
            answer = page(self.headers.get("Accept", ""))
        except Exception as e:
            log.warning("cannot make %s: %s", path, one_line(redact(first_line(e))))
            answer = Answer(500, TEXT, b"cannot make this page; the log says why\n")
        self._send(answer)

    def do_HEAD(self) -> None:
        """Answer with a page's headers."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse a request that is malformed, or that would change something."""
        if code == HTTPStatus.NOT_IMPLEMENTED:  # what http.server says of a method that has no function here
            self._send(Answer(405, TEXT, b"use GET or HEAD\n"))
        else:
            self._send(Answer(code, TEXT, b"not a request\n"))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        if answer.code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Type", answer.media)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        """Name the server."""
        return "streamcam"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of whom it serves."""


def _bind(host: str, port: int, clock: Callable[[], float]) -> _Server:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return _Server(family, address, clock)


def _metrics(registry: CollectorRegistry, accept: str) -> Answer:
    encode, media = choose_encoder(accept)
    return Answer(200, media, encode(registry))


def _health(trouble: str | None) -> Answer:
    if trouble is None:
        return Answer(200, TEXT, b"ok\n")
    return Answer(503, TEXT, f"{one_line(redact(trouble))}\n".encode())
