"""Record labelled clips from a camera."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import av
import cv2
import numpy as np
import pytest

from streamcam.cli.output.recording import RecordingWindow, prompt_of
from streamcam.errors import StreamcamError
from streamcam.records import Frame, Image
from streamcam.render.prompt import Prompt, draw_prompt
from streamcam.train.collect import Outcome, Phase, RecordingStatus, Show, collect, outcome_of
from streamcam.train.data.folders import read_folders
from tests.support.frames import FakeSource, make_frame
from tests.support.publish_demo import eventually
from tests.support.xvfb import xvfb

POINTER = (100, 100)
"""A place on the screen that the window covers."""

HOUR_NS = 3_600 * 10**9
PHASES: tuple[Phase, ...] = ("ready", "recording", "review")


def length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        times = [float(frame.time or 0.0) for frame in container.decode(video=0)]
    return times[-1] - times[0]


class Clock:
    """Every clip begins an hour after the one before."""

    def __init__(self) -> None:
        self.hours = 0

    def __call__(self) -> int:
        self.hours += 1
        return self.hours * HOUR_NS


def test_so_many_clips_of_so_long_with_pauses_between(tmp_path: Path) -> None:
    statuses: list[RecordingStatus] = []
    source = FakeSource([make_frame(i) for i in range(100)])
    folder = tmp_path / "wave"
    paths = collect(source, folder, count=3, seconds=1.5, pause_s=1.0, show=statuses.append, clock=Clock())
    assert sorted(folder.iterdir()) == sorted(paths)
    assert [length_s(path) for path in paths] == pytest.approx([1.5] * 3, abs=0.11)
    assert [(m.number, m.phase) for m in statuses if m.left_s <= 0] == [
        (n, phase) for n in (1, 2, 3) for phase in ("ready", "recording")
    ]


def test_earlier_clips_stay(tmp_path: Path) -> None:
    for _ in range(2):
        source = FakeSource([make_frame(i) for i in range(40)])
        collect(source, tmp_path, count=1, seconds=1.0, pause_s=0.5, clock=lambda: HOUR_NS)
    first, second = sorted(path.stem for path in tmp_path.iterdir())
    assert second == f"{first}-2"


def test_a_clip_that_is_cut_short_is_not_kept(tmp_path: Path) -> None:
    source = FakeSource([make_frame(i) for i in range(30)])
    assert len(collect(source, tmp_path, count=5, seconds=1.0, pause_s=0.5)) == 1
    lost = [make_frame(i) for i in range(12)] + [make_frame(i, session=1) for i in range(12, 20)]
    with pytest.raises(StreamcamError, match="ended before a clip was complete"):
        collect(FakeSource(lost), tmp_path / "lost", count=1, seconds=1.2, pause_s=0.5)
    assert not (tmp_path / "lost").exists()


def test_a_camera_that_reconnects_in_a_pause_counts_from_there(tmp_path: Path) -> None:
    frames = [make_frame(900 + i) for i in range(3)] + [make_frame(i, session=1) for i in range(40)]
    assert len(collect(FakeSource(frames), tmp_path, count=1, seconds=1.0, pause_s=1.0)) == 1


def test_a_clip_that_was_never_completed_is_neither_replaced_nor_learnt_from(tmp_path: Path) -> None:
    """A killed `streamcam record` leaves such a file."""
    for label in ("nod", "wave"):
        source = FakeSource([make_frame(i) for i in range(80)])
        paths = collect(source, tmp_path / label, count=2, seconds=1.0, pause_s=0.5, clock=Clock())
    left = paths[1].rename(paths[1].with_name(f"{paths[1].stem}.part.mp4"))
    before = left.read_bytes()
    source = FakeSource([make_frame(i) for i in range(40)])
    (again,) = collect(source, tmp_path / "wave", count=1, seconds=1.0, pause_s=0.5, clock=lambda: 2 * HOUR_NS)
    assert again.stem == f"{paths[1].stem}-2"
    assert left.read_bytes() == before
    annotations = read_folders(tmp_path, known=True).annotations
    assert sorted(a.path for a in annotations if a.label == "wave") == sorted([paths[0], again])


def test_the_files_say_who_is_in_them(tmp_path: Path) -> None:
    for label, person in (("nod", "anna"), ("wave", "ben_o")):
        source = FakeSource([make_frame(i) for i in range(80)])
        collect(source, tmp_path / label, count=1, seconds=1.0, pause_s=0.5, person=person)
    assert [a.group for a in read_folders(tmp_path, known=False).annotations] == ["anna", "ben_o"]


@pytest.mark.parametrize(
    ("key", "in_pause", "in_clip", "in_review"),
    [
        ("q", Outcome.ENDED, Outcome.ENDED, Outcome.ENDED),
        ("\x1b", Outcome.ENDED, Outcome.ENDED, Outcome.ENDED),
        ("d", None, Outcome.DISCARDED, Outcome.DISCARDED),
        ("k", None, None, Outcome.KEPT),
        ("\r", None, None, Outcome.KEPT),
        ("\n", None, None, Outcome.KEPT),
        ("x", None, None, None),
        (None, None, None, None),
    ],
)
def test_keys_decide_only_where_there_is_something_to_decide(
    key: str | None, in_pause: Outcome | None, in_clip: Outcome | None, in_review: Outcome | None
) -> None:
    assert [outcome_of(key, phase) for phase in PHASES] == [in_pause, in_clip, in_review]


class Person:
    """Presses these keys, one in each review, or with the phase before it: `recording d`."""

    def __init__(self, folder: Path, *keys: str) -> None:
        self._folder = folder
        self._keys = [key.rpartition(" ")[::2] for key in keys]
        self.statuses: list[RecordingStatus] = []
        self.files: list[list[str]] = []

    def show(self, status: RecordingStatus) -> str | None:
        self.statuses.append(status)
        phase, key = self._keys[0] if self._keys else ("review", "q")
        seen = [s.phase for s in self.statuses]
        if status.phase != (phase or "review") or seen[-3:].count(status.phase) < 3:  # the third picture of a phase
            return None
        self.files.append(sorted(path.name for path in self._folder.iterdir()))
        self._keys = self._keys[1:]
        return key


class Endless(FakeSource):
    """A camera that goes on."""

    def __init__(self) -> None:
        super().__init__([])

    def frames(self, stop: Event) -> Iterator[Frame]:
        index = 0
        while not stop.is_set():
            yield make_frame(index)
            index += 1


def record_with(show: Show, folder: Path, *, count: int = 2) -> list[Path]:
    return collect(Endless(), folder, count=count, seconds=1.0, pause_s=0.5, review=True, show=show, clock=Clock())


def test_what_is_discarded_is_recorded_again_and_leaves_no_file(tmp_path: Path) -> None:
    person = Person(tmp_path, "k", "d", "recording d", "\r")
    paths = record_with(person.show, tmp_path)
    assert len(paths) == 2
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert [status.number for status in person.statuses if status.phase == "review"][-1] == 2
    assert [length_s(path) for path in paths] == pytest.approx([1.0] * 2, abs=0.11)


def test_a_clip_has_its_name_only_once_it_is_kept(tmp_path: Path) -> None:
    person = Person(tmp_path, "k", "k")
    first, second = record_with(person.show, tmp_path)
    assert person.files == [[f"{first.stem}.part.mp4"], [first.name, f"{second.stem}.part.mp4"]]


def test_q_ends_without_the_clip_that_is_shown(tmp_path: Path) -> None:
    wave, nod = tmp_path / "wave", tmp_path / "nod"
    assert len(record_with(Person(wave, "k", "q").show, wave, count=5)) == 1
    assert record_with(Person(nod, "ready q").show, nod) == []
    assert record_with(Person(nod, "recording q").show, nod) == []
    assert [path.name for path in tmp_path.iterdir()] == ["wave"]
    assert len(list((tmp_path / "wave").iterdir())) == 1


def test_ctrl_c_in_a_review_leaves_what_was_kept_alone(tmp_path: Path) -> None:
    def interrupt(status: RecordingStatus) -> str | None:
        if status.phase == "review" and status.number == 2:
            raise KeyboardInterrupt
        return "k"

    with pytest.raises(KeyboardInterrupt):
        record_with(interrupt, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_review_shows_the_clip_over_and_over_and_not_the_camera(tmp_path: Path) -> None:
    shown: list[RecordingStatus] = []

    def watch(status: RecordingStatus) -> str | None:
        shown.append(status)
        return "k" if sum(s.phase == "review" for s in shown) > 25 else None

    record_with(watch, tmp_path, count=1)
    recorded = [s.picture for s in shown if s.phase == "recording"]
    played = [s.picture for s in shown if s.phase == "review"]
    assert len(recorded) == 11
    for i, picture in enumerate(played):
        differences = [np.abs(picture.astype(int) - other).mean() for other in recorded]
        assert int(np.argmin(differences)) == i % len(recorded)


class FakeWindows:
    """What OpenCV draws on a display, where there is none: the pictures, and a key for each of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, keys: str, *, closed_after: int | None = None) -> None:
        self.pictures: list[Image] = []
        self._keys, self._closed_after = iter(keys), closed_after
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "resizeWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "imshow", lambda _, picture: self.pictures.append(picture))
        monkeypatch.setattr(cv2, "waitKey", lambda _: ord(next(self._keys, "x")))
        monkeypatch.setattr(cv2, "getWindowProperty", self._is_visible)
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)

    def _is_visible(self, *_: object) -> float:
        return float(self._closed_after is None or len(self.pictures) < self._closed_after)


