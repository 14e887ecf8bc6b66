"""The loss and the score of a network, and the figures of an epoch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """The figures of an epoch: a line of metrics.csv."""

    epoch: int
    """From 1; 0 is a new classifier behind pretrained features as they are."""
    train_loss: float
    """Mean over the batches, while the network was learning; in epoch 0, of the fitted classifier."""
    val_loss: float
    """On the validation clips, after the epoch."""
    score: float
    """0–1, on the validation clips: see `score_of`."""
    learning_rate: float
    """At the end of the epoch."""
    seconds: float
    """How long the training part of the epoch took, without validation."""


@dataclass(frozen=True, slots=True)
class Validation:
    """A network's logits for the M validation clips, and how good they are."""

    loss: float
    score: float
    logits: npt.NDArray[np.float32]
    """float32 [M,C]."""
    targets: npt.NDArray[np.float32]
    """float32 [M,C]: 1 for each class that the clip shows, else 0."""


def loss_of(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Return the mean cross-entropy of logits [N,C] and targets [N,C]: softmax, or a sigmoid for each class."""
    return F.binary_cross_entropy_with_logits(logits, targets) if multi_label else F.cross_entropy(logits, targets)


def probabilities_of(logits: npt.NDArray[np.floating], *, multi_label: bool) -> npt.NDArray[np.float64]:
    """Return probabilities, float64 [N,C], 0–1: the softmax of each clip's logits or, multi-label, their sigmoid."""
    values = torch.from_numpy(logits).double()
    return (values.sigmoid() if multi_label else values.softmax(1)).numpy()


def clip_losses(
    logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], *, multi_label: bool
) -> npt.NDArray[np.float64]:
    """Return the loss of each clip, float64 [N]; their mean is `loss_of`."""
    values, wanted = torch.from_numpy(logits).double(), torch.from_numpy(targets).double()
    if multi_label:
        return F.binary_cross_entropy_with_logits(values, wanted, reduction="none").mean(1).numpy()
    return F.cross_entropy(values, wanted, reduction="none").numpy()


def score_of(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], *, multi_label: bool) -> float:
    """Return the mean recall of the classes or, multi-label, their mean average precision, 0–1.

    Each class that occurs in the targets counts the same, however many clips it has.
    """
    occurring = np.flatnonzero(targets.any(0))
    if multi_label:
        return float(np.mean([average_precision(logits[:, c], targets[:, c] > 0) for c in occurring]))
    correct = logits.argmax(1) == targets.argmax(1)
    return float(np.mean([correct[targets[:, c] > 0].mean() for c in occurring]))


def average_precision(scores: npt.NDArray[np.float32], positive: npt.NDArray[np.bool_]) -> float:
    """Return the average precision of scores [N], 0–1.

    It is the mean, over the positive clips, of the precision among all clips that score as high or higher.
    """
    # Ties keep the order of the clips, so that the score is the same on every machine.
    order = np.argsort(-scores, kind="stable")
    hits = positive[order]
    # Entry i: the share of positive clips among the i + 1 highest scores.
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())
