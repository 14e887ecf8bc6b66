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

from dataclasses import dataclass

import torch
from torch import Tensor


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
