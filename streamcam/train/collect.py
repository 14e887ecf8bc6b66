"""Camera → labelled clips, one file each: what `streamcam train` learns from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from streamcam.errors import StreamcamError
from streamcam.records import Frame, Result
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.base import Source


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a recording session is."""

    number: int
    """The clip that is being recorded, or comes next, from 1."""
    recording: bool
    left_s: float
    """Until the clip ends or begins, in seconds."""


def collect(
    source: Source,
    folder: Path,
    *,
    count: int,
    seconds: float,
    pause_s: float,
    show: Callable[[Moment], None] = lambda _: None,
) -> list[Path]:
    """Record `count` clips of `seconds` each, with a pause before each; earlier clips in the folder stay.

    Args:
        source: the camera.
        folder: where the clips go; it is made. Its name is their label.
        count: how many.
        seconds: how long each is, by the camera's clock.
        pause_s: how long to wait before each.
        show: is told with every frame where the session is.

    Returns:
        The files, 0001.mp4 and so on, those of clips that are complete.

    Raises:
        StreamcamError: the camera ends before the first clip is complete, or nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StreamcamError(f"cannot make the folder {folder}: {e.strerror}") from e
    stop = Event()
    frames = source.frames(stop)
    paths: list[Path] = []
    for number in range(1, count + 1):
        if not _pass_over(frames, pause_s, partial(_tell, show, number, False)):
            break
        path = _free_name(folder)
        if not _record(frames, path, source.name, seconds, partial(_tell, show, number, True)):
            break
        paths.append(path)
    stop.set()
    if not paths:
        raise StreamcamError(f"{source.name} ended before a clip was complete")
    return paths


def class_folder(root: Path, label: str) -> Path:
    """Where the clips of a class go: a folder with its name.

    Raises:
        StreamcamError: it is no name for a folder.
    """
    name = label.strip()
    if not name or name.startswith(".") or any(c in name for c in '/\\:*?"<>|') or not name.isprintable():
        raise StreamcamError(f"cannot name a class {label!r}: its clips go into a folder of that name")
    return root / name


def _tell(show: Callable[[Moment], None], number: int, recording: bool, left_s: float) -> None:
    show(Moment(number, recording, left_s))


def _pass_over(frames: Iterator[Frame], seconds: float, show: Callable[[float], None]) -> bool:
    """Let frames go by; false if they end meanwhile."""
    begin_s: float | None = None
    for frame in frames:
        begin_s = frame.pts_s if begin_s is None else begin_s
        show(left_s := seconds - (frame.pts_s - begin_s))
        if left_s <= 0:
            return True
    return False


def _record(frames: Iterator[Frame], path: Path, name: str, seconds: float, show: Callable[[float], None]) -> bool:
    """Write frames for so long; false, and no file, if they end before that or the camera is lost meanwhile."""
    recorder = VideoRecorder(path, name, lambda result: result.frame.pixels)
    complete, first = False, None
    try:
        for frame in frames:
            first = first or frame
            if frame.session != first.session:
                break
            recorder.on_frame(Result(frame))
            show(left_s := seconds - (frame.pts_s - first.pts_s))
            if left_s <= 0:
                complete = True
                break
    finally:
        recorder.close(keep=complete)
    return complete


def _free_name(folder: Path) -> Path:
    """The name after the highest number in the folder, that of a clip that was never completed included."""
    stems = [path.name.partition(".")[0] for path in folder.glob("*.mp4")]
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    return folder / f"{max(numbers, default=0) + 1:04d}.mp4"
