"""The SQLite file that indexes a folder of events: its schema, how it is opened, and its errors in one line."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from streamcam.errors import StreamcamError, one_line

INDEX = "index.sqlite"
VERSION = 1
"""Of the schema, as `user_version`. A later streamcam counts it up."""
BUSY_S = 5.0
"""How long to wait for another process that writes."""

_SCHEMA = """
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    folder TEXT NOT NULL UNIQUE,
    start_ns INTEGER NOT NULL,
    rule TEXT NOT NULL,
    source TEXT NOT NULL,
    zone TEXT,
    label TEXT NOT NULL,
    peak REAL NOT NULL,
    kept INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    event BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_by_start ON events (start_ns, id);
"""


class IndexUnavailableError(StreamcamError):
    """The index cannot be used at the moment: it is locked, or its disk is full or fails. Later it may work again."""


class IndexDamagedError(StreamcamError):
    """The index is no SQLite database, or a damaged one. It can be made anew from the events' files."""


def open_index(path: Path) -> sqlite3.Connection:
    """Open an index, and make it if it is not there. The caller begins and commits its own transactions.

    Where this user may not write to its folder, one that is there is opened to be read.

    Raises:
        IndexUnavailableError: it is locked, or its disk is full or fails.
        IndexDamagedError: it is no database, or a damaged one.
        StreamcamError: it is of a later version, of another program, or not to be written.
    """
    with index_errors(path):
        # The lock of `EventStore` keeps threads apart.
        connection = sqlite3.connect(
            _address(path), timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def index_errors(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite into one line that says what to do."""
    try:
        yield
    except sqlite3.Error as e:
        text, shown = one_line(str(e)), path
        match getattr(e, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise IndexUnavailableError(f"{shown} is locked by another process: try again later") from e
            case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
                raise IndexUnavailableError(f"cannot write {shown}: {text}") from e
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                rebuild = f"`streamcam events rebuild {path.parent}` makes it anew from the files"
                raise IndexDamagedError(f"{shown} is not a sound SQLite database ({text}): {rebuild}") from e
            case _:
                raise StreamcamError(f"cannot use {shown}: {text}; may this user write to its folder?") from e


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write in one step, and keep other writers out meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_writable(path: Path) -> bool:
    """Whether this user may write to an index's folder."""
    return os.access(path.parent, os.W_OK | os.X_OK)


def _address(path: Path) -> str:
    name = f"file:{quote(os.fsencode(path.absolute()))}"
    if is_writable(path) or not path.exists():
        return name
    # Without a log nobody writes. SQLite does not see that by itself, and would make files in the folder.
    return f"{name}?mode=ro{'' if Path(f'{path}-wal').exists() else '&immutable=1'}"


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if is_writable(path):
        _use_wal(connection)
        # A power cut may cost the newest rows, but no more: the files are the truth, and opening compares.
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection) == 0:
            with transaction(connection):
                if _version(connection) == 0:  # no other process was faster
                    _create(connection, path)
    if (version := _version(connection)) != VERSION:
        raise StreamcamError(f"{path} has version {version}, this streamcam reads {VERSION}: use a later streamcam")


def _create(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StreamcamError(f"{path} is a database of another program: move it away, or name another folder")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _use_wal(connection: sqlite3.Connection) -> None:
    """Let readers read while one writes. SQLite does not wait for the lock of this change by itself."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
