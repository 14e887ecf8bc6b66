"""JPEG pictures over HTTP: a camera's endless answer, or a snapshot that is asked for again and again.

FFmpeg brings the bytes (and knows logins, TLS and time limits); pictures are found in them by JPEG's own markers. So it
does not matter how cameras write what stands between them, which they do in many ways.
"""

import errno
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType, SimpleNamespace
from typing import Literal

import av
import av.error
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from streamcam.sources.network import NETWORK_TIMEOUT_S

POLL_S = 0.1
"""A snapshot is asked for so often, at most."""
RETRY_S = 0.5
GIVE_UP_S = 2.0
"""A snapshot that cannot be had is asked for again for so long."""

MAX_BYTES = 32 << 20
"""Of one picture; what is longer is none."""
MAX_TEXT = 64 << 10
"""What stands before the first picture is no longer than this."""
CHUNK = 64 << 10

_BEGIN = b"\xff\xd8\xff"
_TEXT = re.compile(rb"[\t\r\n -~]*")
_NOT_VIDEO = {
    re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE): "a web page (then give the address of the video in it)",
    re.compile(rb"\x89PNG|GIF8|RIFF....WEBP|....ftypavif", re.DOTALL): "a picture that is no JPEG (ask it for JPEG)",
}
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_SOI, _EOI, _SOS, _FILL = 0xD8, 0xD9, 0xDA, 0xFF
_ALONE = frozenset({0x01, *range(0xD0, 0xDA), _FILL})
"""What may follow 0xFF without a length (ITU-T T.81, table B.1)."""


class NotVideoError(ValueError):
    """What came is something else: the message says what."""


class Splitter:
    """Finds JPEG pictures in bytes that come piece by piece, whatever stands between them."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0
        """Where to look on: at a marker of the picture that the bytes begin with; without one, for its beginning."""
        self._inside = self._in_scan = False

    def push(self, data: bytes) -> Iterator[bytes]:
        """The pictures that are whole now; of one that is broken, its first two bytes, which a decoder refuses."""
        self._bytes += data
        while self._inside or self._begins():
            end = self._step()
            if end is None:
                if len(self._bytes) > MAX_BYTES:
                    yield self._take(2)
                return
            if end:
                yield self._take(end)

    def _begins(self) -> bool:
        begin = self._bytes.find(_BEGIN, self._at)
        del self._bytes[: begin if begin >= 0 else max(0, len(self._bytes) - len(_BEGIN) + 1)]
        self._inside, self._in_scan = begin >= 0, False
        self._at = 2 if self._inside else 0
        return self._inside

    def _take(self, size: int) -> bytes:
        taken = bytes(self._bytes[:size])
        del self._bytes[: max(size, self._at)]
        self._at, self._inside = 0, False
        return taken

    def _step(self) -> int | None:
        """Pass over one segment: its size if the picture ends there, 2 if it is broken, else 0; None to wait."""
        if self._in_scan:
            found = _AFTER_SCAN.search(self._bytes, self._at)
            self._at = found.start() if found else max(self._at, len(self._bytes) - 1)
            self._in_scan = found is None
        marker = self._bytes[self._at : self._at + 4]
        if self._in_scan or len(marker) < 2 or (len(marker) < 4 and marker[1] not in _ALONE):
            return None
        return self._pass_marker(marker)

    def _pass_marker(self, marker: bytearray) -> int:
        first, kind = marker[:2]
        if first != _FILL or kind == _SOI:
            return 2
        if kind in _ALONE:
            self._at += 1 if kind == _FILL else 2
            return self._at if kind == _EOI else 0
        self._at += 2 + int.from_bytes(marker[2:], "big")
        self._in_scan = kind == _SOS
        return 0


class Response:
    """One answer to one question over HTTP, as bytes."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """Ask.

        Raises:
            OSError or av.error.FFmpegError: there is no answer, or it is no.
        """
        raw = {"format_whitelist": "data", "seekable": "0", "raw_packet_size": str(CHUNK)}
        waits_s = (NETWORK_TIMEOUT_S, NETWORK_TIMEOUT_S)
        self._container = av.open(url, format="data", options={**options, **raw}, timeout=waits_s)
        self._chunks = self._read()
        self._seen = b""
        self._look_until_s = float("inf")

    def _read(self) -> Iterator[bytes]:
        try:
            for packet in self._container.demux():
                if time.monotonic() > self._look_until_s:
                    raise TimeoutError
                yield bytes(packet)
        except OSError as e:
            if e.errno != errno.EIO:  # so FFmpeg calls the end of an answer whose length was not told
                raise

    def close(self) -> None:
        """Hang up."""
        self._container.close()

    def look(self) -> Literal["pictures", "snapshot", "other"]:
        """What it is: JPEG pictures with nothing but text before the first, or one, or something else, such as a file.

        Raises:
            NotVideoError: it is a web page, or the like.
        """
        self._look_until_s = time.monotonic() + NETWORK_TIMEOUT_S
        for chunk in self._chunks:
            self._seen += chunk
            text = _TEXT.match(self._seen)
            assert text is not None
            after = self._seen[text.end() :][: len(_BEGIN)]
            if after == _BEGIN:
                is_whole = text.end() == 0 and (self._container.size or 0) > 0  # it begins with a picture, and will end
                if is_whole:
                    return self._snapshot_or_file()
                self._look_until_s = float("inf")
                return "pictures"
            if not _BEGIN.startswith(after) or text.end() > MAX_TEXT:
                break
        for kind, words in _NOT_VIDEO.items():
            if kind.match(self._seen):
                raise NotVideoError(words)
        return "other"

    def _snapshot_or_file(self) -> Literal["snapshot", "other"]:
        """Phones let a second picture follow, of brightness or for a preview; who sends more has a film."""
        return "snapshot" if len(list(islice(filter(None, self.pictures()), 3))) < 3 else "other"

    def pictures(self) -> Iterator[bytes | None]:
        """All of them, until it ends; None whenever something has come, and none is whole."""
        splitter = Splitter()
        seen, self._seen = self._seen, b""
        yield from splitter.push(seen)
        for chunk in self._chunks:
            yield from splitter.push(chunk)
            yield None


@dataclass(frozen=True, slots=True)
class JpegPacket:
    """One picture, without a time of its own."""

    jpeg: bytes
    stream: "JpegStream | None"
    """None where nothing is whole yet: it lets whoever reads look up."""
    pts: None = None
    dts: None = None
    time_base: None = None
    is_keyframe: bool = True

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.jpeg)


class JpegStream:
    """Decodes them, as a stream of PyAV's does, of which nothing is known beforehand."""

    index, frames = 0, 0
    duration = time_base = average_rate = guessed_rate = sample_aspect_ratio = None
    disposition, metadata = Disposition(0), MappingProxyType[str, str]({})

    def __init__(self, max_pixels: str, hwaccel: HWAccel | None) -> None:
        codec = CodecContext.create("mjpeg", "r", hwaccel=hwaccel)
        assert isinstance(codec, VideoCodecContext)
        codec.options = {"max_pixels": max_pixels}
        self.codec_context = codec

    def decode(self, packet: JpegPacket) -> list[VideoFrame]:
        """The picture in it."""
        return self.codec_context.decode(Packet(packet.jpeg))


