"""JPEG pictures over HTTP: a camera's endless response, or a snapshot that is requested again and again.

FFmpeg reads the bytes: it knows logins, TLS and time limits. `Splitter` finds the pictures in them by JPEG's own
markers. So it does not matter what cameras write between the pictures, and they write it in many ways.

`JpegContainer`, `JpegStream` and `JpegPacket` have as much of the interface of PyAV's container, stream and packet as
the rest of this package uses.
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

from streamcam.sources.jpeg_splitter import BEGIN, Splitter
from streamcam.sources.network import NETWORK_TIMEOUT_S

POLL_S = 0.1
"""The time from one request for a snapshot to the next, at least."""
RETRY_S = 0.5
"""The time from a request that failed to the next one."""
GIVE_UP_S = 2.0
"""For how long failed requests for a snapshot are repeated."""

MAX_TEXT = 64 << 10
"""How many bytes may stand before the first picture."""
CHUNK_BYTES = 64 << 10
"""How many bytes FFmpeg reads at a time, at most."""

_TEXT = re.compile(rb"[\t\r\n -~]*")
_NOT_VIDEO = {
    re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE): "a web page (then give the address of the video in it)",
    re.compile(rb"\x89PNG|GIF8|RIFF....WEBP|....ftypavif", re.DOTALL): "a picture that is no JPEG (ask it for JPEG)",
}


class NotVideoError(ValueError):
    """A server sent something else than video; the message says what."""


class Response:
    """The bytes of one response over HTTP."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """Send the request.

        Raises:
            OSError or av.error.FFmpegError: there is no response, or it is an error.
        """
        # FFmpeg's format "data" hands the bytes on as they are.
        raw = {"format_whitelist": "data", "seekable": "0", "raw_packet_size": str(CHUNK_BYTES)}
        timeouts_s = (NETWORK_TIMEOUT_S, NETWORK_TIMEOUT_S)
        self._container = av.open(url, format="data", options={**options, **raw}, timeout=timeouts_s)
        self._chunks = self._read()
        self._looked_at = b""
        """The bytes that `look` has read, for `pictures` to begin with."""
        self._look_until_s = float("inf")

    def _read(self) -> Iterator[bytes]:
        try:
            for packet in self._container.demux():
                if time.monotonic() > self._look_until_s:
                    raise TimeoutError
                yield bytes(packet)
        except OSError as e:
            if e.errno != errno.EIO:  # FFmpeg calls the end of a response so, where its length was not told
                raise

    def close(self) -> None:
        """Close the connection."""
        self._container.close()

    def look(self) -> Literal["pictures", "snapshot", "other"]:
        """Find out what the response is.

        Returns:
            "pictures": JPEG pictures without end; "snapshot": one JPEG; "other": neither, such as a video file. Only
            text may stand before the first picture.

        Raises:
            NotVideoError: it is a web page or a picture in another format.
        """
        self._look_until_s = time.monotonic() + NETWORK_TIMEOUT_S
        for chunk in self._chunks:
            self._looked_at += chunk
            text = _TEXT.match(self._looked_at)
            assert text is not None
            after = self._looked_at[text.end() :][: len(BEGIN)]
            if after == BEGIN:
                # It begins with a picture, and its length is known: it will end.
                if text.end() == 0 and (self._container.size or 0) > 0:
                    return self._snapshot_or_file()
                self._look_until_s = float("inf")
                return "pictures"
            if not BEGIN.startswith(after) or text.end() > MAX_TEXT:
                break
        for kind, words in _NOT_VIDEO.items():
            if kind.match(self._looked_at):
                raise NotVideoError(words)
        return "other"

    def _snapshot_or_file(self) -> Literal["snapshot", "other"]:
        """Count the pictures: one or two are a snapshot, more are a film.

        Phones put a second picture behind the first one, with its brightness or as a preview.
        """
        return "snapshot" if len(list(islice(filter(None, self.pictures()), 3))) < 3 else "other"

    def pictures(self) -> Iterator[bytes | None]:
        """Yield all pictures, and None after each chunk, so that the reader can look at its time limits."""
        splitter = Splitter()
        looked_at, self._looked_at = self._looked_at, b""
        yield from splitter.push(looked_at)
        for chunk in self._chunks:
            yield from splitter.push(chunk)
            yield None


@dataclass(frozen=True, slots=True)
class JpegPacket:
    """One picture, without a time of its own."""

    jpeg: bytes
    stream: "JpegStream | None"
    """None for an empty packet: bytes have come, and no picture is complete."""
    pts: None = None
    dts: None = None
    time_base: None = None
    is_keyframe: bool = True

    @property
    def size(self) -> int:
        """The picture's size, in bytes."""
        return len(self.jpeg)


