"""What a container and its video stream say of their times: frame rate, start, gaps and discontinuities."""

import re

from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from streamcam.sources.timing.timestamps import MAX_DELAY, Timeline

AVFMT_NOTIMESTAMPS = 0x80
AVFMT_TS_DISCONT = 0x200
"""FFmpeg's flags for formats, which PyAV does not name."""

DEFAULT_FPS = 25.0
"""The frame rate of a stream that does not say its own; FFmpeg takes the same."""

MANY_REORDERED = frozenset({"h264", "hevc", "vvc"})
"""Codecs in which a frame may wait for more than one other."""


def container_of(stream: VideoStream) -> InputContainer:
    """Return the open file or connection that holds a stream."""
    assert isinstance(stream.container, InputContainer)
    return stream.container


def has_no_timestamps(container: InputContainer) -> bool:
    """Whether it is a bare stream, as .h264 and .m2v are, which holds pictures without any time."""
    return bool(container.format.flags & AVFMT_NOTIMESTAMPS)


def may_have_discontinuities(container: InputContainer) -> bool:
    """Whether the container's clock may be set on the way, as in broadcasts (.ts, .mpg)."""
    return bool(container.format.flags & AVFMT_TS_DISCONT)


def has_gaps(stream: VideoStream) -> bool:
    """Whether a long step ahead in a file's times is a real gap.

    In a broadcast (.ts, .mpg) or a bare stream, the clock was set there. In other containers all streams share one
    time, and sound may go on where the pictures pause.
    """
    container = container_of(stream)
    return not (may_have_discontinuities(container) or has_no_timestamps(container))


def frame_rate(stream: VideoStream) -> float:
    """Return the frames a second that the stream says; `DEFAULT_FPS` where it says nothing."""
    if stream.average_rate and not has_no_timestamps(container_of(stream)):
        return float(stream.average_rate)
    # One of the two may count fields, which come twice as often as frames.
    rates = [rate for rate in (stream.codec_context.framerate, stream.guessed_rate) if rate]
    return float(min(rates, default=DEFAULT_FPS))


def frame_rate_is_guessed(stream: VideoStream) -> bool:
    """Whether neither the container nor the codec tells the frame rate of a video; pictures need none."""
    container = container_of(stream)
    is_pictures = "pipe" in container.format.name or "image" in container.format.name
    return has_no_timestamps(container) and not is_pictures and not stream.codec_context.framerate


def max_delay(stream: VideoStream) -> int:
    """Return how many packets the stream's decoder holds back at most."""
    return MAX_DELAY if stream.codec_context.codec.canonical_name in MANY_REORDERED else 1


def start_time_s(container: InputContainer) -> float:
    """Return the time of a file's first picture or sound, in seconds, as FFmpeg knows it; few files begin at 0."""
    return (container.start_time or 0) / 1e6


def start_time_is_known(container: InputContainer) -> bool:
    """Whether FFmpeg's start time is right: it ignores dts, and ASF has no other times."""
    return container.start_time is not None and container.format.name != "asf"


def timeline_of(stream: VideoStream, begin_s: float) -> Timeline:
    """Return an empty timeline for a file whose clock shows `begin_s` at its beginning."""
    return Timeline(1 / frame_rate(stream), begin_s=begin_s, gaps=has_gaps(stream))


def seconds(ticks: int | None, time_base: object) -> float | None:
    """Convert a timestamp to seconds; None where either is missing."""
    return None if ticks is None or not time_base else float(ticks * time_base)  # type: ignore[operator]


def duration_tag_s(stream: Stream) -> float | None:
    """Return the length in Matroska's tag of a stream, `DURATION=00:01:02.5`, in seconds; None where it has none."""
    text = next((value for key, value in stream.metadata.items() if re.fullmatch(r"DURATION(-\w+)?", key)), "")
    parts = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    return None if parts is None else float(parts[1]) * 3600 + float(parts[2]) * 60 + float(parts[3])
