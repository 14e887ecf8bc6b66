"""Class activation mapping for clips: tensor maths without threads, devices or files.

Many networks end in global average pooling and a linear layer. Let f (N, K, L', H', W') be the last feature map. Let
w_c and b_c be the weights and the bias of class c. Then

    logit_c  =  b_c + Σ_k w_ck · mean_{l,y,x} f_k(l,y,x)  =  b_c + mean_{l,y,x} M_c(l,y,x)
    M_c(l,y,x)  =  Σ_k w_ck f_k(l,y,x)

because the sum over channels and the mean over positions commute. M is the heat cube: Zhou et al., *Learning Deep
Features for Discriminative Localization*, CVPR 2016, equation 2. An image is a clip with L = 1.

Softmax does not change when the same map A(l,y,x) is added to every M_c. Each logit then grows by a = mean A, and

    exp(z_c + a) / Σ_j exp(z_j + a)  =  exp(z_c) / Σ_j exp(z_j)

So training leaves a map that all classes share undetermined. Centred heat, M_c − mean_c' M_c', takes it off: it is the
one choice that sums to zero over the classes. A `Heat` holds the cube and that mean (`common`) apart, because only the
cube pools to the logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.errors import StreamcamError
from streamcam.records import Clip, Floats, Heat


@dataclass(frozen=True, slots=True)
class CamOutput:
    """The output of a network for N clips: `logits = bias + Σ over cubes of the mean over positions`."""

    logits: Tensor
    """float32 [N,C]: what softmax or a sigmoid turns into probabilities."""
    cubes: tuple[Tensor, ...]
    """The heat cubes, float32 [N,C,L',h,w] in logit units: one for each feature map that the network pools."""
    bias: Tensor
    """float32 [C]; [N,C] if the head is linear only for a given clip."""

    @property
    def cube(self) -> Tensor:
        """Return the heat cube, float32 [N,C,L',h,w] in logit units.

        Raises:
            ValueError: the network pools several feature maps, and each has its own cube in `cubes`.
        """
        if len(self.cubes) != 1:
            raise ValueError(f"expected one heat cube, got {len(self.cubes)}: use cubes")
        return self.cubes[0]


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

    def scores(self, logits: Tensor) -> Tensor:
        """Turn logits […,C] into probabilities […,C], 0–1."""
        return logits.sigmoid() if self.multi_label else (logits / self.temperature).softmax(-1)


def heat_cube(features: Tensor, weight: Tensor) -> Tensor:
    """Compute M_c = Σ_k w_ck f_k: the heat cube of a feature map.

    The classifier becomes a 1×1×1 convolution. It is written as a matrix product, which is faster on a CPU.

    Args:
        features: [N,K,L',h,w], of any floating dtype. The product is computed in float32 all the same.
        weight: float32 [C,K]; [N,C,K] if each clip has its own weights.

    Returns:
        float32 [N,C,L',h,w], in logit units.
    """
    return torch.einsum("ck,nklhw->nclhw" if weight.ndim == 2 else "nck,nklhw->nclhw", weight, features.float())


def pool(cube: Tensor) -> Tensor:
    """Return the mean of a heat cube [N,C,L',h,w] over all positions: [N,C]."""
    return cube.mean(dim=(2, 3, 4))


def choose_classes(logits: Tensor, *, top_k: int, classes: Tensor | None = None) -> Tensor:
    """Choose the classes to show for each clip, by descending logit.

    Args:
        logits: [C] or [N,C].
        top_k: the number of classes if `classes` is None; all C if there are fewer.
        classes: int64 [K], on the device of the logits: return exactly these, sorted.

    Returns:
        Class indices, int64 [K] or [N,K].
    """
    if classes is None:
        return logits.topk(min(top_k, logits.shape[-1])).indices
    return classes[logits[..., classes].argsort(descending=True)]


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
    scores = np.take_along_axis(context.scores(torch.from_numpy(logits)).numpy(), classes, axis=1)
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
