"""Each frame once: a network takes new frames only, and a window is a mean over its last heat slices."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.cam import choose, heat_cube, to_heat
from streamcam.clips import prepare
from streamcam.engines.bank import Stream
from streamcam.engines.device import Runner
from streamcam.engines.pending import Done
from streamcam.engines.ring import Calendar, Ring, Slices
from streamcam.engines.steps import Span
from streamcam.engines.streaming import StreamNetwork
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.split import position_weights
from streamcam.records import Clip, ClipFormat, Frame, Heat, HeatSlice


class Network(Protocol):
    """Frames in, slices of the feature map out, as they come."""

    span: Span
    pads_time: bool

    def start(self) -> Stream:
        """The beginning of a video, which is kept in mind until `flush` or `forget`."""
        ...

    def push(self, streams: Sequence[Stream], frames: Tensor) -> Tensor | None:
        """The next frames of streams of one phase, float [N,3,t,H,W] → the slices [N,K,t',h,w] that they complete."""
        ...

    def flush(self, stream: Stream) -> Tensor | None:
        """The end of a video: the slices that were waiting for what will not come any more."""
        ...

    def forget(self, stream: Stream) -> None:
        """A video of which no more will be asked."""
        ...


class EachFrame:
    """A network that looks at each frame alone."""

    span = Span()
    pads_time = False

    def __init__(self, model: CamModel) -> None:
        self._model = model

    def start(self) -> Stream:
        """There is nothing to remember."""
        return Stream(0)

    def push(self, _streams: Sequence[Stream], frames: Tensor) -> Tensor | None:
        """Float [N,3,t,H,W] → [N,K,t,h,w]."""
        return self._model.feature_maps(frames)[0]

    def flush(self, _stream: Stream) -> None:
        """Nothing waits."""

    def forget(self, _stream: Stream) -> None:
        """Nothing was kept."""


def streaming(model: CamModel, *, dense: bool = False) -> Network:
    """The features of a model, to be computed slice by slice.

    Raises:
        StreamcamError: they cannot be; the message says why.
    """
    if not model.head.is_linear:
        raise StreamcamError(f"{model.spec.name} cannot be streamed: its head is not linear (use --engine window)")
    if model.spec.framewise:
        return EachFrame(model)
    try:
        return StreamNetwork(model.features, dense=dense)
    except StreamcamError as e:
        raise StreamcamError(f"{model.spec.name} {e}") from e


def answers_as_window(model: CamModel) -> bool:
    """Whether `StreamEngine` gives what `WindowEngine` does: for a network that does not pad in time."""
    try:
        return not streaming(model).pads_time
    except StreamcamError:
        return False


class StreamEngine:
    """Frames → heat slices, and clips → heat: one forward for each frame.

    A clip's heat is that of its last L' slices, which are kept for each source. Two clips of a session share all frames
    but those between their indices, so only these are computed, also when clips in between were dropped.

    Without padding in time, the answers are those of `WindowEngine`, to rounding. A padded network sees a cut clip's
    ends as black there, and what really comes next here: its slices are those of one pass over the whole video, and
    they come when the frames after them are there (`Span.lookahead`).
    """

    name = "stream"
    head_start = True
    in_flight = 1

    def __init__(
        self,
        runner: Runner,
        *,
        top_k: int = 5,
        classes: Sequence[int] | None = None,
        dense: bool = False,
        chunk: int | None = None,
    ) -> None:
        """Convert a model.

        Args:
            runner: the model, on its device.
            top_k: how many classes' heat each clip's carries, where `classes` does not say which.
            classes: indices of the classes whose heat each clip's carries.
            dense: give a slice for every frame where the network strides over frames.
            chunk: how many frames of a source go through the network at a time, at most; by default all that are new.
        """
        self.runner, self._top_k, self._classes, self._chunk = runner, top_k, classes, chunk
        self.max_batch = runner.max_batch
        self._network = streaming(runner.model, dense=dense)
        spec = runner.spec
        self.lookahead_s, self.hop = self.span.lookahead / spec.clip_format.fps, self.span.stride
        self._slices = spec.clip_format.length - spec.temporal_context if dense else spec.slices
        self._sources: dict[str, _Source] = {}
        warm_up = np.zeros((1, 3, *spec.clip_format.crop), np.uint8)
        self._advance([self._source("", 0)], [(warm_up, np.zeros(1))])
        self.reset("")

    @property
    def span(self) -> Span:
        """What a heat slice sees, and how far apart they are."""
        return self._network.span

    @property
    def needs_every_frame(self) -> bool:
        """Whether frames that are left out would be missed beyond the clips that they are not in."""
        return self._network.pads_time

    @torch.inference_mode()
    def push(self, frames: Sequence[Frame]) -> list[HeatSlice]:
        """Take the next frames of one or several sources, and give the heat slices that they complete.

        They are taken one by one, whatever their times: those of a source should lie 1/fps of the clip format apart, as
        `SlidingWindow` samples them. A new session starts afresh. Either `push` or `infer` is for a source, not both.
        """
        together: defaultdict[tuple[str, int], list[Frame]] = defaultdict(list)
        for frame in frames:
            together[frame.source, frame.session].append(frame)
        if len({source for source, _ in together}) < len(together):  # a session has to end before the next begins
            return [record for own in together.values() for record in self.push(own)]
        sources = [self._source(*key) for key in together]
        new = self._advance(sources, [_prepared(own, self.runner.spec.clip_format) for own in together.values()])
        keyed = zip(together, new, strict=True)
        return [record for key, parts in keyed for part in parts for record in self._records(*key, part)]

    @torch.inference_mode()
    def flush(self, source: str) -> list[HeatSlice]:
        """The end of a source: the slices that were waiting for frames that will not come; it is forgotten then."""
        known = self._sources.pop(source, None)
        features = None if known is None else self._network.flush(known.stream)
        if known is None or features is None:
            return []
        return self._records(source, known.session, known.dated(self._cubes(features)[0]))

    def reset(self, source: str) -> None:
        """Forget a source."""
        known = self._sources.pop(source, None)
        if known is not None:
            self._network.forget(known.stream)

    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        """The heat of each clip, in order; the new frames of all of them, of any sources, are one batch.

        None for a source of which too little has been seen; it is remembered.
        """
        return self.submit(clips).wait()

    @torch.inference_mode()
    def submit(self, clips: Sequence[Clip]) -> Done:
        """Begin with clips; the heat of each, in order, is what is to be waited for."""
        if len({clip.last.source for clip in clips}) < len(clips):  # each has to know what the one before it brought
            return Done([heat for clip in clips for heat in self.infer([clip])])
        for clip in clips:
            known = self._sources.get(clip.last.source)
            if known is not None and not known.goes_on_with(clip):  # after a gap
                self.reset(clip.last.source)
        sources = [self._source(clip.last.source, clip.last.session) for clip in clips]
        new = self._advance(sources, [source.fresh(clip) for source, clip in zip(sources, clips, strict=True)])
        for source, parts in zip(sources, new, strict=True):
            for part in parts:
                source.ring.add(part)
        return Done([self._heat(source.ring, clip) for source, clip in zip(sources, clips, strict=True)])

    def _source(self, name: str, session: int) -> "_Source":
        """What is known of a source; nothing any more, after a reconnect."""
        known = self._sources.get(name)
        if known is None or known.session != session:
            self.reset(name)
            known = self._sources[name] = _Source(self._network, self._slices, session)
        return known

    def _advance(self, sources: "Sequence[_Source]", fresh: "Sequence[_Fresh]") -> list[list[Slices]]:
        """Put new frames of each of some sources through the network, a chunk at a time → their new slices."""
        new: list[list[Slices]] = [[] for _ in sources]
        longest = max((len(frames) for frames, _ in fresh), default=0)
        step = self._chunk or max(1, longest)
        for at in range(0, longest, step):
            pieces = [(frames[at : at + step], pts_s[at : at + step]) for frames, pts_s in fresh]
            for alike in _alike(sources, pieces):
                slices = self._step([sources[i] for i in alike], [pieces[i] for i in alike])
                for i, part in zip(alike, slices, strict=False):
                    new[i].append(part)
        return new

    def _step(self, sources: "Sequence[_Source]", pieces: "Sequence[_Fresh]") -> list[Slices]:
        """As many frames of sources that are all as far → the new slices of each; nothing where none are complete."""
        frames = self.runner.upload([frames for frames, _ in pieces])
        features = self._network.push([source.stream for source in sources], frames)
        for source, (_, pts_s) in zip(sources, pieces, strict=True):
            source.calendar.take(pts_s)
        if features is None:
            return []
        return [source.dated(cube) for source, cube in zip(sources, self._cubes(features), strict=True)]

    def _cubes(self, features: Tensor) -> Tensor:
        """Slices of the feature map [N,K,t,h,w] → heat slices, float32 [N,t,C,h,w]."""
        model = self.runner.model
        if model.windows:
            features = features * position_weights(features.shape[3:], model.windows[1:]).to(features)
        return heat_cube(features, model.head.classifier.weight).transpose(1, 2)

    def _records(self, source: str, session: int, slices: Slices) -> list[HeatSlice]:
        logits = (slices.cube.mean((2, 3)) + self.runner.model.head.bias).cpu().numpy()
        cubes = slices.cube.cpu().numpy()
        return [
            HeatSlice(cube, own, float(centre_s), (float(first_s), float(last_s)), source, session)
            for cube, own, (first_s, centre_s, last_s) in zip(cubes, logits, slices.times_s, strict=True)
        ]

    def _heat(self, ring: Ring, clip: Clip) -> Heat | None:
        if not ring.is_full:
            return None
        model, order = self.runner.model, ring.order()
        weights = position_weights((self._slices,), model.windows[:1] or (1,)).to(ring.cube)
        logits = (ring.pooled[order] * weights[:, None]).mean(0) + model.head.bias
        chosen = choose(logits, top_k=self._top_k, classes=self._classes)
        heat = to_heat(
            logits,
            (ring.cube[order[:, None], chosen] * weights[:, None, None, None]).transpose(0, 1),
            ring.common[order] * weights[:, None, None],
            chosen,
            clip=clip,
            context=self.runner.context,
            slice_frames=np.zeros(self._slices),
        )
        times_s = ring.times_s()
        return replace(
            heat,
            pts_s=times_s[:, 1],
            clip_pts_s=(float(times_s[0, 0]), heat.clip_pts_s[1]),
            lookahead_s=self.lookahead_s,
        )


_Fresh = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]
"""New frames of a source, uint8 [t,3,h,w], and their times in seconds, float64 [t]."""


