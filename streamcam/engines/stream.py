"""Each frame once: a network takes new frames only, and a window is a mean over its last heat slices."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.cam import choose, heat_cube, to_heat
from streamcam.engines.device import Runner
from streamcam.engines.steps import Span
from streamcam.engines.streaming import Stream, StreamNetwork
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.split import position_weights
from streamcam.records import Clip, Heat


class Network(Protocol):
    """Frames in, slices of the feature map out, as they come."""

    span: Span
    pads_time: bool

    def start(self) -> Stream:
        """The beginning of a video."""
        ...

    def push(self, stream: Stream, frames: Tensor) -> Tensor | None:
        """The next frames, float [N,3,t,H,W] → the slices [N,K,t',h,w] that they complete, if any."""
        ...


class EachFrame:
    """A network that looks at each frame alone."""

    span = Span()
    pads_time = False

    def __init__(self, model: CamModel) -> None:
        self._model = model

    def start(self) -> Stream:
        """There is nothing to remember."""
        return Stream([])

    def push(self, _stream: Stream, frames: Tensor) -> Tensor | None:
        """Float [N,3,t,H,W] → [N,K,t,h,w]."""
        return self._model.feature_maps(frames)[0]


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
    """Clips → heat, one forward for each frame.

    It keeps the heat slices of each source's last L frames. Two clips of a session share all frames but those between
    their indices, so only these are computed, also when clips in between were dropped.

    Without padding in time, the answers are those of `WindowEngine`, to rounding. A padded network sees a cut clip's
    ends as black there, and what really comes next here: its slices are those of one pass over the whole video, and
    they come when the frames after them are there (`Span.lookahead`).
    """

    name = "stream"
    head_start = True

    def __init__(
        self, runner: Runner, *, top_k: int = 5, classes: Sequence[int] | None = None, dense: bool = False
    ) -> None:
        self.runner, self._top_k, self._classes = runner, top_k, classes
        self.max_batch = runner.max_batch
        self._network = streaming(runner.model, dense=dense)
        spec = runner.spec
        self.lookahead_s = self._network.span.lookahead / spec.clip_format.fps
        self._slices = spec.clip_format.length - spec.temporal_context if dense else spec.slices
        self._sources: dict[str, _Source] = {}
        self._push([_Source(self._network, self._slices, -1)], [np.zeros((1, 3, *spec.clip_format.crop), np.uint8)])

    @property
    def span(self) -> Span:
        """What a heat slice sees, and how far apart they are."""
        return self._network.span

    @torch.inference_mode()
    def infer(self, clips: Sequence[Clip]) -> list[Heat | None]:
        """The heat of each clip, in order; the new frames of all of them, of any sources, are one batch.

        None for a source of which too little has been seen; it is remembered.
        """
        if len({clip.last.source for clip in clips}) < len(clips):  # each has to know what the one before it brought
            return [heat for clip in clips for heat in self.infer([clip])]
        sources = [self._source(clip) for clip in clips]
        fresh = [source.take(clip) for source, clip in zip(sources, clips, strict=True)]
        for together in _alike(sources, fresh):
            self._push([sources[i] for i in together], [fresh[i] for i in together])
        return [self._heat(source, clip) for source, clip in zip(sources, clips, strict=True)]

    def reset(self, source: str) -> None:
        """Forget a source."""
        self._sources.pop(source, None)

    def _source(self, clip: Clip) -> "_Source":
        """What is known of a clip's source; nothing any more, after a reconnect or a gap."""
        name = clip.last.source
        known = self._sources.get(name)
        if known is None or not known.goes_on_with(clip):
            known = self._sources[name] = _Source(self._network, self._slices, clip.last.session)
        return known

    def _push(self, sources: "Sequence[_Source]", fresh: Sequence[npt.NDArray[np.uint8]]) -> None:
        """Put as many new frames of each of some sources, all as far, through the network."""
        stream = Stream.together([source.stream for source in sources])
        features = self._network.push(stream, self.runner.upload(fresh))
        for source, own in zip(sources, stream.apart(len(sources)), strict=True):
            source.stream = own
        if features is None:
            return
        model = self.runner.model
        if model.windows:
            features = features * position_weights(features.shape[3:], model.windows[1:]).to(features)
        cubes = heat_cube(features, model.head.classifier.weight)
        for source, cube in zip(sources, cubes, strict=True):
            source.add(cube.transpose(0, 1))

    def _heat(self, source: "_Source", clip: Clip) -> Heat | None:
        if not source.is_full:
            return None
        model, order = self.runner.model, source.order()
        weights = position_weights((self._slices,), model.windows[:1] or (1,)).to(source.cube)
        logits = (source.pooled[order] * weights[:, None]).mean(0) + model.head.bias
        chosen = choose(logits, top_k=self._top_k, classes=self._classes)
        heat = to_heat(
            logits,
            (source.cube[order[:, None], chosen] * weights[:, None, None, None]).transpose(0, 1),
            source.common[order] * weights[:, None, None],
            chosen,
            clip=clip,
            context=self.runner.context,
            slice_frames=np.zeros(self._slices),
        )
        first_s, centres_s = source.times(self.span)
        return replace(heat, pts_s=centres_s, clip_pts_s=(first_s, heat.clip_pts_s[1]))


def _alike(sources: "Sequence[_Source]", fresh: Sequence[npt.NDArray[np.uint8]]) -> list[list[int]]:
    """Which sources can be one batch: those that have as many new frames and are all as far."""
    groups: dict[object, list[int]] = defaultdict(list)
    for i, (source, frames) in enumerate(zip(sources, fresh, strict=True)):
        if len(frames):
            groups[len(frames), source.stream.phase].append(i)
    return list(groups.values())


class _Source:
    """What is known of one source: where the network is in it, and a ring of its last heat slices."""

    def __init__(self, network: Network, slices: int, session: int) -> None:
        self.stream = network.start()
        self._session, self._index = session, -1
        self._slices, self._added = slices, 0
        span = network.span
        self._pts_s: deque[float] = deque(maxlen=span.receptive_field + (slices + 1) * span.stride + 1)
        self._taken = 0

    def goes_on_with(self, clip: Clip) -> bool:
        """Whether a clip brings the very next frames."""
        missing = clip.index - self._index - len(clip.frames)
        return self._index < 0 or (self._session == clip.last.session and clip.index >= self._index and missing <= 0)

    def take(self, clip: Clip) -> npt.NDArray[np.uint8]:
        """The clip's frames [n,3,h,w] that were not taken before."""
        new = len(clip.frames) if self._index < 0 else clip.index - self._index
        first = len(clip.frames) - new
        self._index, self._taken = clip.index, self._taken + new
        self._pts_s.extend(clip.pts_s[first:])
        return clip.frames[first:]

    def add(self, new: Tensor) -> None:
        """Write slices [n,C,h,w]."""
        if self._added == 0:
            self.cube = new.new_empty(self._slices, *new.shape[1:])
            self.pooled = new.new_empty(self._slices, new.shape[1])
            self.common = new.new_empty(self._slices, *new.shape[2:])
        self._added += len(new)
        new = new[-self._slices :]
        at = (torch.arange(len(new), device=new.device) + self._added - len(new)) % self._slices
        self.cube[at], self.pooled[at], self.common[at] = new, new.mean((2, 3)), new.mean(1)

    @property
    def is_full(self) -> bool:
        """Whether there are enough slices for a window."""
        return self._added >= self._slices

    def order(self) -> Tensor:
        """int64 [L']: where the slices lie in the ring, the oldest first."""
        return (torch.arange(self._slices, device=self.cube.device) + self._added) % self._slices

    def times(self, span: Span) -> tuple[float, npt.NDArray[np.float64]]:
        """When what the slices in the ring have seen begins, and on which time each is centred, in seconds."""
        known = np.arange(self._taken - len(self._pts_s), self._taken)
        numbers = np.arange(self._added - self._slices, self._added)
        centres = np.interp(span.centre + numbers * span.stride, known, self._pts_s)
        first = np.interp(span.first + numbers[0] * span.stride, known, self._pts_s)
        return float(first), centres
