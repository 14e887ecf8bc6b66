"""The newest packets of a source as they came, without decoding: what clips of events are made of."""

import io
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from threading import Lock
from typing import Literal, Self

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

PACKET_OVERHEAD = 600
"""Bytes of memory that a packet takes beside its data, about: they count as well."""

MAX_BACK_S = 1.0
"""Pictures whose times go back by more belong to another part of the stream: its clock was set."""

Kind = Literal["video", "sound"]


@dataclass(frozen=True, slots=True)
class StoredPacket:
    """One packet, without a reference to the container that it came from, which may be closed at any time."""

    kind: Kind
    data: bytes
    pts_s: float
    """Presentation time in seconds, by the same clock as `Frame.pts_s`."""
    dts_s: float | None
    """Decoding time by the same clock; None where the container does not tell."""
    duration_s: float
    """0 where the container does not tell."""
    time_base: Fraction
    """Seconds a tick of the container's times."""
    is_key: bool
    """Whether it is a picture that can be decoded without others; always false for sound."""
    session: int = 0
    """The source's session."""
    number: int = 0
    """Goes up by one with each packet of the ring."""

    def shifted(self, shift_s: float) -> Self:
        """Return the same packet `shift_s` later."""
        dts_s = None if self.dts_s is None else self.dts_s + shift_s
        return replace(self, pts_s=self.pts_s + shift_s, dts_s=dts_s)


class ClipStreams:
    """What a file has to say of its streams, kept after the container that said it is closed.

    It is only read after it was made, so several threads may use it.
    """

    def __init__(
        self,
        video: VideoStream,
        sound: AudioStream | None = None,
        *,
        size: tuple[int, int] | None = None,
        extradata: bytes | None = None,
        sound_extradata: bytes | None = None,
    ) -> None:
        """Copy the parameters of streams.

        Args:
            video: an open video stream.
            sound: the sound to keep beside it.
            size: width and height in pixels where they are not the stream's.
            extradata: the video decoder's parameters where they are not the stream's.
            sound_extradata: the sound's description where it is not the stream's.
        """
        self._keeper = av.open(io.BytesIO(), "w", format="null")
        self.video = self._keeper.add_stream_from_template(video, opaque=True)
        if size is not None:
            self.video.codec_context.width, self.video.codec_context.height = size
        if extradata is not None:
            self.video.codec_context.extradata = extradata
        self.sound = None if sound is None else self._keeper.add_stream_from_template(sound, opaque=True)
        if self.sound is not None and sound_extradata is not None:
            self.sound.codec_context.extradata = sound_extradata
        # The keeper writes nothing. Beginning makes it note these changes.
        self._keeper.start_encoding()


class PacketRing:
    """A source's newest packets, which begin with a key frame. One thread pushes, any thread reads.

    A reader asks for what has come since the last packet that it has seen. So several events share the packets.
    """

    def __init__(self, *, max_bytes: int, max_s: float) -> None:
        """Start empty.

        Args:
            max_bytes: what the packets may take in memory, in bytes. What is older is dropped.
            max_s: how much is kept, in seconds; up to the distance of two key frames more.
        """
        self.max_bytes = max_bytes
        self._max_s = max_s
        # Protects all that follows.
        self._lock = Lock()
        self._packets: deque[StoredPacket] = deque()
        self._keys: deque[StoredPacket] = deque()
        """The key frames among the packets."""
        self._bytes = self._next_number = 0
        self._session: int | None = None
        self._session_begin_s = self._newest_s = 0.0
        self._needs_key = True
        self._streams: dict[int, ClipStreams] = {}
        self.overflows = 0
        """How often the pictures from one key frame to the next took more memory than the ring may have."""

    @property
    def bytes(self) -> int:
        """The memory that the packets take, in bytes."""
        return self._bytes

    def begin(self, session: int, streams: ClipStreams) -> None:
        """Begin a session. Packets of the one before stay as long as there is room, and are never mixed with it."""
        with self._lock:
            self._session, self._needs_key = session, True
            self._streams[session] = streams

    def push(self, packet: StoredPacket) -> None:
        """Add a packet of the session that was begun last. What comes before its first key frame is left out."""
        with self._lock:
            if self._session is None:
                return
            is_back = packet.kind == "video" and packet.pts_s < self._newest_s - MAX_BACK_S
            if is_back and not self._needs_key:
                self._drop_all()
            if self._needs_key:
                if not packet.is_key:
                    return
                self._needs_key, self._session_begin_s, self._newest_s = False, packet.pts_s, packet.pts_s
            self._append(replace(packet, session=self._session, number=self._next_number))
            self._drop_old()

    def first(self, session: int, pts_s: float) -> int | None:
        """Return the number of the last key frame at or before a time, or else of the session's first one.

        None where there is nothing of this session.
        """
        with self._lock:
            keys = [key for key in self._keys if key.session == session]
        if not keys:
            return None
        return next((key for key in reversed(keys) if key.pts_s <= pts_s + 1e-6), keys[0]).number

    def since(self, session: int, number: int) -> Sequence[StoredPacket]:
        """Return the session's packets from a number on, as far as they are still there."""
        with self._lock:
            if not self._packets:
                return []
            passed = max(0, number - self._packets[0].number)
            later = list(islice(self._packets, passed, None))
        return [packet for packet in later if packet.session == session]

    def streams(self, session: int) -> ClipStreams | None:
        """Return what is known of a session's streams; None where there is nothing of this session."""
        with self._lock:
            return self._streams.get(session)

    def is_over(self, session: int) -> bool:
        """Whether a later session has begun."""
        with self._lock:
            return self._session is not None and self._session > session

    def _append(self, packet: StoredPacket) -> None:
        self._packets.append(packet)
        if packet.is_key:
            self._keys.append(packet)
        self._bytes += len(packet.data) + PACKET_OVERHEAD
        self._next_number += 1
        if packet.kind == "video":
            self._newest_s = max(self._newest_s, packet.pts_s)

    def _drop_old(self) -> None:
        while self._bytes > self.max_bytes:
            if len(self._keys) == 1:
                self.overflows += 1
                self._drop_all()
                return
            self._drop_until(self._keys[1].number)
        while len(self._keys) > 1 and self._age_s(self._keys[1]) >= self._max_s:
            self._drop_until(self._keys[1].number)

    def _age_s(self, packet: StoredPacket) -> float:
        """Return how old a packet is at least, in seconds: what is of an earlier session is older than this one."""
        return self._newest_s - (packet.pts_s if packet.session == self._session else self._session_begin_s)

    def _drop_until(self, number: int) -> None:
        while self._packets and self._packets[0].number < number:
            self._bytes -= len(self._packets.popleft().data) + PACKET_OVERHEAD
        while self._keys and self._keys[0].number < number:
            self._keys.popleft()
        oldest = self._packets[0].session if self._packets else self._session
        for session in [s for s in self._streams if oldest is not None and s < oldest]:
            del self._streams[session]

    def _drop_all(self) -> None:
        self._drop_until(self._next_number)
        self._needs_key = True
