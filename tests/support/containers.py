"""Streams of files that tests write."""

from fractions import Fraction

from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream


def add_video(
    container: OutputContainer,
    codec: str,
    *,
    rate: int | Fraction,
    size: tuple[int, int],
    layout: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> VideoStream:
    """Add a video stream of pictures of (width, height), in a pixel format."""
    stream = container.add_stream(codec, rate=rate, options=options or {})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.pix_fmt = layout
    return stream


def add_audio(container: OutputContainer, codec: str, *, rate: int = 48_000, layout: str = "mono") -> AudioStream:
    """Add an audio stream of so many samples a second."""
    stream = container.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(stream, AudioStream)
    return stream
