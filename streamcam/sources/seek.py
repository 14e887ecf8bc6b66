"""Going to a place in a file."""

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

BACK_S = (0.0, 2.0, 10.0, 60.0)
"""How much earlier to look, attempt by attempt: without an index, FFmpeg may come out behind the place asked for."""

SEARCH_PACKETS = 1000


def begin_of(container: InputContainer) -> float:
    """The time of a file's first picture or sound, in seconds; few begin at 0."""
    return (container.start_time or 0) / 1e6


def seek(container: InputContainer, stream: VideoStream, at_s: float) -> None:
    """Go to a key picture that is not later than `at_s`, if there is one; else to the file's beginning.

    Args:
        container: an open file.
        stream: one of its streams.
        at_s: in seconds, by the file's own clock.
    """
    for back_s in BACK_S:
        if at_s - back_s <= begin_of(container):
            break
        if _go(container, stream, at_s - back_s) and _key_time(container, stream) <= at_s:
            _go(container, stream, at_s - back_s)
            return
    _go(container, stream, begin_of(container))


def _go(container: InputContainer, stream: VideoStream, at_s: float) -> bool:
    try:
        container.seek(int(at_s / (stream.time_base or 1)), stream=stream)
    except FFmpegError:
        return False
    return True


def _key_time(container: InputContainer, stream: VideoStream) -> float:
    """When the next key picture is shown, in seconds; infinite where none comes."""
    try:
        for _, packet in zip(range(SEARCH_PACKETS), container.demux(stream), strict=False):
            if packet.is_keyframe and packet.pts is not None:
                return float(packet.pts * packet.time_base)
    except FFmpegError:
        pass
    return float("inf")
