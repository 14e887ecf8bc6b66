"""What a source reads → its packet ring: the packets themselves, or pictures encoded where there are none to copy."""

import logging
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av.error
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from streamcam.errors import first_line
from streamcam.records import Frame
from streamcam.sources.adts import described_by_header, described_by_rate, has_header, without_header
from streamcam.sources.frame_encoder import FrameEncoder
from streamcam.sources.log_once import warn_once
from streamcam.sources.opening import FAILURES
from streamcam.sources.packet_ring import ClipStreams, PacketRing, StoredPacket
from streamcam.sources.stream_selection import select_audio_stream
from streamcam.sources.timing.stream_info import has_no_timestamps, seconds

log = logging.getLogger(__name__)

COPIED_VIDEO = frozenset({"h264", "hevc", "vp9", "av1"})
"""Codecs whose packets are copied; pictures of any other are encoded."""

COPIED_SOUND = frozenset({"aac", "ac3", "eac3", "mp3", "opus"})
"""Codecs of sound that players accept in an mp4."""

ENCODED_SOUND = frozenset({"pcm_alaw", "pcm_mulaw", "pcm_s16be", "pcm_s16le"})
"""Codecs of sound that a clip has as AAC; any other is left out."""

SHIFT_TOLERANCE_S = 0.1
"""Differences between a stream's clock and its frames' times that are mended mistakes of a single frame."""

MAX_UNTIMED = 100
"""So many of a camera's pictures may come without a time before all are encoded."""


