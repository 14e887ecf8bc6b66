"""Decides which clips of several cameras form a batch, and when. It is told the time, and uses no threads.

A clip waits for a batch to fill only where that pays. A batch is ready when it is full, when every live camera has a
clip in it, or when the camera that has waited longest has waited for a maximal time.

On an idle device, waiting delays the clip for certain. It gains only if clips that come later would otherwise find the
device busy. So there a clip waits for a batch's usual duration times the share of time in which the device is busy.
That is almost nothing where there is little to do. `Load.wait_s` computes it, and the worker passes it to
`Batcher.ready_at_s` as `max_wait_s`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

LIVE_S = 1.0
"""A camera is live if it has sent something in the last `LIVE_S` seconds. A batch waits for live cameras alone."""

DECAY = 0.9
"""The weight of the past in `Load`'s moving averages, at each new batch."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    item: T
    since_s: float


class Batcher(Generic[T]):
    """A queue of the newest item of each camera, in the order in which the cameras began to wait.

    A newer item replaces the older one of its camera in place. So each camera has one place, whatever its frame rate,
    and the camera that has waited longest is first.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting[T]] = {}
        self._last_put_s: dict[str, float] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def put(self, source: str, item: T, now_s: float) -> T | None:
        """Queue an item. Return the older item of its camera that it replaces, if any."""
        older = self._waiting.get(source)
        self._waiting[source] = _Waiting(item, now_s if older is None else older.since_s)
        self._last_put_s[source] = now_s
        return None if older is None else older.item

    def remove_source(self, source: str) -> None:
        """Stop waiting for a camera that has ended. An item of it that is queued stays."""
        self._last_put_s.pop(source, None)

    def ready_at_s(self, now_s: float, *, limit: int, max_wait_s: float) -> float | None:
        """Return the time at which the next batch is ready; None if nothing is queued.

        Args:
            now_s: the time.
            limit: items in a full batch.
            max_wait_s: how long the first camera in the queue may wait for the batch to fill.
        """
        if not self._waiting:
            return None
        if len(self._waiting) >= limit or not self._is_camera_missing(now_s):
            return now_s
        return next(iter(self._waiting.values())).since_s + max_wait_s

    def take(self, limit: int, weigh: Callable[[T], int] = lambda _: 1) -> list[T]:
        """Take the next batch: at most `limit` items in order, while they weigh `limit` at most; and at least one."""
        batch: list[T] = []
        for source in list(islice(self._waiting, limit)):
            limit -= weigh(self._waiting[source].item)
            if batch and limit < 0:
                break
            batch.append(self._waiting.pop(source).item)
        return batch

    def _is_camera_missing(self, now_s: float) -> bool:
        """Return whether a live camera has nothing queued."""
        cameras = self._last_put_s.items()
        return any(source not in self._waiting and now_s - last_s <= LIVE_S for source, last_s in cameras)


class Load:
    """How busy a device is, and how long it takes for a batch: moving averages over the latest batches."""

    def __init__(self) -> None:
        self.busy = self.batch_s = 0.0
        """The share of time in which the device computes, 0–1, and the duration of a batch in seconds."""
        self._last_end_s: float | None = None

    def add_batch(self, start_s: float, end_s: float) -> None:
        """Take a batch into account.

        A device computes batches one after the other. So a batch that was submitted before the previous one had ended
        began when that one ended.

        Args:
            start_s: when it was submitted.
            end_s: when its heat was there.
        """
        began_s = start_s if self._last_end_s is None else max(start_s, self._last_end_s)
        previous_end_s = began_s if self._last_end_s is None else self._last_end_s
        duration_s, period_s = end_s - began_s, end_s - previous_end_s
        self.batch_s = duration_s if self._last_end_s is None else DECAY * self.batch_s + (1 - DECAY) * duration_s
        if period_s > 0:
            self.busy = DECAY * self.busy + (1 - DECAY) * duration_s / period_s
        self._last_end_s = end_s

    def wait_s(self, max_wait_s: float, *, idle: bool) -> float:
        """Return how long a clip should wait for a batch to fill, in seconds.

        While the device is busy, waiting costs the clip nothing, so it may wait for the maximum.
        """
        return min(max_wait_s, self.busy * self.batch_s) if idle else max_wait_s