def _prepared(frames: Sequence[Frame], clip_format: ClipFormat) -> _Fresh:
    pictures = np.stack([prepare(frame.pixels, clip_format) for frame in frames])
    return pictures, np.array([frame.pts_s for frame in frames])


def _alike(sources: "Sequence[_Source]", pieces: Sequence[_Fresh]) -> list[list[int]]:
    """Which sources can be one batch, by their rows: those that have as many new frames and are all as far."""
    groups: dict[object, list[int]] = defaultdict(list)
    for i, (source, (frames, _)) in enumerate(zip(sources, pieces, strict=True)):
        if len(frames):
            groups[len(frames), source.stream.phase].append(i)
    return [sorted(group, key=lambda i: sources[i].stream.row) for group in groups.values()]


class _Source:
    """What is known of one source: where the network is in it, and its last heat slices."""

    def __init__(self, network: Network, slices: int, session: int) -> None:
        self.stream, self.session = network.start(), session
        self.calendar, self.ring = Calendar(network.span), Ring(slices)
        self._index = -1

    def goes_on_with(self, clip: Clip) -> bool:
        """Whether a clip brings the very next frames."""
        missing = clip.index - self._index - len(clip.frames)
        return self._index < 0 or (clip.index >= self._index and missing <= 0)

    def fresh(self, clip: Clip) -> _Fresh:
        """The clip's frames that were not taken before."""
        new = len(clip.frames) if self._index < 0 else clip.index - self._index
        first = len(clip.frames) - new
        self._index = clip.index
        return clip.frames[first:], clip.pts_s[first:]

    def dated(self, cube: Tensor) -> Slices:
        """The next slices [n,C,h,w], with their times."""
        return Slices(cube, self.calendar.date(len(cube)))
