"""Video through FFmpeg: cameras, streams and files → frames with real timestamps."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.errors import StreamcamError
from streamcam.records import Frame, Image
from streamcam.sources.address import Address
from streamcam.sources.seek import begin_of, seek

RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
MAX_LATE_S = 0.5
LATE_FOR_GOOD_S = 2.0
"""When everything has been late for so long, the way has become longer, and nothing is queued any more."""

MAX_JUMP_S = 10.0
"""A timestamp that is further ahead than this, or that goes back, is a new beginning and not a long wait."""

DRIFT = 1e-3
"""How much faster or slower than ours a camera's clock may run."""

NO_OWN_TIMES = frozenset({"mpjpeg", "mjpeg"})
"""Formats in which FFmpeg makes timestamps up."""

FAILURES = (av.error.FFmpegError, OSError, ValueError)


class VideoSource:
    """One camera, stream or file.

    A live source is read at its own pace and opened again for ever when it ends or fails, each time as a new session;
    frames that have queued up on the way are decoded and dropped. A file gives every frame, at its own speed (paced)
    or as fast as they are taken.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str | None = None,
        paced: bool = True,
        loop: bool = False,
        start_s: float = 0.0,
        end_s: float | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open it.

        Args:
            address: what to open.
            name: the source's name in results and topics.
            paced: whether a file plays at its own speed.
            loop: whether a file starts again, as a new session, when it ends.
            start_s: of a file, pass over so many seconds.
            end_s: of a file, end so many seconds after its beginning.
            clock: Unix time in nanoseconds.

        Raises:
            StreamcamError: it cannot be opened; the message says why, without credentials.
        """
        self.name, self.shown = name or address.name, address.shown
        self.drops: Counter[str] = Counter()
        """Frames that were left out: `late` (queued up on the way), `corrupt` (did not decode)."""
        self.state = "live"
        """For people: live, or lost and why."""
        self._address, self._paced, self._loop, self._clock = address, paced, loop, clock
        self._start_s, self._end_s = start_s, float("inf") if end_s is None else end_s
        self._index = self._session = 0
        self._reading = self._closed = False
        av.logging.set_level(None)
        self._container = _open(address)
        # Over HTTP comes either a camera's endless stream, or a file.
        self.live = address.live and not (address.url.startswith("http") and self._container.duration)

    @property
    def duration_s(self) -> float | None:
        """How long the file's pictures go on, in seconds; None where it does not say."""
        stream = self._container.streams.video[0]
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return self._container.duration / 1e6 if self._container.duration else None

    @property
    def fps(self) -> float:
        """Frames a second, as the file says; 25 where it does not."""
        return float(self._container.streams.video[0].average_rate or 25)

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Frames in order, until the end of a file or until `stop` is set. A file's times count from its beginning.

        Raises:
            StreamcamError: not a single picture of a file could be decoded.
        """
        self._reading = True
        try:
            yield from self._sessions(stop)
        finally:
            self._reading = False
            if self._closed:
                self._container.close()
        if self._index == 0 and not stop.is_set():
            why = (
                "an MP4 with its index at the end? Give the file itself" if self._address.url == "pipe:0" else "damaged"
            )
            raise StreamcamError(f"cannot decode a single picture of {self.shown} ({why})")

    def close(self) -> None:
        """Close it. Closing twice is fine; what another thread is still reading is closed when it has done."""
        self._closed = True
        if not self._reading:
            self._container.close()

    def _sessions(self, stop: Event) -> Iterator[Frame]:
        while not stop.is_set():
            first = self._index
            yield from self._one_session(stop)
            if stop.is_set() or not (self.live or self._loop):
                break
            if not self.live and self._index == first:
                break  # nothing in it: do not spin
            if not self._open_again(stop):
                return
            self._session += 1

    def _one_session(self, stop: Event) -> Iterator[Frame]:
        times = _Times(self._container.format.name in NO_OWN_TIMES) if self.live else None
        pace = _Pace(self._clock, stop) if self._paced else None
        if self._start_s > 0 and not self.live:
            seek(self._container, self._container.streams.video[0], begin_of(self._container) + self._start_s)
        for picture in self._decode(stop):
            if times is not None:
                now_ns = time.monotonic_ns()
                pts_s, due_ns, late_s = times.read(picture.time, now_ns)
                captured_ns = self._clock() - (now_ns - due_ns)
                if late_s > MAX_LATE_S:
                    self.drops["late"] += 1
                    continue
            else:
                pts_s = self._file_time(picture)
                if pts_s >= self._end_s:
                    return
                if pts_s < self._start_s:
                    continue
                captured_ns = self._clock() if pace is None else pace.wait(pts_s)
            if stop.is_set():
                return
            yield Frame(_to_rgb(picture), self._index, pts_s, captured_ns, self.name, session=self._session)
            self._index += 1

    def _decode(self, stop: Event) -> Iterator[VideoFrame]:
        """Pictures, packet by packet: what does not decode is counted and passed over."""
        stream = self._container.streams.video[0]
        stream.thread_type = "SLICE"  # frame threads would add a frame of delay each
        packets = self._container.demux(stream)
        while not stop.is_set():
            try:
                packet = next(packets, None)
            except (*FAILURES, IndexError) as e:  # IndexError: PyAV, of a stream that turned up on the way
                self.state = f"lost: {_why(e)}"
                self.drops["corrupt"] += not self.live
                return
            if packet is None:
                self.state = "lost: the stream ended" if self.live else "ended"
                return
            try:
                yield from packet.decode()
            except FAILURES:
                self.drops["corrupt"] += 1

    def _file_time(self, picture: VideoFrame) -> float:
        if picture.time is not None:
            return float(picture.time) - begin_of(self._container)
        return self._start_s + self._index / self.fps

    def _open_again(self, stop: Event) -> bool:
        """Try until it opens; false if stopped before that."""
        self._container.close()
        attempt = 0
        while True:
            if self.live and stop.wait(RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S) - 1)]):
                return False
            try:
                self._container = _open(self._address)
            except StreamcamError as e:
                self.state = f"lost: {e}"
                attempt += 1
                if not self.live:
                    raise
            else:
                self.state = "live"
                return True


class _Times:
    """Timestamps of one live session: seconds from its start, when each frame was due here, and how late it is.

    The smallest difference seen between our clock and the stream's is the delay of a frame that did not wait on the
    way; what a frame has beyond that, it has waited.
    """

    def __init__(self, by_arrival: bool) -> None:
        self._by_arrival = by_arrival
        self._offset_s: float | None = None
        self._last: tuple[float, float] | None = None
        self._delay_s, self._in_time_s = float("inf"), 0.0

    def read(self, stream_s: float | None, now_ns: int) -> tuple[float, int, float]:
        """(pts_s, when it was due here in ns, late_s) of a frame with the stream's own time, or None, that is here now.

        The times are of a clock that is never set, as `time.monotonic_ns` is.
        """
        now_s = now_ns / 1e9
        pts_s = self._pts(None if self._by_arrival else stream_s, now_s)
        since_last_s = now_s - self._last[1] if self._last else 0.0
        self._last = pts_s, now_s
        self._delay_s = min(self._delay_s + DRIFT * since_last_s, now_s - pts_s)
        late_s = now_s - pts_s - self._delay_s
        if late_s <= MAX_LATE_S:
            self._in_time_s = now_s
        elif now_s - self._in_time_s > LATE_FOR_GOOD_S:
            self._delay_s, late_s = now_s - pts_s, 0.0
        return pts_s, now_ns - int(late_s * 1e9), late_s

    def _pts(self, stream_s: float | None, now_s: float) -> float:
        last_s, since_last_s = (self._last[0], now_s - self._last[1]) if self._last else (0.0, 0.0)
        if stream_s is None:
            return last_s + since_last_s
        if self._offset_s is None or not 0 <= stream_s - self._offset_s - last_s <= since_last_s + MAX_JUMP_S:
            self._offset_s, self._delay_s = stream_s - last_s - since_last_s, float("inf")
        return stream_s - self._offset_s


class _Pace:
    """Holds a file's frames back until they are due."""

    def __init__(self, clock: Callable[[], int], stop: Event) -> None:
        self._clock, self._stop = clock, stop
        self._start_ns, self._last_s = 0, float("inf")

    def wait(self, pts_s: float) -> int:
        """Wait until a frame is due; when that was, Unix time in nanoseconds."""
        pts_ns = int(pts_s * 1e9)
        if not 0 <= pts_s - self._last_s <= MAX_JUMP_S:
            self._start_ns = time.monotonic_ns() - pts_ns
        self._last_s = pts_s
        due_ns = self._start_ns + pts_ns
        self._stop.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        return self._clock() - (time.monotonic_ns() - due_ns)


