"""Seeking in a file, checked: FFmpeg may come out behind the time that it was asked for."""

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from streamcam.sources.timing.stream_info import has_no_timestamps, seconds, start_time_s

SEEK_EARLIER_S = (0.0, 2.0, 10.0, 60.0)
"""How much earlier each attempt looks. Without an index, FFmpeg may come out behind the time that it was asked for."""

SEARCH_PACKETS = 1000
"""Among how many packets a key frame is looked for."""

PTS_AFTER_DTS_S = 1.0
"""How much later than its dts a frame is shown at most, where its pts is not known."""


def may_seek(container: InputContainer) -> bool:
    """Whether a file can be searched by time: in program streams (.mpg, .vob) and bare ones, few pictures have one."""
    return not has_no_timestamps(container) and "mpeg" not in container.format.name.split(",")


def seek(container: InputContainer, stream: VideoStream, time_s: float) -> bool:
    """Go to a key frame that is not later than a time.

    Args:
        container: an open file, of which `may_seek` is true.
        stream: one of its streams.
        time_s: the time in seconds, by the file's own clock.

    Returns:
        False where no such key frame was found: open the file again, and read it from its beginning.
    """
    for earlier_s in SEEK_EARLIER_S:
        target_s = time_s - earlier_s
        if target_s <= start_time_s(container):
            return False
        if _seek_once(container, stream, target_s) and _next_key_frame_s(container, stream) <= time_s:
            return _seek_once(container, stream, target_s)  # once more: the search has read packets
    return False


def _seek_once(container: InputContainer, stream: VideoStream, time_s: float) -> bool:
    try:
        container.seek(int(time_s / (stream.time_base or 1)), stream=stream)
    except FFmpegError:
        return False
    return True


def _next_key_frame_s(container: InputContainer, stream: VideoStream) -> float:
    """Return when the next key frame is shown, in seconds; infinity where none comes."""
    try:
        for _, packet in zip(range(SEARCH_PACKETS), container.demux(stream), strict=False):
            pts_s, dts_s = seconds(packet.pts, packet.time_base), seconds(packet.dts, packet.time_base)
            if packet.is_keyframe and pts_s is not None:
                return pts_s
            if packet.is_keyframe and dts_s is not None:
                return dts_s + PTS_AFTER_DTS_S
    except FFmpegError:
        pass
    return float("inf")
