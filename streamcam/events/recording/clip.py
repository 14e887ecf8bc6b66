"""A source's packets → an mp4, without encoding."""

from fractions import Fraction
from pathlib import Path
from typing import IO

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from streamcam.events.recording.clip_sound import SoundEncoder
from streamcam.sources.packet_ring import ClipStreams, StoredPacket
from streamcam.sources.packet_tap import COPIED_SOUND

OPTIONS = {
    "movflags": "+hybrid_fragmented+delay_moov",
    "frag_duration": "1000000",
    "flush_packets": "1",
    "avoid_negative_ts": "disabled",
}
"""An unfinished clip consists of fragments of one second (in µs), and plays up to the last one.

With `delay_moov` its first fragment plays, too, and says that the first picture is shown at 0, where pictures are
reordered: then it is decoded before that.
"""


class ClipWriter:
    """Writes packets of one session into an mp4 whose times begin at 0, with its first key frame."""

    def __init__(self, target: Path | IO[bytes], streams: ClipStreams) -> None:
        """Open the file.

        Raises:
            OSError or av.error.FFmpegError: it cannot be written.
        """
        file = f"file:{target}" if isinstance(target, Path) else target
        self._container = av.open(file, "w", format="mp4", options=OPTIONS)
        video = self._container.add_stream_from_template(streams.video, opaque=True)
        if video.codec_context.codec.canonical_name == "hevc":
            video.codec_context.codec_tag = "hvc1"  # Apple's players take no other
        self._streams: dict[str, VideoStream | AudioStream] = {"video": video}
        self._encoder: SoundEncoder | None = None
        if streams.sound is not None:
            self._add_sound(streams.sound)
        self._closed = False
        self._last_dts: dict[str, int] = {}
        self.begin_s: float | None = None
        """The `pts_s` of the first picture; None before it."""

    def _add_sound(self, sound: AudioStream) -> None:
        if sound.codec_context.codec.canonical_name in COPIED_SOUND:
            self._streams["sound"] = self._container.add_stream_from_template(sound, opaque=True)
        else:
            self._encoder = SoundEncoder(sound, self._container)

    def write(self, packet: StoredPacket) -> None:
        """Add a packet. What comes before the first key frame, or is shown before it, is left out.

        Raises:
            OSError or av.error.FFmpegError: it cannot be written.
        """
        if self.begin_s is None:
            if not packet.is_key:
                return
            self.begin_s = packet.pts_s
        if packet.pts_s < self.begin_s - 1e-6:
            return  # a picture that leans on others before the key frame, or sound of that time
        if packet.kind == "sound" and self._encoder is not None:
            self._container.mux(self._encoder.encode(packet, begin_s=self.begin_s))
        elif packet.kind in self._streams:
            self._copy(packet, self._streams[packet.kind], self.begin_s)

    def _copy(self, packet: StoredPacket, stream: VideoStream | AudioStream, begin_s: float) -> None:
        copy = Packet(packet.data)
        copy.time_base, copy.stream, copy.is_keyframe = (
            packet.time_base,
            stream,
            packet.is_key or stream.type == "audio",
        )
        copy.duration = round(packet.duration_s / packet.time_base)
        copy.pts, copy.dts = self._times(packet, packet.time_base, begin_s)
        self._container.mux_one(copy)

    def _times(self, packet: StoredPacket, base: Fraction, begin_s: float) -> tuple[int, int | None]:
        """Return a packet's times in ticks; of decoding, they go up by at least one: an mp4 has no others."""
        pts = round((packet.pts_s - begin_s) / base)
        if packet.dts_s is None:
            return pts, None  # FFmpeg finds it
        dts = round((packet.dts_s - begin_s) / base)
        dts = max(dts, self._last_dts.get(packet.kind, dts - 1) + 1)
        self._last_dts[packet.kind] = dts
        return max(pts, dts), dts

    def close(self) -> None:
        """Complete the file. Closing twice is fine.

        Raises:
            OSError or av.error.FFmpegError: it cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._encoder is not None and self.begin_s is not None:
                self._container.mux(self._encoder.finish())
        finally:
            self._container.close()
