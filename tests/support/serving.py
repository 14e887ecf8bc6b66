"""A real HTTP server for tests, on a port of its own."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Quiet:
    """A handler that says nothing of whom it serves."""

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """The same for addresses of both kinds."""

    def __init__(self, address: str, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__(socket.getaddrinfo(address, 0, self.address_family)[0][4], handler)  # type: ignore[arg-type]


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler], address: str = "127.0.0.1") -> Iterator[str]:
    """Serve with it; gives host:port. At the end, whoever is still being served is waited for."""
    with Server(address, handler) as server:
        server.daemon_threads = False
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"[{address}]:{server.server_port}" if ":" in address else f"{address}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
