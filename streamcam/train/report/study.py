"""Train the classifier anew: without single clips, and from fewer clips or people."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from streamcam.records import Floats
from streamcam.train.frozen import PooledClips, choose_decay, fit_classifier
from streamcam.train.intervals import Ints
from streamcam.train.metrics import clip_losses
from streamcam.train.report.influence import harm
from streamcam.train.report.judged import JudgedClips
from streamcam.train.report.learning_curve import CurvePoint, curve_of_clips, curve_of_people, draw_share

MOST_CLIPS = 500
"""So many training clips, and so many validation clips, are taken at most, or one of each class."""

MOST_CLASSES = 100
"""With more classes, so few clips of each say nothing."""

LEAST_DEVIATION = 1e-4
"""Features that deviate by less are divided by this, as in `frozen.fit_classifier`."""


@dataclass(frozen=True, eq=False)
class Study:
    """Pooled features of training and validation clips, and what classifiers learn from them."""

    features: Floats
    """float32 [N,K], of the training clips."""
    targets: Floats
    """float32 [N,C]: 1 for each class that a clip shows, else 0."""
    val_features: Floats
    """float32 [M,K]."""
    val_targets: Floats
    """float32 [M,C]."""
    known: Ints
    """int64 [C]: which of the network's classes these are: those that have a training clip."""
    groups: Sequence[str]
    """Of each training clip: who is in it, or else its file."""
    multi_label: bool

    @cached_property
    def strata(self) -> Ints:
        """int64 [N]: the class of each training clip; of several, the rarest."""
        return rarest_class(self.targets)

    @cached_property
    def decay(self) -> float:
        """The strength of regularisation that serves other people best, or else other clips."""
        return choose_decay(self._clips(np.arange(len(self.features))), self.groups, multi_label=self.multi_label)

    def _clips(self, rows: Ints) -> PooledClips:
        return PooledClips(
            torch.from_numpy(self.features[rows]), torch.from_numpy(self.targets[rows]), torch.from_numpy(rows)
        )

    def _fit(self, rows: Ints) -> tuple[Floats, Floats]:
        """Train on some clips, and return weight, float32 [C,K], and bias, float32 [C]."""
        layer = fit_classifier(self._clips(rows), multi_label=self.multi_label, decay=self.decay)
        return layer.weight.detach().numpy(), layer.bias.detach().numpy()

    def logits(self, rows: Ints, features: Floats) -> Floats:
        """Train on the clips with these indices; return logits, float32 [P,C], for features float32 [P,K]."""
        weight, bias = self._fit(rows)
        return features @ weight.T + bias

    def harm(self) -> npt.NDArray[np.float64]:
        """Return `influence.harm` of the training clips."""
        weight, bias = self._fit(np.arange(len(self.features)))
        # The classifier is regularised as if features had mean 0 and deviation 1, so harm is computed of such features.
        mean, std = self.features.mean(0), np.maximum(self.features.std(0), LEAST_DEVIATION)
        return harm(
            (self.features - mean) / std,
            self.targets,
            (self.val_features - mean) / std,
            self.val_targets,
            weight=weight * std,
            bias=bias + weight @ mean,
            decay=self.decay,
            multi_label=self.multi_label,
        )

    def without(self, clip: int) -> tuple[float, Floats]:
        """Train without a clip; return the mean validation loss, and the logits float32 [C] for the clip."""
        others = np.delete(np.arange(len(self.features)), clip)
        logits = self.logits(others, np.concatenate([self.val_features, self.features[[clip]]]))
        losses = clip_losses(logits[:-1], self.val_targets, multi_label=self.multi_label)
        return float(losses.mean()), logits[-1]

    @cached_property
    def val_loss(self) -> float:
        """The mean validation loss with all clips."""
        logits = self.logits(np.arange(len(self.features)), self.val_features)
        return float(clip_losses(logits, self.val_targets, multi_label=self.multi_label).mean())

    def curve_of_clips(self) -> list[CurvePoint]:
        """Return `learning_curve.curve_of_clips`."""
        return curve_of_clips(self.strata, lambda clips: self.logits(clips, self.val_features))

    def curve_of_people(self, people: Sequence[str]) -> list[CurvePoint]:
        """Return `learning_curve.curve_of_people`; `people` says who is in each training clip."""
        numbers = np.unique(people, return_inverse=True)[1]
        return curve_of_people(numbers, self.strata, lambda clips: self.logits(clips, self.val_features))


def make_study(train: JudgedClips, val: JudgedClips) -> Study | None:
    """Compare clips by the classes that have a training clip; None where there are too few or too many of these.

    Validation clips of other classes are left out. Of many validation clips, some of each class are taken.
    """
    known = np.flatnonzero(train.targets.any(0))
    usable = np.flatnonzero(val.targets[:, known].any(1))
    if not 2 <= len(known) <= MOST_CLASSES or not len(usable):
        return None
    judged = usable[fair_sample(rarest_class(val.targets[usable]))]
    return Study(
        train.features,
        train.targets[:, known],
        val.features[judged],
        val.targets[judged][:, known],
        known,
        [clip.group or str(clip.path) for clip in train.clips],
        train.multi_label,
    )


def rarest_class(targets: Floats) -> Ints:
    """Return the rarest of the classes that each clip shows, int64 [N], from targets float32 [N,C]."""
    return np.asarray(np.where(targets > 0, targets.sum(0), np.inf).argmin(1), np.int64)


def fair_sample(strata: Ints) -> Ints:
    """Choose `MOST_CLIPS` clips or so, of each stratum its share, always the same: indices, ascending."""
    share = min(1.0, MOST_CLIPS / len(strata))
    return draw_share(strata, share, np.random.default_rng(0))
