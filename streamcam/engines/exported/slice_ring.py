"""The last heat slices of one stream. Each is written twice, so that a window of them is one piece of memory:

three slices, after the fifth      3  4  2 │ 3  4  2          the newest three: 2 3 4, from place 2
"""

import numpy as np

from streamcam.engines.exported.graph import Slices


class SliceRing:
    """Room for the last L' slices of one stream."""

    def __init__(self, length: int) -> None:
        """Make an empty ring. `length`: L'."""
        self.length, self._added = length, 0
        self._rings: tuple[np.ndarray, ...] = ()  # logits [C,2L'], cube [C,2L',h,w], common [2L',h,w]

    @property
    def is_full(self) -> bool:
        """Whether there are enough slices for a window."""
        return self._added >= self.length

    def add(self, new: Slices) -> None:
        """Add a slice, L' = 1, in place of the oldest."""
        if not self._rings:
            classes, size = len(new.logits), new.common.shape[1:]
            room = 2 * self.length
            self._rings = tuple(
                np.empty(shape, np.float32) for shape in ((classes, room), (classes, room, *size), (room, *size))
            )
        logits, cube, common = self._rings
        for place in (self._added % self.length, self._added % self.length + self.length):
            logits[:, place], cube[:, place], common[place] = new.logits, new.cube[:, 0], new.common[0]
        self._added += 1

    def window(self) -> Slices:
        """Return the window of the last L' slices, as views: they hold until the next slice is added."""
        logits, cube, common = self._rings
        first = self._added % self.length
        places = slice(first, first + self.length)
        return Slices(logits[:, places].mean(1), cube[:, places], common[places])
