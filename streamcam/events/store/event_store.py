"""A folder of saved events, and its index. The files are the truth: the index is made from them, and mended by them."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, NamedTuple, Unpack

from streamcam.errors import StreamcamError, one_line
from streamcam.event import Event
from streamcam.events.event_json import decode_event, encode_event
from streamcam.events.store import folders
from streamcam.events.store.filters import MAX_INTEGER, Filters, where
from streamcam.events.store.folders import StoredEvent, folder_of
from streamcam.events.store.index import (
    INDEX,
    IndexDamagedError,
    IndexUnavailableError,
    index_errors,
    is_writable,
    open_index,
    transaction,
)

_AT_ONCE = 500
"""Folders that are read before their rows are written, in one transaction."""


class Size(NamedTuple):
    """What retention has to know of an event."""

    id: str
    start_ns: int
    size_bytes: int
    kept: bool


class NoEventError(StreamcamError):
    """There is no such event; another process may have removed it."""


class EventStore:
    """A folder of saved events. Several processes and threads may use it at once.

    Every method raises `StreamcamError` where a file or the index cannot be used; `IndexUnavailableError` of it if
    that may pass by itself.
    """

    def __init__(self, folder: Path, *, create: bool = True, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """Open a folder, and mend its index where it does not agree with the names of the files.

        A user who may not write there can read what is in the index.

        Args:
            folder: of events.
            create: make the folder if it is not there. Otherwise there have to be events or an index in it.
            clock_ns: gives Unix time in nanoseconds.

        Raises:
            StreamcamError: it is not there or cannot be used. The message says what to do.
        """
        self.folder = folder
        self._clock_ns = clock_ns
        self._lock = RLock()
        self._path = folder / INDEX
        with self._errors():
            if create:
                folder.mkdir(parents=True, exist_ok=True)
            elif not folder.is_dir():
                raise StreamcamError(f"no such folder: {folder}")
            elif not self._path.exists() and not folders.list_folders(folder).complete:
                raise StreamcamError(f"there are no events in {folder}: give the folder of `event_files`")
        self._connection = open_index(self._path)
        try:
            if is_writable(self._path):
                with suppress(IndexUnavailableError):  # another process writes: what is there can be read
                    self.repair()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "EventStore":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index. Closing twice is fine."""
        with self._lock:
            self._connection.close()

    def add(self, event: Event) -> StoredEvent:
        """Put an event whose folder is complete into the index. Adding it again changes nothing.

        Raises:
            StreamcamError: its folder is not there.
        """
        with self._errors():
            stored = next(self._index([folder_of(event)]), None)
        if stored is None:
            raise StreamcamError(f"the folder of event {event.id} is not there: {self.folder / folder_of(event)}")
        return stored

    def find(
        self, *, limit: int | None = None, oldest_first: bool = False, **filters: Unpack[Filters]
    ) -> list[StoredEvent]:
        """Return events, the newest first if not told otherwise."""
        conditions, values = where(filters)
        order = "ORDER BY start_ns, id LIMIT ?" if oldest_first else "ORDER BY start_ns DESC, id DESC LIMIT ?"
        rows = self._rows(
            f"SELECT event, kept, size_bytes FROM events {conditions} {order}", *values, min(limit or -1, MAX_INTEGER)
        )
        return [StoredEvent(decode_event(event), bool(kept), size) for event, kept, size in rows]

    def count(self, **filters: Unpack[Filters]) -> int:
        """Return how many events there are."""
        conditions, values = where(filters)
        return int(self._rows(f"SELECT count(*) FROM events {conditions}", *values)[0][0])

    def values(self) -> dict[str, list[str]]:
        """Return what the filters `source`, `rule`, `zone` and `label` can be, of all events."""
        columns = ("source", "rule", "zone", "label")
        found = {column: self._rows(f"SELECT DISTINCT {column} FROM events ORDER BY 1") for column in columns}
        return {column: [row[0] for row in rows if row[0]] for column, rows in found.items()}

    def sizes(self) -> list[Size]:
        """Return the size of every event, the oldest first."""
        rows = self._rows("SELECT id, start_ns, size_bytes, kept FROM events ORDER BY start_ns, id")
        return [Size(event_id, start_ns, size_bytes, bool(kept)) for event_id, start_ns, size_bytes, kept in rows]

    def get(self, prefix: str) -> StoredEvent:
        """Return the event with this id, or the only one whose id begins so.

        Raises:
            NoEventError: there is none.
            StreamcamError: there are several.
        """
        last = prefix + chr(0x10FFFF)
        query = "SELECT event, kept, size_bytes, id FROM events WHERE id >= ? AND id < ? ORDER BY id LIMIT 4"
        rows = self._rows(query, prefix, last) if prefix else []
        if not rows:
            raise self._no_event(prefix)
        if len(rows) > 1 and rows[0][3] != prefix:
            some = ", ".join(row[3] for row in rows[:3])
            raise StreamcamError(f"several events begin with {one_line(prefix)!r}: {some}{' …' * (len(rows) > 3)}")
        event, kept, size_bytes, _ = rows[0]
        return StoredEvent(decode_event(event), bool(kept), size_bytes)

    def keep(self, event_id: str, kept: bool = True) -> None:
        """Keep an event when others are removed to make room; or keep it no longer.

        Raises:
            NoEventError: there is no event with this very id.
        """
        name = self._name(event_id)
        with self._errors(), transaction(self._connection):
            if not (self.folder / name).is_dir():
                raise self._no_event(event_id)
            folders.mark_kept(self.folder, name, kept=kept)  # killed now, and the next opening sees the mark
            self._connection.execute("UPDATE events SET kept = ? WHERE folder = ?", (kept, name))

    def remove(self, event_id: str, *, unless_kept: bool = False) -> bool:
        """Remove an event: its folder, and its row. Return whether it is gone.

        The files go first, so that this works on a full disk. What a kill leaves is mended by the next opening.

        Raises:
            NoEventError: there is no event with this very id.
        """
        name = self._name(event_id)
        with self._errors():
            with transaction(self._connection):  # nobody marks it meanwhile
                if unless_kept and folders.is_kept(self.folder, name):
                    return False
                aside = folders.set_aside(self.folder, name)
            folders.delete(self.folder, aside)
            with transaction(self._connection):
                self._connection.execute("DELETE FROM events WHERE folder = ?", (name,))
            self._remove_empty_day(name)
        return True

    def repair(self) -> int:
        """Make the index agree with the names of the files. Return how many rows were wrong or missing.

        It opens only folders that have no row, so it is cheap where all is well.
        """
        with self._errors():
            # The rows come first: what is added meanwhile is not taken for a row without a folder.
            rows = dict(self._rows("SELECT folder, kept FROM events"))
            found = folders.list_folders(self.folder)
            for name in found.removed:
                folders.delete(self.folder, name)
            for name in found.kept - found.complete:
                self._drop_mark(name)
            gone = [name for name in rows if name not in found.complete]
            changed = [name for name, kept in rows.items() if bool(kept) != (name in found.kept)]
            new = [name for name in found.complete if name not in rows]
            self._forget(gone)
            self._update_marks(name for name in changed if name in found.complete)
            return len(gone) + len(changed) + sum(1 for _ in self._index(new))

    def rebuild(self) -> int:
        """Make all rows anew from the files. Return how many there are."""
        with self._errors():
            for _ in self._index(sorted(folders.list_folders(self.folder).complete)):
                pass
        self.repair()
        return self.count()

    def _name(self, event_id: str) -> str:
        """Return an event's folder."""
        for (name,) in self._rows("SELECT folder FROM events WHERE id = ?", event_id):
            return str(name)
        raise self._no_event(event_id)

    def _no_event(self, event_id: str) -> NoEventError:
        return NoEventError(f"there is no event {one_line(event_id)!r} in {self.folder}")

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    def _index(self, names: Iterable[str]) -> Iterator[StoredEvent]:
        """Read folders, and write their rows; yield those that are there."""
        left = iter(names)
        while some := list(islice(left, _AT_ONCE)):
            read = [stored for name in some if (stored := folders.read_folder(self.folder, name)) is not None]
            with transaction(self._connection):
                # Whoever removes a folder deletes its row afterwards. So a row that is written now is not left over.
                there = [stored for stored in read if (self.folder / folder_of(stored.event)).is_dir()]
                self._connection.executemany(
                    f"INSERT OR REPLACE INTO events VALUES ({', '.join('?' * 11)})", map(self._row, there)
                )
            yield from there

    def _row(self, stored: StoredEvent) -> tuple[object, ...]:
        event, name = stored.event, folder_of(stored.event)
        searched = (event.start_ns, event.rule, event.source, event.zone, event.label, event.peak)
        kept = folders.is_kept(self.folder, name)
        return event.id, name, *searched, kept, stored.size_bytes, encode_event(event)

    def _forget(self, gone: list[str]) -> None:
        """Delete the rows of folders that are not there."""
        if gone:
            with transaction(self._connection):
                still = [(name,) for name in gone if not (self.folder / name).is_dir()]
                self._connection.executemany("DELETE FROM events WHERE folder = ?", still)

    def _update_marks(self, changed: Iterable[str]) -> None:
        if names := list(changed):
            with transaction(self._connection):
                marks = [(folders.is_kept(self.folder, name), name) for name in names]
                self._connection.executemany("UPDATE events SET kept = ? WHERE folder = ?", marks)

    def _drop_mark(self, name: str) -> None:
        """Delete the mark of a folder that is not there."""
        with transaction(self._connection):
            if not (self.folder / name).is_dir():
                folders.mark_kept(self.folder, name, kept=False)

    def _remove_empty_day(self, name: str) -> None:
        """Remove the folder of a day, once it is empty and no event of that day will come any more."""
        year, month, day = map(int, name.split("/")[:3])
        now = datetime.fromtimestamp(self._clock_ns() / 1e9, UTC)
        if now - datetime(year, month, day, tzinfo=UTC) > timedelta(days=3):
            with suppress(OSError):  # it is not empty
                for parent in list((self.folder / name).parents)[:3]:
                    parent.rmdir()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Keep other threads out, and turn errors of the system and of SQLite into one line."""
        with self._lock, index_errors(self._path):
            try:
                yield
            except OSError as e:
                raise StreamcamError(f"cannot use {e.filename or self.folder}: {e.strerror or e}") from e
            except UnicodeEncodeError as e:
                raise StreamcamError(f"{one_line(str(e.object))!r} is not in UTF-8, so no event has such a text") from e


def rebuild_index(folder: Path) -> int:
    """Make the index of a folder anew from its files. Return how many events there are.

    An index that is no sound database is set aside as `index.sqlite.damaged`.

    Raises:
        StreamcamError: the folder cannot be used.
    """
    try:
        with EventStore(folder, create=False) as store:
            return store.rebuild()
    except IndexDamagedError:
        path = folder / INDEX
        path.replace(f"{path}.damaged")
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        with EventStore(folder, create=False) as store:
            return store.count()
