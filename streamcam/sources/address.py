"""What a source argument means: its text, called the URI → an `Address`, which FFmpeg can open.

`KINDS` is the registry of all kinds of sources. To add a kind, write one function that makes an `Address` from a
`SourceUri`, and add one entry to `KINDS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from streamcam.errors import StreamcamError, redact, redact_uri
from streamcam.sources.network import HTTP, OPTIONS, RTSP, TRANSPORTS, parse_url, without_quotes

SAMPLE = "sample"
"""The clip that comes with this package."""
VIDEO_DEVICE = "/dev/video"
"""How the paths of Linux's webcams begin."""
ANY_URL = "://"

NUMBERED = frozenset({".jpg", ".jpeg", ".png"})
"""Suffixes of numbered pictures."""

STANDARD_INPUT = "pipe:0"
"""FFmpeg's URL for standard input."""

# rtsp:/camera and http:camera are not URLs, so they are taken for the names of files that do not exist.
_MISSPELT_SCHEME = re.compile(rf"({'|'.join(OPTIONS)})[:/]", re.IGNORECASE)
_FPS = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Address:
    """What FFmpeg is asked to open, and with which options."""

    shown: str
    """The source argument as people may see it: without credentials."""
    name: str
    """A default name for the source, which can be part of a message topic."""
    url: str = field(repr=False)
    """What FFmpeg opens; it may hold a password."""
    live: bool
    """Whether the source delivers at its own pace, and must be opened again when it ends."""
    format: str | None = None
    """FFmpeg's input format; None lets FFmpeg guess it."""
    options: dict[str, str] = field(default_factory=dict)
    """FFmpeg's options."""
    fallback_options: dict[str, str] = field(default_factory=dict)
    """Options to try next, where the host answers but gives no pictures; empty where there are none."""
    host: str | None = None
    """The host's name or number; None for what is on this machine."""

    @property
    def over_http(self) -> bool:
        """Whether it is read over HTTP or HTTPS."""
        return self.url.startswith(HTTP)

    @property
    def can_be_reopened(self) -> bool:
        """Whether it gives the same again when it is opened once more, as a file does."""
        return self.host is None and self.url != STANDARD_INPUT and self.format != "lavfi"

    def with_fallback_options(self) -> "Address":
        """Return a copy with options and fallback options exchanged; without any fallback, return the same address."""
        if not self.fallback_options:
            return self
        return replace(self, options=self.fallback_options, fallback_options=self.options)


class SourceUri(NamedTuple):
    """A source argument, and the option that some kinds need to understand it."""

    text: str
    rtsp_transport: str
    """One of `TRANSPORTS`."""


def parse_address(uri: str, *, rtsp_transport: str = "auto") -> Address:
    """Understand a source argument: `0`, /dev/video0, rtsp://…, http://…, file.mp4, `-`, lavfi:, frames:, or `sample`.

    Args:
        uri: the source argument. Blanks and quotes around a URL are removed.
        rtsp_transport: one of `TRANSPORTS`; auto is TCP, or UDP where a camera does not offer TCP.

    Raises:
        StreamcamError: it is none of these, or there is no such file. Only opening the address shows whether a camera
            is there.
    """
    text = without_quotes(uri)
    return KINDS[_kind_of(text)](SourceUri(text, rtsp_transport))


def _kind_of(text: str) -> str:
    """Return the key in `KINDS` of a source argument; what is nothing else is a file."""
    if text in KINDS:
        return text
    if text.isdecimal() or text.startswith(VIDEO_DEVICE):
        return VIDEO_DEVICE
    scheme = text.partition(":")[0].lower()
    if ":" in text and f"{scheme}:" in KINDS:
        return f"{scheme}:"
    if ANY_URL in text:
        return f"{scheme}{ANY_URL}" if f"{scheme}{ANY_URL}" in KINDS else ANY_URL
    return "file:"


def _standard_input(_: SourceUri) -> Address:
    return Address("standard input", "stdin", STANDARD_INPUT, live=False)


def _sample(_: SourceUri) -> Address:
    return Address(SAMPLE, SAMPLE, str(files("streamcam") / "data" / "sample.mp4"), live=False)


def _camera(uri: SourceUri) -> Address:
    path = f"{VIDEO_DEVICE}{uri.text}" if uri.text.isdecimal() else uri.text
    # nonblock: a camera that hangs must not hold up the end of the program.
    options = {"framerate": "30", "video_size": "640x480", "fflags": "nonblock"}
    return Address(path, _topic_name(Path(path).name), path, live=True, format="v4l2", options=options)


