"""When a file's pictures begin and end, without decoding them: by the container's own table, or by all its packets."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from streamcam.sources.opening import FAILURES
from streamcam.sources.timing.stream_info import (
    container_of,
    duration_tag_s,
    frame_rate,
    may_have_discontinuities,
    seconds,
    start_time_is_known,
    start_time_s,
    timeline_of,
)
from streamcam.sources.timing.timestamps import MAX_DELAY, Timeline

INDEXED = frozenset({"mov", "avi"})
"""Containers with a table for each stream, whose length is believed."""

_has_discontinuities: dict[tuple[str, int], bool] = {}
"""Whether a file's clock is set somewhere, by its name and size. Training opens the same files again and again."""


class TimeSpan(NamedTuple):
    """From when to when a file's pictures go, in seconds from its first picture or sound, whichever comes first."""

    begin_s: float
    end_s: float


class FileTimes:
    """Finds a file's start, its time span and its discontinuities, and remembers them."""

    def __init__(self, reopen: Callable[[], VideoStream] | None) -> None:
        """Note how to read the file.

        Args:
            reopen: opens the file once more, to read its packets; None for what can be read only once.
        """
        self._reopen = reopen
        self._begin_s: float | None = None
        self._span: TimeSpan | None = None

    def begin_s(self, stream: VideoStream) -> float:
        """Return the time of the file's first picture or sound, by its own clock, in seconds."""
        if self._begin_s is None:
            container = container_of(stream)
            if self._reopen is None or start_time_is_known(container):
                self._begin_s = start_time_s(container)
            else:
                self._begin_s = _first_time_s(self._reopen())
        return self._begin_s

    def span(self, stream: VideoStream) -> TimeSpan | None:
        """Return from when to when the file's pictures go; None where that is not known, or there are none."""
        if self._reopen is None:
            duration = container_of(stream).duration
            return TimeSpan(0.0, duration / 1e6) if duration else None
        if self._span is None:
            begin_s = self.begin_s(stream)
            span = _span_by_table(stream, begin_s)
            if span is not None and stream.codec_context.has_b_frames:
                span = span._replace(end_s=max(span.end_s, _last_end_s(self._reopen()) - begin_s))
            self._span = span or self._span_by_packets(stream, self._reopen)
        return self._span

    def has_discontinuities(self, stream: VideoStream) -> bool:
        """Whether the clock is set somewhere in the file, so that one time by it may be in two places."""
        container = container_of(stream)
        if self._reopen is None or not may_have_discontinuities(container):
            return False
        key = container.name, container.size
        if key not in _has_discontinuities:
            self._span = self._span_by_packets(stream, self._reopen)
        return _has_discontinuities[key]

    def _span_by_packets(self, stream: VideoStream, reopen: Callable[[], VideoStream]) -> TimeSpan | None:
        """Read the whole file; note by the way whether its clock is set somewhere."""
        container, timeline = container_of(stream), timeline_of(stream, self.begin_s(stream))
        span = _span_on(timeline, reopen())
        _has_discontinuities[container.name, container.size] = len(timeline.segments) > 1
        return span


def _first_time_s(stream: VideoStream) -> float:
    """Return the earliest time of a newly opened file's first packets, by dts where there are any, in seconds."""
    with container_of(stream) as container:
        packets = (packet for packet in container.demux() if packet.size)
        times = [
            (packet.pts, packet.dts, packet.time_base) for _, packet in zip(range(MAX_DELAY), packets, strict=False)
        ]
    known = [seconds(pts if dts is None else dts, base) for pts, dts, base in times]
    return min((time_s for time_s in known if time_s is not None), default=0.0)


def _last_end_s(stream: VideoStream) -> float:
    """Return when the last picture of a newly opened file with a table ends, by the file's own clock, in seconds.

    The packets from the last key frame on tell it. The table itself counts until the last picture is decoded: with
    B-frames, a pause before it is not in it.
    """
    with container_of(stream) as container:
        if (container.duration or 0) > 0 and len(stream.index_entries):
            container.seek(stream.index_entries[-1].timestamp, stream=stream)
        return max((_end_s(packet) for packet in _packets(stream) if not packet.is_discard), default=0.0)


def _end_s(packet: "Packet[VideoStream]") -> float:
    return seconds((packet.pts or 0) + (packet.duration or 0), packet.time_base) or 0.0


def _span_by_table(stream: VideoStream, file_begin_s: float) -> TimeSpan | None:
    """Return the time span that the container tells; None where it does not, or cannot be believed."""
    container = container_of(stream)
    begin_s = (seconds(stream.start_time, stream.time_base) or 0.0) - file_begin_s
    if stream.duration and _has_table(container, stream):
        return TimeSpan(begin_s, begin_s + (seconds(stream.duration, stream.time_base) or 0.0))
    tagged_s = duration_tag_s(stream)
    whole_s = (container.duration or 0) / 1e6
    # Of a stream that begins late, some writers tell the end and others the length.
    return TimeSpan(begin_s, tagged_s) if tagged_s and begin_s == 0 and tagged_s <= whole_s + 1e-3 else None


def _has_table(container: InputContainer, stream: VideoStream) -> bool:
    # A fragmented MP4 has no table, and its streams no number of frames.
    return bool(INDEXED & set(container.format.name.split(",")) and stream.frames)


def _span_on(timeline: Timeline, stream: VideoStream) -> TimeSpan | None:
    """Place all packets of a newly opened file on a timeline, and return when its pictures begin and end there.

    Packets come in the order of decoding, in which dts rise and pts do not. So dts are placed on the timeline, and a
    picture is shown its packet's `pts - dts` later. Packets without dts are placed by their pts.
    """
    step_s = 1 / frame_rate(stream)
    begin_s, end_s, first_delay_s, all_have_both = float("inf"), None, None, True
    for number, packet in enumerate(_packets(stream)):
        pts_s, dts_s = seconds(packet.pts, packet.time_base), seconds(packet.dts, packet.time_base)
        duration_s = seconds(packet.duration, packet.time_base) or step_s
        if dts_s is None and pts_s is not None:
            shown_s = timeline.to_pts_s(pts_s)
        else:
            decoded_s = timeline.add(dts_s, duration_s).pts_s
            delay_s = None if pts_s is None or dts_s is None else pts_s - dts_s
            first_delay_s = delay_s if first_delay_s is None else first_delay_s
            all_have_both &= delay_s is not None
            # Where some packets lack a pts, take the first one's delay: the last picture waits as long as the first.
            shown_s = decoded_s + ((delay_s if all_have_both else first_delay_s) or 0.0)
        # The first picture shown is among the first that are decoded.
        begin_s = min(begin_s, shown_s) if number < MAX_DELAY else begin_s
        end_s = max(end_s or 0.0, shown_s + duration_s)
    return None if end_s is None else TimeSpan(max(0.0, begin_s), end_s)


def _packets(stream: VideoStream) -> "Iterator[Packet[VideoStream]]":
    """Yield the packets of a stream; of a damaged file, those before the place where it cannot be read any further."""
    with container_of(stream) as container, suppress(*FAILURES, IndexError):
        yield from (packet for packet in container.demux(stream) if packet.size)
