"""Sinks that write files: overlays as video, heat as arrays. A file appears under its name when it is complete."""

import os
import tempfile
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from streamcam.errors import StreamcamError
from streamcam.pipeline import Sink
from streamcam.records import Frame, Heat, Image, Result, Transform
from streamcam.sound import Sound

TIME_BASE = Fraction(1, 90_000)
CRF = "21"
WRITE_FAILURES = (av.error.FFmpegError, OSError)


class _FileSink(Sink):
    """Writes beside the target, under a temporary name; closing renames.

    What was recorded before another part failed is kept; what could not be written itself is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._broken = False
        self._partial = path.with_name(f".{path.name}.part{path.suffix}")
        try:
            self._partial.touch()
        except OSError as e:
            raise StreamcamError(f"cannot write {path}: {e.strerror}") from e

    def _finish(self) -> bool:
        """Complete the temporary file; whether there is anything in it."""
        raise NotImplementedError

    def close(self, *, keep: bool = True) -> None:
        """Complete the file, or leave nothing. Closing twice is fine.

        Raises:
            StreamcamError: it could not be written.
        """
        if not self._partial.exists():
            return
        try:
            if self._finish() and keep:
                self._partial.replace(self.path)
        except WRITE_FAILURES as e:
            raise self._failed(e) from e
        finally:
            self._partial.unlink(missing_ok=True)

    def _failed(self, error: Exception) -> StreamcamError:
        self._broken = True
        return StreamcamError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close(keep=not self._broken)


class VideoRecorder(_FileSink):
    """Overlays → an H.264 mp4 with the frames' own timestamps."""

    def __init__(
        self, path: Path, source: str, paint: Callable[[Result], Image], *, sound: Sound | None = None
    ) -> None:
        """Open it.

        Args:
            path: the file to make.
            source: the source to record; results of others are passed over.
            paint: result → picture.
            sound: goes with the pictures; it is closed with the file.

        Raises:
            StreamcamError: it cannot be written, or its name does not end in .mp4.
        """
        if path.suffix.lower() != ".mp4":
            raise StreamcamError(f"cannot record to {path}: give a name that ends in .mp4")
        super().__init__(path)
        self._source, self._paint, self._sound = source, paint, sound
        self._container = av.open(f"file:{self._partial}", "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=30, options={"crf": CRF, "preset": "veryfast"})
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TIME_BASE
        if sound is not None:
            sound.join(self._container)
        self._size: tuple[int, int] | None = None
        self._pts = self._step = 0
        self._origin_s = 0.0
        self._last: Frame | None = None

    def on_frame(self, result: Result) -> None:
        """Add a frame."""
        if result.frame.source != self._source:
            return
        picture = self._fit(self._paint(result))
        video_frame = VideoFrame.from_ndarray(picture, format="rgb24")
        is_first = self._last is None
        video_frame.pts, video_frame.time_base = self._next_pts(result.frame), TIME_BASE
        try:
            if self._sound is not None:
                if is_first:
                    self._sound.begin(result.frame.pts_s)
                self._sound.write_until(result.frame.pts_s)
            self._container.mux(self._stream.encode(video_frame))
        except WRITE_FAILURES as e:
            raise self._failed(e) from e

    def _fit(self, picture: Image) -> Image:
        """To the first picture's size, made even, as H.264 wants it."""
        if self._size is None:
            height, width = picture.shape[:2]
            self._size = max(2, width & ~1), max(2, height & ~1)
            self._stream.width, self._stream.height = self._size
        width, height = self._size
        if picture.shape[0] - height in (0, 1) and picture.shape[1] - width in (0, 1):
            return np.ascontiguousarray(picture[:height, :width])
        return np.asarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA), np.uint8)

    def _next_pts(self, frame: Frame) -> int:
        """Times from 0 on, in 1/90000 s; a new session follows a 30th of a second after the last.

        Counted from the session's beginning, so that what is rounded off does not add up over hours.
        """
        last, self._last = self._last, frame
        if last is None:
            self._origin_s = frame.pts_s
            return 0
        if last.session != frame.session or frame.pts_s < last.pts_s:
            step_s = 1 / 30 if last.session != frame.session else 0.0
            self._origin_s = frame.pts_s - step_s - self._pts / 90_000
        before, self._pts = self._pts, max(self._pts + 1, round((frame.pts_s - self._origin_s) * 90_000))
        self._step = self._pts - before
        return self._pts

    def _finish(self) -> bool:
        try:
            if self._last is not None:
                self._container.mux(self._stream.encode(None))
                self._finish_sound(self._last)
        finally:
            self._container.close()
            if self._sound is not None:
                self._sound.close()
        return self._last is not None

    def _finish_sound(self, last: Frame) -> None:
        """It ends with the last picture, which is shown as long as the one before."""
        if self._sound is not None:
            self._sound.write_until(last.pts_s + self._step / 90_000)
            self._sound.finish()


