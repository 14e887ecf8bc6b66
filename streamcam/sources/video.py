"""Video through FFmpeg: cameras, streams and files → frames with real timestamps."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock
from typing import Protocol

import av.logging
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.errors import StreamcamError
from streamcam.records import Frame, GpuImage, Picture
from streamcam.sources.address import Address
from streamcam.sources.clock import Course
from streamcam.sources.depth import Depth
from streamcam.sources.extent import USUAL_FPS, Extent, FileTimes, course_of, frame_rate, rate_is_guessed, seconds
from streamcam.sources.opening import FAILURES, MAX_PIXELS, open_video
from streamcam.sources.orientation import upright
from streamcam.sources.reading import Reader
from streamcam.sources.rgb import ToRgb
from streamcam.sources.seek import BACK_S, may_seek, seek
from streamcam.sources.status import Backoff, SourceStatus
from streamcam.sources.stream_choice import video_stream
from streamcam.sources.tags import orientation_in
from streamcam.sources.times import MAX_LATE_S, LiveTimes, Pace, Rate, RateLimit

log = logging.getLogger(__name__)

NO_OWN_TIMES = frozenset({"mpjpeg", "mjpeg"})
"""Formats in which FFmpeg makes timestamps up."""


class Decoder(Protocol):
    """Decodes elsewhere than on the CPU."""

    @property
    def hwaccel(self) -> HWAccel | None:
        """What FFmpeg is told of it."""
        ...

    def picture(self, decoded: VideoFrame) -> GpuImage | None:
        """What FFmpeg gave, upright, in RGB; None where it was not decoded there."""
        ...


class VideoSource:
    """One camera, stream or file.

    A live source is opened by the thread that reads it, and again for ever when it cannot be, ends, fails or falls
    silent, each time as a new session; frames that have queued up on the way are decoded and dropped. A file gives
    every frame, at its own speed (paced) or as fast as they are taken. Where a stream's pictures change their size or
    rate, or a file's time goes back, a new session begins as well. `captured_ns` never goes back.
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
        renewed: Callable[[], Address] | None = None,
        decoder: Decoder | None = None,
        video_stream: int | None = None,
        levels: str | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take note of it; a file is opened, too.

        Args:
            address: what to open.
            name: the source's name in results and topics.
            paced: whether a file plays at its own speed.
            loop: whether a file starts again, as a new session, when it ends.
            start_s: of a file, pass over so many seconds.
            end_s: of a file, end so many seconds after its beginning.
            renewed: the same address with the login as it is now, asked for before each connection.
            decoder: what decodes instead of the CPU, as far as it can; that it cannot is said once.
            video_stream: which one of several, from 0; by default the best.
            levels: of grey video of more than 8 bits, `low:high` or `auto`.
            backoff: how long to wait before each further attempt at a live source.
            clock: Unix time in nanoseconds.

        Raises:
            StreamcamError: a file cannot be opened; the message says why.
        """
        self.name, self.shown = name or address.name, address.shown
        self.live = address.live
        """Whether it delivers at its own pace. What comes over HTTP turns out to be a file when it is opened."""
        self.drops: Counter[str] = Counter()
        """Frames that were left out: `late` (queued up on the way), `corrupt` (did not decode), `rate` (too many)."""
        self._address, self._paced, self._loop, self._clock = address, paced, loop, clock
        self._start_s, self._end_s = start_s, float("inf") if end_s is None else end_s
        self._renewed, self._decoder, self._backoff = renewed, decoder, backoff or Backoff()
        self._number, self._depth = video_stream, Depth(address.shown, levels)
        self._to_rgb = ToRgb(self.name)
        self._state = SourceStatus("connecting")
        self._index = self._session = self._captured_ns = 0
        once = address.host is not None or address.url == "pipe:0" or address.format == "lavfi"
        self._file = FileTimes(None if once else self._again)
        self._course = Course(1 / USUAL_FPS)
        self._seen: tuple[float, float] | None = None
        self._seeks = start_s > BACK_S[1]  # a little is read as fast
        self._container: InputContainer | None = None
        self._reader: Reader | None = None
        self._lock = Lock()
        self._reading = self._closed = self._other_way = False
        av.logging.set_level(None)
        if not address.live:
            self.open()
            self._depth.require(self._stream.codec_context.format)

    @property
    def status(self) -> SourceStatus:
        """How it fares; any thread may ask."""
        state, reader = self._state, self._reader
        return replace(state, kind="stalled") if state.kind == "live" and reader and reader.stalled else state

    @property
    def state(self) -> str:
        """How it fares, in one line for people."""
        return str(self.status)

    @property
    def extent(self) -> Extent | None:
        """From when to when the file's pictures go, as `Frame.pts_s`; None where it does not say.

        Where the container has no table of it, the whole file is read, and nothing decoded.
        """
        return self._file.extent(self._stream)

    @property
    def duration_s(self) -> float | None:
        """When the file's pictures end, in seconds from its beginning; None where it does not say."""
        extent = self.extent
        return None if extent is None else extent.end_s

    @property
    def fps(self) -> float:
        """Frames a second, as the file says; 25 where it does not."""
        return frame_rate(self._stream)

    @property
    def _stream(self) -> VideoStream:
        return video_stream(self.open(), self.shown, self._number)

    def _again(self) -> VideoStream:
        """The file's stream, opened once more."""
        return video_stream(open_video(self._address, number=self._number), self.shown, self._number)

    @property
    def stretches(self) -> list[tuple[float, float]]:
        """Where a file's clock ran without being set: what it showed at the beginning of each, and `pts_s` then."""
        return self._course.stretches

    def open(self, stop: Event | None = None) -> InputContainer:
        """Open it now, if it is not open: for who would rather have an error than wait for a camera.

        Args:
            stop: once it is set, no connection is begun.

        Raises:
            StreamcamError: it cannot be opened, or its password is not to be had; the message says why, without
                credentials.
        """
        if self._container is None:
            if self._renewed is not None:
                self._address = self._renewed()
            hwaccel = self._decoder.hwaccel if self._decoder else None
            address = self._address.other_way() if self._other_way else self._address
            self._container = open_video(address, stop, hwaccel=hwaccel, number=self._number)
            # Over HTTP comes either a camera's endless stream, or a file.
            is_file = self._address.url.startswith("http") and self._container.duration
            self.live = self._address.live and not is_file
        return self._container

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Frames in order, until the end of a file or until `stop` is set. A file's times count from its beginning.

        Raises:
            StreamcamError: not a single picture of a file could be decoded.
        """
        with self._in_use():
            while not stop.is_set():
                first = self._index
                if not self._connect(stop):
                    return
                yield from self._read(stop)
                if not stop.is_set() and not self.live and self._seeks and self._seen is None:
                    self._seeks = False  # it may have gone too far: read what comes before as well
                    self._let_go()
                    continue
                if stop.is_set() or not (self.live or self._loop):
                    break
                if not self.live and self._index == first:
                    break  # nothing in it: do not spin
                self._let_go()
                if self.live and not self._wait_for_next_try(stop):
                    return
        if self._index == 0 and self._to_rgb.refused and not stop.is_set():
            raise StreamcamError(f"cannot show {self.shown}: {self._to_rgb.refused}")
        if self._index == 0 and not stop.is_set():
            raise StreamcamError(self._why_nothing())

    def _why_nothing(self) -> str:
        if self._seen is not None:
            first_s, end_s = self._seen
            if end_s <= self._start_s:
                return f"{self.shown} ends after {end_s:.2f} s: there is nothing from {self._start_s:g} s on"
            if first_s >= self._end_s:
                return f"{self.shown} begins at {first_s:.2f} s: there is nothing before {self._end_s:g} s"
            return f"no picture of {self.shown} begins between {self._start_s:g} and {self._end_s:g} s"
        why = (
            "an MP4 with its index at the end? Give the file itself"
            if self._address.url == "pipe:0"
            else f"damaged, or of more than {MAX_PIXELS / 1e6:.0f} million pixels"
        )
        return f"cannot decode a single picture of {self.shown} ({why})"

    def close(self) -> None:
        """Close it. Closing twice is fine; what another thread is still reading is closed when it has done."""
        with self._lock:
            self._closed = True
            if not self._reading:
                self._let_go()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
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
        self._to_rgb.end()
        if self._container is not None:
            self._container.close()
            self._container = None

    def _connect(self, stop: Event) -> bool:
        """Open it, if it is not open, for a live source as often as it takes; false if stopped before that."""
        while True:
            try:
                container, stream = self.open(stop), self._stream
                self._reader = Reader(container, stream=stream, live=self.live, drops=self.drops)
                self._to_rgb.begin(stream)
            except StreamcamError as e:
                if not self.live:
                    raise
                self._lost(str(e))
                if not self._wait_for_next_try(stop):
                    return False
            else:
                return True

    def _lost(self, reason: str) -> None:
        wait_s = self._backoff.next_s()
        self._state = SourceStatus("lost", reason, self._session, self._clock() / 1e9 + wait_s, wait_s)

    def _wait_for_next_try(self, stop: Event) -> bool:
        if stop.wait(self._state.wait_s):
            return False
        self._state = SourceStatus("connecting", self._state.reason, self._session)
        return True

    def _read(self, stop: Event) -> Iterator[Frame]:
        """One connection's, or one round's, frames."""
        assert self._reader is not None
        reader, first = self._reader, self._index
        frames = self._live_frames if self.live else self._file_frames
        yield from frames(reader, stop)
        if stop.is_set():
            return
        if self.live:
            if self._index == first:  # a camera may promise RTSP over TCP, and send nothing
                self._other_way = not self._other_way
            self._lost(reader.reason or "")
        else:
            self._state = SourceStatus("ended", reader.reason, self._session)

    def _begin_session(self) -> None:
        self._session += self._index > 0
        self._state = SourceStatus("live", session=self._session)

    def _frames_of(self, picture: VideoFrame, pts_s: float, captured_ns: int) -> Iterator[Frame]:
        """A picture's frame; none, where it cannot be had in RGB."""
        self._captured_ns = max(self._captured_ns, captured_ns)
        try:
            image = self._to_rgb.squared(self._image_of(picture, pts_s), picture)
        except FAILURES:
            self.drops["corrupt"] += 1
            return
        self._index += 1
        yield Frame(image, self._index - 1, pts_s, self._captured_ns, self.name, session=self._session)

    def _image_of(self, decoded: VideoFrame, pts_s: float) -> Picture:
        """In RGB, where it was decoded; from the first on that the decoder did not take, always by the CPU."""
        if self._decoder is not None:
            picture = self._decoder.picture(decoded)
            if picture is not None:
                return picture
            log.warning("%s is decoded on the CPU: the other decoder does not take it", self.name)
            self._decoder = None
        graded = self._depth.image(decoded, pts_s)
        return self._to_rgb.image(decoded) if graded is None else upright(graded, orientation_in(decoded))

    def _live_frames(self, reader: Reader, stop: Event) -> Iterator[Frame]:
        by_arrival = self.open().format.name in NO_OWN_TIMES
        limit, last = RateLimit(), None
        times, rate = LiveTimes(by_arrival), Rate()
        for picture in reader.pictures(stop):
            size, now_ns = (picture.width, picture.height), reader.arrived_ns
            pts_s, due_ns, late_s = times.read(picture.time, now_ns)
            if size != last or (not by_arrival and rate.changes(pts_s)):
                self._begin_session()
                self._backoff.reset()
                times, rate, last = LiveTimes(by_arrival), Rate(), size
                pts_s, due_ns, late_s = times.read(picture.time, now_ns)
            if stop.is_set():
                return
            if late_s > MAX_LATE_S:
                self.drops["late"] += 1
            elif not limit.allows(now_ns):
                self.drops["rate"] += 1
            else:
                yield from self._frames_of(picture, pts_s, self._clock() - (time.monotonic_ns() - due_ns))

    def _file_frames(self, reader: Reader, stop: Event) -> Iterator[Frame]:
        pace = Pace(self._clock, stop) if self._paced else None
        last: tuple[int, int] | None = None
        for picture, pts_s, is_new in self._timed(reader, stop):
            if pts_s >= self._end_s:
                return
            if pts_s < self._start_s and self._start_s > 0:
                continue
            captured_ns = self._clock() if pace is None else pace.wait(pts_s)
            if stop.is_set():
                return
            size = picture.width, picture.height
            if is_new or size != last:
                self._begin_session()
            last = size
            yield from self._frames_of(picture, pts_s, captured_ns)

    def _timed(self, reader: Reader, stop: Event) -> Iterator[tuple[VideoFrame, float, bool]]:
        """A file's pictures, about from `start_s` on; when each comes, and whether the clock was set before it."""
        container, stream = self.open(), self._stream
        begin_s, step_s = self._file.begin_s(stream), 1 / self.fps
        if rate_is_guessed(stream) and self._seen is None:
            log.warning("%s does not say how many frames a second it has: taken for %g", self.name, 1 / step_s)
        self._course = course_of(stream, begin_s)
        seeks = self._seeks and may_seek(container) and not self._file.clock_is_set(stream)
        if seeks and not seek(container, stream, begin_s + self._start_s):
            return  # it is opened again, and read from its beginning
        lost = reader.needs_key = seeks
        for picture in reader.pictures(stop):
            lost &= picture.time is None
            if lost:
                continue  # where in the file this is, only a picture with a time tells
            lasts_s = seconds(picture.duration, picture.time_base)
            pts_s, is_new = self._course.place(picture.time, lasts_s)
            self._seen = (self._seen or (pts_s,))[0], pts_s + (lasts_s or step_s)
            yield picture, pts_s, is_new