class PacketTap:
    """Fills the ring of one source, on the thread that reads it.

    A packet's time by the stream's own clock becomes a `Frame.pts_s` by what the frames show: a decoded frame has both.
    So packets that come before a session's first frame wait for it.
    """

    def __init__(self, ring: PacketRing) -> None:
        """Take the ring to fill."""
        self._ring = ring
        self._video: VideoStream | None = None
        self._sound: AudioStream | None = None
        self._copies = self._is_broken = False
        self._shown = ""
        self._session: int | None = None
        self._shift_s: float | None = None
        """What makes a `Frame.pts_s` of the stream's own time; None before the session's first frame with a time."""
        self._encoder: FrameEncoder | None = None
        self._clear()

    def _clear(self) -> None:
        self._session = self._shift_s = None
        self._begun, self._first_pts_s = False, 0.0
        self._sound_config: bytes | None = None
        """What describes the sound, where its packets say it themselves."""
        self._untimed, self._may_be_untimed = 0, 0
        self._untimed_key: Packet[Any] | None = None
        # The packets since the last key frame, by the stream's own clock. Their data is that of the ring's packets.
        self._group: list[StoredPacket] = []
        self._group_bytes = 0

    @property
    def sound(self) -> AudioStream | None:
        """The sound to read beside the pictures; None where there is none that a clip can hold."""
        return self._sound

    def connect(self, container: InputContainer, stream: VideoStream, shown: str) -> None:
        """Note the streams of a container that was just opened."""
        self._clear()
        self._video, self._sound, self._shown, self._is_broken = stream, None, shown, False
        is_real = isinstance(container, InputContainer)  # JPEG pictures over HTTP have another one
        codec = stream.codec_context.codec.canonical_name
        self._copies = is_real and codec in COPIED_VIDEO and not has_no_timestamps(container)
        if self._copies:
            self._sound = self._usable(select_audio_stream(container, shown, stream), shown)
            self._may_be_untimed = MAX_UNTIMED if container.format.name == "rtsp" else 0

    def push(self, packet: "Packet[Any]") -> None:
        """Take a packet of either stream, after the frames that were decoded from it were given to `see`."""
        if self._copies and packet.size:
            self._contain(self._push, packet)

    def see(self, frame: Frame, clock_s: float | None) -> None:
        """Take a frame of the source, in order, and its time by the stream's own clock in seconds."""
        self._contain(self._see, frame, clock_s)

    def _contain(self, action: Callable[..., None], *arguments: object) -> None:
        """Keep what FFmpeg refuses for clips from ending the source: it can be watched without them."""
        if self._is_broken:
            return
        try:
            action(*arguments)
        except FAILURES as e:
            self._is_broken = True
            warn_once(log, f"there are no clips of {self._shown}: {first_line(e)}")

    def _push(self, packet: "Packet[Any]") -> None:
        is_video = packet.stream is self._video
        if packet.pts is not None:
            if is_video:
                self._accept_untimed_key(packet, packet.pts)
            self._accept(packet)
        elif is_video:
            self._note_untimed(packet)

    def _note_untimed(self, packet: "Packet[Any]") -> None:
        """Encode, if nothing tells when pictures are shown. A camera with sound may leave the first one without a time.

        A key frame waits for the next packet, whose time tells its own.
        """
        self._untimed += 1
        self._copies = self._begun or self._untimed <= self._may_be_untimed
        self._untimed_key = packet if packet.is_keyframe else None

    def _accept_untimed_key(self, following: "Packet[Any]", pts: int) -> None:
        key, self._untimed_key = self._untimed_key, None
        if key is not None and not following.is_keyframe:
            key.pts = key.dts = pts - (following.duration or 1)
            self._accept(key)

    def _accept(self, packet: "Packet[Any]") -> None:
        stored = self._stored(packet)
        if stored.kind == "sound" and has_header(stored.data):
            self._sound_config = described_by_header(stored.data)
            stored = replace(stored, data=without_header(stored.data))
        self._join_group(stored)
        if self._shift_s is not None:
            self._pass_on(stored, self._shift_s)

    def _see(self, frame: Frame, clock_s: float | None) -> None:
        if frame.session != self._session:
            self._session, self._begun, self._first_pts_s = frame.session, False, frame.pts_s
            self._shift_s = self._encoder = None
            self._copies = self._copies and (clock_s is not None or self._may_be_untimed > 0)
        if not self._copies:
            self._encode(frame)
        elif clock_s is not None:
            self._follow_clock(frame.pts_s, frame.pts_s - clock_s)

    def _follow_clock(self, pts_s: float, shift_s: float) -> None:
        """Note what a frame shows of the stream's clock. With a session's first one, its packets so far are known."""
        if self._shift_s is None:
            self._shift_s = shift_s
            # Where earlier frames came without a time, theirs is a guess.
            begin_s = self._first_pts_s - (1e-3 if pts_s == self._first_pts_s else SHIFT_TOLERANCE_S)
            if self._group and self._group[0].pts_s + shift_s >= begin_s:
                for packet in self._group:
                    self._pass_on(packet, shift_s)
        elif abs(shift_s - self._shift_s) > SHIFT_TOLERANCE_S:
            self._shift_s = shift_s

    def _pass_on(self, packet: StoredPacket, shift_s: float) -> None:
        if not self._begun:
            if not packet.is_key:
                return
            assert self._session is not None
            self._ring.begin(self._session, self._streams(packet))
            self._begun = True
        self._ring.push(packet.shifted(shift_s))

    def _encode(self, frame: Frame) -> None:
        if self._encoder is None:
            self._encoder = FrameEncoder(frame)
            self._ring.begin(frame.session, self._encoder.streams)
        for packet in self._encoder.encode(frame):
            self._ring.push(packet)

    def _stored(self, packet: "Packet[Any]") -> StoredPacket:
        base = Fraction(packet.time_base)
        pts = packet.pts or 0  # never None: `push` has looked
        is_video = packet.stream is self._video
        return StoredPacket(
            "video" if is_video else "sound",
            bytes(packet),
            float(pts * base),
            seconds(packet.dts, base),
            seconds(packet.duration, base) or 0.0,
            base,
            is_video and packet.is_keyframe,
        )

    def _join_group(self, packet: StoredPacket) -> None:
        if packet.is_key:
            self._group, self._group_bytes = [], 0
        self._group_bytes += len(packet.data)
        if (self._group or packet.is_key) and self._group_bytes <= self._ring.max_bytes:
            self._group.append(packet)
        else:
            self._group = []

    def _streams(self, key: StoredPacket) -> ClipStreams:
        """Return what is known of the streams, with the parameters that come with the first key frame.

        A camera whose picture has changed, or whose description was wrong, sends others than the container knows.
        """
        assert self._video is not None
        codec = self._video.codec_context
        found = None
        if not (codec.extradata or b"").startswith(b"\x01"):  # such as MP4 has them, they are the container's alone
            found = self._extradata_in(key)
        size = (codec.width, codec.height)
        return ClipStreams(self._video, self._sound, size=size, extradata=found, sound_extradata=self._described())

    def _described(self) -> bytes | None:
        """Return the sound's description where the container has none."""
        codec = None if self._sound is None else self._sound.codec_context
        if codec is None or codec.extradata or codec.codec.canonical_name != "aac":
            return None
        return self._sound_config or described_by_rate(codec.rate, codec.channels)

    def _extradata_in(self, key: StoredPacket) -> bytes | None:
        packet = Packet(key.data)
        packet.pts = packet.dts = 0
        try:
            filtered = BitStreamFilterContext("extract_extradata", self._video).filter(packet)
        except (av.error.FFmpegError, ValueError):
            return None
        found = next((p for p in filtered if p.has_sidedata("new_extradata")), None)
        return None if found is None else bytes(found.get_sidedata("new_extradata"))

    @staticmethod
    def _usable(sound: AudioStream | None, shown: str) -> AudioStream | None:
        if sound is None or sound.codec_context.codec.canonical_name in COPIED_SOUND | ENCODED_SOUND:
            return sound
        codec = sound.codec_context.name
        warn_once(log, f"clips of {shown} are without sound: an mp4 holds no {codec} (set the camera to AAC)")
        return None
