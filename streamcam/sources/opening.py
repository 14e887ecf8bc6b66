"""Opening what an address stands for, in bounded time and memory; and what went wrong, in words without credentials."""

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
from streamcam.sources.jpegs import Jpegs, NotVideoError, pictures_over_http
from streamcam.sources.network import NETWORK_TIMEOUT_S
from streamcam.sources.status import DEAD_AFTER_S
from streamcam.sources.stream_choice import video_stream

MAX_PIXELS = 8192 * 8192
"""In one picture. What claims more is refused before memory is taken for it; twice the area of 8K passes."""

GEN_PTS = 0x1
"""FFmpeg's AVFMT_FLAG_GENPTS."""

NOT_TAKEN = {
    errno.EIO: "it breaks off, or sends us elsewhere (then give that address itself)",
    errno.EINVAL: "not a video, or a playlist that sends us elsewhere (then give the stream's address itself)",
}
"""What FFmpeg's errors mean over HTTP, where neither redirects nor playlists are followed."""

FAILURES = (av.error.FFmpegError, OSError, ValueError)

ANSWERED = (
    av.error.InvalidDataError,
    av.error.HTTPBadRequestError,
    av.error.HTTPOtherClientError,
    av.error.HTTPServerError,
)
"""What FFmpeg makes of a camera that does not care for RTSP over TCP, besides the status for that (461)."""

_asked: "dict[str, Future[bool]]" = {}
"""The names that are being looked up."""
_asking = Lock()


def open_video(
    address: Address, stop: Event | None = None, *, hwaccel: HWAccel | None = None, number: int | None = None
) -> InputContainer:
    """Open it, with its best video stream, or that with a number, ready to be decoded, by `hwaccel` where that can be.

    It takes no longer than `NETWORK_TIMEOUT_S` for the host's name, as much for the connection, and as much for the
    stream's particulars, of which a host that does not answer uses up one. Who answers, and gives no pictures, may be
    asked once more. Once `stop` is set, no connection is begun.

    Raises:
        StreamcamError: it cannot be opened; the message says why, without credentials.
    """
    if address.host is not None:
        _require_known(address.host, address.shown)
    if stop is not None and stop.is_set():
        raise StreamcamError(f"cannot open {address.shown}: told to stop")
    if address.format == "v4l2" and not Path(address.url).exists():
        raise StreamcamError(
            f"no such camera: {address.url} (is it plugged in? `streamcam doctor` lists what there is)"
        )
    container = _container_or_reason(address, hwaccel)
    if isinstance(container, str):  # raised here, and not where the cause would be its context, with the password
        raise StreamcamError(f"cannot open {address.shown}: {container}")
    if isinstance(container, Jpegs):
        return container
    container.flags &= ~GEN_PTS  # PyAV has FFmpeg make times up, in the wrong order
    try:
        _prepare(video_stream(container, address.shown, number), address.shown)
    except BaseException:
        container.close()
        raise
    return container


def _require_known(host: str, shown: str) -> None:
    """Look a host's name up: FFmpeg would wait for a dead name server for ever, and not tell an unknown name."""
    try:
        known = _look_up(host).result(NETWORK_TIMEOUT_S)
    except TimeoutError:
        raise StreamcamError(f"cannot reach {shown}: the name server does not answer") from None
    if not known:
        raise StreamcamError(f"cannot reach {shown}: unknown host {host!r}")


def _look_up(host: str) -> "Future[bool]":
    """Whether a name is known, to be told; whoever asks meanwhile joins, so a dead server holds one thread a host."""
    with _asking:
        known = _asked.get(host)
        if known is None:
            known = Future()
            Thread(target=_ask, args=(host, known), daemon=True, name="name look-up").start()
            _asked[host] = known
    return known


def _ask(host: str, known: "Future[bool]") -> None:
    answer = False
    try:
        with suppress(OSError, ValueError):  # the latter: a name that cannot be one
            socket.getaddrinfo(host, None)
            answer = True
    finally:
        with _asking:  # before anybody has the answer: who asks then asks anew
            del _asked[host]
        known.set_result(answer)


def _container_or_reason(address: Address, hwaccel: HWAccel | None) -> InputContainer | str:
    begin_s = time.monotonic()
    try:
        return _open_either_way(address, hwaccel)
    except FAILURES as e:
        if address.live and _has_waited(begin_s):
            return "no answer in time"
        if address.host is not None and isinstance(e, av.error.InvalidDataError):
            return "the connection breaks off, or what comes is not video"
        return (NOT_TAKEN.get(getattr(e, "errno", 0)) if _over_http(address) else None) or why_not(e)


def _has_waited(begin_s: float) -> bool:
    """Whether time ran out; FFmpeg calls that invalid data."""
    return time.monotonic() - begin_s > 0.9 * NETWORK_TIMEOUT_S


def _open_either_way(address: Address, hwaccel: HWAccel | None) -> InputContainer:
    """Open it, or, where it answers without giving pictures, with its other options."""
    begin_s = time.monotonic()
    try:
        return _open_container(address, hwaccel)
    except FAILURES as e:
        answered = isinstance(e, ANSWERED) or getattr(e, "errno", 0) == errno.EPROTONOSUPPORT
        if not (address.instead and answered) or _has_waited(begin_s):
            raise
        with suppress(*FAILURES):
            return _open_container(address.other_way(), hwaccel)
        raise


def _open_container(address: Address, hwaccel: HWAccel | None) -> InputContainer:
    # FFmpeg's own look at the first pictures obeys max_pixels, too; a clock that is set back must not be taken for one
    # that has run for 26.5 hours.
    options = {"max_pixels": str(MAX_PIXELS), "correct_ts_overflow": "0", **address.options}
    timeout_s = (NETWORK_TIMEOUT_S, DEAD_AFTER_S) if address.live else None
    if address.format == "v4l2":
        with suppress(*FAILURES):
            return av.open(address.url, format="v4l2", options=options, timeout=timeout_s, hwaccel=hwaccel)
        for key in ("framerate", "video_size"):  # whatever the camera has
            del options[key]
    if not _over_http(address):
        return av.open(address.url, format=address.format, options=options, timeout=timeout_s, hwaccel=hwaccel)
    pictures = pictures_over_http(address.url, options, hwaccel=hwaccel)
    if pictures is not None:
        return cast(InputContainer, pictures)  # it is read as one
    return av.open(address.url, options=options, timeout=timeout_s, hwaccel=hwaccel)


def _over_http(address: Address) -> bool:
    return address.url.startswith("http")


def _prepare(stream: VideoStream, shown: str) -> None:
    codec = stream.codec_context
    if codec is None:
        raise StreamcamError(f"cannot decode {shown}: its video codec is not supported")
    if codec.width * codec.height > MAX_PIXELS:
        raise StreamcamError(
            f"cannot decode {shown}: its pictures of {codec.width}×{codec.height} are larger than "
            f"{MAX_PIXELS / 1e6:.0f} million pixels"
        )
    codec.options = {"max_pixels": str(MAX_PIXELS)}  # a picture on the way may be larger than the first
    stream.thread_type = "SLICE"  # frame threads would add a frame of delay each


def why_not(error: Exception) -> str:
    """FFmpeg's reason in words. Never its own text, which may repeat the URL with the password."""
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
