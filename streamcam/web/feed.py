"""Receives what one publisher sends, in the event loop, and hands it to the hub."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from streamcam.transport.subscriber import Subscriber
from streamcam.web.hub import Hub

TICK_S = 0.03
"""How often is looked whether other kinds of messages are wanted, and whether the publisher refuses this program."""
AT_ONCE = 64
"""The most messages that are read before others have their turn."""


class Feed:
    """Receives the messages of one publisher for a hub. All of it belongs to the event loop's thread."""

    def __init__(self, hub: Hub, number: int, endpoint: str, *, keys: Path | None = None) -> None:
        """Check the endpoint; `start` begins to receive.

        Args:
            hub: gets the messages.
            number: of the publisher, from 0.
            endpoint: its address.
            keys: the folder with this program's key and the publisher's public one.

        Raises:
            StreamcamError: the endpoint is malformed, its host is unknown, or a key is missing or malformed.
        """
        Subscriber(endpoint, keys=keys).close()  # report a mistake now
        self._hub, self._number, self._endpoint, self._keys = hub, number, endpoint, keys
        self._subscriber: Subscriber | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._wants: object = None
        self._listed: object = None

    def start(self) -> None:
        """Begin to receive. Call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._subscriber = Subscriber(self._endpoint, kinds=("status", "event"), keys=self._keys)
        self._loop.add_reader(self._subscriber.fileno(), self._receive)
        self._tick()

    def close(self) -> None:
        """Stop receiving. Closing twice is fine."""
        if self._subscriber is None or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._subscriber.fileno())
        self._subscriber.close()
        self._subscriber = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _tick(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self._receive()

    def _receive(self) -> None:
        """Receive what has come, and ask for what is wanted now."""
        if self._subscriber is None or self._loop is None:  # closed meanwhile
            return
        if (now := self._hub.wants[self._number]) is not self._wants:
            self._wants = now
            self._subscriber.want({source: tuple(kinds) for source, kinds in now.items()})
        messages, more = self._subscriber.receive_raw(at_most=AT_ONCE)
        listed = tuple(self._subscriber.sources or ()), self._subscriber.refused
        if listed != self._listed:
            self._listed = listed
            self._hub.list_sources(self._number, *listed)
        for message in messages:
            self._hub.take(self._number, message)
        if more:
            self._loop.call_soon(self._receive)
