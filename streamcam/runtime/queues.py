"""How threads hand things on: by the newest where pictures are live, by every one where they are on file."""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

from streamcam.runtime.batching import Batcher

T = TypeVar("T")


class SourceQueue(Generic[T]):
    """A short queue per source between threads.

    Lossless, `put` waits for room. Otherwise a full queue loses its oldest item, and `put` gives it, for the caller to
    count. `get` takes from the sources in turn, so a fast one cannot starve the others.
    """

    def __init__(self, *, depth: int, lossless: bool) -> None:
        self._depth, self._lossless = depth, lossless
        self._queues: dict[str, deque[T]] = {}
        self._changed = Condition()
        self._closed = False

    def put(self, source: str, item: T) -> T | None:
        """Queue an item; gives the older one that was lost for it. After `close`, nothing is queued."""
        with self._changed:
            queue = self._queues.setdefault(source, deque())
            while self._lossless and len(queue) >= self._depth and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            lost = queue.popleft() if len(queue) >= self._depth else None
            queue.append(item)
            self._changed.notify_all()
            return lost

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


class BatchQueue(Generic[T]):
    """The newest item of each source, handed on in batches: a `Batcher` between threads."""

    def __init__(self) -> None:
        self._batcher: Batcher[T] = Batcher()
        self._changed = Condition()
        self._closed = False

    def put(self, source: str, item: T) -> T | None:
        """Queue an item; gives the older one that was lost for it. After `close`, nothing is queued."""
        with self._changed:
            if self._closed:
                return None
            lost = self._batcher.put(source, item, time.monotonic())
            if lost is None:  # a newer item in an older one's place closes no batch
                self._changed.notify_all()
            return lost

    def remove_source(self, source: str) -> None:
        """Nothing more is coming from a source: batches do not wait for it."""
        with self._changed:
            self._batcher.remove_source(source)
            self._changed.notify_all()

    def get(
        self,
        *,
        limit: int,
        patience_s: float,
        timeout_s: float | None = None,
        weigh: Callable[[T], int] = lambda _: 1,
    ) -> list[T]:
        """The next batch; nothing after `timeout_s`, or once closed and empty.

        Args:
            limit: items in a full batch, and what they weigh together at most.
            patience_s: how long its first item may wait for company.
            timeout_s: how long to wait for a batch to close.
            weigh: how much of a batch an item takes; one that takes more than all of it goes alone.
        """
        with self._changed:
            now_s = time.monotonic()
            end_s = float("inf") if timeout_s is None else now_s + timeout_s
            while not self._closed:
                closes_s = self._batcher.closes_s(now_s, limit=limit, patience_s=patience_s)
                if closes_s is not None and closes_s <= now_s:
                    break
                if end_s <= now_s:
                    return []
                until_s = min(end_s, end_s if closes_s is None else closes_s)
                self._changed.wait(None if until_s == float("inf") else until_s - now_s)
                now_s = time.monotonic()
            return self._batcher.take(limit, weigh)

    @property
    def finished(self) -> bool:
        """Closed and empty."""
        with self._changed:
            return self._closed and self._batcher.is_empty

    def close(self, *, discard: bool = False) -> None:
        """Nothing more is coming: wake everybody. What is queued can still be taken, unless discarded."""
        with self._changed:
            self._closed = True
            if discard:
                self._batcher = Batcher()
            self._changed.notify_all()
