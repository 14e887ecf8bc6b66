import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from subprocess import PIPE, Popen

import cv2
import numpy as np
import pytest

from streamcam.config.events import EventFilesConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event, Rectangle
from streamcam.events.event_json import decode_event
from streamcam.events.recording.event_files import MAX_WINDOWS, EventFiles
from streamcam.events.recording.unfinished_folder import UnfinishedFolder
from streamcam.records import Frame, Result
from streamcam.sources.packet_ring import PacketRing
from tests.sources.test_packet_ring import read
from tests.support.counted import FPS, number_in, shown, write_counted
from tests.support.heats import make_heat
from tests.support.paths import ROOT

START_NS = int(datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC).timestamp() * 1e9)
LABELS = tuple("abcdef")
DAY = "2026/11/30"


def an_event(**changes: object) -> Event:
    values: dict[str, object] = {
        "id": "20261130T235958.000Z-cam-door",
        "state": "start",
        "rule": "door",
        "source": "cam",
        "session": 0,
        "zone": "yard",
        "label": "a",
        "start_pts_s": 4.0,
        "pts_s": 4.0,
        "start_ns": START_NS,
        "score": 0.7,
        "peak": 0.7,
        "peak_pts_s": 4.0,
        "scores": {"a": 0.7},
        "box": Rectangle(0.25, 0.25, 0.75, 0.75),
    }
    return Event(**(values | changes))  # type: ignore[arg-type]


def window(end_s: float, *, session: int = 0, **changes: object) -> Result:
    slices = np.array([end_s - 0.2, end_s - 0.1, end_s])
    heat = make_heat(pts_s=slices, clip_pts_s=(end_s - 0.2, end_s), **changes)
    return Result(Frame(np.zeros((4, 4, 3), np.uint8), round(end_s * 25), end_s, 0, "cam", session=session), heat)


class Written:
    """The events whose files are complete, as they are told of."""

    def __init__(self) -> None:
        self._events: Queue[Event] = Queue()
        self.tell = self._events.put

    def next(self) -> Event:
        return self._events.get(timeout=60)

    def all(self) -> list[Event]:
        return [self._events.get() for _ in range(self._events.qsize())]


@contextmanager
def files(folder: Path, ring: PacketRing | None, **changes: object) -> Iterator[tuple[EventFiles, Written]]:
    options = {"folder": folder, "before_s": 1.5, "after_s": 1.0, **changes}
    written = Written()
    sink = EventFiles(
        EventFilesConfig.model_validate(options),
        {} if ring is None else {"cam": ring},
        labels=LABELS,
        saved=written.tell,
    )
    try:
        yield sink, written
    finally:
        sink.close()


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> PacketRing:
    """Eight seconds of a camera: picture n is at n / 25 s, and each second begins with a key frame."""
    path = write_counted(tmp_path_factory.mktemp("camera") / "in.mp4", b_frames=2, sound="aac")
    return read(path)[0]


def end(event: Event, pts_s: float, **changes: object) -> Event:
    return replace(event, state="end", pts_s=pts_s, reason="over", **changes)  # type: ignore[arg-type]


def go(numbers: list[int], first: int, last: int) -> bool:
    """Whether all pictures are there, and at most three after the last: pictures are decoded in another order."""
    wanted = list(range(first, last + 1))
    return numbers[: len(wanted)] == wanted and len(numbers) <= len(wanted) + 3


def test_an_event_has_a_folder_with_all_its_files(ring: PacketRing, tmp_path: Path) -> None:
    begun, windows = an_event(), [window(3.5 + i / 5) for i in range(12)]
    with files(tmp_path, ring) as (sink, written):
        for result in windows:
            sink.on_window(result)
        sink.on_event(begun)
        sink.on_event(end(begun, 5.0, peak=0.9, peak_pts_s=4.48))
        saved = written.next()
    assert (saved.state, saved.folder) == ("saved", f"{DAY}/{begun.id}")
    assert saved.files == ("clip.mp4", "snapshot.jpg", "heat.npz", "event.json")
    folder = tmp_path / DAY / begun.id
    assert names_in(folder) == sorted(saved.files)
    assert decode_event((folder / "event.json").read_bytes()) == saved
    assert json.loads((folder / "event.json").read_text())["peak_pts_s"] == 4.48
    pictures = shown(folder / "clip.mp4")
    assert go([n for _, n in pictures], 50, 150)  # from the key frame before 2.5 s to 6.0 s
    with np.load(folder / "heat.npz") as heat:
        assert heat["slice_pts_s"].min() >= 3.7
        assert heat["slice_pts_s"].max() >= 5.0
        assert heat["labels"].tolist() == list(LABELS)
        assert heat["clip_begin_pts_s"] == pytest.approx(2.0, abs=1e-3)
    assert sink.counts == {"saved": 1, "missed": 0}
    assert sink.take_saved() == [saved]
    assert sink.take_saved() == []


