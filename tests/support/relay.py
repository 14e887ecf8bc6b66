"""A TCP relay between a subscriber and its publisher, which remembers what passed and can hold it back."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Relay:
    """Forwards connections to a port on this machine.

    While `frozen` is set, nothing passes and nobody is told: as where a cable was pulled.
    """

    def __init__(self, port: int) -> None:
        self.frozen = threading.Event()
        self.came = bytearray()
        """What the publisher's side has sent."""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def endpoint(self) -> str:
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            self._sockets += [client, server]
            for source, target, seen in ((client, server, None), (server, client, self.came)):
                self._threads.append(threading.Thread(target=self._forward, args=(source, target, seen)))
                self._threads[-1].start()

    def _forward(self, source: socket.socket, target: socket.socket, seen: bytearray | None) -> None:
        held = False
        while True:
            try:
                content = source.recv(65536)
            except OSError:
                return
            held = held or self.frozen.is_set()  # what a frozen connection has lost it never gets back
            if held:
                if not content:
                    return
                continue
            if seen is not None:
                seen += content
            try:
                target.sendall(content) if content else target.shutdown(socket.SHUT_WR)
            except OSError:
                return
            if not content:
                return

    def close(self) -> None:
        for s in (self._listener, *self._sockets):
            with suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
