"""The loss and the score of a network, and the figures of an epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from streamcam.errors import StreamcamError
from streamcam.heat.none_of_these import NONE_OF_THESE
from streamcam.render.canvas import FULL_SCORE
from streamcam.train.temperature import fit_temperature


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
    background_named: float | None = None
    """0–1: see `Validation`."""
    choice: float = 0.0
    """0–1: see `Validation`."""

    @property
    def quality(self) -> tuple[float, float]:
        """What the best epoch has most of. Scores are often equal where clips are few: then the loss decides."""
        return self.choice, -self.val_loss


@dataclass(frozen=True, slots=True)
class Validation:
    """A network's logits for the M validation clips, and how good they are."""

    loss: float
    """Over all clips."""
    score: float
    """Over the clips that show a class, without those of `none of these`."""
    logits: npt.NDArray[np.float32]
    """float32 [M,C]."""
    targets: npt.NDArray[np.float32]
    """float32 [M,C]: 1 for each class that the clip shows, else 0."""
    temperature: float = 1.0
    """At which the scores say how often the network is right: see `fit_temperature`."""
    background_named: float | None = None
    """0–1, the share of the clips of none of the classes for which an overlay would name one. None: there are none."""
    choice: float = 0.0
    """0–1. The best epoch has the highest: the score or, with background, the mean over it and each class."""


def background_line(named: float) -> str:
    """Say how much of the background an overlay would name a class."""
    return f"{named:.0%} of the background named as a class"


def judge(logits: Tensor, targets: Tensor, classes: Sequence[str], *, multi_label: bool) -> Validation:
    """Judge the logits [M,C] of clips with these targets [M,C]; clips of none of the classes are judged apart.

    Raises:
        StreamcamError: no clip shows a class.
    """
    own = [i for i, name in enumerate(classes) if name != NONE_OF_THESE]
    shows = targets[:, own].bool().any(1)
    if not shows.any():
        raise StreamcamError("not one validation clip can be decoded any more")
    temperature = 1.0 if multi_label else fit_temperature(logits, targets)
    scores = logits.sigmoid() if multi_label else (logits / temperature).softmax(1)
    named = (scores[:, own] >= FULL_SCORE).any(1)[~shows]
    score = score_of(logits[shows].numpy(), targets[shows].numpy(), multi_label=multi_label)
    share = float(named.float().mean()) if len(named) else None
    return Validation(
        float(loss_of(logits, targets, multi_label=multi_label)),
        score,
        logits.numpy(),
        targets.numpy(),
        temperature,
        share,
        score if share is None else (len(own) * score + 1 - share) / (len(own) + 1),
    )


def loss_of(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Return the mean cross-entropy of logits [N,C] and targets [N,C]: softmax, or a sigmoid for each class."""
    return losses_of(logits, targets, multi_label=multi_label).mean()


def losses_of(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Return the cross-entropy of each clip [N], from logits [N,C] and targets [N,C]."""
    if multi_label:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
    return F.cross_entropy(logits, targets, reduction="none")


def probabilities_of(logits: npt.NDArray[np.floating], *, multi_label: bool) -> npt.NDArray[np.float64]:
    """Return probabilities, float64 [N,C], 0–1: the softmax of each clip's logits or, multi-label, their sigmoid."""
    values = torch.from_numpy(logits).double()
    return (values.sigmoid() if multi_label else values.softmax(1)).numpy()


def clip_losses(
    logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], *, multi_label: bool
) -> npt.NDArray[np.float64]:
    """Return the loss of each clip, float64 [N]; their mean is `loss_of`."""
    values, wanted = torch.from_numpy(logits).double(), torch.from_numpy(targets).double()
    return losses_of(values, wanted, multi_label=multi_label).numpy()


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
