"""Opening an address with FFmpeg, in bounded time and memory, and explaining what went wrong without credentials."""

import errno
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import cast

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from streamcam.errors import StreamcamError
from streamcam.sources.address import Address
from streamcam.sources.jpegs import JpegContainer, NotVideoError, open_jpegs
from streamcam.sources.network import NETWORK_TIMEOUT_S
from streamcam.sources.status import DEAD_AFTER_S
from streamcam.sources.stream_selection import select_video_stream

MAX_PIXELS = 8192 * 8192
"""The largest picture, twice the area of 8K. A larger one is refused before memory is allocated for it."""

AVFMT_FLAG_GENPTS = 0x1
"""FFmpeg's flag, which PyAV does not name."""

HTTP_REASONS = {
    errno.EIO: "it breaks off, or sends us elsewhere (then give that address itself)",
    errno.EINVAL: "not a video, or a playlist that sends us elsewhere (then give the stream's address itself)",
}
"""What FFmpeg's errors mean over HTTP. Neither redirects nor playlists are followed there: see `network`."""

FAILURES = (av.error.FFmpegError, OSError, ValueError)
"""What PyAV raises where a file or camera is at fault."""

TRANSPORT_REFUSED = (
    av.error.InvalidDataError,
    av.error.HTTPBadRequestError,
    av.error.HTTPOtherClientError,
    av.error.HTTPServerError,
)
"""What FFmpeg raises where a camera refuses RTSP over TCP with another status than the right one (461)."""

_lookups: "dict[str, Future[bool]]" = {}
"""The hosts' names that are being looked up → whether they are known."""
_lookups_lock = Lock()
"""Protects `_lookups`, which the threads of all sources share."""


def open_video(
    address: Address, stop: Event | None = None, *, hwaccel: HWAccel | None = None, number: int | None = None
) -> InputContainer:
    """Open an address, and make its video stream ready to be decoded.

    The look-up of the host's name takes `NETWORK_TIMEOUT_S` at most. The connection takes as much, and reading the
    stream's parameters as much again. Where a host does not answer, one of the three times runs out and no other. A
    host that answers without pictures is asked once more, with the address's fallback options.

    Args:
        address: what to open.
        stop: once it is set, no connection is begun.
        hwaccel: the hardware that decodes, as far as it can; None for the CPU.
        number: the video stream's number, from 0; None for the best, as `select_video_stream` has it.

    Raises:
        StreamcamError: it cannot be opened; the message says why, without credentials.
    """
    if address.host is not None:
        _require_known_host(address.host, address.shown)
    if stop is not None and stop.is_set():
        raise StreamcamError(f"cannot open {address.shown}: told to stop")
    if address.format == "v4l2" and not Path(address.url).exists():
        raise StreamcamError(
            f"no such camera: {address.url} (is it plugged in? `streamcam doctor` lists what there is)"
        )
    container = _container_or_reason(address, hwaccel)
    # Raised here, and not while FFmpeg's error is handled: that would become its context, with the password.
    if isinstance(container, str):
        raise StreamcamError(f"cannot open {address.shown}: {container}")
    if isinstance(container, JpegContainer):
        return container
    # PyAV sets the flag. FFmpeg would make up pts, in the wrong order: `BestEffortTimestamps` does it better.
    container.flags &= ~AVFMT_FLAG_GENPTS
    try:
        _prepare(select_video_stream(container, address.shown, number), address.shown)
    except BaseException:
        container.close()
        raise
    return container


def open_stream(address: Address, *, number: int | None = None) -> VideoStream:
    """Open an address as `open_video` does, on the CPU; return its video stream."""
    return select_video_stream(open_video(address, number=number), address.shown, number)


def _require_known_host(host: str, shown: str) -> None:
    """Look a host's name up, with a time limit.

    FFmpeg would wait without end for a name server that does not answer, and does not say that a name is unknown.
    """
    try:
        is_known = _start_lookup(host).result(NETWORK_TIMEOUT_S)
    except TimeoutError:
        raise StreamcamError(f"cannot reach {shown}: the name server does not answer") from None
    if not is_known:
        raise StreamcamError(f"cannot reach {shown}: unknown host {host!r}")


def _start_lookup(host: str) -> "Future[bool]":
    """Begin to look a name up, or join a look-up that is running: a dead name server holds one thread a host."""
    with _lookups_lock:
        is_known = _lookups.get(host)
        if is_known is None:
            is_known = Future()
            Thread(target=_look_up, args=(host, is_known), daemon=True, name="name look-up").start()
            _lookups[host] = is_known
    return is_known


