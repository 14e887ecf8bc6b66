"""Each frame once: a network takes new frames only, and a window is a mean over its last heat slices."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import ceil
from operator import itemgetter

import numpy as np
import numpy.typing as npt
from torch import Tensor

from streamcam.clips import prepare
from streamcam.engines.device.engine import DeviceEngine, SentBatch
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.streams import Event, StreamKind
from streamcam.engines.device.transfers import Arrays, Compute, Transfer
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.network import Network, streaming
from streamcam.engines.streaming.source_state import RESULTS, ReadyWindows, SourceState, SourceStates, Times
from streamcam.engines.streaming.temporal_ops import Span
from streamcam.heat.cam import Moments, to_heats
from streamcam.records import Clip, ClipFormat, Frame, Heat, HeatSlice

SOURCES_A_CLIP = 8
"""New frames of so many cameras are about as much work as one clip, and gain as much from a batch."""


class StreamEngine(DeviceEngine):
    """Frames → heat slices, and clips → heat: one forward for each frame.

    A clip's heat is that of its last L' slices, which are kept for each source. Two clips of a session share all frames
    but those between their indices, so only these are computed, also when clips in between were dropped.

    Without padding in time, the answers are those of `WindowEngine`, to rounding. A padded network sees a cut clip's
    ends as black there, and what really comes next here: its slices are those of one pass over the whole video, and
    they come when the frames after them are there (`Span.lookahead`).
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
        """Convert a model.

        Args:
            runner: the model, on its device.
            network: the model's features, where not PyTorch computes them; as dense as `dense` says.
            top_k: how many classes' heat each clip's carries, where `classes` does not say which.
            classes: indices of the classes whose heat each clip's carries.
            dense: give a slice for every frame where the network strides over frames.
            hop: how many new frames a clip brings as a rule, if not as many as the network strides: worth a CUDA graph.
        """
        self._network, spec = network or streaming(runner.model, dense=dense), runner.spec
        self._together = SOURCES_A_CLIP if isinstance(self._network, StreamNetwork) else 1
        super().__init__(runner, max_batch=self._together * runner.max_batch)
        self.lookahead_s, self.hop = self.span.lookahead / spec.clip_format.fps, self.span.stride
        slices = spec.clip_format.length - spec.temporal_context if dense else spec.slices
        self._source_states = SourceStates(
            runner, self._network, self._graphs, slices=slices, top_k=top_k, classes=classes, hop=hop
        )
        self._sources: dict[str, _Source] = {}
        warm_up = np.zeros((1, 3, *spec.clip_format.crop), np.uint8)
        self._source("", 0)
        self._slices([("", 0)], [(warm_up, np.zeros(1))])
        self.reset("")

    @property
    def span(self) -> Span:
        """What a heat slice sees, and how far apart they are."""
        return self._network.span

    @property
    def needs_every_frame(self) -> bool:
        """Whether frames that are left out would be missed beyond the clips that they are not in."""
        return self._network.pads_time

    def push(self, frames: Sequence[Frame]) -> list[HeatSlice]:
        """Take the next frames of one or several sources, and give the heat slices that they complete.

        They are taken one by one, whatever their times: those of a source should lie 1/fps of the clip format apart, as
        `SlidingWindow` samples them. A new session starts afresh, and so do sources of which a push has failed. Either
        `push` or `infer` is for a source, not both.
        """
        together: defaultdict[int, dict[str, list[Frame]]] = defaultdict(dict)
        for frame in frames:
            together[frame.session].setdefault(frame.source, []).append(frame)
        new: list[HeatSlice] = []
        for session, sources in sorted(together.items()):
            fresh = [_prepared(own, self.runner.spec.clip_format) for own in sources.values()]
            new += self._slices([(source, session) for source in sources], fresh)
        return new

    def flush(self, source: str) -> list[HeatSlice]:
        """The end of a source: the slices that were waiting for frames that will not come; it is forgotten then."""
        known = self._sources.pop(source, None)
        if known is None:
            return []
        return self._records([(source, known)], [], lambda _: self._source_states.flush(known.state))

    def reset(self, source: str) -> None:
        """Forget a source."""
        known = self._sources.pop(source, None)
        if known is not None:
            self._end(known)

    def _end(self, source: "_Source") -> None:
        self.runner.streams.put(StreamKind.COMPUTE, lambda: self._source_states.end(source.state))

    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        """The heat of each clip, in order; the new frames of all of them, of any sources, are one batch.

        None for a source of which too little has been seen; it is remembered. After frames that no clip brought, a
        source begins again, with the clip that is there: a network that pads in time then answers as if the video
        ended with each clip, as `WindowEngine` does, until it has seen enough again. So it is never silent for long,
        however few of the clips it is given.
        """
        return self.submit(clips).wait()

    def weight(self, clip: Clip) -> int:
        """As much as it has new frames: after a gap, all of them are.

        Where there is more to do than a device can, gaps are the rule. In batches of whole clips everybody would wait
        for everybody's, and the answers would be as old as that.
        """
        known = self._sources.get(clip.last.source)
        new = known.missing(clip) if known and known.session == clip.last.session else len(clip.frames)
        return max(1, ceil(self._together * new / self.runner.spec.clip_format.length))

    def _split(self, clips: Sequence[Clip]) -> list[Sequence[Clip]]:
        if len({clip.last.source for clip in clips}) < len(clips):  # each has to know what the one before it brought
            return [[clip] for clip in clips]
        return super()._split(clips)

    def _send(self, clips: Sequence[Clip]) -> SentBatch:
        sources = [self._source_of(clip) for clip in clips]
        fresh = [source.fresh(clip) for source, clip in zip(sources, clips, strict=True)]
        ready: list[ReadyWindows] = []

        def advance(frames: Tensor) -> Sequence[Tensor]:
            pieces, times_s = self._pieces(frames, fresh)
            states, whole = [source.state for source in sources], [clip.full for clip in clips]
            ready.append(self._source_states.advance(states, pieces, times_s, whole=whole))
            return ready[0].results

        transfer = self._transfer(sources, fresh, advance)
        return SentBatch(clips, transfer, lambda arrays: self._read(clips, ready[0], arrays))

    def _forget(self, clips: Sequence[Clip]) -> None:
        for clip in clips:
            self._begin_again(clip)

    def _transfer(self, sources: "Sequence[_Source]", fresh: "Sequence[_Fresh]", compute: Compute) -> Transfer:
        """Send new frames of sources, to be computed when that has come to an end which was sent for them before."""
        before = {source.computed for source in sources if source.computed is not None}
        transfer = self._transfers.send([frames for frames, _ in fresh], compute, after=list(before))
        for source in sources:
            source.computed = transfer.computed
        return transfer

    def _pieces(self, frames: Tensor, fresh: "Sequence[_Fresh]") -> tuple[Sequence[Tensor], list[Times]]:
        """What has arrived on the device → new frames of each source, and their times."""
        shape = (3, *self.runner.spec.clip_format.crop)
        return frames.view(-1, *shape).split([len(own) for own, _ in fresh]), [pts_s for _, pts_s in fresh]

    def _source_of(self, clip: Clip) -> "_Source":
        """What is known of a clip's source; nothing any more, after a gap."""
        known = self._sources.get(clip.last.source)
        if known is not None and not known.goes_on_with(clip):
            self._begin_again(clip)
        return self._source(clip.last.source, clip.last.session)

    def _begin_again(self, clip: Clip) -> None:
        """Forget a source, but that frames of it are missing, where this is not a new session anyway."""
        known = self._sources.get(clip.last.source)
        self.reset(clip.last.source)
        if known is not None and known.session == clip.last.session:
            self._sources[clip.last.source] = _Source(self._source_states.new(cut=True), known.session)

    def _source(self, name: str, session: int) -> "_Source":
        """What is known of a source; nothing any more, after a reconnect."""
        known = self._sources.get(name)
        if known is None or known.session != session:
            self.reset(name)
            known = self._sources[name] = _Source(self._source_states.new(), session)
        return known

    def _slices(self, keys: Sequence[tuple[str, int]], fresh: "Sequence[_Fresh]") -> list[HeatSlice]:
        """New frames of sources, by name and session → the slices that they complete, source by source."""
        sources = [self._source(*key) for key in keys]

        def push(frames: Tensor) -> list[tuple[int, Tensor, Times]]:
            return self._source_states.slices([source.state for source in sources], *self._pieces(frames, fresh))

        named = [(name, source) for (name, _), source in zip(keys, sources, strict=True)]
        return self._records(named, fresh, push)

    def _records(
        self,
        named: "Sequence[tuple[str, _Source]]",
        fresh: "Sequence[_Fresh]",
        compute: Callable[[Tensor], list[tuple[int, Tensor, Times]]],
    ) -> list[HeatSlice]:
        """Compute slices of sources on the device, and wait for them; where that fails, these sources are forgotten."""
        new: list[tuple[int, Tensor, Times]] = []

        def logits_and_cubes(frames: Tensor) -> list[Tensor]:
            new.extend(sorted(compute(frames), key=itemgetter(0)))
            bias = self.runner.model.head.bias
            return [result for _, cube, _ in new for result in (cube.mean((2, 3)) + bias, cube)]

        try:
            arrays = self.result(self._transfer([source for _, source in named], fresh, logits_and_cubes))
        except Exception:
            for name, source in named:
                self._sources.pop(name, None)
                self._end(source)  # what is kept of it may be half written
            raise
        records = []
        for (i, _, times_s), logits, cubes in zip(new, arrays[::2], arrays[1::2], strict=True):
            name, session = named[i][0], named[i][1].session
            for cube, own, (first_s, centre_s, last_s) in zip(cubes, logits, times_s, strict=True):
                records.append(HeatSlice(cube, own, float(centre_s), (float(first_s), float(last_s)), name, session))
        return records

    def _read(self, clips: Sequence[Clip], ready: ReadyWindows, arrays: Arrays) -> list[Heat | None]:
        heats: list[Heat | None] = [None] * len(clips)
        for i, windows in enumerate(ready.windows):
            logits, chosen, cubes, common = arrays[RESULTS * i : RESULTS * (i + 1)]
            places, own = [window.place for window in windows], [clips[window.number] for window in windows]
            new = to_heats(
                logits[places],
                chosen[places],
                [cubes[place] for place in places],  # these are large: they stay where they are
                [common[place] for place in places],
                clips=own,
                times=[self._moments(clip, window.times_s) for clip, window in zip(own, windows, strict=True)],
                context=self.runner.context,
            )
            for window, heat in zip(windows, new, strict=True):
                heats[window.number] = heat
        return heats

    def _moments(self, clip: Clip, times_s: Times) -> Moments:
        return Moments(times_s[:, 1], (float(times_s[0, 0]), float(clip.pts_s[-1])), self.lookahead_s)


