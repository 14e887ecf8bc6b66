"""Adds a network's classes up to groups, as `streamcam.heat.groups` does and explains, in NumPy, for one clip."""

from collections.abc import Sequence

import numpy as np

from streamcam.records import Floats


class GroupSums:
    """The groups that a network's C classes are added up to: G in all."""

    def __init__(self, members: Sequence[Sequence[int]], *, temperature: float = 1.0) -> None:
        """Make groups of classes.

        Args:
            members: the classes of each group. Each class is in one group.
            temperature: T, that of the network's softmax.
        """
        self._order = np.array([c for group in members for c in group])
        sizes = [len(group) for group in members]
        self._starts = np.cumsum([0, *sizes[:-1]])
        self._owner = np.repeat(np.arange(len(sizes)), sizes)  # the group of each class, in the order of `_order`
        self._temperature = np.float32(temperature)

    def logits(self, logits: Floats) -> Floats:
        """Give the logits of the groups, float32 [G], from those of the classes, float32 [C]."""
        sums = np.logaddexp.reduceat(logits[self._order] / self._temperature, self._starts)
        return np.asarray(self._temperature * sums, np.float32)

    def heat(self, cube: Floats, logits: Floats) -> Floats:
        """Give the heat of all groups, float32 [G,…], from that of the classes, float32 [C,…], and their logits [C]."""
        shares = np.exp((logits[self._order] - self.logits(logits)[self._owner]) / self._temperature)
        weighted = cube[self._order] * shares.reshape(-1, *[1] * (cube.ndim - 1))
        return np.asarray(np.add.reduceat(weighted, self._starts, axis=0), np.float32)
