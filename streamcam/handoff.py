"""How threads hand things on: by the newest where pictures are live, by every one where they are on file."""

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Handoff(Generic[T]):
    """A short queue per source between threads.

    Lossless, `put` waits for room. Otherwise a full queue loses its oldest item, and `put` says so, for the caller to
    count. `get` takes from the sources in turn, so a fast one cannot starve the others.
    """

    def __init__(self, *, depth: int, lossless: bool) -> None:
        self._depth, self._lossless = depth, lossless
        self._queues: dict[str, deque[T]] = {}
        self._changed = Condition()
        self._closed = False

    def put(self, source: str, item: T) -> bool:
        """Queue an item; true if an older one was lost for it. After `close`, nothing is queued."""
        with self._changed:
            queue = self._queues.setdefault(source, deque())
            while self._lossless and len(queue) >= self._depth and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            full = len(queue) >= self._depth
            if full:
                queue.popleft()
            queue.append(item)
            self._changed.notify_all()
            return full

    def get(self, *, timeout_s: float | None = None) -> T | None:
        """The next item; None after `timeout_s`, or once closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: any(self._queues.values()) or self._closed, timeout_s)
            for source, queue in self._queues.items():
                if queue:
                    item = queue.popleft()
                    self._queues[source] = self._queues.pop(source)  # its turn comes last now
                    self._changed.notify_all()
                    return item
            return None

    @property
    def finished(self) -> bool:
        """Closed and empty."""
        with self._changed:
            return self._closed and not any(self._queues.values())

    def close(self, *, discard: bool = False) -> None:
        """Nothing more is coming: wake everybody. What is queued can still be taken, unless discarded."""
        with self._changed:
            self._closed = True
            if discard:
                self._queues.clear()
            self._changed.notify_all()