def _to_rgb(picture: VideoFrame) -> Image:
    image = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
    return np.ascontiguousarray(np.rot90(image, picture.rotation // 90)) if picture.rotation else image


def _open(address: Address) -> InputContainer:
    try:
        container = _open_container(address)
    except FAILURES as e:
        raise StreamcamError(f"cannot open {address.shown}: {_why(e)}") from None  # the cause may hold the password
    if not container.streams.video:
        container.close()
        raise StreamcamError(f"no video stream in {address.shown}")
    stream: VideoStream = container.streams.video[0]
    if stream.codec_context is None:
        container.close()
        raise StreamcamError(f"cannot decode {address.shown}: its video codec is not supported")
    return container


def _open_container(address: Address) -> InputContainer:
    if address.format == "v4l2":
        with suppress(*FAILURES):
            return av.open(address.url, format=address.format, options=address.options)
        return av.open(address.url, format=address.format)  # whatever size and rate the camera has
    return av.open(address.url, format=address.format, options=dict(address.options))


def _why(error: Exception) -> str:
    """FFmpeg's reason in words. Never its own text, which may repeat the URL with the password."""
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (av.error.HTTPUnauthorizedError, "wrong or missing user name or password"),
        (av.error.HTTPForbiddenError, "access is forbidden for this user"),
        (av.error.HTTPNotFoundError, "the server knows no such stream"),
        (ConnectionRefusedError, "nobody listens there (is the server running, and the port right?)"),
        (TimeoutError, "no answer in time"),
        (PermissionError, "permission denied"),
        (av.error.InvalidDataError, "not a video, or damaged at its start"),
        (av.error.EOFError, "it is empty or ends too early"),
        (FileNotFoundError, "no such file, or the server knows no such stream"),
    )
    for kind, words in reasons:
        if isinstance(error, kind):
            return words
    return getattr(error, "strerror", None) or type(error).__name__
