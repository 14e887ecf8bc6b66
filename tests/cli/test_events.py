"""`streamcam events …`: in this process, where a real one would show nothing more."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from typer.exceptions import TyperException

from streamcam.cli.main import app
from streamcam.errors import StreamcamError
from streamcam.event import Rectangle
from streamcam.events.store.event_store import EventStore
from streamcam.events.store.folders import folder_of
from streamcam.events.store.index import INDEX
from tests.support.commands import line_of, streamcam, streamcam_anew
from tests.support.saved import DAY_NS, NOON_NS, make_event, save

EARLY = replace(make_event(NOON_NS, peak=0.5), box=Rectangle(0.1, 0.2, 0.3, 0.4))
LATE = replace(make_event(NOON_NS + DAY_NS, rule="fire", source="hall", peak=0.9), zone=None, label="a\x1b[2Jb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for event in (EARLY, LATE):
        save(tmp_path / "events", event)
    return tmp_path / "events"


def said(*arguments: str | Path) -> str:
    """What a command says on standard output."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        app(["events", *map(str, arguments)], standalone_mode=False)
    assert err.getvalue() == ""
    return out.getvalue()


def listed(folder: Path, *filters: str) -> list[str]:
    return [event["id"] for event in json.loads(said("list", folder, "--json", *filters))]


def test_a_table_has_the_newest_first_in_local_time(folder: Path) -> None:
    text = said("list", folder)
    assert text.index("fire") < text.index("gate")
    assert f"{EARLY.started.astimezone():%Y-%m-%d %H:%M:%S}" in text
    assert "\x1b" not in text
    assert EARLY.id in text
    assert "the newest 1 of 2: --limit shows more" in said("list", folder, "--limit", "1")
    assert said("list", folder, "--rule", "nothing", "--limit", str(2**70)) == "no events\n"


def test_json_has_all_that_is_known(folder: Path) -> None:
    late, early = json.loads(said("list", folder, "--json"))
    assert (early["id"], early["started"], early["box"]) == (EARLY.id, "2026-11-30T12:00:00.000Z", [0.1, 0.2, 0.3, 0.4])
    assert (early["state"], early["kept"], early["size_bytes"]) == ("saved", False, 3 * 4096)
    assert (folder / early["folder"] / early["files"][0]).read_bytes() == b"clip"
    assert late["label"] == "a\x1b[2Jb"
    assert json.loads(said("list", folder, "--json", "--kept")) == []
    assert json.loads(said("show", folder, EARLY.id, "--json")) == early


def test_csv_has_a_line_for_each(folder: Path) -> None:
    late, early = csv.DictReader(io.StringIO(said("list", folder, "--csv")))
    assert early["started"] == "2026-11-30T12:00:00.000Z"
    assert (early["id"], early["peak"], early["seconds"], early["kept"]) == (EARLY.id, "0.5000", "2.500", "no")
    assert (late["zone"], late["source"]) == ("", "hall")


def test_filters_choose(folder: Path) -> None:
    late: list[tuple[str, ...]] = [
        *(("--rule", "fire"), ("--source", "hall"), ("--class", "a\x1b[2Jb"), ("--min-score", "0.9"), ("--limit", "1")),
        ("--since", "2026-12-01T00:00Z"),
        ("--until", "9999-12-30", "--limit", "1"),
        ("--since", "0002-01-01", "--limit", "1", "--class", "a\x1b[2Jb"),
    ]
    for filters in late:
        assert listed(folder, *filters) == [LATE.id], filters
    for filters in (("--zone", "gate"), ("--until", "2026-12-01T00:00Z"), ("--rule", "way", "--source", "yard")):
        assert listed(folder, *filters) == [EARLY.id], filters


def test_an_event_is_shown_with_its_files(folder: Path) -> None:
    text = said("show", folder, EARLY.id[:15])
    for part in (EARLY.id, "2.50 s, until it was over", "person 0.50, car 0.25", "clip.mp4", "event.json"):
        assert part in text
    assert str(folder / folder_of(EARLY)) in text
    assert "left 0.100, top 0.200, right 0.300, bottom 0.400" in text


def test_kept_events_are_marked_until_that_is_undone(folder: Path) -> None:
    assert said("keep", folder, EARLY.id[:15], LATE.id) == f"{EARLY.id}  is kept\n{LATE.id}  is kept\n"
    assert listed(folder, "--kept") == [LATE.id, EARLY.id]
    assert "is kept no longer" in said("keep", folder, LATE.id, "--undo")
    assert listed(folder, "--kept") == [EARLY.id]
    with pytest.raises(StreamcamError, match="there is no event 'x'"):
        said("keep", folder, LATE.id, "x")
    assert listed(folder, "--kept") == [EARLY.id]


def test_events_are_exported_to_a_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert said("export", folder, EARLY.id, "-o", out).startswith("1 event, 0.0 MB in ")
    assert (out / EARLY.id / "clip.mp4").read_bytes() == b"clip"
    assert sorted(path.name for path in out.iterdir()) == [EARLY.id, "events.csv"]
    assert [row["id"] for row in csv.DictReader((out / "events.csv").read_text().splitlines())] == [EARLY.id]
    with pytest.raises(StreamcamError, match="is not empty"):
        said("export", folder, EARLY.id, "-o", out)


