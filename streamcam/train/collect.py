"""Record labelled clips from a camera, a file for each: what `streamcam train` learns from."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from threading import Event
from typing import Literal

from streamcam.errors import StreamcamError
from streamcam.records import Frame, Image, Result
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.base import Source, open_source
from streamcam.train.data.recordings import new_recording

Phase = Literal["ready", "recording", "review"]
"""The pause before a clip, the clip, and its playback."""


class Outcome(Enum):
    """What becomes of a clip."""

    KEPT = auto()
    DISCARDED = auto()
    """It is recorded again."""
    ENDED = auto()
    """It is not kept, and there are no more."""
    LOST = auto()
    """As `ENDED`, because the camera ended or reconnected."""


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """How far a recording session is."""

    number: int
    """The clip that is being recorded, or comes next, from 1."""
    phase: Phase
    left_s: float
    """Seconds until the clip, or the pause, ends; 0 in the review."""
    picture: Image
    """uint8 [H,W,3], RGB: what the camera sees, or in the review a picture of the clip."""


Show = Callable[[RecordingStatus], str | None]
"""Shows a status, and returns the key that was pressed, if any."""


def outcome_of(key: str | None, phase: Phase) -> Outcome | None:
    """Return what a key decides in a phase: Enter or k keeps, d discards, q or Escape ends; None for others."""
    match key, phase:
        case "q" | "\x1b", _:
            return Outcome.ENDED
        case "d", "recording" | "review":
            return Outcome.DISCARDED
        case "\r" | "\n" | "k", "review":
            return Outcome.KEPT
    return None


def collect(
    source: Source,
    folder: Path,
    *,
    count: int,
    seconds: float,
    pause_s: float,
    person: str | None = None,
    review: bool = False,
    show: Show = lambda _: None,
    clock: Callable[[], int] = time.time_ns,
) -> list[Path]:
    """Record `count` clips of `seconds` each, with a pause before each. Earlier clips in the folder stay.

    Args:
        source: the camera.
        folder: the folder for the clips, which is made. Its name is their label.
        count: the number of clips that are kept.
        seconds: the length of each, by the camera's clock.
        pause_s: the pause before each, by the camera's clock.
        person: who is in them; their names begin with it.
        review: whether each is played back until a key keeps or discards it; otherwise all are kept.
        show: called for every frame.
        clock: returns Unix time in nanoseconds, for the names.

    Returns:
        The files of the clips that were kept.

    Raises:
        StreamcamError: the camera ends before the first clip is kept, or nothing can be written.
    """
    stop = Event()
    # Pauses, clips and reviews take turns on one iterator: a camera must be read on, or its old frames come next.
    session = _Session(source.frames(stop), source.name, seconds, pause_s, review, show)
    paths: list[Path] = []
    outcome: Outcome | None = None
    with _made(folder):
        while len(paths) < count and outcome not in (Outcome.ENDED, Outcome.LOST):
            outcome = session.pause(len(paths) + 1)
            if outcome is None:
                path = new_recording(folder, person, clock())
                outcome = session.record(path, len(paths) + 1)
                paths += [path] if outcome is Outcome.KEPT else []
    stop.set()
    if outcome is Outcome.LOST and not paths:
        raise StreamcamError(f"{source.name} ended before a clip was complete")
    return paths


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder, and remove it in the end if there is nothing in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StreamcamError(f"cannot make the folder {folder}: {e.strerror}") from e
    try:
        yield
    finally:
        with suppress(OSError):  # it holds clips
            folder.rmdir()


def class_folder(root: Path, label: str) -> Path:
    """Return the folder below `root` for the clips of a class: it has the name of the class.

    Raises:
        StreamcamError: a folder cannot have that name.
    """
    return root / _file_name(label, f"cannot name a class {label!r}: its clips go into a folder of that name")


def person_name(person: str) -> str:
    """Return the name of a person as the names of their clips begin with it.

    Raises:
        StreamcamError: a file cannot have that name.
    """
    return _file_name(person, f"cannot name a person {person!r}: the files of their clips begin with that name")


def _file_name(text: str, complaint: str) -> str:
    name = text.strip()
    if not name or name.startswith(".") or any(c in name for c in '/\\:*?"<>|') or not name.isprintable():
        raise StreamcamError(complaint)
    return name


@dataclass(frozen=True, slots=True)
class _Session:
    """A camera, and what is recorded from it."""

    frames: Iterator[Frame]
    name: str
    seconds: float
    pause_s: float
    review: bool
    show: Show

    def pause(self, number: int) -> Outcome | None:
        """Drop frames for as long as the pause is; return None when the clip is to begin."""
        first: Frame | None = None
        for frame in self.frames:
            if first is None or frame.session != first.session:  # a camera that reconnects has another clock
                first = frame
            left_s = self.pause_s - (frame.pts_s - first.pts_s)
            if outcome := self._shown(number, "ready", left_s, frame.pixels):
                return outcome
            if left_s <= 0:
                return None
        return Outcome.LOST

    def record(self, path: Path, number: int) -> Outcome:
        """Record a clip, and review it. Only one that is kept gets its name; of others no file is left."""
        outcome: Outcome | None = None
        recorder = VideoRecorder(path, self.name, lambda result: result.frame.pixels)
        try:
            outcome = self._write(recorder, number) or self._play(recorder.partial, number)
        finally:
            recorder.close(keep=outcome is Outcome.KEPT)
        return outcome

    def _write(self, recorder: VideoRecorder, number: int) -> Outcome | None:
        """Write frames for as long as a clip is; return None when it is complete."""
        first: Frame | None = None
        for frame in self.frames:
            first = first or frame
            if frame.session != first.session:  # the camera reconnected: there is a gap
                break
            recorder.on_frame(Result(frame))
            left_s = self.seconds - (frame.pts_s - first.pts_s)
            if outcome := self._shown(number, "recording", left_s, frame.pixels):
                return outcome
            if left_s <= 0:
                recorder.complete()
                return None
        return Outcome.LOST

    def _play(self, path: Path, number: int) -> Outcome:
        """Play a clip again and again, a picture for each of the camera's, until a key decides."""
        if not self.review:
            return Outcome.KEPT
        with closing(open_source(f"file://{path}", paced=False, loop=True)) as clip:
            for played, _ in zip(clip.frames(Event()), self.frames, strict=False):
                if outcome := self._shown(number, "review", 0.0, played.pixels):
                    return outcome
        return Outcome.LOST

    def _shown(self, number: int, phase: Phase, left_s: float, picture: Image) -> Outcome | None:
        return outcome_of(self.show(RecordingStatus(number, phase, left_s, picture)), phase)
