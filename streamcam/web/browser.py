"""The WebSocket of one browser. Specified in docs/reference/browser-protocol.md.

The browser says what it wants, and acknowledges each message once it has shown it. At most `IN_FLIGHT` messages of a
topic are on their way. So a slow browser gets fewer and newer pictures, and nothing piles up in the network's buffers.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Annotated

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from streamcam.transport.headers import Kind
from streamcam.web.hub import Hub, Topic, Watcher

IN_FLIGHT = 2
"""Messages of one topic that a browser has not acknowledged. Two, since one alone would wait for the network twice."""
MAX_CAMERAS = 1024
BAD_MESSAGE = 1007
"""Close code: the message is not what the protocol says (RFC 6455, section 7.4.1)."""

Name = Annotated[str, msgspec.Meta(max_length=100)]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser sends, as JSON."""

    want: Annotated[dict[Name, list[Kind]], msgspec.Meta(max_length=MAX_CAMERAS)] | None = None
    """The kinds of messages that it wants from now on, by camera."""
    got: Annotated[list[tuple[Name, Kind]], msgspec.Meta(max_length=4096)] = []
    """The topics of messages that it has shown."""


class InFlight:
    """The messages that a browser has not acknowledged, by topic."""

    def __init__(self) -> None:
        self._counts: Counter[Topic] = Counter()
        self.full: set[Topic] = set()
        """Topics of which no more may be sent."""

    def __len__(self) -> int:
        """Return the number of topics that are counted."""
        return len(self._counts)

    def sent(self, topic: Topic) -> None:
        """Count a message that is sent."""
        self._counts[topic] += 1
        if self._counts[topic] >= IN_FLIGHT:
            self.full.add(topic)

    def got(self, topic: Topic) -> None:
        """Count one that is acknowledged. What was never sent is ignored, and takes no memory."""
        if self._counts[topic] > 0:
            self._counts[topic] -= 1
            self.full.discard(topic)

    def keep(self, topics: Collection[Topic]) -> None:
        """Forget all others: a browser may acknowledge late, or never, what it does not want any more."""
        for topic in self._counts.keys() - topics:
            del self._counts[topic]
            self.full.discard(topic)


async def serve_browser(socket: WebSocket, hub: Hub, greeting: Mapping[str, object]) -> None:
    """Serve an accepted WebSocket until it is closed.

    Args:
        socket: of the browser.
        hub: has the cameras.
        greeting: the first message.
    """
    with hub.watch() as watcher:
        in_flight = InFlight()
        await socket.send_text(json.dumps(greeting))
        sender = asyncio.create_task(_send(socket, hub, watcher, in_flight))
        receiver = asyncio.create_task(_receive(socket, watcher, in_flight))
        try:
            await asyncio.wait((sender, receiver), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, receiver):
                task.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)


async def _send(socket: WebSocket, hub: Hub, watcher: Watcher, in_flight: InFlight) -> None:
    """Send what the browser wants, one message at a time: `send` waits while the last has not left this program."""
    with suppress(WebSocketDisconnect):
        while not watcher.closed:
            if watcher.cameras_changed:
                watcher.cameras_changed = False
                await socket.send_text(json.dumps({"type": "cameras", **cameras_of(hub)}))
            message = watcher.pop(busy=in_flight.full)
            if message is None:
                await watcher.wait()
                continue
            if message.raw.header.kind != "event":
                in_flight.sent(message.topic)
            await socket.send_bytes(message.framed)
        await socket.close(1001)  # going away


async def _receive(socket: WebSocket, watcher: Watcher, in_flight: InFlight) -> None:
    """Do what the browser asks for."""
    with suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                request = msgspec.json.decode(message.get("text") or b"", type=Request)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                await socket.close(BAD_MESSAGE, "expected what docs/reference/browser-protocol.md says")
                return
            for topic in request.got:
                in_flight.got(topic)
            if request.want is not None:
                topics = {(camera, kind) for camera, kinds in request.want.items() for kind in kinds}
                watcher.want(topics)
                in_flight.keep(topics)
            if watcher.waits:
                watcher.wake()


def cameras_of(hub: Hub) -> dict[str, object]:
    """Describe all cameras and publishers, for a browser. No address is in it."""
    return {
        "cameras": [{"id": c.id, "source": c.source, "endpoint": c.endpoint} for c in hub.cameras.values()],
        "endpoints": [{"number": e.number, "refused": e.refused} for e in hub.endpoints],
    }