def test_the_window_passes_keys_on_until_it_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    windows = FakeWindows(monkeypatch, "k" * 100)
    with RecordingWindow("wave", 2, person="anna") as window:
        assert len(record_with(window.show, tmp_path)) == 2
    # Of each pause, of each clip, and of each review, which a key ends at once. Times are rounded, to one picture more.
    assert 2 * (6 + 11 + 1) <= len(windows.pictures) <= 2 * (7 + 12 + 1)
    windows = FakeWindows(monkeypatch, "", closed_after=6)
    with RecordingWindow("wave", 2, person=None) as window:
        assert record_with(window.show, tmp_path / "closed") == []
    assert len(windows.pictures) == 6  # none is shown in a closed window: that would open it again
    assert not (tmp_path / "closed").exists()


GREY = np.full((480, 640, 3), 120, np.uint8)


def drawn(prompt: Prompt, picture: Image = GREY) -> Image:
    """Where something is drawn, bool [H,W]."""
    before = picture.copy()
    painted = draw_prompt(picture, prompt)
    assert (picture == before).all()
    assert painted.shape == picture.shape
    assert painted.dtype == np.uint8
    return np.asarray((painted != picture).any(-1))


def status(phase: Phase, left_s: float = 0.0) -> RecordingStatus:
    return RecordingStatus(3, phase, left_s, GREY)


