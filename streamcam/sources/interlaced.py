"""Interlaced video: two fields of different moments, woven into one picture → whole pictures of one moment each."""

import logging
from dataclasses import dataclass
from fractions import Fraction

import av.error
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamcam.sources.once import say_once

ANY_TIME_BASE = Fraction(1, 1000)
"""For pictures that have no times."""

log = logging.getLogger(__name__)

TOP_FIRST, BOTTOM_FIRST = frozenset({2, 4}), frozenset({3, 5})
"""FFmpeg's AVFieldOrder: TT and TB, BB and BT. What is left is progressive or unknown."""

FRAMES_TELL = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3", "vvc", "dvvideo", "cavs"})
"""Codecs whose pictures say themselves whether they are interlaced. Of others, the container's word is taken."""

FIELDS_APART = frozenset({"hevc", "vvc"})
"""Codecs in which an interlaced picture is a single field, of half the height: nothing is woven there."""


@dataclass(frozen=True, slots=True)
class _Shape:
    width: int
    height: int
    format: str


class Deinterlacer:
    """Pictures of one stream in order → as many, with their own times, none of them woven.

    Pictures that are not interlaced come out as they went in. From the first interlaced one on, each is given out when
    the next has come, since the filter looks at both. Colours and side data stay.
    """

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context
        self._apart = codec.name in FIELDS_APART
        order = 0 if codec.name in FRAMES_TELL else getattr(codec, "field_order", 0)  # PyAV 17 does not tell
        self._parity = "tff" if order in TOP_FIRST else "bff" if order in BOTTOM_FIRST else None
        """What the container says of all pictures, where they do not tell."""
        self._graph: Graph | None = None
        self._shape: _Shape | None = None

    @property
    def holds(self) -> bool:
        """Whether the newest picture waits for the next."""
        return self._graph is not None

    def push(self, picture: VideoFrame) -> list[VideoFrame]:
        """Take the next picture; what is ready."""
        ready: list[VideoFrame] = []
        shape = _Shape(picture.width, picture.height, picture.format.name)
        if self._graph is not None and shape != self._shape:
            ready = self.finish()
        if self._graph is None:
            if not self._is_woven(picture):
                return [*ready, picture]
            self._graph, self._shape = self._filter(picture, shape), shape
        self._graph.vpush(picture)
        return ready + _pull(self._graph)

    def finish(self) -> list[VideoFrame]:
        """What is still held back; the next picture begins anew."""
        if self._graph is None:
            return []
        graph, self._graph = self._graph, None
        graph.vpush(None)
        return _pull(graph)

    def _is_woven(self, picture: VideoFrame) -> bool:
        if not picture.interlaced_frame and self._parity is None:
            return False
        if self._apart:
            say_once(log, "a stream of single fields: each is taken for a picture, of half the height")
            return False
        if picture.format.name == "cuda":
            say_once(log, "interlaced video stays woven on the GPU: leave out --decode cuda")
            return False
        return True

    def _filter(self, picture: VideoFrame, shape: _Shape) -> Graph:
        graph = Graph()
        if hasattr(graph, "threads"):  # PyAV 17 starts one for each core
            graph.threads = 1
        source = graph.add_buffer(
            width=shape.width, height=shape.height, format=picture.format, time_base=picture.time_base or ANY_TIME_BASE
        )
        which = "deint=interlaced" if self._parity is None else f"deint=all:parity={self._parity}"
        weaver, sink = graph.add("bwdif", f"mode=send_frame:{which}"), graph.add("buffersink")
        source.link_to(weaver)
        weaver.link_to(sink)
        graph.configure()
        return graph


def _pull(graph: Graph) -> list[VideoFrame]:
    pictures = []
    while True:
        try:
            pictures.append(graph.vpull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return pictures