class HeatRecorder(_FileSink):
    """Heat → an .npz of arrays with one row per window, spooled to disk meanwhile, in constant memory.

    cube [T,K,L',h,w] f2   common [T,L',h,w] f2   classes [T,K]   scores [T,K]   logits [T,C]
    slice_pts_s [T,L']     clip_pts_s [T,2]       frame_index [T]  session [T]   transform [4]   labels [C]
    """

    def __init__(self, path: Path, source: str, labels: tuple[str, ...]) -> None:
        """Open it.

        Args:
            path: the file to make.
            source: the source to record; results of others are passed over.
            labels: the names of the model's C classes.

        Raises:
            StreamcamError: it cannot be written, or its name does not end in .npz.
        """
        if path.suffix.lower() != ".npz":
            raise StreamcamError(f"cannot save heat to {path}: give a name that ends in .npz")
        super().__init__(path)
        self._source, self._labels = source, labels
        self._columns: dict[str, _Column] = {}
        self._transform = Transform()

    def on_window(self, result: Result) -> None:
        """Add a row."""
        heat = result.heat
        if result.frame.source != self._source or heat is None:
            return
        self._transform = heat.transform
        try:
            for name, value in heat_row(result, heat).items():
                self._column(name).append(value)
        except OSError as e:
            raise self._failed(e) from e

    def _column(self, name: str) -> "_Column":
        if name not in self._columns:
            self._columns[name] = _Column(self.path.parent)
        return self._columns[name]

    def _finish(self) -> bool:
        with zipfile.ZipFile(self._partial, "w") as archive:
            for name, column in self._columns.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    column.write_to(member)
            for name, array in (("transform", np.array(edges(self._transform))), ("labels", np.array(self._labels))):
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        return bool(self._columns)


def heat_row(result: Result, heat: Heat) -> dict[str, npt.NDArray[Any]]:
    """One window's row of each column."""
    return {
        "cube": heat.cube.astype(np.float16),
        "common": heat.common.astype(np.float16),
        "classes": heat.classes,
        "scores": heat.scores,
        "logits": heat.logits,
        "slice_pts_s": heat.pts_s,
        "clip_pts_s": np.array(heat.clip_pts_s),
        "frame_index": np.array(result.frame.index),
        "session": np.array(result.frame.session),
    }


def edges(transform: Transform) -> list[float]:
    """The four sides of what the network saw, as they are saved."""
    return [transform.left, transform.top, transform.right, transform.bottom]


class _Column:
    """Rows of one shape and type, on disk."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._rows = 0
        self._row: npt.NDArray[Any] | None = None

    def append(self, row: npt.NDArray[Any]) -> None:
        self._row = row
        self._rows += 1
        self._file.write(row.tobytes())

    def write_to(self, member: IO[bytes]) -> None:
        """As one .npy array [rows, …]."""
        assert self._row is not None
        header = {"descr": self._row.dtype.str, "fortran_order": False, "shape": (self._rows, *self._row.shape)}
        np.lib.format.write_array_header_2_0(member, header)
        self._file.seek(0)
        while chunk := self._file.read(1 << 20):
            member.write(chunk)
        self._file.close()


def path_for(path: Path, source: str, *, several: bool) -> Path:
    """A file for each source: out.mp4, or out-cam1.mp4 where there are several."""
    return path.with_name(f"{path.stem}-{source}{path.suffix}") if several else path


def require_folder(path: Path) -> None:
    """Find out before a long run that its results could not be written.

    Raises:
        StreamcamError: the folder does not exist, or nothing can be written there.
    """
    if not path.parent.is_dir():
        raise StreamcamError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise StreamcamError(f"cannot write {path}: {'it is a folder' if path.is_dir() else 'permission denied'}")
