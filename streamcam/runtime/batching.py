"""When clips of several cameras go to the device together, and which. Pure: told the time; it knows no thread.

A clip waits for company only where that pays. It goes when a batch is full, or when every camera that is alive has one
in it, and at the latest `max_wait` after it came. Where the device is idle, a clip that waits loses for certain what
others gain only if they would have found the device busy: so it waits for the share of a batch's time that the device
is busy, and not at all where there is little to do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

ALIVE_S = 1.0
"""A camera that has sent nothing for so long is not waited for."""

KEEP = 0.9
"""How much of what is known of the device's load a new batch leaves."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    item: T
    since_s: float


class Batcher(Generic[T]):
    """The newest item of each camera, in the order in which cameras began to wait.

    An item that is replaced leaves its place to the newer one. So a camera has one place, whatever its rate, and what
    has waited longest goes first: a fast one can neither push others back nor lose its turn to them.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting[T]] = {}
        self._heard_s: dict[str, float] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def put(self, source: str, item: T, now_s: float) -> T | None:
        """Queue an item; gives the older one of its camera that was lost for it."""
        older = self._waiting.get(source)
        self._waiting[source] = _Waiting(item, now_s if older is None else older.since_s)
        self._heard_s[source] = now_s
        return None if older is None else older.item

    def remove_source(self, source: str) -> None:
        """Nothing more is coming from a camera: it is not waited for. What it has brought still goes."""
        self._heard_s.pop(source, None)

    def closes_s(self, now_s: float, *, limit: int, patience_s: float) -> float | None:
        """When the batch that is gathering is to go; None: there is none.

        Args:
            now_s: the time.
            limit: items in a full batch.
            patience_s: how long the first item may wait for company.
        """
        if not self._waiting:
            return None
        if len(self._waiting) >= limit or not self._expected(now_s):
            return now_s
        return next(iter(self._waiting.values())).since_s + patience_s

    def take(self, limit: int, weigh: Callable[[T], int] = lambda _: 1) -> list[T]:
        """The next batch: what has waited longest, one item at least, and more as long as all weigh up to `limit`."""
        batch: list[T] = []
        for source in list(islice(self._waiting, limit)):
            limit -= weigh(self._waiting[source].item)
            if batch and limit < 0:
                break
            batch.append(self._waiting.pop(source).item)
        return batch

    def _expected(self, now_s: float) -> bool:
        """Whether a camera is alive that has nothing waiting."""
        heard = self._heard_s.items()
        return any(source not in self._waiting and now_s - at_s <= ALIVE_S for source, at_s in heard)


class Load:
    """How busy a device is, and how long a batch takes, lately."""

    def __init__(self) -> None:
        self.busy = self.batch_s = 0.0
        """The share of the time, 0–1, and seconds."""
        self._free_s: float | None = None

    def took(self, start_s: float, end_s: float) -> None:
        """A batch was handed over and has come back; batches are computed one after the other."""
        begun_s = start_s if self._free_s is None else max(start_s, self._free_s)
        before_s = begun_s if self._free_s is None else self._free_s
        took_s, passed_s = end_s - begun_s, end_s - before_s
        self.batch_s = took_s if self._free_s is None else KEEP * self.batch_s + (1 - KEEP) * took_s
        if passed_s > 0:
            self.busy = KEEP * self.busy + (1 - KEEP) * took_s / passed_s
        self._free_s = end_s

    def patience_s(self, max_wait_s: float, *, idle: bool) -> float:
        """How long a clip may wait for company: while the device is busy anyway, as long as it is allowed to."""
        return min(max_wait_s, self.busy * self.batch_s) if idle else max_wait_s
