"""Opening a source of frames. To add a kind of source, see `address.KINDS`."""

from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event
from typing import Protocol

from streamcam.errors import StreamcamError
from streamcam.records import Frame
from streamcam.sources.address import parse_address
from streamcam.sources.packet_ring import PacketRing
from streamcam.sources.pixels.decoder import Decoder
from streamcam.sources.status import SourceStatus
from streamcam.sources.video import VideoSource


class Source(Protocol):
    """What the pipeline reads: an iterator of frames with real timestamps."""

    name: str
    live: bool
    drops: Counter[str]

    @property
    def status(self) -> SourceStatus:
        """What the source does now. Any thread may ask."""
        ...

    @property
    def state(self) -> str:
        """The status as one line for people."""
        ...

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Yield frames in order, until the source ends or `stop` is set."""
        ...

    def close(self) -> None:
        """Close the camera, connection or file. Closing twice is fine."""
        ...


def open_source(
    uri: str,
    *,
    name: str | None = None,
    paced: bool = True,
    loop: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
    refresh_uri: Callable[[], str] | None = None,
    decoder: Decoder | None = None,
    rtsp_transport: str = "auto",
    video_stream: int | None = None,
    levels: str | None = None,
    ring: PacketRing | None = None,
) -> VideoSource:
    """Open a file, or note how to open a camera or stream: its `frames` connects, and reconnects without end.

    A URI is one of these:

    - `0` or /dev/video0: a webcam
    - rtsp://… or rtsps://…: a network camera
    - http://… or https://…: Motion JPEG, a JPEG that is requested again and again, or a video
    - a video file
    - `-`: standard input
    - `lavfi:…`: a test picture that FFmpeg draws
    - `frames:12:FOLDER`: a folder of numbered pictures, 12 a second
    - `sample`: the clip that comes with this package

    Args:
        uri: what to open.
        name: the source's name in results; None makes one from the URI.
        paced: whether a file plays at its own speed; otherwise it plays as fast as its frames are taken.
        loop: whether a file starts again, as a new session, when it ends.
        start_s: leave out so many seconds of a file.
        end_s: end so many seconds after a file's beginning.
        refresh_uri: returns the URI with the login as it is now; called before each connection, since passwords change.
        decoder: the hardware that decodes instead of the CPU, as far as it can.
        rtsp_transport: how an RTSP camera sends its pictures: tcp, udp, http (a tunnel), or auto. That is TCP, or UDP
            where the camera does not offer TCP.
        video_stream: the number of the video stream, from 0; None for the best one, which is never a cover picture.
        levels: for grey video of more than 8 bits: `low:high` become 0 and 255; `auto` follows the scene slowly.
        ring: gets what is read, as packets, for clips of it.

    Raises:
        StreamcamError: the URI is none of these, or a file cannot be opened; the message says why, without credentials.
            To have the same error for a camera, call `open` of the source that is returned.
    """
    address = parse_address(uri, rtsp_transport=rtsp_transport)
    if loop and uri == "-":
        raise StreamcamError("standard input cannot be played again: leave out --loop")
    refresh = None if refresh_uri is None else lambda: parse_address(refresh_uri(), rtsp_transport=rtsp_transport)
    return VideoSource(
        address,
        name=name,
        paced=paced,
        loop=loop,
        start_s=start_s,
        end_s=end_s,
        refresh_address=refresh,
        decoder=decoder,
        video_stream=video_stream,
        levels=levels,
        ring=ring,
    )
