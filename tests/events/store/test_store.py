import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest

from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.store import index
from streamcam.events.store.event_store import EventStore, NoEventError, rebuild_index
from streamcam.events.store.folders import DAMAGED, EVENT_JSON, folder_of
from streamcam.events.store.index import INDEX, IndexDamagedError, IndexUnavailableError
from tests.support.saved import DAY_NS, FILES, NOON_NS, SECOND_NS, make_event, save


def filled(folder: Path, count: int = 3, **fields: str) -> list[Event]:
    """Events one second apart, in the index."""
    events = [save(folder, make_event(NOON_NS + i * SECOND_NS, **fields)) for i in range(count)]  # type: ignore[arg-type]
    with EventStore(folder) as store:
        for event in events:
            store.add(event)
    return events


def ids(folder: Path) -> list[str]:
    with EventStore(folder) as store:
        return [one.event.id for one in store.find()]


def test_an_event_is_found_with_its_files_and_size(tmp_path: Path) -> None:
    (event,) = filled(tmp_path, 1)
    with EventStore(tmp_path) as store:
        (found,) = store.find()
    assert found.event == event
    assert (found.event.state, found.event.files, found.kept, found.size_bytes) == ("saved", FILES, False, 3 * 4096)


def test_adding_an_event_again_changes_nothing(tmp_path: Path) -> None:
    (event,) = filled(tmp_path, 1)
    with EventStore(tmp_path) as store:
        store.keep(event.id)
        assert store.add(event).kept
        assert store.count() == 1


def test_an_event_without_a_folder_gets_no_row(tmp_path: Path) -> None:
    with EventStore(tmp_path) as store, pytest.raises(StreamcamError, match="is not there"):
        store.add(make_event())
    assert ids(tmp_path) == []


def test_events_are_found_by_what_they_are(tmp_path: Path) -> None:
    early, late = make_event(NOON_NS, peak=0.5), make_event(NOON_NS + DAY_NS, rule="fire", source="hall", peak=0.9)
    late = replace(late, zone="door", label="smoke")
    with EventStore(tmp_path) as store:
        for event in (early, late):
            store.add(save(tmp_path, event))
        store.keep(early.id)
        moment = datetime(2026, 12, 1, 12, tzinfo=UTC)

        def found(**filters: object) -> list[str]:
            return [one.event.id for one in store.find(**filters)]  # type: ignore[arg-type]

        assert found() == [late.id, early.id]
        assert found(limit=1) == [late.id]
        for filters in (
            *({"rule": "fire"}, {"source": "hall"}, {"zone": "door"}, {"label": "smoke"}, {"since": moment}),
            *({"min_score": 0.9}, {"kept": False}, {"rule": "fire", "source": "hall", "kept": None}),
        ):
            assert found(**filters) == [late.id], filters
        for filters in ({"until": moment}, {"kept": True}, {"zone": "gate", "label": "person"}):
            assert found(**filters) == [early.id], filters
        assert found(rule="fire", source="yard") == []
        assert store.count(rule="fire") == 1


def test_an_id_can_be_cut_short_while_it_is_the_only_one(tmp_path: Path) -> None:
    first, second = filled(tmp_path, 2)
    with EventStore(tmp_path) as store:
        assert store.get(first.id).event == first
        assert store.get("20261130T120001").event == second
        with pytest.raises(StreamcamError, match=f"several events begin with '20261130': {first.id}, {second.id}$"):
            store.get("20261130")
        for nothing in ("2027", "", "%", "\n", "\U0010ffff"):
            with pytest.raises(StreamcamError, match="there is no event") as caught:
                store.get(nothing)
            assert str(caught.value).isprintable()


def test_an_id_that_is_the_beginning_of_another_is_found(tmp_path: Path) -> None:
    whole = make_event(rule="way")
    with EventStore(tmp_path) as store:
        for event in (whole, make_event(rule="way2")):
            store.add(save(tmp_path, event))
        assert store.get(whole.id).event.id == whole.id


def test_only_a_whole_id_is_removed_or_kept(tmp_path: Path) -> None:
    gone, other = (save(tmp_path, make_event(rule=rule)) for rule in ("way", "way2"))
    with EventStore(tmp_path) as store:
        store.remove(gone.id)
        assert store.get(gone.id).event == other
        for use in (store.remove, store.keep):
            with pytest.raises(NoEventError, match="there is no event"):
                use(gone.id)
        assert store.count(kept=False) == 1


