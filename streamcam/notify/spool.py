"""A bounded queue of events on disk, for one target. It survives the end of its process, also by `kill -9`."""

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition
from typing import NamedTuple, Self, TypeVar

from streamcam.errors import StreamcamError, first_line
from streamcam.event import Event
from streamcam.events.event_json import decode_event, encode_event

log = logging.getLogger(__name__)
T = TypeVar("T")

REMEMBERED = 20_000
"""So many events that were told are remembered, so that none is queued again."""

LOG_EVERY_S = 60.0

_DISK_FAILS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, state TEXT, pts_s REAL, content BLOB, UNIQUE (id, state, pts_s)
);
CREATE INDEX IF NOT EXISTS updates ON waiting (n) WHERE state = 'update';
CREATE TABLE IF NOT EXISTS told (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, state TEXT, pts_s REAL, UNIQUE (id, state, pts_s)
);
"""


class Waiting(NamedTuple):
    """An event that waits, and its number in the queue."""

    n: int
    event: Event


class Spool:
    """A queue that keeps the newest `most` records. Any thread may use it.

    Over its bound, the oldest `update` gives way first, and then the oldest record. A disk that is full, or a file that
    cannot be read, does not stop it: then events wait in memory.
    """

    def __init__(self, path: Path, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Open or make the file.

        Args:
            path: of the SQLite database.
            most: so many records wait at most.
            clock: gives seconds.

        Raises:
            StreamcamError: its folder cannot be made or written to.
        """
        self.dropped = 0
        """Records that had to give way since it was opened."""
        self._path, self._most, self._clock = path, most, clock
        self._changed = Condition()
        self._logged = (-LOG_EVERY_S, 0)  # when, and how many had been dropped then
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open_or_replace(path)
        except sqlite3.Error as e:
            if e.sqlite_errorcode & 0xFF not in _DISK_FAILS:
                raise StreamcamError(f"cannot use the spool {path}: {first_line(e)}") from e
            log.warning("cannot use the spool %s: %s; events wait in memory", path, first_line(e))
            self._database = _in_memory(None)
        except OSError as e:
            raise StreamcamError(f"cannot use the spool {path}: {first_line(e)}") from e
        self._count = _count(self._database)

    def __len__(self) -> int:
        """Return how many records wait."""
        return self._count

    def put(self, event: Event) -> bool:
        """Queue an event; return False if it has been queued before."""
        key, content = (event.id, event.state, event.pts_s), encode_event(event)
        with self._changed:
            is_new = self._guarded(lambda: self._insert(key, content))
            self._changed.notify_all()
        return is_new

    def peek(self, count: int) -> list[Waiting]:
        """Return the oldest events that wait, `count` at most. They stay in the queue."""
        with self._changed:
            return self._guarded(lambda: self._oldest(count))

    def done(self, waiting: Sequence[Waiting]) -> None:
        """Take events out of the queue, and remember that they were told."""
        with self._changed:
            self._guarded(lambda: self._move([(one.n,) for one in waiting]))

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is something in the queue; return whether there is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count > 0, timeout_s)

    def wake(self) -> None:
        """End all waits that there are."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        with self._changed:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _guarded(self, act: Callable[[], T]) -> T:
        """Act in one transaction; in memory, if the disk refuses it."""
        try:
            with self._database:
                return act()
        except sqlite3.ProgrammingError:  # it has been closed
            raise
        except sqlite3.Error as e:
            log.warning("cannot use the spool %s: %s; from now on, events wait in memory", self._path, first_line(e))
            self._database = _in_memory(self._database)
            self._count = _count(self._database)
        with self._database:
            return act()

    def _oldest(self, count: int) -> list[Waiting]:
        found: list[Waiting] = []
        rows = self._database.execute("SELECT n, content FROM waiting ORDER BY n LIMIT ?", (count,)).fetchall()
        for n, content in rows:
            try:
                found.append(Waiting(n, decode_event(content)))
            except StreamcamError as e:  # of another version, or damaged
                log.warning("the spool %s: %s", self._path.name, first_line(e))
                self._drop(n)
        return found

    def _insert(self, key: tuple[str, str, float], content: bytes) -> bool:
        known = "SELECT 1 FROM told WHERE id = ? AND state = ? AND pts_s = ?"
        if self._database.execute(known, key).fetchone():
            return False
        row = "INSERT OR IGNORE INTO waiting (id, state, pts_s, content) VALUES (?, ?, ?, ?)"
        if self._database.execute(row, (*key, content)).rowcount == 0:
            return False
        self._count += 1
        while self._count > self._most:
            self._make_room()
        return True

    def _make_room(self) -> None:
        update = "SELECT min(n) FROM waiting WHERE state = 'update'"
        oldest = "SELECT min(n) FROM waiting"
        self._drop(self._database.execute(f"SELECT coalesce(({update}), ({oldest}))").fetchone()[0])

    def _drop(self, n: int) -> None:
        self._database.execute("DELETE FROM waiting WHERE n = ?", (n,))
        self._count -= 1
        self.dropped += 1
        logged_s, logged_count = self._logged
        now_s = self._clock()
        if now_s - logged_s >= LOG_EVERY_S:
            log.warning("the spool %s: %d more dropped", self._path.name, self.dropped - logged_count)
            self._logged = now_s, self.dropped

    def _move(self, numbers: list[tuple[int]]) -> bool:
        told = "INSERT OR IGNORE INTO told (id, state, pts_s) SELECT id, state, pts_s FROM waiting WHERE n = ?"
        self._database.executemany(told, numbers)
        self._count -= self._database.executemany("DELETE FROM waiting WHERE n = ?", numbers).rowcount
        self._database.execute("DELETE FROM told WHERE n <= (SELECT max(n) FROM told) - ?", (REMEMBERED,))
        return True


def _count(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT count(*) FROM waiting").fetchone()[0])


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        # A record is in the file when `put` returns. Only a crash of the whole machine may lose the newest.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _open_or_replace(path: Path) -> sqlite3.Connection:
    """Open the file; put one that cannot be read aside, and begin a new one."""
    try:
        return _open(path)
    except sqlite3.OperationalError:  # locked, or no room
        raise
    except sqlite3.DatabaseError as e:
        aside = path.with_name(f"{path.name}.unreadable")
        log.warning("cannot read the spool %s (%s): it is now %s", path, first_line(e), aside.name)
        path.replace(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _open(path)


def _in_memory(database: sqlite3.Connection | None) -> sqlite3.Connection:
    """Make a database in memory. Copy to it what can be read of another, and close that."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    if database is not None:
        with suppress(sqlite3.Error):
            database.backup(memory)
        database.close()
    memory.executescript(_SCHEMA)
    return memory
