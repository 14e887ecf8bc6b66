"""Heat → what is in a picture and where, class by class: the rows of a table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from streamcam.heat.localise import Box, centred_at, largest_box, on_picture, peak
from streamcam.records import Floats, Heat

COLUMNS = ("class", "score", "logit", "x0", "y0", "x1", "y1", "peak_x", "peak_y")
"""What `Finding.row` gives; places are in pixels, and x1 and y1 the first that are no longer in the box."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One class in one picture."""

    label: str
    score: float
    """Probability, 0–1."""
    logit: float
    box: Box | None
    """By the paper's rule; None where the class's contrast is nowhere above zero."""
    peak: tuple[int, int]
    """(x, y) of the hottest pixel."""

    def row(self) -> list[str | int]:
        """The values of `COLUMNS`; a box that is none is left empty."""
        corners = ["", "", "", ""] if self.box is None else list(self.box)
        return [self.label, f"{self.score:.6f}", f"{self.logit:.4f}", *corners, *self.peak]


def find(heat: Heat, *, pts_s: float, width: int, height: int, max_side: int | None = None) -> list[Finding]:
    """All classes of a heat, in its order, in a picture of so many pixels.

    Args:
        heat: what the network saw.
        pts_s: the time of the picture, in seconds.
        width: of the picture.
        height: of the picture.
        max_side: look for boxes in a smaller picture, so many pixels long, where that is enough: the time that it
            takes grows with the pixels, and a cell of heat is dozens of them wide.
    """
    shrink = min(1.0, (max_side or np.inf) / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return [_find(heat, k, pts_s, size, (width, height)) for k in range(len(heat.labels))]


def _find(heat: Heat, k: int, pts_s: float, size: tuple[int, int], picture: tuple[int, int]) -> Finding:
    pixels = on_picture(centred_at(heat, k, pts_s), heat.transform, width=size[0], height=size[1])
    box, at = largest_box(pixels), peak(pixels)
    logit = float(heat.logits[heat.classes[k]])
    across, down = picture[0] / size[0], picture[1] / size[1]
    if box is not None:
        box = Box(round(box.x0 * across), round(box.y0 * down), round(box.x1 * across), round(box.y1 * down))
    hottest = int((at[0] + 0.5) * across), int((at[1] + 0.5) * down)
    return Finding(heat.labels[k], float(heat.scores[k]), logit, box, hottest)


def strongest(logits: Floats, *, top_k: int, always: Collection[int] = ()) -> list[int]:
    """Which of the classes of logits [C] to show, the strongest first; the weakest give way to those `always` shown.

    So the number does not depend on the logits: `top_k`, or as many as there are in `always` if these are more.
    """
    count = min(max(top_k, len(always)), len(logits))
    ranked = [int(c) for c in np.argsort(-logits, kind="stable")]
    shown = {*always, *[c for c in ranked if c not in always][: count - len(always)]}
    return [c for c in ranked if c in shown]


def painted(heat: Heat, classes: Sequence[int]) -> int:
    """Which of a heat's K classes to paint: the strongest of `classes`; of all, where none are given."""
    return next((k for k, c in enumerate(heat.classes) if c in classes), 0)
