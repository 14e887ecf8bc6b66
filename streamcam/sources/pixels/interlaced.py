"""Interlaced video, whose pictures weave two fields of different moments → frames of one moment each."""

import logging
from dataclasses import dataclass
from fractions import Fraction

import av.error
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.sources.log_once import warn_once

ANY_TIME_BASE = Fraction(1, 1000)
"""The time base of frames without times; the filter needs one."""

log = logging.getLogger(__name__)

TOP_FIRST, BOTTOM_FIRST = frozenset({2, 4}), frozenset({3, 5})
"""FFmpeg's AVFieldOrder: TT and TB, BB and BT. The other values are progressive and unknown."""

TAGS_EACH_FRAME = frozenset(
    {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3", "vvc", "dvvideo", "cavs"}
)
"""Codecs whose frames say themselves whether they are interlaced. For others, the container's field order counts."""

CODES_SINGLE_FIELDS = frozenset({"hevc", "vvc"})
"""Codecs in which an interlaced picture is one field of half the height: there is nothing to take apart."""


@dataclass(frozen=True, slots=True)
class _Shape:
    width: int
    height: int
    format: str


class Deinterlacer:
    """Deinterlaces the frames of one stream: as many come out as go in, in order, each with its own time.

    Progressive frames come out unchanged. From the first interlaced frame on, each frame comes out when the next has
    gone in, since FFmpeg's filter `bwdif` looks at both. Colours and side data stay.
    """

    def __init__(self, stream: VideoStream) -> None:
        """Take the stream whose frames will be pushed."""
        codec = stream.codec_context
        self._has_single_fields = codec.name in CODES_SINGLE_FIELDS
        # PyAV 17 does not tell the field order.
        order = 0 if codec.name in TAGS_EACH_FRAME else getattr(codec, "field_order", 0)
        self._parity = "tff" if order in TOP_FIRST else "bff" if order in BOTTOM_FIRST else None
        """The container's field order for all frames; None where frames say it themselves, or nothing does."""
        self._graph: Graph | None = None
        self._shape: _Shape | None = None

    @property
    def holds_frame(self) -> bool:
        """Whether the newest frame waits for the next one."""
        return self._graph is not None

    def push(self, frame: VideoFrame) -> list[VideoFrame]:
        """Take the next frame; return the frames that are ready."""
        ready: list[VideoFrame] = []
        shape = _Shape(frame.width, frame.height, frame.format.name)
        if self._graph is not None and shape != self._shape:
            ready = self.finish()
        if self._graph is None:
            if not self._needs_filter(frame):
                return [*ready, frame]
            self._graph, self._shape = self._make_filter(frame, shape), shape
        self._graph.vpush(frame)
        return ready + _pull(self._graph)

    def finish(self) -> list[VideoFrame]:
        """Return the frames that are held back, and begin anew."""
        if self._graph is None:
            return []
        graph, self._graph = self._graph, None
        graph.vpush(None)
        return _pull(graph)

    def _needs_filter(self, frame: VideoFrame) -> bool:
        if not frame.interlaced_frame and self._parity is None:
            return False
        if self._has_single_fields:
            warn_once(log, "a stream of single fields: each is taken for a picture, of half the height")
            return False
        if frame.format.name == "cuda":
            warn_once(log, "interlaced video is not deinterlaced on the GPU: leave out --decode cuda")
            return False
        return True

    def _make_filter(self, frame: VideoFrame, shape: _Shape) -> Graph:
        graph = Graph()
        if hasattr(graph, "threads"):  # PyAV 17 starts one thread for each core
            graph.threads = 1
        source = graph.add_buffer(
            width=shape.width, height=shape.height, format=frame.format, time_base=frame.time_base or ANY_TIME_BASE
        )
        # send_frame: one frame for each pair of fields, and not one for each field.
        which = "deint=interlaced" if self._parity is None else f"deint=all:parity={self._parity}"
        bwdif, sink = graph.add("bwdif", f"mode=send_frame:{which}"), graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        graph.configure()
        return graph


def _pull(graph: Graph) -> list[VideoFrame]:
    frames = []
    while True:
        try:
            frames.append(graph.vpull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return frames