def _look_up(host: str, is_known: "Future[bool]") -> None:
    found = False
    try:
        with suppress(OSError, ValueError):  # ValueError: a text that cannot be a name
            socket.getaddrinfo(host, None)
            found = True
    finally:
        # Remove it before anybody has the result, so that whoever asks later looks the name up anew.
        with _lookups_lock:
            del _lookups[host]
        is_known.set_result(found)


def _container_or_reason(address: Address, hwaccel: HWAccel | None) -> InputContainer | str:
    """Open an address; return FFmpeg's error in words where that fails."""
    begin_s = time.monotonic()
    try:
        return _open_with_fallback(address, hwaccel)
    except FAILURES as e:
        if address.live and _has_timed_out(begin_s):
            return "no answer in time"
        if address.host is not None and isinstance(e, av.error.InvalidDataError):
            return "the connection breaks off, or what comes is not video"
        return (HTTP_REASONS.get(getattr(e, "errno", 0)) if address.over_http else None) or reason_for(e)


def _has_timed_out(begin_s: float) -> bool:
    """Whether the time since `begin_s` is about the time limit. FFmpeg may call a timeout invalid data."""
    return time.monotonic() - begin_s > 0.9 * NETWORK_TIMEOUT_S


def _open_with_fallback(address: Address, hwaccel: HWAccel | None) -> InputContainer:
    """Open an address; where the host refuses the transport, try once more with the fallback options."""
    begin_s = time.monotonic()
    try:
        return _open_container(address, hwaccel)
    except FAILURES as e:
        refused = isinstance(e, TRANSPORT_REFUSED) or getattr(e, "errno", 0) == errno.EPROTONOSUPPORT
        if not (address.fallback_options and refused) or _has_timed_out(begin_s):
            raise
        with suppress(*FAILURES):
            return _open_container(address.with_fallback_options(), hwaccel)
        raise  # the first error: it says what the camera offers


def _open_container(address: Address, hwaccel: HWAccel | None) -> InputContainer:
    # FFmpeg decodes the first pictures to find a stream's parameters: max_pixels limits these, too.
    # With correct_ts_overflow, it would take a clock that is set back for one that has wrapped after 26.5 hours.
    options = {"max_pixels": str(MAX_PIXELS), "correct_ts_overflow": "0", **address.options}
    timeout_s = (NETWORK_TIMEOUT_S, DEAD_AFTER_S) if address.live else None
    if address.format == "v4l2":
        with suppress(*FAILURES):
            return av.open(address.url, format="v4l2", options=options, timeout=timeout_s, hwaccel=hwaccel)
        for key in ("framerate", "video_size"):  # the camera does not have these: take its own
            del options[key]
    if not address.over_http:
        return av.open(address.url, format=address.format, options=options, timeout=timeout_s, hwaccel=hwaccel)
    pictures = open_jpegs(address.url, options, hwaccel=hwaccel)
    if pictures is not None:
        return cast(InputContainer, pictures)  # it has the same interface
    return av.open(address.url, options=options, timeout=timeout_s, hwaccel=hwaccel)


def _prepare(stream: VideoStream, shown: str) -> None:
    """Set a stream's decoder up; refuse one that cannot be decoded."""
    codec = stream.codec_context
    if codec is None:
        raise StreamcamError(f"cannot decode {shown}: its video codec is not supported")
    if codec.width * codec.height > MAX_PIXELS:
        raise StreamcamError(
            f"cannot decode {shown}: its pictures of {codec.width}×{codec.height} are larger than "
            f"{MAX_PIXELS / 1e6:.0f} million pixels"
        )
    codec.options = {"max_pixels": str(MAX_PIXELS)}  # a later picture may be larger than the first
    stream.thread_type = "SLICE"  # frame threads would add a frame of delay each


def reason_for(error: Exception) -> str:
    """Explain an error of FFmpeg's in words. Its own text is never used: it may repeat the URL with the password."""
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (av.error.HTTPUnauthorizedError, "wrong or missing user name or password"),
        (av.error.HTTPForbiddenError, "access is forbidden for this user"),
        (av.error.HTTPNotFoundError, "the server knows no such stream"),
        (ConnectionRefusedError, "nobody listens there (is the server running, and the port right?)"),
        (TimeoutError, "no answer in time"),
        (av.error.ExitError, "no answer in time"),
        (PermissionError, "permission denied"),
        (av.error.InvalidDataError, "not a video, or damaged at its start"),
        (av.error.EOFError, "it is empty or ends too early"),
        (FileNotFoundError, "no such file, or the server knows no such stream"),
    )
    for kind, words in reasons:
        if isinstance(error, kind):
            return words
    if isinstance(error, NotVideoError):
        return f"not a video, but {error}"
    if getattr(error, "errno", 0) == errno.EPROTONOSUPPORT:
        return "it does not send its pictures that way (--rtsp-transport auto tries TCP, then UDP)"
    return getattr(error, "strerror", None) or type(error).__name__
