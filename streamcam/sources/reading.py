"""The pictures of one open container, packet by packet."""

import time
from collections import Counter
from collections.abc import Iterator
from threading import Event
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.sources.clock import Order
from streamcam.sources.extent import frame_rate, has_gaps, held_back, seconds
from streamcam.sources.interlaced import Deinterlacer
from streamcam.sources.opening import FAILURES, why_not
from streamcam.sources.status import DEAD_AFTER_S, STALLED_AFTER_S

NO_PICTURE_AFTER_S = 15.0
"""A live source whose packets have given no picture for so long is lost; key pictures may be ten seconds apart."""

POLL_S = 0.005
"""How often a webcam is asked, which otherwise could hold up the end of the program."""


class Reader:
    """Reads until the container ends or fails, nothing comes any more, or it is stopped; then `reason` says why."""

    def __init__(self, container: InputContainer, *, stream: VideoStream, live: bool, drops: Counter[str]) -> None:
        """Get ready.

        Args:
            container: an open one.
            stream: which of its streams to decode.
            live: whether silence is a failure.
            drops: where packets that do not decode are counted, as `corrupt`.
        """
        self.reason: str | None = None
        """Why there are no more pictures; None after a file's end or a stop."""
        self._container, self._live, self._drops = container, live, drops
        self._stream = stream
        self._fields, self._arrivals_ns = Deinterlacer(stream), (0, 0)
        gaps = not live and has_gaps(stream)
        self._order = Order(1 / frame_rate(stream), holds_back=held_back(stream), gaps=gaps)
        self.needs_key = False
        """Whether what comes before the next key picture is passed over, as after a seek: it needs others to decode."""
        self._waiting_since_s: float | None = None
        self._packet_s = self._picture_s = time.monotonic()

    @property
    def stalled(self) -> bool:
        """Whether it has waited for a packet for a while; for other threads."""
        since_s = self._waiting_since_s
        return self._live and since_s is not None and time.monotonic() - since_s > STALLED_AFTER_S

    @property
    def arrived_ns(self) -> int:
        """When the picture that was given last was here, of a clock that is never set: it may have been held since."""
        before_ns, now_ns = self._arrivals_ns
        return before_ns if self._fields.holds else now_ns

    def pictures(self, stop: Event) -> Iterator[VideoFrame]:
        """All that decode, in the order in which they are shown; each one's `time` is right, or None.

        Interlaced ones come without their combs.
        """
        for packet in self._packets(stop):
            self.needs_key &= not packet.is_keyframe
            if self.needs_key:
                continue
            if packet.size:
                self._order.sent(seconds(packet.pts, packet.time_base), seconds(packet.dts, packet.time_base))
            try:
                pictures = [whole for picture in self._stream.decode(packet) for whole in self._whole(picture)]
            except FAILURES:
                self._drops["corrupt"] += 1
                pictures = []
            if pictures:
                yield from pictures
                self._picture_s = time.monotonic()
            elif self._live and time.monotonic() - self._picture_s > NO_PICTURE_AFTER_S:
                self.reason = f"what comes has given no picture for {NO_PICTURE_AFTER_S:g} s"
                return
        yield from self._fields.finish()

    def _whole(self, picture: VideoFrame) -> list[VideoFrame]:
        self._arrivals_ns = self._arrivals_ns[1], time.monotonic_ns()
        return self._fields.push(self._timed(picture))

    def _timed(self, picture: VideoFrame) -> VideoFrame:
        base = picture.time_base
        time_s = self._order.time_of(seconds(picture.pts, base))
        picture.pts = None if time_s is None or not base else round(time_s / base)
        return picture

    def _packets(self, stop: Event) -> "Iterator[Packet[Any]]":
        """The video's packets. Others are seen as well, if it is live: sound alone is no sign of life."""
        packets = self._demux()
        self._packet_s = time.monotonic()
        while not stop.is_set():
            try:
                packet = self._next(packets)
            except BlockingIOError:  # a webcam that has nothing yet
                packets = self._demux()
                stop.wait(POLL_S)
                packet = None
            except StopIteration:
                self.reason = self._silence() or ("the stream ended" if self._live else None)
                return
            except (*FAILURES, IndexError) as e:  # IndexError: PyAV, of a stream that turned up on the way
                self.reason = self._silence() or why_not(e)
                self._drops["corrupt"] += not self._live
                return
            if silence := self._silence():  # what comes now is what FFmpeg held back
                self.reason = silence
                return
            if packet is not None and packet.stream is self._stream:
                self._waiting_since_s = None
                yield packet
                self._packet_s = time.monotonic()

    def _demux(self) -> "Iterator[Packet[Any]]":
        return self._container.demux() if self._live else self._container.demux(self._stream)

    def _next(self, packets: "Iterator[Packet[Any]]") -> "Packet[Any]":
        if self._waiting_since_s is None:
            self._waiting_since_s = time.monotonic()
        return next(packets)

    def _silence(self) -> str | None:
        silent = self._live and time.monotonic() - self._packet_s > DEAD_AFTER_S - 0.2
        return f"nothing has come for {DEAD_AFTER_S:g} s" if silent else None
