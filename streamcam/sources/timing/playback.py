"""Playing a file from a start to an end: seeking, the time of each frame, and playing at the file's own speed."""

import logging
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import NamedTuple

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.sources.opening import MAX_PIXELS
from streamcam.sources.reading import Reader
from streamcam.sources.timing.file_times import FileTimes
from streamcam.sources.timing.seek import SEEK_EARLIER_S, may_seek, seek
from streamcam.sources.timing.stream_info import (
    DEFAULT_FPS,
    container_of,
    frame_rate,
    frame_rate_is_guessed,
    seconds,
    timeline_of,
)
from streamcam.sources.timing.timestamps import MAX_JUMP_S, Timeline

log = logging.getLogger(__name__)


class TimedFrame(NamedTuple):
    """A decoded frame of a file, and its time."""

    decoded: VideoFrame
    pts_s: float
    """Seconds from the file's beginning."""
    is_discontinuity: bool
    """Whether the file's clock was set before this frame."""


class FilePlayback:
    """Gives the frames of a file from `start_s` to `end_s`, once or several times."""

    def __init__(
        self, name: str, *, start_s: float, end_s: float | None, reopen: Callable[[], VideoStream] | None
    ) -> None:
        """Note what to play.

        Args:
            name: the source's name, for warnings.
            start_s: leave out the frames before this time, in seconds from the file's beginning.
            end_s: end before the first frame at or after this time; None for the file's end.
            reopen: opens the file once more, to read its packets; None for what can be read only once.
        """
        self._name = name
        self._start_s, self._end_s = start_s, float("inf") if end_s is None else end_s
        self.times = FileTimes(reopen)
        self.timeline = Timeline(1 / DEFAULT_FPS)
        """The timeline of the frames that were read last."""
        self._decoded_span: tuple[float, float] | None = None
        """When the first decoded frame began, and when the last one ended, in seconds; None before the first."""
        # A short way is decoded as fast as it is found by seeking.
        self._seeks = start_s > SEEK_EARLIER_S[1]

    def frames(self, stream: VideoStream, reader: Reader, stop: Event) -> Iterator[TimedFrame]:
        """Give the frames from the start to the end, of a stream that was just opened."""
        for frame in self._timed_frames(stream, reader, stop):
            if frame.pts_s >= self._end_s:
                return
            if frame.pts_s >= self._start_s or self._start_s <= 0:
                yield frame

    def must_reread(self) -> bool:
        """Whether seeking has led to no frame at all; then the next `frames` reads the file from its beginning."""
        if not self._seeks or self._decoded_span is not None:
            return False
        self._seeks = False
        return True

    def why_no_frame(self, shown: str, *, from_pipe: bool) -> str:
        """Explain in words why there is no frame.

        Args:
            shown: the source argument as people may see it.
            from_pipe: whether the file came from standard input, where FFmpeg cannot seek.
        """
        if self._decoded_span is None:
            guess = f"damaged, or of more than {MAX_PIXELS / 1e6:.0f} million pixels"
            if from_pipe:
                guess = "an MP4 with its index at the end? Give the file itself"
            return f"cannot decode a single picture of {shown} ({guess})"
        first_s, end_s = self._decoded_span
        if end_s <= self._start_s:
            return f"{shown} ends after {end_s:.2f} s: there is nothing from {self._start_s:g} s on"
        if first_s >= self._end_s:
            return f"{shown} begins at {first_s:.2f} s: there is nothing before {self._end_s:g} s"
        return f"no picture of {shown} begins between {self._start_s:g} and {self._end_s:g} s"

    def _timed_frames(self, stream: VideoStream, reader: Reader, stop: Event) -> Iterator[TimedFrame]:
        """Decode the file's frames from about the start on, and place them on a new timeline."""
        begin_s, step_s = self.times.begin_s(stream), 1 / frame_rate(stream)
        if frame_rate_is_guessed(stream) and self._decoded_span is None:
            log.warning("%s does not say how many frames a second it has: taken for %g", self._name, 1 / step_s)
        self.timeline = timeline_of(stream, begin_s)
        container = container_of(stream)
        # Where the clock is set on the way, one time may be in two places: then nothing can be found by its time.
        seeks = self._seeks and may_seek(container) and not self.times.has_discontinuities(stream)
        if seeks and not seek(container, stream, begin_s + self._start_s):
            return  # must_reread is true now
        # After a seek, only a frame with a time tells where in the file it is.
        is_lost = reader.needs_key = seeks
        for decoded in reader.frames(stop):
            is_lost &= decoded.time is None
            if is_lost:
                continue
            duration_s = seconds(decoded.duration, decoded.time_base)
            pts_s, is_discontinuity = self.timeline.add(decoded.time, duration_s)
            first_s = pts_s if self._decoded_span is None else self._decoded_span[0]
            self._decoded_span = first_s, pts_s + (duration_s or step_s)
            yield TimedFrame(decoded, pts_s, is_discontinuity)


class Pacer:
    """Holds a file's frames back until they are due, so that the file plays at its own speed."""

    def __init__(self, clock: Callable[[], int], stop: Event) -> None:
        """Take a clock of Unix time in nanoseconds, and the event that ends a wait."""
        self._clock, self._stop = clock, stop
        self._start_ns, self._last_s = 0, float("inf")

    def wait(self, pts_s: float) -> int:
        """Wait until a frame is due; return when that was, as Unix time in nanoseconds.

        Waits are measured by the monotonic clock: the wall clock may be set meanwhile.
        """
        pts_ns = int(pts_s * 1e9)
        if not 0 <= pts_s - self._last_s <= MAX_JUMP_S:
            self._start_ns = time.monotonic_ns() - pts_ns
        self._last_s = pts_s
        due_ns = self._start_ns + pts_ns
        self._stop.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        return self._clock() - (time.monotonic_ns() - due_ns)
