"""A file's sound, on its way into another file beside its pictures."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from streamcam.sources.address import parse_address
from streamcam.sources.extent import begin_of

COPIED = frozenset({"aac", "alac", "ac3", "eac3", "flac", "mp3", "opus"})
"""What players open in an mp4; anything else becomes AAC."""

AAC_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 8_000)


class Sound:
    """The first audio stream of a file; it is read no further than it is written.

    Sound and pictures keep their distance in time, to a packet's length at both ends: a packet that begins before the
    first picture is left out whole.
    """

    def __init__(self, container: InputContainer, stream: AudioStream) -> None:
        self._container, self._stream = container, stream
        self.copied = stream.codec_context.codec.canonical_name in COPIED
        """Whether it is taken as it is, and not encoded again."""
        self._waiting: Packet[AudioStream] | None = None
        self._packets: Iterator[Packet[AudioStream]] = iter(())
        self._origin_s = 0.0

    @classmethod
    def of(cls, uri: str) -> Self | None:
        """The sound of a file; None where it has none, or none that can be decoded.

        Args:
            uri: a file, as for `open_source`.
        """
        address = parse_address(uri)
        container = av.open(address.url, format=address.format)
        streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
        if not streams:
            container.close()
            return None
        return cls(container, streams[0])

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
        self._origin_s = at_s + begin_of(self._container)
        with suppress(av.error.FFmpegError):
            self._container.seek(int(self._origin_s / (self._stream.time_base or 1)), stream=self._stream)
        self._packets = self._from_origin()

    def write_until(self, at_s: float) -> None:
        """Write what lies before a time, in seconds from the file's beginning."""
        end_s = at_s + begin_of(self._container)
        packet = self._waiting or next(self._packets, None)
        while packet is not None and _time(packet) < end_s:
            self._write(packet)
            packet = next(self._packets, None)
        self._waiting = packet

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if not self.copied:
            self._target.mux(self._out.encode(None))

    def close(self) -> None:
        """Close the file that it comes from. Closing twice is fine."""
        self._container.close()

    def _from_origin(self) -> "Iterator[Packet[AudioStream]]":
        with suppress(av.error.FFmpegError):  # damaged here: so far, and no further
            for packet in self._container.demux(self._stream):
                if packet.pts is not None and packet.dts is not None and _time(packet) >= self._origin_s:
                    yield packet

    def _write(self, packet: "Packet[AudioStream]") -> None:
        if self.copied:
            shift = round(self._origin_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.stream = self._out
            self._target.mux(packet)
            return
        frames = []
        with suppress(av.error.InvalidDataError):
            frames = self._stream.codec_context.decode(packet)
        for frame in frames:
            if frame.pts is not None and frame.time_base:
                frame.pts -= round(self._origin_s / frame.time_base)
            self._target.mux(self._out.encode(frame))


def _time(packet: "Packet[AudioStream]") -> float:
    return float((packet.pts or 0) * packet.time_base)
