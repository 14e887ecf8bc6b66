"""How fast and how long a file's pictures go, as far as it can be told without decoding them."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from streamcam.sources.clock import KEPT, Course
from streamcam.sources.opening import FAILURES

NO_TIMESTAMPS = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS."""

TIMES_MAY_JUMP = 0x200
"""FFmpeg's AVFMT_TS_DISCONT."""

USUAL_FPS = 25.0
"""What a stream is taken for that does not tell; FFmpeg does the same."""

DEEP = frozenset({"h264", "hevc", "vvc"})
"""Codecs in which a picture may wait for more than one other."""

INDEXED = frozenset({"mov", "avi"})
"""Containers with a table for each stream: their word on its length is taken."""


_clock_is_set: dict[tuple[str, int], bool] = {}
"""Of files by name and size: training opens the same ones again and again."""


class Extent(NamedTuple):
    """From when to when a file's pictures go, in seconds from the beginning of what comes first, picture or sound."""

    begin_s: float
    end_s: float


def has_no_times(container: InputContainer) -> bool:
    """Whether it is a bare stream, as .h264 and .m2v are: pictures and nothing about when."""
    return bool(container.format.flags & NO_TIMESTAMPS)


def may_jump(container: InputContainer) -> bool:
    """Whether its clock may be set on the way, as in broadcasts."""
    return bool(container.format.flags & TIMES_MAY_JUMP)


def frame_rate(stream: VideoStream) -> float:
    """Frames a second, as the stream says; `USUAL_FPS` where it does not."""
    if stream.average_rate and not has_no_times(container_of(stream)):
        return float(stream.average_rate)
    # Where fields are counted, it is twice as much.
    rates = [rate for rate in (stream.codec_context.framerate, stream.guessed_rate) if rate]
    return float(min(rates, default=USUAL_FPS))


def rate_is_guessed(stream: VideoStream) -> bool:
    """Whether neither the container nor the stream tells its rate."""
    container = container_of(stream)
    still = "pipe" in container.format.name or "image" in container.format.name
    return has_no_times(container) and not still and not stream.codec_context.framerate


def course_of(stream: VideoStream, begin_s: float) -> Course:
    """The course of a file's time, which begins at `begin_s` by the file's clock."""
    return Course(1 / frame_rate(stream), begin_s=begin_s, gaps=has_gaps(stream))


def has_gaps(stream: VideoStream) -> bool:
    """Whether a long step ahead in a file's times is one.

    In a broadcast (.ts, .mpg) or a bare stream, it is a clock that was set. Elsewhere all that there is has its place
    in time, and sound may go on where pictures pause.
    """
    container = container_of(stream)
    return not (may_jump(container) or has_no_times(container))


def held_back(stream: VideoStream) -> int:
    """How many packets its decoder holds back at most."""
    return KEPT if stream.codec_context.codec.canonical_name in DEEP else 1


def container_of(stream: VideoStream) -> InputContainer:
    """The open file or connection that a stream is of."""
    assert isinstance(stream.container, InputContainer)
    return stream.container


def begin_of(container: InputContainer) -> float:
    """The time of a file's first picture or sound, in seconds, as FFmpeg knows it; few begin at 0."""
    return (container.start_time or 0) / 1e6


def tells_its_begin(container: InputContainer) -> bool:
    """Whether that is right: of the times to be decoded, which may be all that there are, FFmpeg takes no account."""
    return container.start_time is not None and container.format.name != "asf"


def seconds(ticks: int | None, base: object) -> float | None:
    """A timestamp in seconds."""
    return None if ticks is None or not base else float(ticks * base)  # type: ignore[operator]


class FileTimes:
    """When a file's pictures begin and end; what its own table does not tell, all its packets do."""

    def __init__(self, reopen: Callable[[], VideoStream] | None) -> None:
        """Begin.

        Args:
            reopen: opens the file once more, to read it; None where that cannot be.
        """
        self._reopen = reopen
        self._begin_s: float | None = None
        self._extent: Extent | None = None

    def begin_s(self, stream: VideoStream) -> float:
        """The time of the file's first picture or sound, by its own clock."""
        container = container_of(stream)
        if self._begin_s is None:
            told = self._reopen is None or tells_its_begin(container)
            self._begin_s = begin_of(container) if told or self._reopen is None else _first_time(self._reopen())
        return self._begin_s

    def extent(self, stream: VideoStream) -> Extent | None:
        """From when to when its pictures go; None where that is not known, or there are none."""
        if self._reopen is None:
            whole = container_of(stream).duration
            return Extent(0.0, whole / 1e6) if whole else None
        if self._extent is None:
            begin_s = self.begin_s(stream)
            told = _from_table(stream, begin_s)
            if told is not None and stream.codec_context.has_b_frames:
                told = told._replace(end_s=max(told.end_s, _last_end_s(self._reopen()) - begin_s))
            self._extent = told or self._from_packets(stream)
        return self._extent

    def clock_is_set(self, stream: VideoStream) -> bool:
        """Whether the clock is set somewhere in the file, so that a time by it may be in two places."""
        container = container_of(stream)
        if self._reopen is None or not may_jump(container):
            return False
        key = container.name, container.size
        if key not in _clock_is_set:
            self._extent = self._from_packets(stream)
        return _clock_is_set[key]

    def _from_packets(self, stream: VideoStream) -> Extent | None:
        assert self._reopen is not None
        container, course = container_of(stream), course_of(stream, self.begin_s(stream))
        extent = _along(course, self._reopen())
        _clock_is_set[container.name, container.size] = len(course.stretches) > 1
        return extent


