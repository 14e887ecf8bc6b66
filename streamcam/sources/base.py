"""Where frames come from. A source is what `Source` lists; to add a kind, give `open_source` a scheme."""

from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event
from typing import Protocol

from streamcam.errors import StreamcamError
from streamcam.records import Frame
from streamcam.sources.address import parse_address
from streamcam.sources.status import SourceStatus
from streamcam.sources.video import Decoder, VideoSource


class Source(Protocol):
    """An iterator of frames with real timestamps."""

    name: str
    live: bool
    drops: Counter[str]

    @property
    def status(self) -> SourceStatus:
        """How it fares; any thread may ask."""
        ...

    @property
    def state(self) -> str:
        """The same as one line for people."""
        ...

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Frames in order, until the source ends or `stop` is set."""
        ...

    def close(self) -> None:
        """Let go of the camera, connection or file; twice is fine."""
        ...


def open_source(
    uri: str,
    *,
    name: str | None = None,
    paced: bool = True,
    loop: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
    renewed: Callable[[], str] | None = None,
    decoder: Decoder | None = None,
    rtsp_transport: str = "auto",
    video_stream: int | None = None,
    levels: str | None = None,
) -> VideoSource:
    """Take note of a camera or stream, which `frames` opens, and again for ever; open a file.

    Args:
        uri: `0` or /dev/video0 (a webcam), rtsp://… , http://… (MJPEG, or one JPEG), a video file, `-` (standard
            input), `lavfi:…` (a test picture made by FFmpeg) or `sample` (the clip that comes with this package).
        name: what results call it; by default made from the URI.
        paced: whether a file plays at its own speed; otherwise as fast as its frames are taken.
        loop: whether a file starts again when it ends.
        start_s: of a file, pass over so many seconds.
        end_s: of a file, end so many seconds after its beginning.
        renewed: the same URI with the login as it is now: asked for before each connection, since passwords change.
        decoder: what decodes instead of the CPU, as far as it can.
        rtsp_transport: how an RTSP camera sends its pictures: tcp, udp, http (a tunnel), or auto: TCP, and UDP where it
            does not offer that.
        video_stream: which one of several, from 0; by default the best: never a cover picture.
        levels: of grey video of more than 8 bits, `low:high`, which become 0 and 255, or `auto`, which follows slowly.

    Raises:
        StreamcamError: it is nothing of these, or a file that cannot be opened; the message says why, without
            credentials. To hear this of a camera as well, call `open` of what is returned.
    """
    address = parse_address(uri, rtsp_transport=rtsp_transport)
    if loop and uri == "-":
        raise StreamcamError("standard input cannot be played again: leave out --loop")
    now = None if renewed is None else lambda: parse_address(renewed(), rtsp_transport=rtsp_transport)
    return VideoSource(
        address,
        name=name,
        paced=paced,
        loop=loop,
        start_s=start_s,
        end_s=end_s,
        renewed=now,
        decoder=decoder,
        video_stream=video_stream,
        levels=levels,
    )
