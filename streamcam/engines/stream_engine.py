"""An engine that computes each frame once: the heat of a clip is that of its last heat slices."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil
from operator import itemgetter

import numpy as np
from torch import Tensor

from streamcam.engines.device.engine import DeviceEngine, SentBatch
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.streams import StreamKind
from streamcam.engines.device.transfers import Arrays, Compute, Transfer
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.network import Network, streaming
from streamcam.engines.streaming.seen_frames import NewFrames
from streamcam.engines.streaming.sent_source import SentSource, prepare_frames
from streamcam.engines.streaming.source_pool import SourcePool
from streamcam.engines.streaming.source_state import RESULTS, ReadyWindows
from streamcam.engines.streaming.span import FrameTimes, Span, Times
from streamcam.heat.results import HeatTimes, to_heats
from streamcam.records import Clip, Frame, Heat, HeatSlice

SOURCES_PER_CLIP = 8
"""The new frames of so many sources are about as much work as one clip, and gain as much from being one batch."""


class StreamEngine(DeviceEngine):
    """An engine that computes heat slices of new frames, and gives a clip the heat of its last L' slices.

    Each source's slices are kept. Two clips of a session share all frames but those between their indices. So only
    these are computed, also when clips in between were dropped.

    Without padding along time, the heat is that of `WindowEngine`, to rounding. A padded network sees black frames
    beyond both ends of a clip, but here it sees the frames that really come before and after. Its slices are those of
    one pass over the whole video, and come `Span.lookahead` frames after the frames on which they are centred.
    """

    name = "stream"
    head_start = True

    def __init__(
        self,
        runner: TorchRunner,
        *,
        network: Network | None = None,
        top_k: int = 5,
        classes: Sequence[int] | None = None,
        dense: bool = False,
        hop: int | None = None,
    ) -> None:
        """Convert a model, and warm the device up with a black frame.

        Args:
            runner: the model, on its device.
            network: the model's features, where not PyTorch computes them; as dense as `dense` says.
            top_k: how many classes' heat each result carries, where `classes` is not given.
            classes: indices of the classes whose heat each result carries.
            dense: give a slice for every frame where the network strides over frames.
            hop: how many new frames a clip usually brings, if not as many as the network strides. CUDA graphs are made
                for both.

        Raises:
            StreamcamError: the model cannot be streamed, or the device has not enough memory.
        """
        self._network, spec = network or streaming(runner.model, dense=dense), runner.spec
        self._sources_per_clip = SOURCES_PER_CLIP if isinstance(self._network, StreamNetwork) else 1
        super().__init__(runner, max_batch=self._sources_per_clip * runner.max_batch)
        self.lookahead_s, self.hop = self.span.lookahead / spec.clip_format.fps, self.span.stride
        slices = spec.clip_format.length - spec.temporal_context if dense else spec.slices
        self._new_pool = partial(
            SourcePool, runner, self._network, self._graphs, slices=slices, top_k=top_k, classes=classes, hop=hop
        )
        self._pools: dict[tuple[int, int], SourcePool] = {}
        self._sources: dict[str, SentSource] = {}
        black_frame = np.zeros((1, 3, *spec.clip_format.crop), np.uint8)
        self._push([("", 0)], [(black_frame, np.zeros(1))])
        self.reset("")

    @property
    def span(self) -> Span:
        """The frames that a heat slice sees, and how many lie between two slices."""
        return self._network.span

    @property
    def needs_every_frame(self) -> bool:
        """Whether a frame that is left out changes the heat of clips that do not contain it."""
        return self._network.pads_time

    def push(self, frames: Sequence[Frame]) -> list[HeatSlice]:
        """Compute the next frames of one or several sources, and return the heat slices that they complete.

        Frames are computed in their order, whatever their times. Those of a source should lie 1/fps of the clip format
        apart, as `SlidingWindow` samples them. A source starts anew with a new session, and after a push that failed.
        Use either `push` or `infer` for a source, not both.
        """
        sessions: defaultdict[int, dict[str, list[Frame]]] = defaultdict(dict)
        for frame in frames:
            sessions[frame.session].setdefault(frame.source, []).append(frame)
        slices: list[HeatSlice] = []
        for session, sources in sorted(sessions.items()):
            sizes: defaultdict[tuple[int, ...], dict[str, NewFrames]] = defaultdict(dict)
            for name, of_source in sources.items():
                new = prepare_frames(of_source, self.runner.spec.clip_format)
                sizes[new[0].shape[2:]][name] = new
            for of_size in sizes.values():
                slices += self._push([(name, session) for name in of_size], list(of_size.values()))
        return slices

    def flush(self, source: str) -> list[HeatSlice]:
        """End a source, and drop its state. Return the slices that were waiting for later frames."""
        known = self._sources.pop(source, None)
        if known is None:
            return []
        return self._compute_slices([(source, known)], [], lambda _: self._pool(known.size).flush(known.state))

    def reset(self, source: str) -> None:
        """Drop the state of a source."""
        known = self._sources.pop(source, None)
        if known is not None:
            self._end(known)

    def _end(self, source: SentSource) -> None:
        # Batches in flight may still use the source's rows, so these are freed behind them in the queue.
        self.runner.streams.enqueue(StreamKind.COMPUTE, lambda: self._pool(source.size).end(source.state))

    def _pool(self, size: tuple[int, int]) -> SourcePool:
        """Return the pool of the sources whose frames, as the network takes them, are of one size, (h, w)."""
        if size not in self._pools:
            self._pools[size] = self._new_pool()
        return self._pools[size]

    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        """Compute the heat of each clip, in order. New frames of all clips, of any sources, are one batch.

        The heat is None for a source of which too few frames have come. Its state is kept.

        After frames that no clip contains, a source starts anew with its next clip. Until enough frames have come
        again, a network that pads along time answers as if the video ended with each clip, as `WindowEngine` does. So a
        source is never without heat for long, however few of its clips are computed.
        """
        return self.submit(clips).wait()

    def weight(self, clip: Clip) -> int:
        """Return how many of `max_batch` a clip counts for: in proportion to its new frames.

        After a gap, all of its frames are new. A device that cannot keep up has gaps in most clips. Batches of as many
        whole clips as of single frames would take long, and each source's heat would be as old as that.
        """
        known = self._sources.get(clip.last.source)
        new = known.new_frames(clip) if known and known.session == clip.last.session else len(clip.frames)
        return max(1, ceil(self._sources_per_clip * new / self.runner.spec.clip_format.length))

    def _split(self, clips: Sequence[Clip]) -> list[Sequence[Clip]]:
        # Which frames of a clip are new depends on the clip of its source before it, so these cannot be one batch.
        if len({clip.last.source for clip in clips}) < len(clips):
            return [[clip] for clip in clips]
        return super()._split(clips)

    def _send(self, clips: Sequence[Clip]) -> SentBatch:
        sources = [self._source_of(clip) for clip in clips]
        new_frames = [source.take(clip) for source, clip in zip(sources, clips, strict=True)]
        ready: list[ReadyWindows] = []  # filled when the device computes the batch

        def advance(frames: Tensor) -> Sequence[Tensor]:
            pieces, times_s = self._unpack(frames, new_frames)  # of one size, as `_split` sees to
            states, full = [source.state for source in sources], [clip.full for clip in clips]
            ready.append(self._pool(sources[0].size).advance(states, pieces, times_s, full=full))
            return ready[0].results

        transfer = self._transfer(sources, new_frames, advance)
        return SentBatch(clips, transfer, lambda arrays: self._read(clips, ready[0], arrays))

    def _drop_state(self, clips: Sequence[Clip]) -> None:
        # What the failed batch has written of their state is not known. Their clips are computed whole instead.
        for clip in clips:
            self._start_after_gap(clip)

    def _transfer(self, sources: Sequence[SentSource], new_frames: Sequence[NewFrames], compute: Compute) -> Transfer:
        """Send new frames of sources, to be computed after whatever was sent of them before.

        The queue keeps that order anyway. But if the earlier batch fails, its event lets this one be skipped, since it
        would be computed from a state that misses frames.
        """
        before = {source.computed for source in sources if source.computed is not None}
        transfer = self._transfers.send([pixels for pixels, _ in new_frames], compute, after=list(before))
        for source in sources:
            source.computed = transfer.computed
        return transfer

    def _unpack(self, frames: Tensor, new_frames: Sequence[NewFrames]) -> tuple[Sequence[Tensor], list[FrameTimes]]:
        """Split the bytes of a batch on the device into the new frames of each source; return their times, too."""
        shape = new_frames[0][0].shape[1:]
        counts, times_s = [len(pixels) for pixels, _ in new_frames], [pts_s for _, pts_s in new_frames]
        return frames.view(-1, *shape).split(counts), times_s

    def _source_of(self, clip: Clip) -> SentSource:
        """Return the source of a clip, started anew if frames are missing before the clip."""
        known = self._sources.get(clip.last.source)
        if known is not None and not known.continues_with(clip):
            self._start_after_gap(clip)
        return self._source(clip.last.source, clip.last.session, _size(clip.frames))

    def _start_after_gap(self, clip: Clip) -> None:
        """Drop a source's state, and note that frames are missing before the next, unless this is a new session."""
        known = self._sources.get(clip.last.source)
        self.reset(clip.last.source)
        if known is not None and known.session == clip.last.session:
            size = _size(clip.frames)
            self._sources[clip.last.source] = SentSource(self._pool(size).new(after_gap=True), known.session, size)

    def _source(self, name: str, session: int, size: tuple[int, int]) -> SentSource:
        """Return a source, started anew if this is a new session or another size of its frames."""
        known = self._sources.get(name)
        if known is None or known.session != session or known.size != size:
            self.reset(name)
            known = self._sources[name] = SentSource(self._pool(size).new(), session, size)
        return known

    def _push(self, keys: Sequence[tuple[str, int]], new_frames: Sequence[NewFrames]) -> list[HeatSlice]:
        """Compute new frames, all of one size, of sources by name and session; return new slices, source by source."""
        size = _size(new_frames[0][0])
        sources = [self._source(*key, size) for key in keys]

        def compute(frames: Tensor) -> list[tuple[int, Tensor, Times]]:
            return self._pool(size).slices([s.state for s in sources], *self._unpack(frames, new_frames))

        named = [(name, source) for (name, _), source in zip(keys, sources, strict=True)]
        return self._compute_slices(named, new_frames, compute)

    def _compute_slices(
        self,
        named: Sequence[tuple[str, SentSource]],
        new_frames: Sequence[NewFrames],
        compute: Callable[[Tensor], list[tuple[int, Tensor, Times]]],
    ) -> list[HeatSlice]:
        """Compute slices of sources on the device, and wait for them. If that fails, drop the state of the sources.

        `compute` returns slices as `SourcePool.slices` does.
        """
        slices: list[tuple[int, Tensor, Times]] = []

        def logits_and_cubes(frames: Tensor) -> list[Tensor]:
            # Groups of sources come in any order. Slices are returned in the order of sources.
            slices.extend(sorted(compute(frames), key=itemgetter(0)))
            return [result for _, cube, _ in slices for result in self._grouped(cube)]

        try:
            arrays = self.result(self._transfer([source for _, source in named], new_frames, logits_and_cubes))
        except Exception:
            for name, source in named:
                self._sources.pop(name, None)
                self._end(source)  # its buffers may be half written
            raise
        records = []
        for (i, _, times_s), logits, cubes in zip(slices, arrays[::2], arrays[1::2], strict=True):
            name, session = named[i][0], named[i][1].session
            for cube, slice_logits, (first_s, centre_s, last_s) in zip(cubes, logits, times_s, strict=True):
                span_s = (float(first_s), float(last_s))
                records.append(HeatSlice(cube, slice_logits, float(centre_s), span_s, name, session))
        return records

    def _grouped(self, cube: Tensor) -> tuple[Tensor, Tensor]:
        """Give the logits of heat slices [t,C,h,w], and their heat; of groups, each slice by its own shares."""
        model = self.runner.model
        logits = cube.mean((2, 3)) + model.head.bias
        if model.groups is None:
            return logits, cube
        return model.groups.logits(logits), model.groups.heat(cube, model.groups.shares(logits))

    def _read(self, clips: Sequence[Clip], ready: ReadyWindows, arrays: Arrays) -> list[Heat | None]:
        """Make the heat of each clip from the arrays that come back; None for a clip without a window."""
        heats: list[Heat | None] = [None] * len(clips)
        for i, windows in enumerate(ready.windows):
            logits, chosen, cubes, common = arrays[RESULTS * i : RESULTS * (i + 1)]
            rows, ready_clips = [window.group_row for window in windows], [clips[w.batch_index] for w in windows]
            group = to_heats(
                logits[rows],
                chosen[rows],
                [cubes[row] for row in rows],  # views, since cubes are large
                [common[row] for row in rows],
                clips=ready_clips,
                times=[self._heat_times(clip, w.times_s) for clip, w in zip(ready_clips, windows, strict=True)],
                context=self.runner.context,
            )
            for window, heat in zip(windows, group, strict=True):
                heats[window.batch_index] = heat
        return heats

    def _heat_times(self, clip: Clip, times_s: Times) -> HeatTimes:
        return HeatTimes(times_s[:, 1], (float(times_s[0, 0]), float(clip.pts_s[-1])), self.lookahead_s)


def _size(frames: np.ndarray) -> tuple[int, int]:
    """Give (h, w) of frames [t,3,h,w]."""
    height, width = frames.shape[2:]
    return height, width
