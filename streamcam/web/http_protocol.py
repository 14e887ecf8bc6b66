"""HTTP connections that are hung up on when they keep the server waiting."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 10.0
"""The first line and the headers of a request have to come within so long."""
MAX_HEADER_BYTES = 16 * 1024
MAX_REQUESTS = 400
"""Of so many connections, WebSockets among them, further ones are answered with status 503."""
MAX_CONNECTIONS = 512
"""Above that, who comes is hung up on."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol, with limits of time and number that it lacks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._deadline = self.loop.call_later(HEADER_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Read a request; from its first byte on, its headers may take so long and no longer."""
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self._deadline = self.loop.call_later(HEADER_S, self.transport.abort)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
