"""What a source argument means."""

import re
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from streamcam.errors import StreamcamError, redact, redact_uri
from streamcam.sources.network import OPTIONS, TRANSPORTS, plain, read_url

SAMPLE = "sample"
_MISSPELT = re.compile(rf"({'|'.join(OPTIONS)})[:/]", re.IGNORECASE)


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
    instead: dict[str, str] = field(default_factory=dict)
    """Other options, to be tried where it answers and gives no pictures."""
    host: str | None = None
    """Whom to ask, by name or number, where it is not on this machine."""

    def other_way(self) -> "Address":
        """The same with its other options, and these for the others; itself, where there are none."""
        return replace(self, options=self.instead, instead=self.options) if self.instead else self


def parse_address(uri: str, *, rtsp_transport: str = "auto") -> Address:
    """Understand a source argument: `0`, /dev/video0, rtsp://…, http://…, file.mp4, `-`, lavfi:…, or `sample`.

    Args:
        uri: it.
        rtsp_transport: one of `TRANSPORTS`; auto is TCP, or UDP where a camera does not offer that.

    Raises:
        StreamcamError: it is none of these, or there is no such file. (Whether a camera is there, opening it tells.)
    """
    uri = plain(uri)
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
        return _network(uri, rtsp_transport)
    return _file(uri)


def _camera(uri: str) -> Address:
    path = f"/dev/video{uri}" if uri.isdecimal() else uri
    # nonblock: a camera that hangs must not hold up the end of the program.
    options = {"framerate": "30", "video_size": "640x480", "fflags": "nonblock"}
    return Address(path, _name(Path(path).name), path, live=True, format="v4l2", options=options)


def _network(uri: str, rtsp_transport: str) -> Address:
    read = read_url(uri)
    options, instead = OPTIONS[read.scheme], {}
    if read.scheme in ("rtsp", "rtsps"):
        options = options | TRANSPORTS[rtsp_transport]
    if read.scheme == "rtsp" and rtsp_transport == "auto":
        instead = options | TRANSPORTS["udp"]
    name = _name(read.host)
    return Address(redact_uri(uri), name, read.url, live=True, options=options, instead=instead, host=read.host)


def _file(uri: str) -> Address:
    path = Path(uri.removeprefix("file://"))
    try:
        if path.is_dir():
            raise StreamcamError(f"cannot read {path}: it is a folder; give a video file")
        path.stat()
    except (OSError, ValueError) as e:
        misspelt = _MISSPELT.match(uri)
        shown, hint = (redact_uri(uri), f" (did you mean {misspelt[1].lower()}://?)") if misspelt else (str(path), "")
        raise StreamcamError(f"no such file: {shown[:200]}{hint}") from e
    # "file:" keeps FFmpeg from taking a colon in the name for a protocol.
    return Address(str(path), _name(path.stem), f"file:{path}", live=False)


def _name(text: str) -> str:
    """A name that can be part of a message topic."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")[:48] or "source"
