"""What a network says of clips becomes `Heat`: scores, names, scales and times. It needs NumPy, not torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.records import Clip, Floats, Heat


@dataclass(frozen=True, slots=True)
class Link:
    """The function that turns a model's logits into scores."""

    multi_label: bool
    """True if classes are independent (sigmoid), False if exactly one holds (softmax)."""
    temperature: float = 1.0
    """T: the softmax is of logits / T. Below 1, the likeliest class gets more (Guo et al., ICML 2017)."""

    def scores(self, logits: Floats, *, axis: int = -1) -> Floats:
        """Turn logits into scores of the same shape, 0–1; `axis` is that of the classes."""
        if self.multi_label:
            return np.asarray(0.5 + 0.5 * np.tanh(logits / 2), np.float32)  # a sigmoid that cannot overflow
        scaled = logits / self.temperature
        powers = np.exp(scaled - scaled.max(axis, keepdims=True))
        return np.asarray(powers / powers.sum(axis, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True)
class HeatContext:
    """What a `Heat` holds about its model: the model's name, its classes and their scales."""

    model: str
    model_hash: str
    labels: tuple[str, ...]
    """The names of all C classes."""
    scale: npt.NDArray[np.float32] | None
    """float32 [C]: the centred heat, in logit units, that is painted at full strength. None if the model has none."""
    multi_label: bool = False
    """True if classes are independent (sigmoid), False if exactly one holds (softmax)."""
    temperature: float = 1.0
    """T: scores are the softmax of logits / T. Below 1, the likeliest class gets more (Guo et al., ICML 2017)."""

    @property
    def link(self) -> Link:
        """What turns logits into scores."""
        return Link(self.multi_label, self.temperature)


class HeatTimes(NamedTuple):
    """The times that one clip's heat refers to, in seconds; the fields of `Heat` with the same names."""

    pts_s: npt.NDArray[np.float64]
    """float64 [L']."""
    clip_pts_s: tuple[float, float]
    lookahead_s: float


def heat_times(clip: Clip, slice_frames: npt.NDArray[np.float64]) -> HeatTimes:
    """Convert slice centres from frames of a clip to seconds.

    Args:
        clip: L frames with their times.
        slice_frames: float64 [L'], the frame on which each slice is centred, 0 to L − 1. Fractions are interpolated.
    """
    pts_s = np.interp(slice_frames, np.arange(len(clip.pts_s)), clip.pts_s)
    first_s, last_s = float(clip.pts_s[0]), float(clip.pts_s[-1])
    # The last slice is centred before the newest frame: the network waits this long to see both sides of it.
    return HeatTimes(pts_s, (first_s, last_s), last_s - float(pts_s[-1]))


def to_heats(
    logits: Floats,
    classes: npt.NDArray[np.int64],
    cubes: Sequence[Floats] | Floats,
    common: Sequence[Floats] | Floats,
    *,
    clips: Sequence[Clip],
    times: Sequence[HeatTimes],
    context: HeatContext,
) -> list[Heat]:
    """Build the `Heat` of each of N clips.

    Scores and scales are looked up for all clips at once, which is faster than clip by clip.

    Args:
        logits: float32 [N,C], of all classes.
        classes: int64 [N,K], the classes whose heat is kept.
        cubes: float32 [N,K,L',h,w], the heat of `classes`.
        common: float32 [N,L',h,w], the mean heat over all C classes.
        clips: the N clips that the network saw.
        times: the times of each clip's slices.
        context: the model's name, classes and scales.

    Raises:
        StreamcamError: a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise StreamcamError(f"{context.model} gave logits that are not finite: its weights or its input are broken")
    scores = np.take_along_axis(context.link.scores(logits), classes, axis=1)
    scales = [None] * len(clips) if context.scale is None else context.scale[classes]
    if context.multi_label:
        # A sigmoid changes when a map is added to every class, so the heat is determined: there is nothing to take off.
        common = np.zeros((len(clips), *cubes[0].shape[1:]), np.float32) if clips else []
    return [
        Heat(
            cube=cubes[i],
            common=common[i],
            classes=classes[i],
            labels=tuple([context.labels[c] for c in indices]),
            scores=scores[i],
            logits=logits[i],
            scale=scales[i],
            pts_s=times[i].pts_s,
            clip_pts_s=times[i].clip_pts_s,
            transform=clips[i].transform,
            model=context.model,
            model_hash=context.model_hash,
            lookahead_s=times[i].lookahead_s,
        )
        for i, indices in enumerate(classes.tolist())
    ]
