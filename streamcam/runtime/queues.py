"""Queues between threads: of the newest items for live sources, of all items for files."""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

from streamcam.runtime.batching import Batcher

T = TypeVar("T")


class SourceQueue(Generic[T]):
    """A short queue for each source.

    If it is lossless, `put` waits for room. Otherwise a full queue drops its oldest item, and `put` returns that item
    for the caller to count. `get` takes from the sources in turn, so a fast source cannot starve the others.
    """

    def __init__(self, *, depth: int, lossless: bool) -> None:
        self._depth, self._lossless = depth, lossless
        self._queues: dict[str, deque[T]] = {}
        # Protects `_queues` and `_closed`, and is notified of each change of them.
        self._changed = Condition()
        self._closed = False

    def put(self, source: str, item: T) -> T | None:
        """Queue an item, and return the older one that was dropped for it. After `close`, nothing is queued."""
        with self._changed:
            queue = self._queues.setdefault(source, deque())
            while self._lossless and len(queue) >= self._depth and not self._closed:
                self._changed.wait()  # until `get` makes room, or the queue is closed
            if self._closed:
                return None
            dropped = queue.popleft() if len(queue) >= self._depth else None
            queue.append(item)
            self._changed.notify_all()
            return dropped

    def get(self, *, timeout_s: float | None = None) -> T | None:
        """Wait for the next item; None after `timeout_s`, or once the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: any(self._queues.values()) or self._closed, timeout_s)
            for source, queue in self._queues.items():
                if queue:
                    item = queue.popleft()
                    self._queues[source] = self._queues.pop(source)  # to the end: the other sources are first now
                    self._changed.notify_all()
                    return item
            return None

    @property
    def finished(self) -> bool:
        """Whether the queue is closed and empty."""
        with self._changed:
            return self._closed and not any(self._queues.values())

    def close(self, *, discard: bool = False) -> None:
        """Accept no more items, and wake all waiting threads. Queued items can still be taken, unless discarded."""
        with self._changed:
            self._closed = True
            if discard:
                self._queues.clear()
            self._changed.notify_all()


class BatchQueue(Generic[T]):
    """A `Batcher` between threads: it gives batches of the newest item of each source."""

    def __init__(self) -> None:
        self._batcher: Batcher[T] = Batcher()
        # Protects `_batcher` and `_closed`, and is notified of changes that may make a batch ready.
        self._changed = Condition()
        self._closed = False

    def put(self, source: str, item: T) -> T | None:
        """Queue an item, and return the older one that was dropped for it. After `close`, nothing is queued."""
        with self._changed:
            if self._closed:
                return None
            dropped = self._batcher.put(source, item, time.monotonic())
            if dropped is None:  # an item that replaces an older one makes no batch ready
                self._changed.notify_all()
            return dropped

    def remove_source(self, source: str) -> None:
        """Let batches not wait for a source that has ended."""
        with self._changed:
            self._batcher.remove_source(source)
            self._changed.notify_all()

    def get(
        self,
        *,
        limit: int,
        max_wait_s: float,
        timeout_s: float | None = None,
        weigh: Callable[[T], int] = lambda _: 1,
    ) -> list[T]:
        """Wait for the next batch; it is empty after `timeout_s`, or once the queue is closed and empty.

        Args:
            limit: items in a full batch, and their total weight at most.
            max_wait_s: how long the oldest item may wait for the batch to fill.
            timeout_s: how long to wait for a batch to be ready.
            weigh: gives the weight of an item. One that weighs more than `limit` is a batch of its own.
        """
        with self._changed:
            now_s = time.monotonic()
            end_s = float("inf") if timeout_s is None else now_s + timeout_s
            while not self._closed:
                ready_s = self._batcher.ready_at_s(now_s, limit=limit, max_wait_s=max_wait_s)
                if ready_s is not None and ready_s <= now_s:
                    break
                if end_s <= now_s:
                    return []
                # Wait until the batch is ready by time alone, or until an item comes that makes it ready earlier.
                wake_s = end_s if ready_s is None else min(end_s, ready_s)
                self._changed.wait(None if wake_s == float("inf") else wake_s - now_s)
                now_s = time.monotonic()
            return self._batcher.take(limit, weigh)

    @property
    def finished(self) -> bool:
        """Whether the queue is closed and empty."""
        with self._changed:
            return self._closed and self._batcher.is_empty

    def close(self, *, discard: bool = False) -> None:
        """Accept no more items, and wake all waiting threads. Queued items can still be taken, unless discarded."""
        with self._changed:
            self._closed = True
            if discard:
                self._batcher = Batcher()
            self._changed.notify_all()
