"""Find the temperature at which a network's scores say how often it is right.

Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017: one number divides all logits, chosen so that the
loss on the validation clips is least. Which class is the strongest stays as it is.
"""

from math import exp, log

import torch.nn.functional as F
from torch import Tensor

LEAST_CLIPS = 30
"""With fewer validation clips, the temperature stays 1: it would say more of these than of others."""

COLDEST, HOTTEST = 0.2, 10.0
STEPS = 60
"""Each step leaves two thirds of what is searched."""


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return T, for which softmax(logits / T) has the least cross-entropy; 1 for fewer than `LEAST_CLIPS` clips.

    Where all of M clips are right, the loss alone would ask for T = 0. So the share of a clip's own class is
    (M + 1) / (M + 2), as Platt has it (*Probabilistic Outputs for Support Vector Machines*, 1999), and not 1.

    Args:
        logits: float [M,C].
        targets: float [M,C], 1 for the class of each clip, else 0.
    """
    count, classes = logits.shape
    if count < LEAST_CLIPS or classes < 2:
        return 1.0
    logits, targets = logits.double(), targets.double()
    others = 1 / (count + 2)
    smooth = targets * (1 - others) + (1 - targets) * others / (classes - 1)
    low, high = log(COLDEST), log(HOTTEST)
    # The loss is convex in 1/T, so it falls and then rises with log T.
    for _ in range(STEPS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if _loss(logits, smooth, left) < _loss(logits, smooth, right):
            high = right
        else:
            low = left
    return exp((low + high) / 2)


def _loss(logits: Tensor, targets: Tensor, log_temperature: float) -> float:
    return float(F.cross_entropy(logits / exp(log_temperature), targets))
