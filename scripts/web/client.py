"""A browser's side of the WebSocket, without a picture on any screen: for measurements."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streamcam.web.framing import unframe

ACKNOWLEDGE_S = 0.01
"""Acknowledgements wait so long for others, as in the page (`connection.js`)."""


class FrameTimes(msgspec.Struct):
    """Of a header's `frame`, what is measured."""

    captured_ns: int


class Header(msgspec.Struct):
    """Of a header, what is measured."""

    kind: str
    seq: int
    frame: FrameTimes | None = None


@dataclass
class Received:
    """What has come of one topic."""

    first: int
    """The number of the first message."""
    last: int
    count: int = 0
    ages_ms: list[float] = field(default_factory=list)
    """From the camera's moment to its arrival here."""

    @property
    def sent(self) -> int:
        """How many messages the publisher has sent meanwhile."""
        return self.last - self.first + 1


class Client:
    """Receives, counts and acknowledges messages."""

    def __init__(self, socket: ClientConnection, *, late_s: float = ACKNOWLEDGE_S) -> None:
        """Start without messages.

        Args:
            socket: an open connection.
            late_s: how long after it came a message is acknowledged.
        """
        self._socket, self._late_s = socket, late_s
        self._got: list[tuple[str, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.topics: dict[tuple[str, str], Received] = {}

    async def want(self, cameras: Sequence[str], kinds: Sequence[str]) -> None:
        """Ask for messages."""
        await self._socket.send(json.dumps({"want": {camera: list(kinds) for camera in cameras}}))

    async def receive(self) -> None:
        """Receive until the connection is closed."""
        with suppress(ConnectionClosed):
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._take(message)

    def forget(self) -> None:
        """Count anew from here on."""
        self.topics = {}

    def _take(self, message: bytes) -> None:
        now_ns = time.time_ns()
        camera, _, head, *_ = unframe(message)
        header, name = msgspec.json.decode(head, type=Header), camera.decode()
        topic = self.topics.setdefault((name, header.kind), Received(header.seq, header.seq))
        topic.last, topic.count = header.seq, topic.count + 1
        if header.frame is not None:
            topic.ages_ms.append((now_ns - header.frame.captured_ns) / 1e6)
        self._got.append((name, header.kind))
        if len(self._got) == 1:
            task = asyncio.create_task(self._acknowledge())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _acknowledge(self) -> None:
        await asyncio.sleep(self._late_s)
        got, self._got = self._got, []
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps({"got": got}))


@asynccontextmanager
async def connected(page: str, *, waiting: int | None = 16) -> AsyncIterator[ClientConnection]:
    """Connect to a page's server.

    Args:
        page: its address, such as http://127.0.0.1:8090.
        waiting: so many messages may wait to be read before reading stops.
    """
    address = page.replace("http", "ws", 1) + "/ws"
    async with connect(
        address,
        subprotocols=["streamcam.1"],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        max_size=None,
        max_queue=waiting,
        close_timeout=1,
        ping_interval=None,
    ) as socket:
        yield socket