def _filter_graph(uri: SourceUri) -> Address:
    """Make the address of a test picture, such as `lavfi:testsrc=size=320x240`: FFmpeg's filters draw it."""
    graph = uri.text.partition(":")[2]
    # A backslash escapes a character for FFmpeg; people need not see it.
    shown = redact(uri.text.replace("\\", ""))
    name = _topic_name(uri.text.removeprefix("lavfi:").partition("=")[0])
    return Address(shown, name, graph, live=False, format="lavfi")


def _numbered_pictures(uri: SourceUri) -> Address:
    """Make the address of a folder of numbered pictures, such as `frames:12:FOLDER` for 12 a second."""
    fps, _, folder = uri.text.partition(":")[2].partition(":")
    if not _FPS.fullmatch(fps) or not float(fps):
        raise StreamcamError(f"expected frames:FPS:FOLDER, as in frames:12:pictures, got {uri.text[:200]}")
    first = _first_numbered(Path(folder))
    # FFmpeg takes a percent sign in the folder's name for a number as well.
    pattern = f"{str(first.parent).replace('%', '%%')}/%{_padding(first)}d{first.suffix}"
    options = {"framerate": fps, "start_number": str(int(first.stem))}
    return Address(
        folder, _topic_name(Path(folder).name), f"file:{pattern}", live=False, format="image2", options=options
    )


def _first_numbered(folder: Path) -> Path:
    """Return the first of a folder's numbered pictures. None may be missing: FFmpeg would end there without a word."""
    try:
        paths = [path for path in folder.iterdir() if path.stem.isdecimal() and path.suffix.lower() in NUMBERED]
    except OSError as e:
        raise StreamcamError(f"cannot read the folder {folder}: {e.strerror}") from e
    if not paths:
        raise StreamcamError(f"{folder} holds no numbered pictures, such as 00001.jpg, 00002.jpg")
    paths.sort(key=lambda path: (int(path.stem), path.name))
    first = paths[0]
    for number, path in enumerate(paths, start=int(first.stem)):
        expected = f"{number:{_padding(first)}d}{first.suffix}"
        if path.name != expected:
            raise StreamcamError(f"{folder} lacks {expected}: its next picture is {path.name}")
    return first


def _padding(first: Path) -> str:
    """Return how a number is written: 05 for 00001.jpg, and nothing for 1.jpg."""
    return f"0{len(first.stem)}" if first.stem.startswith("0") else ""


def _network(uri: SourceUri) -> Address:
    url = parse_url(uri.text)
    options, fallback = OPTIONS[url.scheme], {}
    if url.scheme in RTSP:
        options = options | TRANSPORTS[uri.rtsp_transport]
    # Pictures over UDP would not be encrypted, so rtsps has no fallback.
    if url.scheme == "rtsp" and uri.rtsp_transport == "auto":
        fallback = options | TRANSPORTS["udp"]
    return Address(
        redact_uri(uri.text),
        _topic_name(url.host),
        url.url,
        live=True,
        options=options,
        fallback_options=fallback,
        host=url.host,
    )


def _file(uri: SourceUri) -> Address:
    path = Path(uri.text.removeprefix("file://"))
    try:
        if path.is_dir():
            raise StreamcamError(f"cannot read {path}: it is a folder; give a video file")
        path.stat()
    except (OSError, ValueError) as e:
        raise _no_such_file(uri.text, path) from e
    # "file:" keeps FFmpeg from taking a colon in the name for a protocol.
    return Address(str(path), _topic_name(path.stem), f"file:{path}", live=False)


def _no_such_file(text: str, path: Path) -> StreamcamError:
    misspelt = _MISSPELT_SCHEME.match(text)
    if misspelt is None:
        return StreamcamError(f"no such file: {str(path)[:200]}")
    return StreamcamError(f"no such file: {redact_uri(text)[:200]} (did you mean {misspelt[1].lower()}://?)")


def _topic_name(text: str) -> str:
    """Return a name that can be part of a message topic."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")[:48] or "source"


KINDS: dict[str, Callable[[SourceUri], Address]] = {
    "-": _standard_input,
    SAMPLE: _sample,
    VIDEO_DEVICE: _camera,
    "lavfi:": _filter_graph,
    "frames:": _numbered_pictures,
    "file:": _file,
    "rtsp://": _network,
    "rtsps://": _network,
    "http://": _network,
    "https://": _network,
    ANY_URL: _network,
}
"""Every kind of source → the function that makes its address.

A key is the whole argument (`sample`), how a path begins (/dev/video), a scheme (`lavfi:`) or a URL's scheme
(rtsp://). A URL of any other scheme goes to `_network`, which raises the error that fits it.
"""