class JpegStream:
    """Decodes JPEG packets. It has attributes of PyAV's `VideoStream`: nothing is known before the first picture."""

    index, frames = 0, 0
    duration = time_base = average_rate = guessed_rate = sample_aspect_ratio = None
    disposition, metadata = Disposition(0), MappingProxyType[str, str]({})

    def __init__(self, max_pixels: str, hwaccel: HWAccel | None) -> None:
        codec = CodecContext.create("mjpeg", "r", hwaccel=hwaccel)
        assert isinstance(codec, VideoCodecContext)
        codec.options = {"max_pixels": max_pixels}
        self.codec_context = codec

    def decode(self, packet: JpegPacket) -> list[VideoFrame]:
        """Decode a packet's picture."""
        return self.codec_context.decode(Packet(packet.jpeg))


class JpegContainer:
    """The JPEG pictures behind a URL, with the interface of PyAV's `InputContainer`."""

    format = SimpleNamespace(name="mjpeg")
    duration = start_time_realtime = None

    def __init__(
        self, url: str, options: Mapping[str, str], *, response: Response | None = None, hwaccel: HWAccel | None = None
    ) -> None:
        """Take a URL; send no request yet.

        Args:
            url: where to request pictures.
            options: FFmpeg's options, with `max_pixels`.
            response: the first response, if it was begun. Where it ends after one picture, the next one is requested.
                None: each response is known to be a snapshot, and is read for one picture.
            hwaccel: the hardware that decodes the pictures; None for the CPU.
        """
        self._url, self._options, self._response = url, options, response
        self._is_snapshot = response is None
        self._next_request_s, self._last_success_s = 0.0, time.monotonic()
        self._stream = JpegStream(options["max_pixels"], hwaccel)
        self.streams = SimpleNamespace(video=[self._stream])

    def demux(self, *_: object) -> Iterator[JpegPacket]:
        """Yield the pictures as they come.

        Raises:
            BlockingIOError: it is too early to request the next snapshot; wait a little, and call this again.
        """
        while True:
            count = 0
            for jpeg in self._current_response().pictures():
                yield JpegPacket(jpeg or b"", self._stream if jpeg else None)
                count += jpeg is not None
                if count and self._is_snapshot:
                    break
            self.close()
            if count != 1:  # a camera's endless response has ended: the reader connects anew
                return

    def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _current_response(self) -> Response:
        now_s = time.monotonic()
        if self._response is None:
            if now_s < self._next_request_s:
                raise BlockingIOError
            self._next_request_s = now_s + POLL_S
            try:
                self._response = Response(self._url, self._options)
            except (av.error.FFmpegError, OSError):
                # One request that fails is no loss yet: the reader calls again.
                self._next_request_s = now_s + RETRY_S
                if now_s - self._last_success_s > GIVE_UP_S:
                    raise
                raise BlockingIOError from None
        self._last_success_s = now_s
        return self._response


def open_jpegs(url: str, options: Mapping[str, str], *, hwaccel: HWAccel | None = None) -> JpegContainer | None:
    """Request a URL, and return its JPEG pictures; None where it gives something else, such as a video file.

    Args:
        url: where to request pictures.
        options: FFmpeg's options, with `max_pixels`.
        hwaccel: the hardware that decodes the pictures; None for the CPU.

    Raises:
        NotVideoError: it is a web page or a picture in another format.
        OSError or av.error.FFmpegError: there is no response, or it is an error.
    """
    response = Response(url, options)
    try:
        kind = response.look()
        if kind == "pictures":
            return JpegContainer(url, options, response=response, hwaccel=hwaccel)
    except BaseException:
        response.close()
        raise
    response.close()
    return JpegContainer(url, options, hwaccel=hwaccel) if kind == "snapshot" else None
