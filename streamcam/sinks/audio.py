"""A file's sound, on its way into another file beside its pictures."""

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
from streamcam.sources.stream_info import may_have_discontinuities, seconds, start_time_s
from streamcam.sources.stream_selection import select_audio_stream, select_video_stream
from streamcam.sources.timestamps import MAX_BACK_S, MAX_JUMP_S

COPIED = frozenset({"aac", "alac", "ac3", "eac3", "flac", "mp3", "opus"})
"""What players open in an mp4; anything else becomes AAC."""

SEEK_FROM_S = 1.0
"""What begins earlier is looked for from the file's beginning."""

AAC_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 8_000)


Stretches = Callable[[], Sequence[tuple[float, float]]]
"""Where a file's clock ran without being set, as far as that is known: see `VideoSource.segments`."""


class Sound:
    """An audio stream of a file; it is read no further than it is written.

    Sound and pictures keep their distance in time, to a packet's length at both ends: a packet that begins before the
    first picture is left out whole. Where the file's clock was set, sound begins anew with the pictures: what outlasts
    the pictures before is left out.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, stretches: Stretches | None) -> None:
        self._container, self._stream = container, stream
        self._stretches = stretches or (lambda: [(start_time_s(container), 0.0)])
        self._stretch = 0
        self._own_s: float | None = None
        self._end_s = 0.0
        self.copied = stream.codec_context.codec.canonical_name in COPIED
        """Whether it is taken as it is, and not encoded again."""
        self._waiting: Packet[AudioStream] | None = None
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
        """The sound of a file; None where it has none, or none that can be decoded.

        Args:
            uri: a file, as for `open_source`.
            number: which one of several, from 0; by default the best of those that go with the video.
            video_stream: which one of several, as for `open_source`.
            stretches: where its clock was set, by its pictures; by default nowhere.

        Raises:
            StreamcamError: there is no sound with this number, or it cannot be decoded.
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
        """Announce it to the file that it goes into, before anything is written there."""
        self._target = target
        if self.copied:
            self._out: AudioStream = target.add_stream_from_template(self._stream)
        else:
            context = self._stream.codec_context
            rate = next((r for r in AAC_RATES if r <= context.rate), AAC_RATES[-1])
            layout = "mono" if context.channels == 1 else "stereo"
            self._out = target.add_stream("aac", rate=rate, layout=layout)

    def begin(self, at_s: float) -> None:
        """Go to where the pictures begin, in seconds from the file's beginning: there, the new file begins."""
        self._origin_s = self._end_s = at_s
        if at_s > SEEK_FROM_S and not may_have_discontinuities(self._container):  # else one time may be in two places
            own_s = at_s + self._stretches()[0][0]
            with suppress(av.error.FFmpegError):
                self._container.seek(int(own_s / (self._stream.time_base or 1)), stream=self._stream)
        self._packets = self._all()

    def write_until(self, at_s: float) -> None:
        """Write what lies before a time, in seconds from the file's beginning."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = None
            own_s = float((packet.pts or 0) * packet.time_base)
            time_s, ends_s = self._place(own_s)
            if time_s >= at_s:
                self._waiting = packet
                return
            self._own_s = own_s
            if self._end_s <= time_s < ends_s:
                self._write(packet, time_s - own_s - self._origin_s)
                self._end_s = time_s + 0.5 * (seconds(packet.duration, packet.time_base) or 0.0)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if not self.copied:
            self._target.mux(self._out.encode(None))

    def close(self) -> None:
        """Close the file that it comes from. Closing twice is fine."""
        self._container.close()

    def _all(self) -> "Iterator[Packet[AudioStream]]":
        with suppress(av.error.FFmpegError):  # damaged here: so far, and no further
            for packet in self._container.demux(self._stream):
                if packet.pts is not None and packet.dts is not None:
                    yield packet

    def _place(self, own_s: float) -> tuple[float, float]:
        """When the next packet is heard, in seconds from the file's beginning, and when what it belongs to ends."""
        stretches = self._stretches()
        step_s = 0.0 if self._own_s is None else own_s - self._own_s
        if not -MAX_BACK_S <= step_s <= MAX_JUMP_S:
            later = range(self._stretch + 1, len(stretches))
            near = [i for i in later if abs(own_s - stretches[i][0]) < MAX_JUMP_S]
            if not near and step_s < 0:
                return math.inf, math.inf  # the pictures have not come so far
            self._stretch = near[0] if near else self._stretch
        began_s, at_s = stretches[self._stretch]
        ends_s = stretches[self._stretch + 1][1] if self._stretch + 1 < len(stretches) else math.inf
        return at_s + own_s - began_s, ends_s

    def _write(self, packet: "Packet[AudioStream]", shift_s: float) -> None:
        if self.copied:
            shift = round(shift_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
            packet.stream = self._out
            self._target.mux(packet)
            return
        frames = []
        with suppress(av.error.InvalidDataError):
            frames = self._stream.codec_context.decode(packet)
        for frame in frames:
            if frame.pts is not None and frame.time_base:
                frame.pts += round(shift_s / frame.time_base)
            self._target.mux(self._out.encode(frame))
