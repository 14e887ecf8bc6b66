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

from streamcam.errors import StreamcamError
from streamcam.records import CardPicture, Frame, Picture
from streamcam.sources.address import Address
from streamcam.sources.opening import FAILURES, MAX_PIXELS, open_video
from streamcam.sources.reading import Reader
from streamcam.sources.rgb import ToRgb
from streamcam.sources.seek import begin_of, seek
from streamcam.sources.state import Backoff, SourceState
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

    def picture(self, decoded: VideoFrame) -> CardPicture | None:
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
        self._to_rgb = ToRgb(self.name)
        self._state = SourceState("connecting")
        self._index = self._session = self._captured_ns = 0
        self._container: InputContainer | None = None
        self._reader: Reader | None = None
        self._lock = Lock()
        self._reading = self._closed = False
        av.logging.set_level(None)
        if not address.live:
            self.open()

    @property
    def status(self) -> SourceState:
        """How it fares; any thread may ask."""
        state, reader = self._state, self._reader
        return replace(state, kind="stalled") if state.kind == "live" and reader and reader.stalled else state

    @property
    def state(self) -> str:
        """How it fares, in one line for people."""
        return str(self.status)

    @property
    def duration_s(self) -> float | None:
        """How long the file's pictures go on, in seconds; None where it does not say."""
        container = self.open()
        stream = container.streams.video[0]
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return container.duration / 1e6 if container.duration else None

    @property
    def fps(self) -> float:
        """Frames a second, as the file says; 25 where it does not."""
        return float(self.open().streams.video[0].average_rate or 25)

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
            self._container = open_video(self._address, stop, hwaccel=hwaccel)
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
            why = (
                "an MP4 with its index at the end? Give the file itself"
                if self._address.url == "pipe:0"
                else f"damaged, or of more than {MAX_PIXELS / 1e6:.0f} million pixels"
            )
            raise StreamcamError(f"cannot decode a single picture of {self.shown} ({why})")

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
        if self._container is not None:
            self._container.close()
            self._container = None

    def _connect(self, stop: Event) -> bool:
        """Open it, if it is not open, for a live source as often as it takes; false if stopped before that."""
        while True:
            try:
                self._reader = Reader(self.open(stop), live=self.live, drops=self.drops)
                self._to_rgb.begin(self.open().streams.video[0])
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
        self._state = SourceState("lost", reason, self._session, self._clock() / 1e9 + wait_s, wait_s)

    def _wait_for_next_try(self, stop: Event) -> bool:
        if stop.wait(self._state.wait_s):
            return False
        self._state = SourceState("connecting", self._state.reason, self._session)
        return True

    def _read(self, stop: Event) -> Iterator[Frame]:
        """One connection's, or one round's, frames."""
        assert self._reader is not None
        reader = self._reader
        frames = self._live_frames if self.live else self._file_frames
        yield from frames(reader, stop)
        if stop.is_set():
            return
        if self.live:
            self._lost(reader.reason or "")
        else:
            self._state = SourceState("ended", reader.reason, self._session)

    def _begin_session(self) -> None:
        self._session += self._index > 0
        self._state = SourceState("live", session=self._session)

    def _frames_of(self, picture: VideoFrame, pts_s: float, captured_ns: int) -> Iterator[Frame]:
        """A picture's frame; none, where it cannot be had in RGB."""
        self._captured_ns = max(self._captured_ns, captured_ns)
        try:
            image = self._to_rgb.squared(self._image_of(picture), picture)
        except FAILURES:
            self.drops["corrupt"] += 1
            return
        self._index += 1
        yield Frame(image, self._index - 1, pts_s, self._captured_ns, self.name, session=self._session)

    def _image_of(self, decoded: VideoFrame) -> Picture:
        """In RGB, where it was decoded; from the first on that the decoder did not take, always by the CPU."""
        if self._decoder is not None:
            picture = self._decoder.picture(decoded)
            if picture is not None:
                return picture
            log.warning("%s is decoded on the CPU: the other decoder does not take it", self.name)
            self._decoder = None
        return self._to_rgb.image(decoded)

    def _live_frames(self, reader: Reader, stop: Event) -> Iterator[Frame]:
        by_arrival = self.open().format.name in NO_OWN_TIMES
        limit, last = RateLimit(), None
        times, rate = LiveTimes(by_arrival), Rate()
        for picture in reader.pictures(stop):
            size, now_ns = (picture.width, picture.height), time.monotonic_ns()
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
                yield from self._frames_of(picture, pts_s, self._clock() - (now_ns - due_ns))

    def _file_frames(self, reader: Reader, stop: Event) -> Iterator[Frame]:
        container = self.open()
        pace = Pace(self._clock, stop) if self._paced else None
        if self._start_s > 0:
            seek(container, container.streams.video[0], begin_of(container) + self._start_s)
        last: tuple[float, tuple[int, int]] | None = None
        for picture in reader.pictures(stop):
            pts_s, size = self._file_time(container, picture), (picture.width, picture.height)
            if pts_s >= self._end_s:
                return
            if pts_s < self._start_s:
                continue
            captured_ns = self._clock() if pace is None else pace.wait(pts_s)
            if stop.is_set():
                return
            if last is None or pts_s < last[0] or size != last[1]:
                self._begin_session()
            last = pts_s, size
            yield from self._frames_of(picture, pts_s, captured_ns)

    def _file_time(self, container: InputContainer, picture: VideoFrame) -> float:
        if picture.time is not None:
            return float(picture.time) - begin_of(container)
        return self._start_s + self._index / self.fps
