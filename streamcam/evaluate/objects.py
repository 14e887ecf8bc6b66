"""Objects of a clip: their masks and boxes over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.heat.localise import Box

Mask = npt.NDArray[np.bool_]
"""bool [h,w], or [S,h,w] over time."""

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectTruth:
    """One object of a clip: its class, and its mask or box at the annotated times.

    At any other time it is where it is at the nearest annotated time. Either `masks` or `boxes` is given.
    """

    label: str
    times: Times
    """float64 [T], the annotated times: seconds, or frames of the clip."""
    in_seconds: bool
    """True if `times` are seconds, False if they are frames."""
    masks: npt.NDArray[np.uint8] | None = None
    """uint8 [T,H,W], 0 outside of the object. It covers the whole picture, at any resolution."""
    boxes: npt.NDArray[np.float64] | None = None
    """float64 [T,4]: x0, y0, x1, y1 in pixels of the clip. An empty box means that the object is absent."""

    def nearest_rows(self, times: Times, frame_times: Times) -> npt.NDArray[np.intp]:
        """Find the annotation that is nearest to each time.

        Args:
            times: float64 [S], in seconds.
            frame_times: float64 [F], the time of each frame of the clip, in seconds.

        Returns:
            int [S], rows of `masks` or `boxes`.

        Raises:
            ValueError: a frame is annotated that the clip does not have.
        """
        annotated = self.times
        if not self.in_seconds:
            last = len(frame_times) - 1
            if annotated.max() > last:
                raise ValueError(f"frame {annotated.max():.0f} is past the end: the clip has frames 0 to {last}")
            annotated = frame_times[annotated.astype(np.intp)]
        return np.asarray(np.abs(annotated[:, None] - times).argmin(0))

    def mask(self, row: int, *, size: tuple[int, int], picture: tuple[int, int]) -> Mask:
        """Return the object's mask, bool [h,w], at one of the annotated times.

        Args:
            row: the row of `masks` or `boxes`.
            size: (h, w) of the result.
            picture: (H, W) of the clip in pixels.
        """
        height, width = size
        if self.masks is not None:
            drawn = (self.masks[row] > 0).astype(np.float32)
            share = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
            # A pixel belongs to the mask if half of it does. A small object may not vanish: then any share will do.
            return np.asarray(share >= 0.5 if (share >= 0.5).any() else share > 0, np.bool_)
        assert self.boxes is not None
        scale = np.array([width / picture[1], height / picture[0]] * 2)
        x0, y0, x1, y1 = (round(v) for v in (self.boxes[row] * scale).tolist())
        filled = np.zeros(size, np.bool_)
        if self.boxes[row, 2] > self.boxes[row, 0] and self.boxes[row, 3] > self.boxes[row, 1]:
            filled[max(0, y0) : max(y1, y0 + 1), max(0, x0) : max(x1, x0 + 1)] = True  # at least one pixel
        return filled


ReadObjects = Callable[[], Sequence[ObjectTruth]]
"""Reads the objects of one clip."""


def box_of(mask: Mask) -> Box | None:
    """Return the smallest box around a mask [h,w]; None if it is empty."""
    xs, ys = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return Box(int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1) if len(xs) else None
