"""A video on one sheet: moments, where the heat was, how the classes went. In constant memory, however long it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from streamcam.heat.localise import centred_at, largest_box, on_picture
from streamcam.records import Floats, Heat, Image, Result
from streamcam.render.canvas import SHADE, outline
from streamcam.render.contact_sheet import GAP, PALETTE, Cell, Curve, blank, chart, clock, fit, grid, stack, write
from streamcam.render.overlay import cells_alone, paint

T = TypeVar("T")

MOMENTS, COLUMNS = 12, 6
THUMBNAIL = 220
"""Width in pixels."""


class EvenlyInTime(Generic[T]):
    """Keeps few of many items, about evenly spaced in time, where it is not known beforehand how many will come.

    Four times as many as are wanted in the end are kept; when there are more, every other one goes.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._step_s = 0.0
        self._items: list[tuple[float, T]] = []

    def wants(self, time_s: float) -> bool:
        """Whether an item of this time, later than all before, would be kept."""
        return not self._items or time_s - self._items[-1][0] >= self._step_s

    def add(self, time_s: float, item: T) -> None:
        """Keep it."""
        self._items.append((time_s, item))
        if len(self._items) > 4 * self._count:
            self._items = self._items[::2]
            times_s = [t for t, _ in self._items]
            self._step_s = 0.99 * (times_s[-1] - times_s[0]) / (len(times_s) - 1)

    def __len__(self) -> int:
        return len(self._items)

    def chosen(self) -> list[T]:
        """At most `count`: of so many equal parts of the time, those nearest to the middles."""
        times_s = np.array([t for t, _ in self._items])
        span_s = times_s[-1] - times_s[0]
        middles = times_s[0] + (np.arange(self._count) + 0.5) / self._count * span_s
        nearest = sorted({int(np.argmin(np.abs(times_s - middle))) for middle in middles})
        return [self._items[i][1] for i in nearest]


class Course:
    """How vectors go over time, in at most `most` steps: each is the mean over as many as every other."""

    def __init__(self, most: int = 1024) -> None:
        self._most, self._each = most, 1
        self._steps: list[tuple[float, Floats]] = []
        self._open: list[tuple[float, Floats]] = []

    def add(self, time_s: float, values: Floats) -> None:
        """Take the next, float32 [C]."""
        self._open.append((time_s, values))
        if len(self._open) < self._each:
            return
        self._steps.append(_mean(self._open))
        self._open = []
        if len(self._steps) == self._most:
            self._steps = [_mean(self._steps[i : i + 2]) for i in range(0, self._most, 2)]
            self._each *= 2

    def steps(self) -> tuple[npt.NDArray[np.float64], Floats]:
        """Times [T] in seconds and values [T,C]."""
        steps = [*self._steps, _mean(self._open)] if self._open else self._steps
        return np.array([t for t, _ in steps]), np.stack([values for _, values in steps])


def _mean(steps: Sequence[tuple[float, Floats]]) -> tuple[float, Floats]:
    times_s, values = zip(*steps, strict=True)
    return float(np.mean(times_s)), np.mean(values, axis=0, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Moment:
    image: Image
    lines: Sequence[str | tuple[str, str]]


class Storyboard:
    """Collects what the sheet of a video needs."""

    def __init__(
        self, labels: Sequence[str], scores: Callable[[Floats], Floats], *, classes: Sequence[int] = ()
    ) -> None:
        """Begin.

        Args:
            labels: the names of all C classes.
            scores: logits [C] → probabilities [C].
            classes: the course of these is drawn in any case.
        """
        self._labels, self._scores, self._classes = labels, scores, classes
        self._moments: EvenlyInTime[_Moment] = EvenlyInTime(MOMENTS)
        self._course = Course()

    def add(self, result: Result, *, k: int, scale: float) -> None:
        """Take the next frame, whose heat's class `k` is painted with `scale`."""
        time_s, heat = result.frame.pts_s, result.heat
        if heat is None:
            return
        self._course.add(time_s, self._scores(heat.logits))
        if self._moments.wants(time_s):
            lines = ((heat.labels[k], f" {heat.scores[k] * 100:.0f} %"), clock(time_s))
            self._moments.add(time_s, _Moment(_moment(result.frame.pixels, heat, k, time_s, scale), lines))

    def draw(self, title: str) -> Image:
        """The sheet, uint8 [H,W,3]."""
        cells = [Cell(moment.image, moment.lines) for moment in self._moments.chosen()]
        moments = grid(cells, columns=COLUMNS, width=THUMBNAIL, title=title)
        times_s, scores = self._course.steps()
        ranked = [int(c) for c in np.argsort(-scores.mean(0), kind="stable") if c not in self._classes]
        shown = [*self._classes, *ranked][: len(PALETTE)]
        curves = [Curve(self._labels[c], scores[:, c]) for c in shown]
        width = COLUMNS * (THUMBNAIL + GAP) + GAP
        heading = blank(width, 28)
        write(heading, "Probability of each class over time", GAP, 20, width=width)
        return stack([moments, heading, chart(times_s, curves, width=width)])


def _moment(image: Image, heat: Heat, k: int, time_s: float, scale: float) -> Image:
    """Picture, picture with heat and box, heat alone: one below the other, small."""
    height = max(1, round(THUMBNAIL * image.shape[0] / image.shape[1]))
    small = fit(image, THUMBNAIL, height)
    painted = paint(small, heat, k=k, pts_s=time_s, scale=scale)
    contrast = centred_at(heat, k, time_s)
    box = largest_box(on_picture(contrast, heat.transform, width=THUMBNAIL, height=height))
    if box is not None:
        outline(painted, box)
    x0, y0, x1, y1 = heat.transform.to_pixels(height, THUMBNAIL)
    alone = np.full_like(small, SHADE)
    alone[y0:y1, x0:x1] = cells_alone(contrast, scale=scale, width=x1 - x0, height=y1 - y0)
    return np.concatenate([small, painted, alone])
