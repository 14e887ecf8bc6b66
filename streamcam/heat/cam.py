"""Class activation mapping for clips: pure tensor maths.

A network that ends in global average pooling and a linear layer has, for class c with weights w_c and bias b_c over
the last feature map f (N, C, L', H', W'),

    logit_c  =  b_c + Σ_k w_ck · mean_{l,y,x} f_k(l,y,x)  =  b_c + mean_{l,y,x} M_c(l,y,x)
    M_c(l,y,x)  =  Σ_k w_ck f_k(l,y,x)

because the sum over channels and the mean over positions commute. M is the heat cube (Zhou et al., *Learning Deep
Features for Discriminative Localization*, CVPR 2016; an image is a clip with L = 1).
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
    """What a network says of a batch of clips: `logits = bias + Σ over cubes of the mean over positions`."""

    logits: Tensor
    """float32 [N,C]."""
    cubes: tuple[Tensor, ...]
    """One heat cube, float32 [N,C,L',h,w] in logit units, for each feature map that the network pools."""
    bias: Tensor
    """float32 [C]; or [N,C], where the head is linear only for a given clip."""

    @property
    def cube(self) -> Tensor:
        """float32 [N,C,L',h,w]: the heat cube.

        Raises:
            ValueError: the network pools several feature maps: each has its own cube in `cubes`.
        """
        if len(self.cubes) != 1:
            raise ValueError(f"expected one heat cube, got {len(self.cubes)}: use cubes")
        return self.cubes[0]


@dataclass(frozen=True, slots=True)
class HeatContext:
    """What turns numbers into a `Heat`: the model's names and scales."""

    model: str
    model_hash: str
    labels: tuple[str, ...]
    """Names of all C classes."""
    scale: npt.NDArray[np.float32] | None
    """float32 [C], or None where the model carries no scale."""
    multi_label: bool = False
    """Whether each class is a question of its own (sigmoid), rather than all of them one (softmax)."""

    def scores(self, logits: Tensor) -> Tensor:
        """Logits […,C] → probabilities […,C]."""
        return logits.sigmoid() if self.multi_label else logits.softmax(-1)


def heat_cube(features: Tensor, weight: Tensor) -> Tensor:
    """Apply classifier weights to a feature map [N,K,L',h,w]: the heat cube, float32 [N,C,L',h,w].

    This is the classifier folded into a 1×1×1 convolution (as a matrix product, which is faster on a CPU), in float32
    whatever the precision of the features. Weights are [C,K], or [N,C,K] where each clip has its own.
    """
    return torch.einsum("ck,nklhw->nclhw" if weight.ndim == 2 else "nck,nklhw->nclhw", weight, features.float())


def pool(cube: Tensor) -> Tensor:
    """The mean over all positions of a heat cube [N,C,L',h,w]: [N,C]."""
    return cube.mean(dim=(2, 3, 4))


def choose(logits: Tensor, *, top_k: int, classes: Tensor | None = None) -> Tensor:
    """Which classes to show for logits [C] or [N,C]: int64 [K] or [N,K], the strongest first.

    Only of `classes`, int64 on the same device, where given.
    """
    if classes is None:
        return logits.topk(min(top_k, logits.shape[-1])).indices
    return classes[logits[..., classes].argsort(descending=True)]


class Moments(NamedTuple):
    """Of what time one clip's heat speaks, in seconds, as in `Heat`."""

    pts_s: npt.NDArray[np.float64]
    """float64 [L']."""
    clip_pts_s: tuple[float, float]
    lookahead_s: float


def moments(clip: Clip, slice_frames: npt.NDArray[np.float64]) -> Moments:
    """Those of a clip, by the frames of it, 0 to L − 1, on which its slices are centred: float64 [L']."""
    pts_s = np.interp(slice_frames, np.arange(len(clip.pts_s)), clip.pts_s)
    first_s, last_s = float(clip.pts_s[0]), float(clip.pts_s[-1])
    return Moments(pts_s, (first_s, last_s), last_s - float(pts_s[-1]))


def to_heats(
    logits: Floats,
    classes: npt.NDArray[np.int64],
    cubes: Sequence[Floats] | Floats,
    common: Sequence[Floats] | Floats,
    *,
    clips: Sequence[Clip],
    times: Sequence[Moments],
    context: HeatContext,
) -> list[Heat]:
    """Build the records of N clips; all that is not of a single one is computed once.

    Args:
        logits: float32 [N,C], all classes.
        classes: int64 [N,K].
        cubes: float32 [N,K,L',h,w], the heat of `classes`.
        common: float32 [N,L',h,w], the mean heat of all classes.
        clips: what the network saw.
        times: when that was.
        context: the model's names and scales.

    Raises:
        StreamcamError: a number is not finite.
    """
    if not np.isfinite(logits).all():
        raise StreamcamError(f"{context.model} gave logits that are not finite: its weights or its input are broken")
    scores = np.take_along_axis(context.scores(torch.from_numpy(logits)).numpy(), classes, axis=1)
    scales = [None] * len(clips) if context.scale is None else context.scale[classes]
    if context.multi_label:  # a sigmoid does notice what is added to every class: no part of its heat is undetermined
        common = np.zeros((len(clips), *cubes[0].shape[1:]), np.float32) if clips else []
    return [
        Heat(
            cube=cubes[i],
            common=common[i],
            classes=classes[i],
            labels=tuple([context.labels[c] for c in own]),
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
        for i, own in enumerate(classes.tolist())
    ]
