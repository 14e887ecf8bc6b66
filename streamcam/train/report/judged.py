"""Clips and what the network takes them for: the worst, the typical ones, and what each is mistaken for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from streamcam.records import Floats
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.intervals import Ints
from streamcam.train.metrics import clip_losses, probabilities_of

MOST_SHOWN = 10
"""Validation clips with the highest loss, and training clips that do most harm."""

TYPICAL_CLASSES = 24
"""A typical clip is shown of so many classes."""

LIKELY = 0.5
"""Where a clip may have several classes, it is taken for those from this probability on."""


@dataclass(frozen=True, eq=False)
class JudgedClips:
    """Clips, and what the network takes them for."""

    clips: Sequence[LabelledClip]
    features: Floats
    """float32 [N,K]: pooled, before the classifier."""
    logits: Floats
    """float32 [N,C], divided by the model's temperature."""
    targets: Floats
    """float32 [N,C]: 1 for each class that the clip shows, else 0."""
    multi_label: bool

    @cached_property
    def losses(self) -> npt.NDArray[np.float64]:
        """float64 [N]."""
        return clip_losses(self.logits, self.targets, multi_label=self.multi_label)

    @cached_property
    def probabilities(self) -> Floats:
        """float32 [N,C], 0–1."""
        return probabilities_of(self.logits, multi_label=self.multi_label).astype(np.float32)

    def worst(self) -> Ints:
        """Return the clips with the highest loss, the worst first."""
        return np.argsort(-self.losses, kind="stable")[:MOST_SHOWN]

    def typical(self) -> Ints:
        """Return for each class, of the first classes, the clip with the median loss."""
        chosen = []
        for c in range(min(TYPICAL_CLASSES, self.targets.shape[1])):
            own = np.flatnonzero(self.targets[:, c] > 0)
            if len(own):
                chosen.append(int(own[np.argsort(self.losses[own], kind="stable")[(len(own) - 1) // 2]]))
        return np.array(chosen, np.int64)


def taken_for(probabilities: Floats, *, multi_label: bool) -> list[int]:
    """Return the classes that a clip is taken for: the most probable one, or multi-label all that are likely."""
    return np.flatnonzero(probabilities >= LIKELY).tolist() if multi_label else [int(probabilities.argmax())]


def contrast(probabilities: Floats, targets: Floats) -> tuple[int, int | None]:
    """Return the clip's least probable class of its own, and the most probable other class; None if it has all."""
    own = int(np.where(targets > 0, probabilities, np.inf).argmin())
    if targets.all():
        return own, None
    return own, int(np.where(targets > 0, -np.inf, probabilities).argmax())
