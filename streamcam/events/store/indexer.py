"""Puts saved events into the index, and keeps their folder within its limits, on a thread of its own."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, Full, Queue
from threading import Thread

from streamcam.config.events import EventFilesConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.store.event_store import EventStore, rebuild_index
from streamcam.events.store.index import IndexDamagedError, IndexUnavailableError
from streamcam.events.store.retention import Limits, Retention, open_to_remove

log = logging.getLogger(__name__)

RETENTION_S = 30.0
"""Retention runs at most so often while events come."""
IDLE_S = 600.0
"""And so often while none come: they grow old, and others fill the disk."""
MAX_WAITING = 1000
"""So many events wait for their rows at most."""


class Indexer:
    """The writer of the index in a run. Nothing that fails here stops the run: it is counted, and logged once.

    An event without a row stays in its folder. It gets its row before the next event, or when the folder is opened.
    """

    failures: int
    """How often a row could not be written, or retention could not be done."""
    dropped: int
    """Events that got no row at once, since too many waited or the index failed while closing."""

    def __init__(
        self, config: EventFilesConfig, *, clock: Callable[[], float] = time.monotonic, max_waiting: int = MAX_WAITING
    ) -> None:
        """Open the index, and begin by removing what is too old or too much.

        An index that is locked, or whose disk is full, is opened later. A damaged one is made anew from the files.

        Args:
            config: the folder, and its limits.
            clock: gives seconds.
            max_waiting: so many events wait for their rows at most.

        Raises:
            StreamcamError: the folder or its index cannot be used, and waiting does not help.
        """
        self._config, self._clock = config, clock
        self.failures = self.dropped = 0
        self._store: EventStore | None = None
        self._retention: Retention | None = None
        self._behind = False
        self._added = False
        self._retained_at = clock()
        self._logged: set[str] = set()
        with suppress(IndexUnavailableError):  # the thread tries again, and complains
            self._open()
        self._closing = False
        self._queue: Queue[Event | None] = Queue(max_waiting)
        self._thread = Thread(target=self._work, daemon=True, name="event index")
        self._thread.start()

    def add(self, event: Event) -> None:
        """Take an event whose folder is complete. It returns at once."""
        try:
            self._queue.put_nowait(event)
        except Full:
            self.dropped += 1
            self._behind = True

    def close(self) -> None:
        """Write the rows of all events that wait, and close the index. Closing twice is fine."""
        self._closing = True
        with suppress(Full):  # it is busy, and will look
            self._queue.put_nowait(None)
        self._thread.join()
        if self._store is not None:
            self._store.close()

    def _work(self) -> None:
        self._attempt(self._retain)
        while not (self._closing and self._queue.empty()):
            with suppress(Empty):
                event = self._queue.get(timeout=self._until_retention_s())
                if event is not None and not self._attempt(partial(self._add, event)):
                    self._behind = True
                    if self._closing:  # each of the others may wait as long for a lock
                        self.dropped += sum(waiting is not None for waiting in self._queue.queue)
                        return
            if not self._until_retention_s():
                self._attempt(self._retain)

    def _until_retention_s(self) -> float:
        due_at = self._retained_at + (RETENTION_S if self._added else IDLE_S)
        return max(0.0, due_at - self._clock())

    def _add(self, event: Event) -> None:
        self._added = True
        store = self._open()
        if self._behind:
            self._behind = False
            store.repair()
        store.add(event)

    def _retain(self) -> None:
        self._retained_at, self._added = self._clock(), False
        self._open()
        assert self._retention is not None
        if gone := self._retention.apply():
            log.info("%d events were removed from %s to make room", len(gone), self._config.folder)

    def _open(self) -> EventStore:
        """Open the store, if it is not open."""
        if self._store is None:
            folder = self._config.folder
            # Without such a limit, events are not removed for a full disk.
            open_store = open_to_remove if self._config.free_gb else EventStore
            try:
                self._store = open_store(folder)
            except IndexDamagedError as e:
                log.warning("%s; it is made anew now", e)
                rebuild_index(folder)
                self._store = open_store(folder)
            self._retention = Retention(self._store, Limits.of(self._config))
        return self._store

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do something that may fail. Each complaint is logged once."""
        try:
            action()
        except StreamcamError as e:
            if isinstance(e, IndexDamagedError) and self._store is not None:
                self._store.close()
                self._store = None
            self.failures += 1
            if str(e) not in self._logged and len(self._logged) < MAX_WAITING:
                self._logged.add(str(e))
                log.warning("%s", e)
            return False
        return True
