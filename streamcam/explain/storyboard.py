"""Draw a video on one sheet: examples of frames with their heat, and the probability of each class over time.

It takes constant memory, however long the video is.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from streamcam.heat.localise import centred_at, largest_box, on_picture
from streamcam.records import Floats, Heat, Image, Result
from streamcam.render.canvas import SHADE, outline
from streamcam.render.contact_sheet import GAP, PALETTE, Cell, Curve, blank, chart, clock, fit, grid, stack, write
from streamcam.render.overlay import cells_alone, paint

T = TypeVar("T")

EXAMPLES, COLUMNS = 12, 6
"""Frames on a sheet, and in one of its rows."""

THUMBNAIL = 220
"""The width of a frame on the sheet, in pixels."""


class EvenSample(Generic[T]):
    """A small sample of many items, about evenly spaced in time. The number of items need not be known beforehand.

    It holds up to four times as many items as are wanted in the end. When it is full, every other one goes, and the
    spacing from which it takes items doubles.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._step_s = 0.0
        self._items: list[tuple[float, T]] = []

    def wants(self, time_s: float) -> bool:
        """Return whether to add an item of this time, which is later than all before."""
        return not self._items or time_s - self._items[-1][0] >= self._step_s

    def add(self, time_s: float, item: T) -> None:
        """Add an item that `wants` has asked for."""
        self._items.append((time_s, item))
        if len(self._items) > 4 * self._count:
            self._items = self._items[::2]
            times_s = [t for t, _ in self._items]
            # 1 % below the mean spacing: an item that is early by rounding or jitter is still taken.
            self._step_s = 0.99 * (times_s[-1] - times_s[0]) / (len(times_s) - 1)

    def __len__(self) -> int:
        return len(self._items)

    def chosen(self) -> list[T]:
        """Return at most `count` items: those nearest to the middles of `count` equal parts of the time."""
        times_s = np.array([t for t, _ in self._items])
        span_s = times_s[-1] - times_s[0]
        middles = times_s[0] + (np.arange(self._count) + 0.5) / self._count * span_s
        nearest = sorted({int(np.argmin(np.abs(times_s - middle))) for middle in middles})
        return [self._items[i][1] for i in nearest]


class TimeSeries:
    """Vectors over time, averaged into at most `most` steps of equally many vectors each.

    When it is full, neighbouring steps are averaged in pairs, and each later step takes twice as many vectors.
    """

    def __init__(self, most: int = 1024) -> None:
        self._most, self._per_step = most, 1
        self._steps: list[tuple[float, Floats]] = []
        self._open: list[tuple[float, Floats]] = []
        """The vectors of the step that is not complete yet."""

    def add(self, time_s: float, values: Floats) -> None:
        """Add the next vector, float32 [C]."""
        self._open.append((time_s, values))
        if len(self._open) < self._per_step:
            return
        self._steps.append(_mean(self._open))
        self._open = []
        if len(self._steps) == self._most:
            self._steps = [_mean(self._steps[i : i + 2]) for i in range(0, self._most, 2)]
            self._per_step *= 2

    def steps(self) -> tuple[npt.NDArray[np.float64], Floats]:
        """Return the mean time [T] in seconds and the mean vector [T,C] of each step."""
        steps = [*self._steps, _mean(self._open)] if self._open else self._steps
        return np.array([t for t, _ in steps]), np.stack([values for _, values in steps])


def _mean(steps: Sequence[tuple[float, Floats]]) -> tuple[float, Floats]:
    times_s, values = zip(*steps, strict=True)
    return float(np.mean(times_s)), np.mean(values, axis=0, dtype=np.float32)


class Storyboard:
    """The sheet of a video, collected frame by frame."""

    def __init__(
        self, labels: Sequence[str], scores: Callable[[Floats], Floats], *, classes: Sequence[int] = ()
    ) -> None:
        """Begin without frames.

        Args:
            labels: the names of all C classes.
            scores: the function that turns logits [C] into probabilities [C].
            classes: classes whose curve is drawn in any case.
        """
        self._labels, self._scores, self._classes = labels, scores, classes
        self._examples: EvenSample[Cell] = EvenSample(EXAMPLES)
        self._probabilities = TimeSeries()

    def add(self, result: Result, *, k: int, scale: float) -> None:
        """Add the next frame; its heat of class `k` is painted at full strength from `scale` logits on."""
        time_s, heat = result.frame.pts_s, result.heat
        if heat is None:
            return
        self._probabilities.add(time_s, self._scores(heat.logits))
        if self._examples.wants(time_s):
            lines = ((heat.labels[k], f" {heat.scores[k] * 100:.0f} %"), clock(time_s))
            self._examples.add(time_s, Cell(_example(result.frame.pixels, heat, k, time_s, scale), lines))

    def draw(self, title: str) -> Image:
        """Draw the sheet, uint8 [H,W,3], RGB. At least one frame has been added."""
        examples = grid(self._examples.chosen(), columns=COLUMNS, width=THUMBNAIL, title=title)
        times_s, probabilities = self._probabilities.steps()
        ranked = [int(c) for c in np.argsort(-probabilities.mean(0), kind="stable") if c not in self._classes]
        shown = [*self._classes, *ranked][: len(PALETTE)]
        curves = [Curve(self._labels[c], probabilities[:, c]) for c in shown]
        width = COLUMNS * (THUMBNAIL + GAP) + GAP
        heading = blank(width, 28)
        write(heading, "Probability of each class over time", GAP, 20, width=width)
        return stack([examples, heading, chart(times_s, curves, width=width)])


def _example(image: Image, heat: Heat, k: int, time_s: float, scale: float) -> Image:
    """Draw the picture, the picture with heat and box, and the heat alone, one below the other."""
    height = max(1, round(THUMBNAIL * image.shape[0] / image.shape[1]))
    small = fit(image, THUMBNAIL, height)
    painted = paint(small, heat, k=k, pts_s=time_s, scale=scale)
    centred = centred_at(heat, k, time_s)
    box = largest_box(on_picture(centred, heat.transform, width=THUMBNAIL, height=height))
    if box is not None:
        outline(painted, box)
    x0, y0, x1, y1 = heat.transform.to_pixels(height, THUMBNAIL)
    alone = np.full_like(small, SHADE)
    alone[y0:y1, x0:x1] = cells_alone(centred, scale=scale, width=x1 - x0, height=y1 - y0)
    return np.concatenate([small, painted, alone])
