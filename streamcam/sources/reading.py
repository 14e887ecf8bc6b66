"""Reading one open container packet by packet, and decoding its video."""

import time
from collections import Counter
from collections.abc import Iterator
from threading import Event
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.sources.opening import FAILURES, reason_for
from streamcam.sources.packet_tap import PacketTap
from streamcam.sources.pixels.interlaced import Deinterlacer
from streamcam.sources.status import DEAD_AFTER_S, STALLED_AFTER_S
from streamcam.sources.timing.stream_info import frame_rate, has_gaps, max_delay, seconds
from streamcam.sources.timing.timestamps import BestEffortTimestamps

NO_FRAME_AFTER_S = 15.0
"""A live source whose packets have given no frame for so long is lost. Key frames may be ten seconds apart."""

POLL_S = 0.005
"""How often a webcam is polled. A blocking read could hold up the end of the program."""


class Reader:
    """Decodes one video stream, until the container ends or fails, nothing comes any more, or it is stopped."""

    def __init__(
        self,
        container: InputContainer,
        *,
        stream: VideoStream,
        live: bool,
        drops: Counter[str],
        tap: PacketTap | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            container: an open container.
            stream: which of its streams to decode.
            live: whether silence is a failure.
            drops: where packets that do not decode are counted, as `corrupt`.
            tap: gets the packets as well, and those of the sound.
        """
        self.reason: str | None = None
        """Why no more frames come; None after a file's end or a stop."""
        self._container, self._live, self._drops = container, live, drops
        self._stream, self._tap = stream, tap
        self._deinterlacer = Deinterlacer(stream)
        gaps = not live and has_gaps(stream)
        self._timestamps = BestEffortTimestamps(1 / frame_rate(stream), max_delay=max_delay(stream), gaps=gaps)
        self._arrivals_ns = (0, 0)
        """When the last frame but one was decoded, and the last one."""
        self.needs_key = False
        """Whether packets before the next key frame are passed over, as after a seek: they need others to decode."""
        self._waiting_since_s: float | None = None
        """Since when the reading thread has waited for a packet; None where it does not. Other threads read it."""
        self._last_packet_s = self._last_frame_s = time.monotonic()

    @property
    def stalled(self) -> bool:
        """Whether the reading thread has waited for a packet for a while. Any thread may ask."""
        since_s = self._waiting_since_s
        return self._live and since_s is not None and time.monotonic() - since_s > STALLED_AFTER_S

    @property
    def arrived_ns(self) -> int:
        """When the last yielded frame was decoded, in nanoseconds of a clock that is never set.

        The deinterlacer holds a frame until the next one is decoded: then it is the time of the last frame but one.
        """
        before_ns, last_ns = self._arrivals_ns
        return before_ns if self._deinterlacer.holds_frame else last_ns

    def frames(self, stop: Event) -> Iterator[VideoFrame]:
        """Decode all frames, in the order in which they are shown, and deinterlace them.

        Each frame's `time` is right, or None. Frames that do not decode are counted, and left out.
        """
        for packet in self._packets(stop):
            self.needs_key &= not packet.is_keyframe
            if self.needs_key:
                continue
            if packet.size:  # an empty packet flushes the decoder
                base = packet.time_base
                self._timestamps.push_packet(seconds(packet.pts, base), seconds(packet.dts, base))
            try:
                frames = [ready for frame in self._stream.decode(packet) for ready in self._deinterlaced(frame)]
            except FAILURES:
                self._drops["corrupt"] += 1
                frames = []
            if frames:
                yield from frames
                self._last_frame_s = time.monotonic()  # afterwards: whoever takes frames may take their time
            elif self._live and time.monotonic() - self._last_frame_s > NO_FRAME_AFTER_S:
                self.reason = f"what comes has given no picture for {NO_FRAME_AFTER_S:g} s"
                return
            if self._tap is not None:  # after its frames, which tell what its time means
                self._tap.push(packet)
        yield from self._deinterlacer.finish()

    def _deinterlaced(self, frame: VideoFrame) -> list[VideoFrame]:
        """Take the next decoded frame; return the frames that are ready, with their times."""
        self._arrivals_ns = self._arrivals_ns[1], time.monotonic_ns()
        base = frame.time_base
        pts_s = self._timestamps.next_pts_s(seconds(frame.pts, base))
        frame.pts = None if pts_s is None or not base else round(pts_s / base)
        return self._deinterlacer.push(frame)

    def _packets(self, stop: Event) -> "Iterator[Packet[Any]]":
        """Yield the video's packets, and set `reason` when no more come.

        Of a live source, the packets of other streams are read as well. They do not count: sound alone is no sign that
        the video is alive.
        """
        packets = self._demux()
        self._last_packet_s = time.monotonic()
        while not stop.is_set():
            try:
                packet = self._next(packets)
            except BlockingIOError:  # a webcam has no picture yet
                packets = self._demux()
                stop.wait(POLL_S)
                packet = None
            except StopIteration:
                self.reason = self._silence() or ("the stream ended" if self._live else None)
                return
            except (*FAILURES, IndexError) as e:  # PyAV raises IndexError for a stream that turned up on the way
                self.reason = self._silence() or reason_for(e)
                self._drops["corrupt"] += not self._live
                return
            # After a silence, FFmpeg gives the packets that it had held back.
            if silence := self._silence():
                self.reason = silence
                return
            if packet is not None and packet.stream is self._stream:
                self._waiting_since_s = None
                yield packet
                self._last_packet_s = time.monotonic()
            elif packet is not None and self._tap is not None and packet.stream is self._tap.sound:
                self._tap.push(packet)

    def _demux(self) -> "Iterator[Packet[Any]]":
        if self._live:
            return self._container.demux()
        sound = None if self._tap is None else self._tap.sound
        return self._container.demux(self._stream) if sound is None else self._container.demux(self._stream, sound)

    def _next(self, packets: "Iterator[Packet[Any]]") -> "Packet[Any]":
        if self._waiting_since_s is None:
            self._waiting_since_s = time.monotonic()
        return next(packets)

    def _silence(self) -> str | None:
        """Explain in words that nothing has come for too long; None where that is not so."""
        # FFmpeg's own time limit is DEAD_AFTER_S as well. 0.2 s less, so that its end counts as silence, too.
        is_silent = self._live and time.monotonic() - self._last_packet_s > DEAD_AFTER_S - 0.2
        return f"nothing has come for {DEAD_AFTER_S:g} s" if is_silent else None