def test_events_are_exported_to_an_archive(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    said("export", folder, "--since", "2026-01-01", "-o", out)
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        names = {f"{event.id}/{name}" for event in (EARLY, LATE) for name in ("clip.mp4", "event.json")}
        assert set(archive.namelist()) == names | {"events.csv"}


@pytest.mark.parametrize("out", ["out", "out.zip"])
def test_an_export_that_fails_leaves_nothing(folder: Path, tmp_path: Path, out: str) -> None:
    said("list", folder)
    (folder / folder_of(EARLY) / "clip.mp4").unlink()
    with pytest.raises(StreamcamError, match="no such file"):
        said("export", folder, "--since", "2026-01-01", "-o", tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["events"]


def test_pruning_removes_the_oldest_and_asks_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    would = said("prune", folder, "--max-gb", "0.000013", "--dry-run")
    assert would == f"{EARLY.id}  0.0 MB\nto remove: 1 event, 0.0 MB\n"
    assert len(listed(folder)) == 2
    assert said("prune", folder, "--max-gb", "0.000013") == "removed: 1 event, 0.0 MB\n"
    assert listed(folder) == [LATE.id]
    said("keep", folder, LATE.id)
    assert said("prune", folder, "--max-gb", "0") == "removed: 0 events, 0.0 MB\n"
    assert "the kept events alone take" in caplog.text
    assert listed(folder) == [LATE.id]


def test_an_index_that_is_damaged_can_be_made_anew(folder: Path) -> None:
    said("list", folder)
    (folder / INDEX).write_bytes(b"not a database, for sure" * 100)
    assert f"`streamcam events rebuild {folder}` makes it anew" in line_of(streamcam_anew("events", "list", folder))
    assert said("rebuild", folder) == "the index has 2 events\n"
    assert len(listed(folder)) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "nosuch"), "no such folder: nosuch"),
        (("list", "."), "there are no events in ."),
        (("rebuild", "."), "there are no events in ."),
        (("list", "events", "--since", "soon"), "'soon' is no moment"),
        (("list", "events", "--min-score", "2"), "less than or equal to 1"),
        (("list", "events", "--json", "--csv"), "either --json or --csv"),
        (("show", "events", "2026"), "several events begin with '2026'"),
        (("show", "events", "\x1b[2J"), "there is no event '\\\\x1b[2J'"),
        (("show", "events", "\udcff"), "is not in UTF-8"),
        (("list", "events", "--rule", "\udcff"), "is not in UTF-8"),
        (("export", "events", "-o", "out"), "give either their ids, or filters"),
        (("export", "events", "2026", "--kept", "-o", "out"), "give either their ids, or filters"),
        (("export", "events", "--kept", "-o", "out"), "no event passes these filters"),
        (("export", "events", "--limit", "1", "-o", "no/out.zip"), "No such file or directory"),
        (("prune", "events"), "give a limit: --days, --max-gb or --free-gb"),
    ],
)
def test_a_mistake_is_told_of_in_one_line(
    folder: Path, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "empty").mkdir()
    where = folder.parent / "empty" if arguments[1] == "." else folder.parent
    monkeypatch.chdir(where)
    with pytest.raises((StreamcamError, TyperException), match=re.escape(words)) as caught:
        said(*arguments)
    text = caught.value.format_message() if isinstance(caught.value, TyperException) else str(caught.value)
    assert text.isprintable()
    assert not list((folder.parent / "empty").iterdir())


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users may read, but not write to."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


NOBODY = """
import os
# Others may not read Python.
import streamcam.cli.output.events, streamcam.cli.commands.events, streamcam.events.store.event_store
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_who_may_not_write_can_list_but_not_keep(public: Path) -> None:
    event = save(public, make_event())
    said("list", public)
    with EventStore(public):  # while a run goes on, too
        done = streamcam("events", "list", public, "--json", first=NOBODY)
        assert (done.returncode, done.stderr) == (0, "")
    done = streamcam("events", "list", public, "--json", first=NOBODY)
    assert [one["id"] for one in json.loads(done.stdout)] == [event.id]
    for command in (("keep", public, event.id), ("prune", public, "--days", "0"), ("rebuild", public)):
        line = streamcam("events", *command, first=NOBODY).stderr
        assert "may this user write" in line or "Permission denied" in line
        assert "Traceback" not in line
    public.chmod(0o700)
    assert "is not readable" in line_of(streamcam("events", "list", public, first=NOBODY))


def test_listing_starts_without_torch(folder: Path) -> None:
    code = f"""
import sys
from streamcam.cli.main import app
app(["events", "list", {str(folder)!r}, "--json"], standalone_mode=False)
heavy = ("torch", "av", "cv2", "numpy")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert len(json.loads(done.stdout)) == 2


def test_a_moment_without_a_zone_is_local(folder: Path) -> None:
    moment = datetime.fromtimestamp(LATE.start_ns / 1e9).isoformat(timespec="seconds")
    assert listed(folder, "--since", moment) == [LATE.id]
    assert listed(folder, "--until", moment) == [EARLY.id]
