"""Video through FFmpeg: cameras, streams and files → frames with real timestamps."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Event, Lock

import av.logging
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.errors import StreamcamError
from streamcam.records import Frame
from streamcam.sources.address import STANDARD_INPUT, Address
from streamcam.sources.opening import FAILURES, open_stream, open_video
from streamcam.sources.pixels.conversion import FrameConverter
from streamcam.sources.pixels.decoder import Decoder
from streamcam.sources.reading import Reader
from streamcam.sources.status import Backoff, SourceStatus
from streamcam.sources.stream_selection import select_video_stream
from streamcam.sources.timing.file_times import TimeSpan
from streamcam.sources.timing.live_timing import MAX_LATE_S, FrameRateMonitor, LiveTimestamps, RateLimiter
from streamcam.sources.timing.playback import FilePlayback, Pacer
from streamcam.sources.timing.stream_info import frame_rate
from streamcam.sources.timing.timestamps import Segment

TIMES_MADE_UP = frozenset({"mpjpeg", "mjpeg"})
"""Formats without timestamps, for which FFmpeg makes some up."""


class VideoSource:
    """One camera, stream or file.

    `frames` opens a live source, and opens it again whenever it could not be opened, ends, fails or falls silent. Each
    time, a new session begins. Live frames that have queued up on the way are decoded and dropped.

    A file gives every frame, at its own speed (paced) or as fast as frames are taken. A new session also begins where
    the pictures' size or a live stream's frame rate changes, and where a file's clock is set. `captured_ns` never goes
    back.
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
        refresh_address: Callable[[], Address] | None = None,
        decoder: Decoder | None = None,
        video_stream: int | None = None,
        levels: str | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take an address. A file is opened at once; a live source is opened by `frames`.

        `open_source` describes the arguments, but for three. `refresh_address` returns the address with the login as it
        is now; it is called before each connection. `backoff` has the waits before each further attempt at a live
        source. `clock` returns Unix time in nanoseconds.

        Raises:
            StreamcamError: a file cannot be opened; the message says why.
        """
        self.name, self.shown = name or address.name, address.shown
        self.live = address.live
        """Whether it delivers at its own pace. What comes over HTTP may turn out to be a file when it is opened."""
        self.drops: Counter[str] = Counter()
        """How many frames were left out: `late` (queued up), `corrupt` (did not decode), `rate` (too many a second)."""
        self._address, self._paced, self._loop, self._clock = address, paced, loop, clock
        self._refresh_address, self._backoff = refresh_address, backoff or Backoff()
        self._stream_number = video_stream
        self._converter = FrameConverter(self.name, self.shown, decoder=decoder, levels=levels)
        reopen = partial(open_stream, address, number=video_stream) if address.can_be_reopened else None
        self._playback = FilePlayback(self.name, start_s=start_s, end_s=end_s, reopen=reopen)
        self._status = SourceStatus("connecting")
        self._index = self._session = self._captured_ns = 0
        self._camera_start_ns: int | None = None
        self._container: InputContainer | None = None
        self._reader: Reader | None = None
        self._use_fallback = False
        # Protects _reading and _closed: of close() and the end of frames(), whichever comes last lets the container go.
        self._lock = Lock()
        self._reading = self._closed = False
        av.logging.set_level(None)
        if not address.live:
            self.open()
            self._converter.require_levels_apply(self._stream.codec_context.format)

    @property
    def status(self) -> SourceStatus:
        """What the source does now. Any thread may ask."""
        status, reader = self._status, self._reader
        return replace(status, kind="stalled") if status.kind == "live" and reader and reader.stalled else status

    @property
    def state(self) -> str:
        """The status as one line for people."""
        return str(self.status)

    def camera_ns(self, pts_s: float) -> int | None:
        """A moment of the present session by the camera's own clock, as Unix time in nanoseconds. Any thread may ask.

        None where the camera does not tell: only RTSP cameras that send RTCP sender reports (RFC 3550, section 6.4) do.
        """
        start_ns = self._camera_start_ns
        return None if start_ns is None else start_ns + round(pts_s * 1e9)

    @property
    def time_span(self) -> TimeSpan | None:
        """From when to when the file's pictures go, as `Frame.pts_s`; None where it does not say.

        Where the container has no table for it, the whole file is read, and nothing decoded.
        """
        return self._playback.times.span(self._stream)

    @property
    def duration_s(self) -> float | None:
        """When the file's pictures end, in seconds from its beginning; None where it does not say."""
        span = self.time_span
        return None if span is None else span.end_s

    @property
    def fps(self) -> float:
        """The file's frames a second; 25 where it does not say."""
        return frame_rate(self._stream)

    @property
    def segments(self) -> list[Segment]:
        """The parts of a file, as far as it is read, in which its clock ran without being set."""
        return self._playback.timeline.segments

    @property
    def _stream(self) -> VideoStream:
        return select_video_stream(self.open(), self.shown, self._stream_number)

    def open(self, stop: Event | None = None) -> InputContainer:
        """Open it now, if it is not open. Call this to have an error instead of a wait for a camera.

        Args:
            stop: once it is set, no connection is begun.

        Raises:
            StreamcamError: it cannot be opened, or its password cannot be read; the message says why, without
                credentials.
        """
        if self._container is None:
            if self._refresh_address is not None:
                self._address = self._refresh_address()
            address = self._address.with_fallback_options() if self._use_fallback else self._address
            self._container = open_video(address, stop, hwaccel=self._converter.hwaccel, number=self._stream_number)
            # Over HTTP comes either a camera's endless stream, or a file with a duration.
            self.live = address.live and not (address.over_http and self._container.duration)
        return self._container

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Yield frames in order, until the end of a file or until `stop` is set.

        Raises:
            StreamcamError: not a single frame of a file could be decoded, or none lies between its start and end.
        """
        with self._in_use():
            while not stop.is_set():
                first_index = self._index
                if not self._connect(stop):
                    return
                yield from self._read(stop)
                if stop.is_set():
                    break
                if not self.live and self._playback.must_reread():
                    self._let_go()
                    continue
                is_empty = self._index == first_index  # a file without frames must not be looped: it would spin
                if not self.live and (is_empty or not self._loop):
                    break
                self._let_go()
                if self.live and not self._wait_for_next_try(stop):
                    return
        if self._index == 0 and not stop.is_set():
            raise StreamcamError(self._why_no_frame())

    def _why_no_frame(self) -> str:
        if self._converter.refused:
            return f"cannot show {self.shown}: {self._converter.refused}"
        return self._playback.why_no_frame(self.shown, from_pipe=self._address.url == STANDARD_INPUT)

    def close(self) -> None:
        """Close it. Closing twice is fine. While another thread reads, that thread closes it when it has finished."""
        with self._lock:
            self._closed = True
            if not self._reading:
                self._let_go()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep `close` from closing the container under the reading thread: FFmpeg would crash."""
        self._reading = True
        try:
            yield
        finally:
            with self._lock:
                self._reading = False
                if self._closed or self.live:
                    self._let_go()

    def _let_go(self) -> None:
        self._reader = None
        self._converter.end()
        if self._container is not None:
            self._container.close()
            self._container = None

    def _connect(self, stop: Event) -> bool:
        """Open it, if it is not open, for a live source as often as it takes; return False if stopped before that."""
        while True:
            try:
                container, stream = self.open(stop), self._stream
                self._reader = Reader(container, stream=stream, live=self.live, drops=self.drops)
                self._converter.begin(stream)
            except StreamcamError as e:
                if not self.live:
                    raise
                self._set_lost(str(e))
                if not self._wait_for_next_try(stop):
                    return False
            else:
                return True

    def _set_lost(self, reason: str) -> None:
        wait_s = self._backoff.next_s()
        self._status = SourceStatus("lost", reason, self._session, self._clock() / 1e9 + wait_s, wait_s)

    def _wait_for_next_try(self, stop: Event) -> bool:
        """Wait for as long as the status says; return False if stopped meanwhile."""
        if stop.wait(self._status.wait_s):
            return False
        self._status = SourceStatus("connecting", self._status.reason, self._session)
        return True

    def _read(self, stop: Event) -> Iterator[Frame]:
        """Yield the frames of one connection, or of one round through a file."""
        assert self._reader is not None
        reader, first_index = self._reader, self._index
        yield from (self._live_frames if self.live else self._file_frames)(reader, stop)
        if stop.is_set():
            return
        if not self.live:
            self._status = SourceStatus("ended", reader.reason, self._session)
            return
        if self._index == first_index:  # a camera may promise RTSP over TCP, and send nothing
            self._use_fallback = not self._use_fallback
        self._set_lost(reader.reason or "")

    def _begin_session(self) -> None:
        self._session += self._index > 0  # the first frame begins session 0
        self._status = SourceStatus("live", session=self._session)

    def _frame(self, decoded: VideoFrame, pts_s: float, captured_ns: int) -> Iterator[Frame]:
        """Yield the record of a decoded frame; nothing, where it cannot be converted to RGB."""
        self._captured_ns = max(self._captured_ns, captured_ns)
        try:
            picture = self._converter.picture(decoded, pts_s)
        except FAILURES:
            self.drops["corrupt"] += 1
            return
        self._index += 1
        yield Frame(picture, self._index - 1, pts_s, self._captured_ns, self.name, session=self._session)

    def _live_frames(self, reader: Reader, stop: Event) -> Iterator[Frame]:
        container = self.open()
        by_arrival = container.format.name in TIMES_MADE_UP
        limiter, last_size = RateLimiter(), None
        timestamps, monitor = LiveTimestamps(by_arrival), FrameRateMonitor()
        for decoded in reader.frames(stop):
            size, now_ns = (decoded.width, decoded.height), reader.arrived_ns
            pts_s, due_ns, late_s = timestamps.read(decoded.time, now_ns)
            if size != last_size or (not by_arrival and monitor.changes(pts_s)):
                self._begin_session()
                self._backoff.reset()
                timestamps, monitor, last_size = LiveTimestamps(by_arrival), FrameRateMonitor(), size
                pts_s, due_ns, late_s = timestamps.read(decoded.time, now_ns)
            if stop.is_set():
                return
            self._camera_start_ns = _camera_start_ns(container, decoded, pts_s)
            if late_s > MAX_LATE_S:
                self.drops["late"] += 1
            elif not limiter.allows(now_ns):
                self.drops["rate"] += 1
            else:
                # due_ns is of the monotonic clock: take the age from it, and count back from Unix time.
                yield from self._frame(decoded, pts_s, self._clock() - (time.monotonic_ns() - due_ns))

    def _file_frames(self, reader: Reader, stop: Event) -> Iterator[Frame]:
        pacer = Pacer(self._clock, stop) if self._paced else None
        last_size: tuple[int, int] | None = None
        for decoded, pts_s, is_discontinuity in self._playback.frames(self._stream, reader, stop):
            captured_ns = self._clock() if pacer is None else pacer.wait(pts_s)
            if stop.is_set():
                return
            size = decoded.width, decoded.height
            if is_discontinuity or size != last_size:
                self._begin_session()
            last_size = size
            yield from self._frame(decoded, pts_s, captured_ns)


def _camera_start_ns(container: InputContainer, decoded: VideoFrame, pts_s: float) -> int | None:
    """Return what the camera's own clock showed at `pts_s` 0; None where it does not tell."""
    start_us = container.start_time_realtime
    if start_us is None or decoded.time is None:
        return None
    return start_us * 1000 + round((decoded.time - pts_s) * 1e9)