def test_the_seconds_before_a_clip_are_large_and_in_the_middle() -> None:
    assert [prompt_of(status("ready", s), "").number for s in (3.0, 2.97, 2.0, 0.1, 0.0)] == [3, 3, 2, 1, None]
    three, two = (drawn(prompt_of(status("ready", s), "of 10: wave")) for s in (3.0, 2.0))
    middle = three[120:360, 160:480]
    rows = np.flatnonzero(middle.any(1))
    assert rows[-1] - rows[0] > 120
    assert (three != two)[120:360, 160:480].any()
    assert not (three != two)[:100].any()
    assert not drawn(prompt_of(status("ready", 0.0), "of 10: wave"))[120:360, 160:480].any()


@pytest.mark.parametrize("level", [0, 120, 255])
def test_the_number_stands_out_from_any_picture(level: int) -> None:
    picture = np.full((480, 640, 3), level, np.uint8)
    change = np.abs(draw_prompt(picture, Prompt("", number=3)).astype(int) - picture)
    assert (change > 100).any(-1).sum() > 500


def test_a_red_frame_says_that_it_records() -> None:
    before, while_recording = (draw_prompt(GREY, prompt_of(status(phase, 1.0), "")) for phase in PHASES[:2])
    assert (before[240, 1] == 120).all()
    red, green, _ = while_recording[240, 1]
    assert red > 200 > 60 > green


def test_the_keys_are_on_the_picture() -> None:
    prompt = prompt_of(status("review"), "of 10: wave (anna)")
    assert prompt.title == "clip 3 of 10: wave (anna)"
    assert [text.split("  ")[0] for text in prompt.keys] == ["Enter or k", "d", "q"]
    marks = drawn(prompt)
    assert marks[-60:, :100].any()
    assert not marks[120:360].any()


@pytest.mark.parametrize("shape", [(2, 2), (24, 32), (36, 48), (120, 160), (360, 202), (1080, 1920)])
@pytest.mark.parametrize("phase", PHASES)
def test_pictures_of_any_size_can_be_drawn_on(shape: tuple[int, int], phase: Phase) -> None:
    drawn(prompt_of(status(phase, 12.0), "of 10: " + "wave " * 30), np.full((*shape, 3), 9, np.uint8))


def test_a_clip_is_kept_or_discarded_by_keys_in_a_real_window(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamcam", "record", "lavfi:testsrc2=size=320x240:rate=15", "--label", "wave"]
    options = ["--person", "anna", "--count", "3", "--seconds", "0.6", "--pause", "0.2", "-o", "clips"]
    with xvfb(tmp_path) as display:
        with subprocess.Popen([*command, *options], env=display.environment, cwd=tmp_path) as process:

            def window() -> str:
                return display.xdotool("search", "--name", "^streamcam$", check=False)

            def pressed(key: str, count: int) -> bool:
                x, y = POINTER
                display.xdotool("mousemove", x, y, "key", key)  # without a window manager, keys go where the pointer is
                return len(kept()) == count

            def kept() -> list[Path]:
                return [path for path in tmp_path.glob("clips/wave/*.mp4") if ".part" not in path.name]

            eventually(window, "the window is there", seconds=30)
            eventually(lambda: pressed("k", 1), "the first clip is kept", seconds=30)
            eventually(lambda: list(tmp_path.glob("clips/wave/*.part.mp4")), "the second is recorded", seconds=30)
            (second,) = tmp_path.glob("clips/wave/*.part.mp4")
            eventually(lambda: pressed("d", 1) and not second.exists(), "the second is discarded", seconds=5)
            assert process.poll() is None
            eventually(lambda: pressed("q", 1) and process.poll() is not None, "the recording ends", seconds=30)
        assert process.returncode == 0
        assert [path.name for path in tmp_path.glob("clips/wave/*")] == [path.name for path in kept()]
        assert kept()[0].name.startswith("anna_")