def test_a_mark_is_in_the_files_too(tmp_path: Path) -> None:
    (event,) = filled(tmp_path, 1)
    with EventStore(tmp_path) as store:
        store.keep(event.id)
        assert store.get(event.id).kept
    (tmp_path / INDEX).unlink()
    with EventStore(tmp_path) as store:
        assert store.get(event.id).kept
        store.keep(event.id, False)
        assert not store.get(event.id).kept
    assert [path.name for path in tmp_path.glob("2026/11/30/*")] == [event.id]


def test_an_event_is_removed_with_its_files_and_mark(tmp_path: Path) -> None:
    event, *_ = filled(tmp_path)
    with EventStore(tmp_path) as store:
        store.keep(event.id)
        assert not store.remove(event.id, unless_kept=True)
        assert store.remove(event.id)
        assert store.count() == 2
        with pytest.raises(StreamcamError, match="there is no event"):
            store.remove(event.id)
    assert len(list(tmp_path.glob("2026/11/30/*"))) == 2


@pytest.mark.parametrize(("later_ns", "left"), [(4 * DAY_NS, []), (SECOND_NS, [Path("2026/11/30")])])
def test_an_empty_day_is_removed_once_it_is_past(tmp_path: Path, later_ns: int, left: list[Path]) -> None:
    (event,) = filled(tmp_path, 1)
    with EventStore(tmp_path, clock_ns=lambda: NOON_NS + later_ns) as store:
        store.remove(event.id)
    assert [path.relative_to(tmp_path) for path in tmp_path.glob("*/*/*")] == left


def _lose_a_folder(folder: Path, event: Event) -> None:
    shutil.rmtree(folder / folder_of(event))


def _leave_half_removed(folder: Path, event: Event) -> None:
    (folder / folder_of(event)).rename(folder / f"{folder_of(event)}.removed")


def _lose_a_row(folder: Path, event: Event) -> None:
    with closing(sqlite3.connect(folder / INDEX)) as connection, connection:
        connection.execute("DELETE FROM events WHERE id = ?", (event.id,))


def _mark(folder: Path, event: Event) -> None:
    (folder / f"{folder_of(event)}.keep").touch()


def _mark_in_vain(folder: Path, event: Event) -> None:
    (folder / folder_of(event)).with_name("20200101T000000.000Z-a-b.keep").touch()


def _lose_the_index(folder: Path, event: Event) -> None:
    (folder / INDEX).unlink()


@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        *((_lose_a_folder, 2), (_leave_half_removed, 2), (_lose_a_row, 3)),
        *((_mark, 3), (_mark_in_vain, 3), (_lose_the_index, 3)),
    ],
)
def test_opening_makes_the_index_agree_with_the_files(
    tmp_path: Path, spoil: Callable[[Path, Event], None], left: int
) -> None:
    events = filled(tmp_path)
    spoil(tmp_path, events[1])
    with EventStore(tmp_path) as store:
        assert store.count() == left
        assert [one.event.id for one in store.find(kept=True)] == ([events[1].id] if spoil is _mark else [])
        assert store.repair() == 0
    names = {path.name for path in tmp_path.glob("2026/11/30/*")}
    assert {name.removesuffix(".keep") for name in names} == set(ids(tmp_path))


def test_what_is_being_written_is_no_event(tmp_path: Path) -> None:
    (event,) = filled(tmp_path, 1)
    folder = tmp_path / folder_of(event)
    shutil.copytree(folder, folder.with_name(f"{event.id}9.part"))
    assert ids(tmp_path) == [event.id]
    assert folder.with_name(f"{event.id}9.part").is_dir()


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    for name in ("notes", "2026/11/30/notes", "2026/11/notes/x", "2026/11/30/20261399T999999.000Z-a-b", "20x6/11/30"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "2026/11/30/read me").touch()
    (tmp_path / "2026/11/30/away").symlink_to(tmp_path / "notes")
    with EventStore(tmp_path) as store:
        assert store.rebuild() == 1
    assert (tmp_path / "2026/11/30/notes").is_dir()


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": "another"}', None])
def test_an_event_whose_json_is_damaged_can_be_listed_and_removed(tmp_path: Path, content: bytes | None) -> None:
    event = save(tmp_path, make_event())
    path = tmp_path / folder_of(event) / EVENT_JSON
    path.unlink() if content is None else path.write_bytes(content)
    with EventStore(tmp_path) as store:
        (found,) = store.find()
        assert (found.event.id, found.event.rule, found.event.start_ns) == (event.id, DAMAGED, event.start_ns)
        assert store.remove(event.id)
    assert not list(tmp_path.glob("2026/11/30/*"))


