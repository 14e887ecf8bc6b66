"""A thread that receives what one publisher sends, and hands it to the event loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from streamcam.transport.subscriber import Subscriber
from streamcam.web.hub import Hub

POLL_S = 0.03
"""How often the thread looks whether other kinds of messages are wanted, while none come."""
AT_ONCE = 64
"""The most messages that are handed over together."""


class Feed:
    """Receives the messages of one publisher for a hub."""

    def __init__(self, hub: Hub, number: int, endpoint: str, *, keys: Path | None = None) -> None:
        """Connect; `start` begins to receive.

        Args:
            hub: gets the messages.
            number: of the publisher, from 0.
            endpoint: its address.
            keys: the folder with this program's key and the publisher's public one.

        Raises:
            StreamcamError: the endpoint is malformed, its host is unknown, or a key is missing or malformed.
        """
        Subscriber(endpoint, keys=keys).close()  # report a mistake now: a socket belongs to the thread that makes it
        self._hub, self._number, self._endpoint, self._keys = hub, number, endpoint, keys
        self._stop = Event()
        self._thread = Thread(target=self._run, name=f"feed-{number}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to receive. Call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """Stop receiving. Closing twice is fine."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        wants: object = None
        listed: object = None
        with Subscriber(self._endpoint, kinds=("status", "event"), keys=self._keys) as subscriber:
            while not self._stop.is_set():
                if (now := self._hub.wants[self._number]) is not wants:
                    wants = now
                    subscriber.want({source: tuple(kinds) for source, kinds in now.items()})
                message = next(subscriber.raw_messages(timeout_s=POLL_S), None)
                now_listed = tuple(subscriber.sources or ()), subscriber.refused
                if now_listed != listed:
                    listed = now_listed
                    self._call(self._hub.list_sources, self._number, *now_listed)
                if message is not None:
                    # All that have come by now: each call wakes the event loop.
                    more = islice(subscriber.raw_messages(timeout_s=0), AT_ONCE - 1)
                    self._call(self._hub.take_all, self._number, [message, *more])

    def _call(self, function: Callable[..., None], *values: object) -> None:
        """Call a function in the event loop."""
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(function, *values)
