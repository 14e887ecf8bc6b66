"""A file's sound, copied into the file that its painted pictures are written to."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Self

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from streamcam.errors import StreamcamError
from streamcam.sources.address import parse_address
from streamcam.sources.stream_selection import select_audio_stream, select_video_stream
from streamcam.sources.timing.stream_info import may_have_discontinuities, seconds, start_time_s
from streamcam.sources.timing.timestamps import MAX_BACK_S, MAX_JUMP_S

COPIED = frozenset({"aac", "alac", "ac3", "eac3", "flac", "mp3", "opus"})
"""Codecs that players accept in an mp4; any other is encoded again, as AAC."""

SEEK_FROM_S = 1.0
"""From this time on, the file is sought; up to it, it is read from its beginning."""

AAC_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 8_000)
"""Sample rates in hertz; sound is resampled to the highest that is not above its own, or else to the lowest."""

Stretches = Callable[[], Sequence[tuple[float, float]]]
"""Gives the stretches of a file in which its clock ran without being set, as far as its pictures have been read.

A stretch is (the file's clock, seconds from the file's beginning) at its start: see `VideoSource.segments`.
"""


class Sound:
    """An audio stream of a file, read packet by packet as the pictures advance.

    Sound and pictures keep their distance in time. A packet that begins before the first picture is left out whole, so
    both ends are exact to a packet's length. Where the file's clock was set, sound starts again with the pictures, and
    sound that outlasts the pictures before is left out.

    Two clocks occur: `clock_s` is a packet's time by the file's own clock, and `time_s` is seconds from the file's
    beginning, which never jumps.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, stretches: Stretches | None) -> None:
        self._container, self._stream = container, stream
        self._stretches = stretches or (lambda: [(start_time_s(container), 0.0)])
        self._stretch = 0
        self._last_clock_s: float | None = None
        self._written_s = 0.0
        self.copied = stream.codec_context.codec.canonical_name in COPIED
        """Whether packets are copied as they are, and not encoded again."""
        # A packet that was read and begins after the last picture.
        self._next: Packet[AudioStream] | None = None
        self._packets: Iterator[Packet[AudioStream]] = iter(())
        self._origin_s = 0.0

    @classmethod
    def of(
        cls,
        uri: str,
        *,
        number: int | None = None,
        video_stream: int | None = None,
        stretches: Stretches | None = None,
    ) -> Self | None:
        """Open the sound of a file; return None if it has none that can be decoded.

        Args:
            uri: a file, as for `open_source`.
            number: which audio stream, from 0; by default the best of those that go with the video.
            video_stream: which video stream, as for `open_source`.
            stretches: gives the file's stretches, as its pictures show them; by default it is all one.

        Raises:
            StreamcamError: there is no audio stream with this number, or it cannot be decoded.
        """
        address = parse_address(uri)
        container = av.open(address.url, format=address.format, options={"correct_ts_overflow": "0"})
        try:
            video = select_video_stream(container, address.shown, video_stream)
            stream = select_audio_stream(container, address.shown, video, number)
        except StreamcamError:
            container.close()
            raise
        if stream is None:
            container.close()
            return None
        return cls(container, stream, stretches)

    def join(self, target: OutputContainer) -> None:
        """Add a stream for it to the target file, before anything is written there."""
        self._target = target
        if self.copied:
            self._out: AudioStream = target.add_stream_from_template(self._stream)
        else:
            context = self._stream.codec_context
            rate = next((r for r in AAC_RATES if r <= context.rate), AAC_RATES[-1])
            layout = "mono" if context.channels == 1 else "stereo"
            self._out = target.add_stream("aac", rate=rate, layout=layout)

    def begin(self, at_s: float) -> None:
        """Go to the first picture, in seconds from the file's beginning; the target file begins there."""
        self._origin_s = self._written_s = at_s
        # Where a clock may be set on the way, the same time can occur twice in the file: do not seek by it.
        if at_s > SEEK_FROM_S and not may_have_discontinuities(self._container):
            clock_s = at_s + self._stretches()[0][0]
            with suppress(av.error.FFmpegError):
                self._container.seek(int(clock_s / (self._stream.time_base or 1)), stream=self._stream)
        self._packets = self._demux()

    def write_until(self, at_s: float) -> None:
        """Write the packets that begin before a time, in seconds from the file's beginning."""
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = None
            clock_s = float((packet.pts or 0) * packet.time_base)
            time_s, stretch_end_s = self._locate(clock_s)
            if time_s >= at_s:
                self._next = packet
                return
            self._last_clock_s = clock_s
            if self._written_s <= time_s < stretch_end_s:
                self._write(packet, time_s - clock_s - self._origin_s)
                # Half a packet of tolerance: timestamps are rounded, and a packet must not be dropped for that.
                self._written_s = time_s + 0.5 * (seconds(packet.duration, packet.time_base) or 0.0)

    def finish(self) -> None:
        """Write what the encoder still holds back."""
        if not self.copied:
            self._target.mux(self._out.encode(None))

    def close(self) -> None:
        """Close the file that the sound comes from. Closing twice is fine."""
        self._container.close()

    def _demux(self) -> "Iterator[Packet[AudioStream]]":
        with suppress(av.error.FFmpegError):  # where the file is damaged, its sound ends
            for packet in self._container.demux(self._stream):
                if packet.pts is not None and packet.dts is not None:
                    yield packet

    def _locate(self, clock_s: float) -> tuple[float, float]:
        """Return when the next packet is heard, and when its stretch ends, in seconds from the file's beginning.

        A jump of the clock means that the packet belongs to a later stretch: the next one that starts near its time.
        Both are infinite while the pictures, which are read in step with the sound, have not reached that stretch.
        """
        stretches = self._stretches()
        step_s = 0.0 if self._last_clock_s is None else clock_s - self._last_clock_s
        if not -MAX_BACK_S <= step_s <= MAX_JUMP_S:
            later = range(self._stretch + 1, len(stretches))
            near = [i for i in later if abs(clock_s - stretches[i][0]) < MAX_JUMP_S]
            if not near and step_s < 0:
                return math.inf, math.inf
            self._stretch = near[0] if near else self._stretch
        start_clock_s, start_s = stretches[self._stretch]
        end_s = stretches[self._stretch + 1][1] if self._stretch + 1 < len(stretches) else math.inf
        return start_s + clock_s - start_clock_s, end_s

    def _write(self, packet: "Packet[AudioStream]", shift_s: float) -> None:
        """Write a packet `shift_s` later than its own clock says."""
        if self.copied:
            shift = round(shift_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
            packet.stream = self._out
            self._target.mux(packet)
            return
        frames = []
        with suppress(av.error.InvalidDataError):  # a damaged packet is silence
            frames = self._stream.codec_context.decode(packet)
        for frame in frames:
            if frame.pts is not None and frame.time_base:
                frame.pts += round(shift_s / frame.time_base)
            self._target.mux(self._out.encode(frame))