_Fresh = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]
"""New frames of a source, uint8 [t,3,h,w], and their times in seconds, float64 [t]."""


def _prepared(frames: Sequence[Frame], clip_format: ClipFormat) -> _Fresh:
    pictures = np.stack([prepare(frame.pixels, clip_format) for frame in frames])
    return pictures, np.array([frame.pts_s for frame in frames])


class _Source:
    """What has been sent of one source; its track follows on the device."""

    def __init__(self, state: SourceState, session: int) -> None:
        self.state, self.session = state, session
        self.computed: Event | None = None
        """When that is done which was sent last."""
        self._index = -1

    def goes_on_with(self, clip: Clip) -> bool:
        """Whether a clip brings the very next frames."""
        missing = clip.index - self._index - len(clip.frames)
        return self._index < 0 or (clip.index >= self._index and missing <= 0)

    def missing(self, clip: Clip) -> int:
        """How many of the clip's frames were not taken before: all of them, after a gap."""
        goes_on = self._index >= 0 and self.goes_on_with(clip)
        return clip.index - self._index if goes_on else len(clip.frames)

    def fresh(self, clip: Clip) -> _Fresh:
        """The clip's frames that were not taken before."""
        first = len(clip.frames) - self.missing(clip)
        self._index = clip.index
        return clip.frames[first:], clip.pts_s[first:]