@pytest.mark.parametrize("peak_s", [4.0, 4.48, 4.92, 5.2])
def test_the_snapshot_is_the_peaks_own_moment_with_a_box(ring: PacketRing, tmp_path: Path, peak_s: float) -> None:
    with files(tmp_path, ring) as (sink, written):
        begun = an_event(label="b")  # of no heat that could hide the number
        sink.on_event(begun)
        sink.on_event(end(begun, 5.5, peak_pts_s=peak_s, box=Rectangle(0.05, 0.7, 0.9, 0.95)))
        saved = written.next()
    assert saved.folder is not None
    picture = cv2.imread(str(tmp_path / saved.folder / "snapshot.jpg"))
    assert picture is not None
    assert picture.shape == (120, 240, 3)
    assert number_in(np.asarray(picture, np.uint8)) == round(peak_s * 25)
    assert picture[90:100, 12].min() > 200  # the box's left side


def test_events_that_overlap_have_a_whole_clip_each(ring: PacketRing, tmp_path: Path) -> None:
    first = an_event()
    second = an_event(id="20261130T235959.000Z-cam-gate", rule="gate", start_pts_s=4.6, pts_s=4.6)
    with files(tmp_path, ring) as (sink, written):
        for begun in (first, second):
            sink.on_event(begun)
        for begun in (first, second):
            sink.on_event(end(begun, 5.0))
        saved = {event.id: event for event in (written.next(), written.next())}
    begins = []
    for begun in (first, second):
        folder = saved[begun.id].folder
        assert folder is not None
        numbers = [n for _, n in shown(tmp_path / folder / "clip.mp4")]
        assert go(numbers, numbers[0], 150)
        begins.append(numbers[0])
    assert begins == [50, 75]


def test_a_clip_follows_the_camera_until_the_event_is_over(tmp_path: Path, ring: PacketRing) -> None:
    """Its packets come while it is written, and its end is known last."""
    packets, streams = ring.since(0, 0), ring.streams(0)
    assert streams is not None
    slow = PacketRing(max_bytes=8_000_000, max_s=3)
    slow.begin(0, streams)
    begun = an_event()
    with files(tmp_path, slow) as (sink, written):
        for packet in packets:
            slow.push(packet)
            if packet.number == packets[-1].number * 55 // 100:
                sink.on_event(begun)
                wait_for(lambda: (tmp_path / DAY / f"{begun.id}.part" / "clip.mp4").exists())
        sink.on_event(end(begun, 6.0))
        folder = written.next().folder
    assert folder is not None
    numbers = [n for _, n in shown(tmp_path / folder / "clip.mp4")]
    assert go(numbers, 50, 175)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    until_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_clip_ends_after_the_longest_time(ring: PacketRing, tmp_path: Path) -> None:
    begun = an_event(start_pts_s=2.0)
    with files(tmp_path, ring, longest_s=3.0) as (sink, written):
        sink.on_event(begun)
        sink.on_event(end(begun, 7.5))
        folder = written.next().folder
    assert folder is not None
    assert go([n for _, n in shown(tmp_path / folder / "clip.mp4")], 0, 75)


def test_an_event_of_a_lost_camera_is_complete_at_once(ring: PacketRing, tmp_path: Path) -> None:
    begun = an_event()
    with files(tmp_path, ring, after_s=60) as (sink, written):
        sink.on_event(begun)
        sink.on_event(replace(begun, state="end", reason="lost", pts_s=7.9))
        folder = written.next().folder
    assert folder is not None
    assert shown(tmp_path / folder / "clip.mp4")[-1][1] == 199


def test_an_event_that_goes_on_at_the_end_of_a_run_counts_as_stopped(ring: PacketRing, tmp_path: Path) -> None:
    with files(tmp_path, ring) as (sink, written):
        sink.on_event(an_event())
    [saved] = written.all()
    assert saved.reason == "stopped"
    assert "clip.mp4" in saved.files


def test_without_packets_there_is_no_clip(tmp_path: Path) -> None:
    with files(tmp_path, None) as (sink, written):
        sink.on_window(window(4.0))
        sink.on_event(an_event())
    assert written.all()[0].files == ("heat.npz", "event.json")


def test_only_heat_of_its_own_session_is_an_events(ring: PacketRing, tmp_path: Path) -> None:
    with files(tmp_path, ring) as (sink, written):
        sink.on_window(window(4.0, session=1))
        sink.on_event(an_event())
    assert "heat.npz" not in written.all()[0].files


