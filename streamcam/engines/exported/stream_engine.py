"""Streams, computed by an exported graph: each frame goes through it once."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from streamcam.engines.exported.engine import MAX_BATCH, GraphEngine, GraphRunner, size_of
from streamcam.engines.exported.graph import Request, Slices
from streamcam.engines.exported.slice_ring import SliceRing
from streamcam.engines.streaming.seen_frames import SeenFrames
from streamcam.engines.streaming.span import SliceTimes, Span, Times
from streamcam.heat.results import HeatTimes
from streamcam.models.spec import ModelSpec
from streamcam.records import Clip, Heat, Image


class GraphStreamEngine(GraphEngine):
    """An engine that computes the next slice of each source, the sources side by side.

    A clip gets the heat of its last L' slices. Its network does not pad in time, so this is the heat of the whole clip.
    """

    name = "stream"
    head_start = True

    def __init__(self, runner: GraphRunner, *, top_k: int = 5, classes: Sequence[int] | None = None) -> None:
        super().__init__(runner, top_k=top_k, classes=classes)
        self._span = span_of(runner.spec)
        self.hop, self.lookahead_s = self._span.stride, self._span.lookahead / runner.spec.clip_format.fps
        self._sources: dict[str, _Source] = {}
        self._free: dict[tuple[int, int], list[Request]] = {}

    def weight(self, clip: Clip) -> int:
        """Return how many of `max_batch` a clip counts for: in proportion to its new frames."""
        source = self._sources.get(clip.last.source)
        continues = source is not None and source.session == clip.last.session
        new = source.new_frames(clip) if source is not None and continues else len(clip.frames)
        return max(1, ceil(MAX_BATCH * new / self.runner.spec.clip_format.length))

    def infer(self, clips: Sequence[Clip]) -> list[Heat | None]:
        """Compute the heat of each clip, in order; None for a source of which too few frames have come."""
        if len({clip.last.source for clip in clips}) < len(clips):  # which frames are new depends on the clip before
            return [heat for clip in clips for heat in self.infer([clip])]
        sources = [self._source_of(clip) for clip in clips]
        for source, clip in zip(sources, clips, strict=True):
            source.take(clip)
        while working := [source for source in sources if source.start()]:
            for source in working:
                source.finish()
        return [self._heat_of(clip, source) for source, clip in zip(sources, clips, strict=True)]

    def _heat_of(self, clip: Clip, source: "_Source") -> Heat | None:
        if (window := source.window()) is None:
            return None
        slices, times_s = window
        span_s = (float(times_s[0, 0]), float(clip.pts_s[-1]))
        return self._heat(clip, slices, HeatTimes(times_s[:, 1], span_s, self.lookahead_s))

    def _source_of(self, clip: Clip) -> "_Source":
        """Return the source of a clip, begun anew with another session, after a gap, or with another size."""
        name, session, size = clip.last.source, clip.last.session, size_of(clip)
        known = self._sources.get(name)
        if known is not None and (known.session, known.size) == (session, size) and known.continues_with(clip):
            return known
        if known is not None:
            self._free.setdefault(known.size, []).append(known.request)
        free = self._free.get(size)
        request = free.pop() if free else self._compiled_for(size).request()
        self._sources[name] = _Source(request, self.runner.spec, self._span, session, size)
        return self._sources[name]


def span_of(spec: ModelSpec) -> Span:
    """Give the frames that a slice sees, of a network that does not pad in time."""
    field = spec.temporal_receptive_field
    assert field is not None, "a graph's card says so where it is for streams"
    return Span(0, field - 1, spec.temporal_stride, own=spec.temporal_offset)


class _Source:
    """One session of a source: its place in the runtime, its last slices, and the frames that wait to be computed."""

    def __init__(self, request: Request, spec: ModelSpec, span: Span, session: int, size: tuple[int, int]) -> None:
        self.request, self.session, self.size = request, session, size
        self._seen, self._ring = SeenFrames(), SliceRing(spec.slices)
        self._slice_times, self._times_s = SliceTimes(span), np.empty((0, 3))
        self._blind = span.receptive_field - 1  # so many answers see the zeros with which the states begin
        self._waiting: list[Image] = []
        request.reset()

    def continues_with(self, clip: Clip) -> bool:
        return self._seen.continues_with(clip)

    def new_frames(self, clip: Clip) -> int:
        return self._seen.new_frames(clip)

    def take(self, clip: Clip) -> None:
        """Queue the frames of a clip that are new."""
        frames, pts_s = self._seen.take(clip)
        self._waiting += list(frames[:, None])
        times_s = self._slice_times.add(pts_s)
        self._times_s = np.concatenate((self._times_s, times_s))[-self._ring.length :]

    def start(self) -> bool:
        """Begin to compute the next frame, if one waits."""
        if not self._waiting:
            return False
        self.request.start(self._waiting.pop(0))
        return True

    def finish(self) -> None:
        """Wait for the slice of that frame, and keep it."""
        slices = self.request.wait()
        if self._blind:
            self._blind -= 1
        else:
            self._ring.add(slices)

    def window(self) -> tuple[Slices, Times] | None:
        """Return the last L' slices and their times; None before there are so many."""
        return (self._ring.window(), self._times_s) if self._ring.is_full else None
