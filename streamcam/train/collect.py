"""Record labelled clips from a camera, a file for each: what `streamcam train` learns from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from streamcam.errors import StreamcamError
from streamcam.records import Frame, Result
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.base import Source


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """How far a recording session is."""

    number: int
    """The clip that is being recorded, or comes next, from 1."""
    recording: bool
    """Whether the clip is being recorded; otherwise it is the pause before it."""
    left_s: float
    """Seconds until the clip, or the pause, ends."""


def collect(
    source: Source,
    folder: Path,
    *,
    count: int,
    seconds: float,
    pause_s: float,
    show: Callable[[RecordingStatus], None] = lambda _: None,
) -> list[Path]:
    """Record `count` clips of `seconds` each, with a pause before each. Earlier clips in the folder are kept.

    Args:
        source: the camera.
        folder: the folder for the clips, which is made. Its name is their label.
        count: the number of clips.
        seconds: the length of each, by the camera's clock.
        pause_s: the pause before each, by the camera's clock.
        show: called for every frame.

    Returns:
        The files of complete clips, 0001.mp4 and so on.

    Raises:
        StreamcamError: the camera ends before the first clip is complete, or nothing can be written.
    """

    def show_left(number: int, recording: bool) -> Callable[[float], None]:
        return lambda left_s: show(RecordingStatus(number, recording, left_s))

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StreamcamError(f"cannot make the folder {folder}: {e.strerror}") from e
    stop = Event()
    frames = source.frames(stop)
    paths: list[Path] = []
    # Pauses and clips take turns on one iterator: a paused camera must be read on, or its old frames would be recorded.
    for number in range(1, count + 1):
        if not _pause(frames, pause_s, show_left(number, False)):
            break
        path = _next_path(folder)
        if not _record(frames, path, source.name, seconds, show_left(number, True)):
            break
        paths.append(path)
    stop.set()
    if not paths:
        raise StreamcamError(f"{source.name} ended before a clip was complete")
    return paths


def class_folder(root: Path, label: str) -> Path:
    """Return the folder below `root` for the clips of a class: it has the name of the class.

    Raises:
        StreamcamError: a folder cannot have that name.
    """
    name = label.strip()
    if not name or name.startswith(".") or any(c in name for c in '/\\:*?"<>|') or not name.isprintable():
        raise StreamcamError(f"cannot name a class {label!r}: its clips go into a folder of that name")
    return root / name


def _pause(frames: Iterator[Frame], seconds: float, show: Callable[[float], None]) -> bool:
    """Drop frames for `seconds`; return False if the camera ends before that."""
    begin_s: float | None = None
    for frame in frames:
        begin_s = frame.pts_s if begin_s is None else begin_s
        show(left_s := seconds - (frame.pts_s - begin_s))
        if left_s <= 0:
            return True
    return False


def _record(frames: Iterator[Frame], path: Path, name: str, seconds: float, show: Callable[[float], None]) -> bool:
    """Write frames for `seconds`; return False, and leave no file, if the camera ends or reconnects before that."""
    recorder = VideoRecorder(path, name, lambda result: result.frame.pixels)
    complete, first = False, None
    try:
        for frame in frames:
            first = first or frame
            if frame.session != first.session:  # the camera reconnected: there is a gap
                break
            recorder.on_frame(Result(frame))
            show(left_s := seconds - (frame.pts_s - first.pts_s))
            if left_s <= 0:
                complete = True
                break
    finally:
        recorder.close(keep=complete)
    return complete


def _next_path(folder: Path) -> Path:
    """Return the path after the highest number in the folder, counting clips that were never completed."""
    stems = [path.name.partition(".")[0] for path in folder.glob("*.mp4")]
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    return folder / f"{max(numbers, default=0) + 1:04d}.mp4"
