"""What a source argument means."""

import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from streamcam.errors import StreamcamError, redact, redact_uri

SAMPLE = "sample"
NETWORK_TIMEOUT_S = 3
"""How long a host may take for its name, for an answer, or for the next packet."""

HTTP_FORMATS = "mpjpeg,mjpeg,jpeg_pipe,mpegts,mpeg,mov,matroska,flv,avi,ogg,asf,h264,hevc"
"""What may come over HTTP: nothing that has FFmpeg ask another host, as playlists (HLS, DASH) do."""


@dataclass(frozen=True, slots=True)
class Address:
    """A source argument, understood: what FFmpeg is asked to open, and how."""

    shown: str
    """For people: without credentials."""
    name: str
    """A default name for the source."""
    url: str = field(repr=False)
    """What FFmpeg opens; it may hold a password."""
    live: bool
    """Whether it delivers at its own pace and must be opened again when it ends."""
    format: str | None = None
    """FFmpeg's input format, where it cannot be guessed."""
    options: dict[str, str] = field(default_factory=dict)
    """FFmpeg's options."""
    host: str | None = None
    """Whom to ask, by name or number, where it is not on this machine."""


def parse_address(uri: str) -> Address:
    """Understand a source argument: `0`, /dev/video0, rtsp://…, http://…, file.mp4, `-`, lavfi:…, or `sample`.

    Raises:
        StreamcamError: it is none of these, or there is no such file. (Whether a camera is there, opening it tells.)
    """
    scheme = uri.partition(":")[0].lower()
    if uri == "-":
        return Address("standard input", "stdin", "pipe:0", live=False)
    if uri == SAMPLE:
        return Address(SAMPLE, SAMPLE, str(files("streamcam") / "data" / "sample.mp4"), live=False)
    if uri.isdecimal() or uri.startswith("/dev/video"):
        return _camera(uri)
    if scheme == "lavfi":
        name = _name(uri.removeprefix("lavfi:").partition("=")[0])
        return Address(redact(uri.replace("\\", "")), name, uri[6:], live=False, format="lavfi")
    if "://" in uri and scheme != "file":
        return _network(uri, scheme)
    return _file(uri)


def _camera(uri: str) -> Address:
    path = f"/dev/video{uri}" if uri.isdecimal() else uri
    # nonblock: a camera that hangs must not hold up the end of the program.
    options = {"framerate": "30", "video_size": "640x480", "fflags": "nonblock"}
    return Address(path, _name(Path(path).name), path, live=True, format="v4l2", options=options)


def _network(uri: str, scheme: str) -> Address:
    timeout_us = str(NETWORK_TIMEOUT_S * 1_000_000)
    options = {
        # With these FFmpeg opens a camera in 0.1 s instead of 1 s; timeout (not stimeout) holds for reads as well.
        "rtsp": {"rtsp_transport": "tcp", "timeout": timeout_us, "probesize": "32", "analyzeduration": "0"},
        "http": {"timeout": timeout_us, "max_redirects": "0", "format_whitelist": HTTP_FORMATS},
    }
    options |= {"rtsps": options["rtsp"], "https": options["http"]}
    if scheme not in options:
        raise StreamcamError(f"cannot read {redact_uri(uri)}: use a camera number, {', '.join(options)} or a file")
    host = _host(uri)
    return Address(redact_uri(uri), _name(host), uri, live=True, options=options[scheme], host=host)


def _host(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise StreamcamError(f"not a URL with a host: {redact_uri(uri)} (in a password, write / as %2F and @ as %40)")
    return host


def _file(uri: str) -> Address:
    path = Path(uri.removeprefix("file://"))
    try:
        if path.is_dir():
            raise StreamcamError(f"cannot read {path}: it is a folder; give a video file")
        path.stat()
    except (OSError, ValueError) as e:
        raise StreamcamError(f"no such file: {str(path)[:200]}") from e
    # "file:" keeps FFmpeg from taking a colon in the name for a protocol.
    return Address(str(path), _name(path.stem), f"file:{path}", live=False)


def _name(text: str) -> str:
    """A name that can be part of a message topic."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")[:48] or "source"
