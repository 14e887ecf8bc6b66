"""What waits is on disk: in order, once, and never more than there is room for."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streamcam.errors import StreamcamError
from streamcam.event import EventState
from streamcam.notify.spool import LOG_EVERY_S, Spool
from tests.support.messages import an_event
from tests.support.paths import ROOT

WRITER = """
import os, signal, sys
from pathlib import Path
from streamcam.notify.spool import Spool
from tests.support.messages import an_event

spool = Spool(Path(sys.argv[1]), most=1000)
for i in range(100):
    spool.put(an_event(id=f"e{i}"))
print("written", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def put(spool: Spool, *ids: str, state: EventState = "start", pts_s: float = 1.0) -> None:
    for name in ids:
        spool.put(an_event(id=name, state=state, pts_s=pts_s))


def ids(spool: Spool) -> list[str]:
    return [one.event.id for one in spool.peek(10_000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "target.sqlite3"


def test_events_come_back_whole_and_in_order_and_stay_until_they_are_done(path: Path) -> None:
    with Spool(path, most=10) as spool:
        put(spool, "b", "a", "c")
        assert spool.peek(1)[0].event == an_event(id="b", state="start", pts_s=1.0)
        assert ids(spool) == ["b", "a", "c"]
        spool.done(spool.peek(2))
        assert ids(spool) == ["c"]
        assert len(spool) == 1


def test_a_record_is_queued_once_also_after_it_was_told_and_in_the_next_process(path: Path) -> None:
    with Spool(path, most=10) as spool:
        assert spool.put(an_event(state="start"))
        assert not spool.put(an_event(state="start"))
        assert spool.put(an_event(state="update", pts_s=4.0))
        assert spool.put(an_event(state="update", pts_s=5.0))
        spool.done(spool.peek(10))
        assert not spool.put(an_event(state="update", pts_s=4.0))
    with Spool(path, most=10) as spool:
        assert not spool.put(an_event(state="start"))
        assert len(spool) == 0


def test_what_was_put_survives_that_its_process_is_killed(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITER, path], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "written\n"), done.stderr
    with Spool(path, most=1000) as spool:
        assert ids(spool) == [f"e{i}" for i in range(100)]


def test_over_the_bound_updates_give_way_first_and_then_the_oldest(path: Path) -> None:
    with Spool(path, most=4) as spool:
        put(spool, "a")
        put(spool, "a", state="update")
        put(spool, "a", state="end")
        put(spool, "b", "c")
        assert [(one.event.id, one.event.state) for one in spool.peek(9)] == [
            ("a", "start"),
            ("a", "end"),
            ("b", "start"),
            ("c", "start"),
        ]
        put(spool, "d", "e")
        assert ids(spool) == ["b", "c", "d", "e"]
        assert (spool.dropped, len(spool)) == (3, 4)


def test_drops_are_logged_once_a_minute_with_their_number(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    with Spool(path, most=1, clock=lambda: now_s) as spool, caplog.at_level(logging.WARNING):
        put(spool, "a", "b", "c", "d")
        now_s = LOG_EVERY_S
        put(spool, "e")
    assert [record.getMessage() for record in caplog.records] == [
        "the spool target.sqlite3: 1 more dropped",
        "the spool target.sqlite3: 3 more dropped",
    ]


def test_whoever_waits_is_woken_by_an_event(path: Path) -> None:
    with Spool(path, most=10) as spool:
        came = []
        thread = threading.Thread(target=lambda: came.append(spool.wait(30)))
        thread.start()
        put(spool, "a")
        thread.join(20)
        assert came == [True]
        spool.done(spool.peek(1))
        assert not spool.wait(0)


def test_a_full_disk_does_not_stop_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Spool(path, most=10_000) as spool:
        put(spool, "a", "b")
        pages = spool._database.execute("PRAGMA page_count").fetchone()[0]
        spool._database.execute(f"PRAGMA max_page_count = {pages}")  # SQLite says the same where the disk is full
        put(spool, *(f"e{i}" for i in range(200)))
        assert ids(spool) == ["a", "b", *(f"e{i}" for i in range(200))]
        spool.done(spool.peek(202))
        assert len(spool) == 0
        assert not spool.put(an_event(id="a", state="start", pts_s=1.0))
    assert "database or disk is full; from now on, events wait in memory" in caplog.text


def test_a_disk_that_is_full_from_the_start_does_not_stop_it_either(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Path) -> sqlite3.Connection:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr("streamcam.notify.spool._open", refuse)
    with Spool(path, most=10) as spool:
        put(spool, "a")
        assert ids(spool) == ["a"]
    assert "events wait in memory" in caplog.text


def test_a_file_that_is_no_spool_is_put_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    with Spool(path, most=10) as spool:
        put(spool, "a")
        assert ids(spool) == ["a"]
    assert "cannot read the spool" in caplog.text
    assert path.with_name("target.sqlite3.unreadable").read_bytes().startswith(b"not a database")


def test_a_record_of_another_version_is_dropped_and_counted(path: Path) -> None:
    with Spool(path, most=10) as spool:
        put(spool, "a", "b")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE waiting SET content = x'7b7d' WHERE id = 'a'")
    database.close()
    with Spool(path, most=10) as spool:
        assert ids(spool) == ["b"]
        assert (spool.dropped, len(spool)) == (1, 1)


@pytest.mark.skipif(os.geteuid() != 0 and not Path("/proc/self").exists(), reason="needs a folder that nobody can make")
def test_a_folder_that_cannot_be_made_is_one_line() -> None:
    with pytest.raises(StreamcamError, match="cannot use the spool /proc/self/no/such"):
        Spool(Path("/proc/self/no/such/t.sqlite3"), most=10)
