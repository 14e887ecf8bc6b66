"""Which events are removed, so that their folder never fills the disk: the oldest first, and never a kept one."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamcam.config.events import EventFilesConfig
from streamcam.errors import StreamcamError
from streamcam.events.store.event_store import EventStore, NoEventError, Size
from streamcam.events.store.folders import delete, list_folders, set_aside
from streamcam.events.store.index import IndexUnavailableError

log = logging.getLogger(__name__)

GB = 1e9
DAY_NS = 86_400_000_000_000
INDEX_BYTES = 1_000_000
"""SQLite needs some of it for its files, even to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept; None for no limit."""

    days: float | None = None
    max_bytes: float | None = None
    """What all events take at most."""
    free_bytes: float | None = None
    """What is left free on the disk at least."""

    @classmethod
    def of(cls, config: EventFilesConfig) -> "Limits":
        """Return the limits of a configuration."""
        return cls(days=config.days, max_bytes=_bytes(config.max_gb), free_bytes=_bytes(config.free_gb))


@dataclass(frozen=True, slots=True)
class Plan:
    """What to remove."""

    remove: tuple[Size, ...]
    """The oldest first."""
    unmet: tuple[str, ...] = ()
    """For each limit that removing does not reach, why."""


def plan(events: Sequence[Size], limits: Limits, *, now_ns: int, free_bytes: float) -> Plan:
    """Decide what to remove. It is the oldest events that are not kept, as few of them as meet all limits.

    Args:
        events: all that are stored, in any order.
        limits: to be met.
        now_ns: Unix time in nanoseconds.
        free_bytes: what is free on the disk now.
    """
    loose = sorted((event for event in events if not event.kept), key=lambda event: (event.start_ns, event.id))
    total = sum(event.size_bytes for event in events)
    too_much = 0.0 if limits.max_bytes is None else total - limits.max_bytes
    too_full = 0.0 if limits.free_bytes is None else limits.free_bytes - free_bytes
    excess = max(too_much, too_full)
    count, removed = 0, 0
    while count < len(loose) and (removed < excess or _is_old(loose[count], limits, now_ns)):
        removed += loose[count].size_bytes
        count += 1
    return Plan(tuple(loose[:count]), _unmet(limits, total - removed, free_bytes + removed))


def _is_old(event: Size, limits: Limits, now_ns: int) -> bool:
    return limits.days is not None and now_ns - event.start_ns > limits.days * DAY_NS


def _unmet(limits: Limits, size_bytes: float, free_bytes: float) -> tuple[str, ...]:
    """Say which limits are not met although only kept events are left."""
    found = []
    if limits.max_bytes is not None and size_bytes > limits.max_bytes:
        found.append(
            f"the kept events alone take {size_bytes / GB:.3g} GB, the limit is {limits.max_bytes / GB:.3g} GB: "
            "`streamcam events keep --undo` lets them go"
        )
    if limits.free_bytes is not None and free_bytes < limits.free_bytes:
        found.append(
            f"the disk has {free_bytes / GB:.3g} GB free, the limit is {limits.free_bytes / GB:.3g} GB, and no event "
            "is left to remove but kept ones: something else fills it"
        )
    return tuple(found)


def open_to_remove(folder: Path, *, create: bool = True) -> EventStore:
    """Open a store. On a disk that is too full to open its index, remove the oldest events that are not kept first.

    Raises:
        StreamcamError: as `EventStore`.
    """
    try:
        return EventStore(folder, create=create)
    except IndexUnavailableError:
        if not _make_room(folder):
            raise
    return EventStore(folder, create=create)


def _make_room(folder: Path) -> int:
    """Remove the oldest events, by their names alone, until the index has room. Return how many."""
    count = 0
    try:
        found = list_folders(folder)
        for name in sorted(found.complete - found.kept):  # a name begins with the time
            if shutil.disk_usage(folder).free >= INDEX_BYTES:
                break
            delete(folder, set_aside(folder, name))
            count += 1
    except OSError as e:
        raise StreamcamError(f"cannot make room in {folder}: {e.strerror or e}") from e
    if count:
        log.warning("the disk of %s is full: %d of the oldest events were removed for the index's sake", folder, count)
    return count


class Retention:
    """Removes what a plan says from a store. What cannot be removed is counted, and told once."""

    def __init__(
        self,
        store: EventStore,
        limits: Limits,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        free_bytes: Callable[[Path], float] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """Take the store, its limits, Unix time in nanoseconds, and what measures the space left on a folder's disk."""
        self._store, self._limits, self._clock_ns, self._free_bytes = store, limits, clock_ns, free_bytes
        self._told = False
        self.failures = 0
        """Events that could not be removed, each time it was tried."""

    def plan(self) -> Plan:
        """Decide what to remove now.

        Raises:
            StreamcamError: the store or the disk cannot be read.
        """
        try:
            free_bytes = self._free_bytes(self._store.folder)
        except OSError as e:
            raise StreamcamError(f"cannot measure {self._store.folder}: {e.strerror or e}") from e
        return plan(self._store.sizes(), self._limits, now_ns=self._clock_ns(), free_bytes=free_bytes)

    def apply(self, decided: Plan | None = None) -> list[Size]:
        """Remove what `decided`, or else a plan that is made now, says. Return what has gone.

        Raises:
            StreamcamError: the store or the disk cannot be read.
        """
        decided = decided or self.plan()
        gone = [event for event in decided.remove if self._remove(event)]
        if not decided.unmet:
            self._told = False
        elif not self._told:
            self._told = True
            for why in decided.unmet:
                log.warning("%s: %s", self._store.folder, why)
        return gone

    def _remove(self, event: Size) -> bool:
        try:
            return self._store.remove(event.id, unless_kept=True)
        except NoEventError:  # another process was faster
            return False
        except StreamcamError as e:
            if self.failures == 0:
                log.warning("event %s could not be removed: %s", event.id, e)
            self.failures += 1
            return False


def _bytes(gigabytes: float | None) -> float | None:
    return None if gigabytes is None else gigabytes * GB