def test_a_disk_that_is_full_costs_the_event_and_nothing_else(
    ring: PacketRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with caplog.at_level(logging.WARNING), files(tmp_path, ring) as (sink, written):
        with monkeypatch.context() as patched:
            patched.setattr(UnfinishedFolder, "write_record", full)
            for i in range(3):
                sink.on_event(an_event(id=f"a-{i}"))
                sink.on_event(end(an_event(id=f"a-{i}"), 5.0))
            wait_for(lambda: sink.counts["failed"] == 3)
        assert not list(tmp_path.glob("*/*/*/*"))
        sink.on_event(an_event(id="b"))
        sink.on_event(end(an_event(id="b"), 5.0))
        assert written.next().id == "b"
    assert [record.message for record in caplog.records] == [
        f"cannot write an event's files to {tmp_path}: No space left on device"
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount")
def test_a_small_disk_that_fills_up_while_a_clip_is_written(ring: PacketRing, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", disk], stderr=PIPE).returncode:
        pytest.skip("needs the right to mount")
    try:
        with files(disk, ring) as (sink, written):
            sink.on_event(an_event())
            sink.on_event(end(an_event(), 6.5))
            wait_for(lambda: sink.counts["failed"] + sink.counts["saved"] == 1)
        assert sink.counts["failed"] == 1
        assert not written.all()
        assert not list(disk.glob("*/*/*/*"))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StreamcamError, match=r"cannot write events to .*file/events: Not a directory"):
        EventFiles(EventFilesConfig.model_validate({"folder": tmp_path / "file" / "events"}), {}, labels=LABELS)


def test_windows_that_the_disk_has_no_time_for_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with files(tmp_path, None) as (sink, _):
        with sink._changed:  # the thread cannot take any
            for i in range(MAX_WINDOWS + 3):
                sink.on_window(window(float(i)))
        assert sink.counts["windows"] == 3


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    with files(tmp_path, None) as (sink, _):
        sink.close()


def test_a_mistake_in_whoever_is_told_does_not_end_the_thread(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = []

    def tell(event: Event) -> None:
        told.append(event.id)
        raise RuntimeError("boom")

    sink = EventFiles(EventFilesConfig.model_validate({"folder": tmp_path}), {}, labels=LABELS, saved=tell)
    for event_id in ("a", "b"):
        sink.on_event(end(an_event(id=event_id), 5.0))
    sink.close()
    assert told == ["a", "b"]
    assert "what is told of complete events has failed" in caplog.text


CHILD = """
import sys, time
from pathlib import Path
from tests.events.recording.test_event_files import an_event, files, window
from tests.sources.test_packet_ring import read
ring, _ = read(sys.argv[2])
with files(Path(sys.argv[1]), ring) as (sink, _):
    for i in range(10):
        sink.on_window(window(4.0 + i / 5))
    sink.on_event(an_event())
    part = Path(sys.argv[1], "2026/11/30", an_event().id + ".part")
    needed = [part / "heat.part" / "session.npy", part / "clip.mp4"]
    while not all(path.exists() for path in needed) or needed[1].stat().st_size < 15_000:
        time.sleep(0.01)
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_what_a_killed_run_leaves_is_completed_at_the_next_start(tmp_path: Path) -> None:
    path, folder = write_counted(tmp_path / "in.mp4", b_frames=2, sound="aac"), tmp_path / "events"
    command = [sys.executable, "-c", CHILD, str(folder), str(path)]
    with Popen(command, stdout=PIPE, cwd=ROOT, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "writing\n"
            with files(folder, None) as (_, written):  # its writer lives: it is left alone
                pass
            assert not written.all()
        finally:
            os.kill(child.pid, signal.SIGKILL)
    litter = folder / DAY / "20261130T235959.000Z-cam-x.part"
    litter.mkdir()
    (litter / "clip.mp4").write_bytes(b"abc")
    with files(folder, None) as (_, written):
        saved = written.next()
    assert (saved.state, saved.reason, saved.files) == ("saved", "stopped", ("clip.mp4", "heat.npz", "event.json"))
    assert [entry.name for entry in (folder / DAY).iterdir()] == [saved.id]
    numbers = [n for _, n in shown(folder / DAY / saved.id / "clip.mp4")]
    assert numbers == list(range(50, 50 + len(numbers)))
    assert len(numbers) > 2 * FPS
    with np.load(folder / DAY / saved.id / "heat.npz") as heat:
        assert len(heat["cube"]) == len(heat["logits"]) >= 1
    assert names_in(folder / DAY / saved.id) == sorted(saved.files)
