"""Sound that an mp4 cannot hold → AAC, while a clip is written. That of telephones, as many cameras have it."""

from fractions import Fraction
from typing import Any

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import OutputContainer
from av.packet import Packet

from streamcam.sinks.audio import AAC_RATES
from streamcam.sources.packet_ring import StoredPacket


class SoundEncoder:
    """Decodes the packets of a stream, and encodes them as AAC."""

    def __init__(self, sound: AudioStream, target: OutputContainer) -> None:
        """Add a stream for the sound to a file to write."""
        codec = sound.codec_context
        decoder = CodecContext.create(codec.codec.canonical_name, "r")
        assert isinstance(decoder, AudioCodecContext)
        decoder.sample_rate, decoder.layout = codec.sample_rate, codec.layout
        self._decoder, self._rate = decoder, codec.sample_rate
        rate = next((r for r in AAC_RATES if r <= self._rate), AAC_RATES[-1])
        self._stream = target.add_stream("aac", rate=rate, layout="mono" if codec.channels == 1 else "stereo")

    def encode(self, packet: StoredPacket, *, begin_s: float) -> "list[Packet[Any]]":
        """Encode a packet; `begin_s` becomes 0."""
        packets: list[Packet[Any]] = []
        for frame in self._decoder.decode(Packet(packet.data)):
            frame.pts = round((packet.pts_s - begin_s) * self._rate)
            frame.time_base = Fraction(1, self._rate)
            packets += self._stream.encode(frame)
        return packets

    def finish(self) -> "list[Packet[Any]]":
        """Encode what is held back."""
        return self._stream.encode(None)