def _first_time(stream: VideoStream) -> float:
    """The earliest time of a newly opened file's first packets, in seconds."""
    with container_of(stream) as container:
        first = (packet for packet in container.demux() if packet.size)
        times = [(packet.pts, packet.dts, packet.time_base) for _, packet in zip(range(KEPT), first, strict=False)]
    known = [seconds(pts if dts is None else dts, base) for pts, dts, base in times]
    return min((time_s for time_s in known if time_s is not None), default=0.0)


def _last_end_s(stream: VideoStream) -> float:
    """When the last picture of a newly opened file with a table ends, by its packets from the last key picture on.

    The table counts until the last one is decoded: with B-frames, a pause before it is not in it.
    """
    with container_of(stream) as container:
        if (container.duration or 0) > 0 and len(stream.index_entries):
            container.seek(stream.index_entries[-1].timestamp, stream=stream)
        return max((_end_s(packet) for packet in _packets(stream) if not packet.is_discard), default=0.0)


def _end_s(packet: "Packet[VideoStream]") -> float:
    return seconds((packet.pts or 0) + (packet.duration or 0), packet.time_base) or 0.0


def _from_table(stream: VideoStream, file_begin_s: float) -> Extent | None:
    container = container_of(stream)
    begin_s = (seconds(stream.start_time, stream.time_base) or 0.0) - file_begin_s
    indexed = INDEXED & set(container.format.name.split(",")) and stream.frames  # in fragments, there is no table
    if indexed and stream.duration:
        return Extent(begin_s, begin_s + (seconds(stream.duration, stream.time_base) or 0.0))
    tagged_s = _tagged_s(stream)
    whole_s = (container.duration or 0) / 1e6
    # Of a stream that begins late, some writers tell the end and others the length.
    return Extent(begin_s, tagged_s) if tagged_s and begin_s == 0 and tagged_s <= whole_s + 1e-3 else None


def _tagged_s(stream: VideoStream) -> float | None:
    """Matroska's, in seconds."""
    text = next((value for key, value in stream.metadata.items() if re.fullmatch(r"DURATION(-\w+)?", key)), "")
    parts = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    return None if parts is None else float(parts[1]) * 3600 + float(parts[2]) * 60 + float(parts[3])


def _along(course: Course, stream: VideoStream) -> Extent | None:
    """From when to when the pictures of a newly opened file go, along the course of its time."""
    step_s = 1 / frame_rate(stream)
    begin_s, end_s, late_s, all_shown = float("inf"), None, None, True
    for number, packet in enumerate(_packets(stream)):
        pts_s, dts_s = seconds(packet.pts, packet.time_base), seconds(packet.dts, packet.time_base)
        lasts_s = seconds(packet.duration, packet.time_base) or step_s
        if dts_s is None and pts_s is not None:
            shown_s = course.on_course(pts_s)
        else:
            at_s = course.place(dts_s, lasts_s).at_s
            own_late_s = None if pts_s is None or dts_s is None else pts_s - dts_s
            late_s = own_late_s if late_s is None else late_s
            all_shown &= own_late_s is not None
            # The last picture is decoded as much before it is shown as the first.
            shown_s = at_s + ((own_late_s if all_shown else late_s) or 0.0)
        begin_s = min(begin_s, shown_s) if number < KEPT else begin_s
        end_s = max(end_s or 0.0, shown_s + lasts_s)
    return None if end_s is None else Extent(max(0.0, begin_s), end_s)


def _packets(stream: VideoStream) -> "Iterator[Packet[VideoStream]]":
    """All there are; of a damaged file, those before the place where it cannot be read any further."""
    with container_of(stream) as container, suppress(*FAILURES, IndexError):
        yield from (packet for packet in container.demux(stream) if packet.size)
