import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamcam.config.events import EventFilesConfig
from streamcam.errors import StreamcamError
from streamcam.events.store import index, indexer
from streamcam.events.store.event_store import EventStore, Size
from streamcam.events.store.index import INDEX
from streamcam.events.store.indexer import IDLE_S, RETENTION_S, Indexer
from streamcam.events.store.retention import Retention
from tests.support.saved import NOON_NS, SECOND_NS, make_event, save
from tests.support.waiting import wait_until


def config_of(folder: Path, **limits: Any) -> EventFilesConfig:
    return EventFilesConfig.model_validate({"folder": folder, "days": None, "max_gb": None, "free_gb": None} | limits)


@contextmanager
def indexing(config: EventFilesConfig, **options: Any) -> Iterator[Indexer]:
    writer = Indexer(config, **options)
    try:
        yield writer
    finally:
        writer.close()


def count(folder: Path) -> int:
    with EventStore(folder) as store:
        return store.count()


def test_events_are_in_the_index_once_it_is_closed(tmp_path: Path) -> None:
    with indexing(config_of(tmp_path)) as writer:
        for i in range(20):
            writer.add(save(tmp_path, make_event(NOON_NS + i * SECOND_NS)))
    writer.close()
    assert (count(tmp_path), writer.failures, writer.dropped) == (20, 0, 0)


def test_it_begins_with_what_is_too_old(tmp_path: Path) -> None:
    save(tmp_path, make_event(SECOND_NS))
    with indexing(config_of(tmp_path, days=1)):
        wait_until(lambda: not list(tmp_path.glob("1970/*/*/*")), "removal")
    assert count(tmp_path) == 0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events were removed, each time."""
    times: list[int] = []
    apply = Retention.apply

    def record(self: Retention) -> list[Size]:
        gone = apply(self)
        times.append(len(gone))
        return gone

    monkeypatch.setattr(Retention, "apply", record)
    return times


@pytest.mark.parametrize(("later_s", "removed"), [(RETENTION_S - 1, [0]), (RETENTION_S, [0, 2])])
def test_it_removes_soon_after_an_event_but_not_after_each(
    tmp_path: Path, later_s: float, removed: list[int], applied: list[int]
) -> None:
    clock = Clock()
    with indexing(config_of(tmp_path, max_gb=1e-9), clock=clock) as writer:
        wait_until(lambda: applied == [0], "beginning")
        first, second = (save(tmp_path, make_event(NOON_NS + i * SECOND_NS)) for i in range(2))
        writer.add(first)
        wait_until(lambda: count_rows(tmp_path) == 1, "row")
        clock.now += later_s
        writer.add(second)
    assert applied == removed


def test_it_removes_now_and_then_without_any_event(
    tmp_path: Path, applied: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "IDLE_S", 0.05)
    with indexing(config_of(tmp_path, max_gb=1e-9)), EventStore(tmp_path) as store:
        wait_until(lambda: applied[:1] == [0], "beginning")
        store.add(save(tmp_path, make_event()))  # by another process, say
        wait_until(lambda: 1 in applied, "removal")
    assert IDLE_S > RETENTION_S


def test_a_lock_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index, "BUSY_S", 0.02)
    with indexing(config_of(tmp_path)) as writer:
        with closing(sqlite3.connect(tmp_path / INDEX, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for i in range(3):
                writer.add(save(tmp_path, make_event(NOON_NS + i * SECOND_NS)))
            wait_until(lambda: writer.failures == 3, "failures")
            other.execute("ROLLBACK")
        writer.add(save(tmp_path, make_event(NOON_NS + 3 * SECOND_NS)))
        wait_until(lambda: count_rows(tmp_path) == 4, "rows")
    (message,) = caplog.messages
    assert "is locked by another process" in message


def count_rows(folder: Path) -> int:
    """What the index says, without mending it."""
    with closing(sqlite3.connect(folder / INDEX)) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def test_a_lock_does_not_hold_up_the_start_or_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BUSY_S", 0.02)
    EventStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / INDEX, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with indexing(config_of(tmp_path)) as writer:
            wait_until(lambda: writer.failures > 0, "failure")
            for i in range(100):
                writer.add(save(tmp_path, make_event(NOON_NS + i * SECOND_NS)))
        assert writer.dropped > 0 or writer.failures >= 100
        other.execute("ROLLBACK")
    assert count(tmp_path) == 100


def test_what_is_too_much_is_counted_and_found_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BUSY_S", 0.5)
    with indexing(config_of(tmp_path), max_waiting=1) as writer:
        with closing(sqlite3.connect(tmp_path / INDEX, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for i in range(4):
                writer.add(save(tmp_path, make_event(NOON_NS + i * SECOND_NS)))
            other.execute("ROLLBACK")
        assert writer.dropped > 0
        wait_until(writer._queue.empty, "empty queue")
        writer.add(save(tmp_path, make_event(NOON_NS + 4 * SECOND_NS)))
        wait_until(lambda: count_rows(tmp_path) == 5, "rows")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_damaged_index_is_made_anew(tmp_path: Path, when: str, caplog: pytest.LogCaptureFixture) -> None:
    events = [save(tmp_path, make_event(NOON_NS + i * SECOND_NS)) for i in range(3)]
    if when == "before":
        (tmp_path / INDEX).write_bytes(b"not a database, for sure" * 100)
    with indexing(config_of(tmp_path)) as writer:
        writer.add(events[0])
        wait_until(lambda: count_rows(tmp_path) == 3, "rows")
        if when == "meanwhile":
            _damage(tmp_path / INDEX)
            writer._open()._connection.execute("PRAGMA shrink_memory")  # as if its pages were not in memory
            writer.add(events[1])
            wait_until(lambda: writer.failures > 0, "failure")
        writer.add(events[2])
    assert count(tmp_path) == 3
    assert any("it is made anew now" in message for message in caplog.messages)
    assert (tmp_path / f"{INDEX}.damaged").exists()


def _damage(path: Path) -> None:
    """Overwrite the database's pages where they are, and its log."""
    for damaged in (path, Path(f"{path}-wal")):
        with damaged.open("r+b") as file:
            file.write(b"x" * damaged.stat().st_size)


def test_a_later_version_is_told_of_at_the_start(tmp_path: Path) -> None:
    EventStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / INDEX)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StreamcamError, match="version 9"):
        Indexer(config_of(tmp_path))


@pytest.mark.slow
def test_a_full_disk_costs_no_event_and_can_be_cleared(tmp_path: Path) -> None:
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a system where anybody may make a mount namespace")
    mount = f'mount -t tmpfs -o size=1m none "{tmp_path}" && exec "$@"'
    command = ["sh", "-c", mount, "sh", sys.executable, "-m", "tests.support.full_disk", str(tmp_path)]
    done = subprocess.run([*apart, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen, begun = map(json.loads, done.stdout.splitlines())
    assert seen["agree"]
    assert seen["gone"] > 0
    assert seen["free_bytes"] >= 100_000  # of 200,000: the log of the index takes some
    assert begun["full"]
    kept, *others = begun["before"]
    assert others
    assert begun["left"] == [kept]
    assert "cannot write" in done.stderr
    assert "removed for the index's sake" in done.stderr
    assert "Traceback" not in done.stderr
