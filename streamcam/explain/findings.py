"""Turn heat into findings: for each class of a picture its score, box and peak. They are the rows of a table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from streamcam.heat.localise import Box, centred_at, largest_box, on_picture, peak
from streamcam.records import Floats, Heat

COLUMNS = ("class", "score", "logit", "x0", "y0", "x1", "y1", "peak_x", "peak_y")
"""The columns of `Finding.row`. Places are in pixels; x1 and y1 lie outside of the box."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One class in one picture: how probable it is, and where it is."""

    label: str
    score: float
    """Probability, 0–1."""
    logit: float
    box: Box | None
    """The box by `localise.largest_box`; None if the class's centred heat is nowhere above zero."""
    peak: tuple[int, int]
    """(x, y) of the hottest pixel."""

    def row(self) -> list[str | int]:
        """Return the values of `COLUMNS`; without a box, its four values are empty."""
        corners = ["", "", "", ""] if self.box is None else list(self.box)
        return [self.label, f"{self.score:.6f}", f"{self.logit:.4f}", *corners, *self.peak]


def find(heat: Heat, *, pts_s: float, width: int, height: int, max_side: int | None = None) -> list[Finding]:
    """Find the box and the peak of every class of a heat, in its order.

    Args:
        heat: the heat of K classes.
        pts_s: the time of the picture, in seconds.
        width: the picture's width in pixels.
        height: the picture's height in pixels.
        max_side: look for boxes in a picture whose longer side has at most this many pixels. That is faster, and
            precise enough: a cell of heat is dozens of pixels wide.

    Returns:
        K findings, in pixels of the picture.
    """
    shrink = min(1.0, (max_side or np.inf) / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return [_find_class(heat, k, pts_s, size, (width, height)) for k in range(len(heat.labels))]


def _find_class(heat: Heat, k: int, pts_s: float, size: tuple[int, int], picture: tuple[int, int]) -> Finding:
    """Find class `k` on a grid of (width, height) `size`, and scale the places to the picture's (width, height)."""
    pixels = on_picture(centred_at(heat, k, pts_s), heat.transform, width=size[0], height=size[1])
    box, (x, y) = largest_box(pixels), peak(pixels)
    scale_x, scale_y = picture[0] / size[0], picture[1] / size[1]
    if box is not None:
        box = Box(round(box.x0 * scale_x), round(box.y0 * scale_y), round(box.x1 * scale_x), round(box.y1 * scale_y))
    return Finding(
        label=heat.labels[k],
        score=float(heat.scores[k]),
        logit=float(heat.logits[heat.classes[k]]),
        box=box,
        peak=(int((x + 0.5) * scale_x), int((y + 0.5) * scale_y)),  # the middle of a pixel of the grid
    )


def strongest(logits: Floats, *, top_k: int, always: Collection[int] = ()) -> list[int]:
    """Choose the classes to show, by descending logit. The weakest make room for those that are always shown.

    The number of classes does not depend on the logits, so that all rows of an array of heat have the same shape.

    Args:
        logits: float32 [C].
        top_k: the number of classes. It becomes `len(always)` if that is more, and C if that is less.
        always: classes that are shown in any case.
    """
    count = min(max(top_k, len(always)), len(logits))
    ranked = [int(c) for c in np.argsort(-logits, kind="stable")]
    shown = {*always, *[c for c in ranked if c not in always][: count - len(always)]}
    return [c for c in ranked if c in shown]


def painted(heat: Heat, classes: Sequence[int]) -> int:
    """Return the index k of the class to paint: the strongest of `classes`; of all K, if none are given."""
    return next((k for k, c in enumerate(heat.classes) if c in classes), 0)
