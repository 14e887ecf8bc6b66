"""Going to a place in a file."""

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from streamcam.sources.extent import begin_of, has_no_times, seconds

BACK_S = (0.0, 2.0, 10.0, 60.0)
"""How much earlier to look, attempt by attempt: without an index, FFmpeg may come out behind the place asked for."""

SEARCH_PACKETS = 1000
SHOWN_LATER_S = 1.0
"""How much later a picture may be shown, where only the time is known to decode it."""


def may_seek(container: InputContainer) -> bool:
    """Whether places can be looked for: in program streams (.mpg, .vob) and bare ones, few pictures have times."""
    return not has_no_times(container) and "mpeg" not in container.format.name.split(",")


def seek(container: InputContainer, stream: VideoStream, at_s: float) -> bool:
    """Go to a key picture that is not later than `at_s`.

    Args:
        container: an open file, of which `may_seek` holds.
        stream: one of its streams.
        at_s: in seconds, by the file's own clock.

    Returns:
        False where none was found: the file has to be opened again, and read from its beginning.
    """
    for back_s in BACK_S:
        if at_s - back_s <= begin_of(container):
            return False
        if _go(container, stream, at_s - back_s) and _key_time(container, stream) <= at_s:
            return _go(container, stream, at_s - back_s)
    return False


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
            shown_s, decoded_s = seconds(packet.pts, packet.time_base), seconds(packet.dts, packet.time_base)
            if packet.is_keyframe and shown_s is not None:
                return shown_s
            if packet.is_keyframe and decoded_s is not None:
                return decoded_s + SHOWN_LATER_S
    except FFmpegError:
        pass
    return float("inf")
