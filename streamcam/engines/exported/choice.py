"""Which classes' heat a result carries, of all that a graph gives."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamcam.heat.sums import GroupSums
from streamcam.models.spec import ModelSpec
from streamcam.records import Floats


class Chosen(NamedTuple):
    """What a result is made of."""

    logits: Floats
    """float32 [C], of all classes; of groups, if classes are added up."""
    classes: npt.NDArray[np.int64]
    """int64 [K], by descending logit."""
    cube: Floats
    """float32 [K,L',h,w], the heat of these."""
    common: Floats
    """float32 [L',h,w], the mean of the heat of all classes."""


class Choice:
    """Chooses the classes of each clip."""

    def __init__(self, spec: ModelSpec, *, top_k: int, classes: Sequence[int] | None) -> None:
        """Take how many classes to choose, or which.

        Args:
            spec: of the model, with its groups.
            top_k: how many, the strongest first, where `classes` is not given.
            classes: indices of the classes to choose in any case.
        """
        self._top_k, self._classes = top_k, None if classes is None else np.array(classes, np.int64)
        self._sums = None
        if spec.groups is not None:
            self._sums = GroupSums(spec.groups.members, temperature=spec.temperature)

    def of(self, logits: Floats, cube: Floats, common: Floats) -> Chosen:
        """Choose classes, and copy their heat.

        Args:
            logits: of the network's own classes, float32 [C].
            cube: their heat, float32 [C,L',h,w].
            common: the mean of that over the classes, float32 [L',h,w].
        """
        if self._sums is not None:
            cube = self._sums.heat(cube, logits)
            logits, common = self._sums.logits(logits), cube.mean(0)
        if self._classes is None:
            chosen = np.argsort(-logits, kind="stable")[: self._top_k]
        else:
            chosen = self._classes[np.argsort(-logits[self._classes], kind="stable")]
        return Chosen(np.array(logits), chosen, cube[chosen], np.array(common))