def test_rebuilding_reads_the_files_again(tmp_path: Path) -> None:
    first, second = filled(tmp_path, 2)
    (tmp_path / folder_of(first) / "clip.mp4").write_bytes(bytes(5000))
    (tmp_path / folder_of(first) / "snapshot.jpg").write_bytes(b"jpeg")
    shutil.rmtree(tmp_path / folder_of(second))
    with EventStore(tmp_path) as store:
        assert store.rebuild() == 1
        found = store.get(first.id)
    assert (found.event.files, found.size_bytes) == ((*FILES, "snapshot.jpg"), 5 * 4096)


def test_a_folder_that_is_not_there_is_made_for_a_run_only(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match=r"no such folder: .*new"):
        EventStore(tmp_path / "new", create=False)
    with pytest.raises(StreamcamError, match="there are no events in"):
        EventStore(tmp_path, create=False)
    assert not list(tmp_path.iterdir())
    EventStore(tmp_path / "new" / "er").close()
    with EventStore(tmp_path / "new" / "er", create=False) as store:
        assert store.find() == []
        store.close()


@pytest.mark.parametrize("content", [b"not a database, for sure" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_database_is_told_of_and_can_be_made_anew(tmp_path: Path, content: bytes) -> None:
    events = filled(tmp_path)
    (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(
        IndexDamagedError, match=rf"not a sound SQLite database .*`streamcam events rebuild {tmp_path}`"
    ):
        EventStore(tmp_path)
    assert rebuild_index(tmp_path) == len(events)
    assert (tmp_path / f"{INDEX}.damaged").read_bytes() == content
    assert len(ids(tmp_path)) == 3


def test_an_index_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / INDEX)) as connection:
        connection.execute("PRAGMA user_version = 2")
    for use in (EventStore, rebuild_index):
        with pytest.raises(StreamcamError, match="has version 2, this streamcam reads 1: use a later streamcam"):
            use(tmp_path)


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / INDEX)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StreamcamError, match="is a database of another program"):
        EventStore(tmp_path)


def test_a_path_that_is_a_file_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for create in (True, False):
        with pytest.raises(StreamcamError, match="file"):
            EventStore(tmp_path / "file", create=create)
    (tmp_path / "folder" / INDEX).mkdir(parents=True)
    with pytest.raises(StreamcamError, match="unable to open database file"):
        EventStore(tmp_path / "folder")


def test_a_locked_index_can_be_read_and_says_that_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BUSY_S", 0.05)
    first, second = filled(tmp_path, 2)
    shutil.rmtree(tmp_path / folder_of(first))  # something to mend
    with closing(sqlite3.connect(tmp_path / INDEX, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with EventStore(tmp_path) as store:
            assert store.count() == 2
            with pytest.raises(IndexUnavailableError, match="is locked by another process: try again later"):
                store.keep(second.id)
        other.execute("ROLLBACK")
    assert ids(tmp_path) == [second.id]


def test_removing_needs_no_space_on_the_disk(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    with EventStore(tmp_path) as store:
        store._connection.execute("PRAGMA max_page_count = 1")  # as if the disk were full: SQLite says the same
        events = [save(tmp_path, make_event(NOON_NS + i * DAY_NS, source="x" * 48)) for i in range(1, 40)]
        with pytest.raises(IndexUnavailableError, match="full"):
            for event in events:
                store.add(event)
        assert store.remove(store.find()[0].event.id)


def test_threads_share_a_store(tmp_path: Path) -> None:
    with EventStore(tmp_path) as store, ThreadPoolExecutor(4) as pool:
        events = [save(tmp_path, make_event(NOON_NS + i * SECOND_NS)) for i in range(40)]
        list(pool.map(store.add, events))
        list(pool.map(lambda event: store.remove(event.id), events[::2]))
        assert store.count() == 20


def _save_and_remove(folder: Path, source: str) -> int:
    with EventStore(folder) as store:
        for i in range(30):
            event = store.add(save(folder, make_event(NOON_NS + i * SECOND_NS, source=source))).event
            if i % 3 == 0:
                store.remove(event.id)
            elif i % 3 == 1:
                store.keep(event.id)
    return 20


@pytest.mark.slow
def test_processes_share_a_folder(tmp_path: Path) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():  # each opening compares names and rows
            with EventStore(tmp_path) as store:
                store.find()

    looking = threading.Thread(target=look)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        looking.start()
        counts = list(pool.map(_save_and_remove, [tmp_path] * 3, ["a", "b", "c"]))
        stop.set()
        looking.join()
    with EventStore(tmp_path) as store:
        assert store.repair() == 0
        assert store.count() == sum(counts)
        assert store.count(kept=True) == 30


def test_a_name_that_is_not_utf8_is_a_folder_as_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "\udcff?#%41 x"
    events = filled(folder)
    assert len(ids(folder)) == len(events)
    assert (folder / INDEX).exists()