class Jpegs:
    """Pictures from a URL, to be read as a container of PyAV's is."""

    format = SimpleNamespace(name="mjpeg")
    duration = None

    def __init__(
        self, url: str, options: Mapping[str, str], *, response: Response | None = None, hwaccel: HWAccel | None = None
    ) -> None:
        """Get ready.

        Args:
            url: whom to ask.
            options: FFmpeg's, with `max_pixels`.
            response: the first answer, whose end is another question if it held one picture; by default each answer is
                known to be for one.
            hwaccel: decodes them.
        """
        self._url, self._options, self._response = url, options, response
        self._is_snapshot = response is None
        self._due_s, self._had_s = 0.0, time.monotonic()
        self._stream = JpegStream(options["max_pixels"], hwaccel)
        self.streams = SimpleNamespace(video=[self._stream])

    def demux(self, *_: object) -> Iterator[JpegPacket]:
        """Picture by picture, as they come.

        Raises:
            BlockingIOError: it is not yet time to ask for the next; call this again.
        """
        while True:
            count = 0
            for jpeg in self._answer().pictures():
                yield JpegPacket(jpeg or b"", self._stream if jpeg else None)
                count += jpeg is not None
                if count and self._is_snapshot:
                    break
            self.close()
            if count != 1:
                return

    def close(self) -> None:
        """Hang up. Twice is fine."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _answer(self) -> Response:
        now_s = time.monotonic()
        if self._response is None:
            if now_s < self._due_s:
                raise BlockingIOError
            self._due_s = now_s + POLL_S
            try:
                self._response = Response(self._url, self._options)
            except (av.error.FFmpegError, OSError):
                self._due_s = now_s + RETRY_S
                if now_s - self._had_s > GIVE_UP_S:
                    raise
                raise BlockingIOError from None
        self._had_s = now_s
        return self._response


def pictures_over_http(url: str, options: Mapping[str, str], *, hwaccel: HWAccel | None = None) -> Jpegs | None:
    """Pictures, where a URL gives any; None where it gives something else, or a file of them.

    Raises:
        NotVideoError: it is a web page, or the like.
        OSError or av.error.FFmpegError: there is no answer, or it is no.
    """
    response = Response(url, options)
    try:
        kind = response.look()
        if kind == "pictures":
            return Jpegs(url, options, response=response, hwaccel=hwaccel)
    except BaseException:
        response.close()
        raise
    response.close()
    return Jpegs(url, options, hwaccel=hwaccel) if kind == "snapshot" else None
