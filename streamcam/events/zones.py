"""Scores of a part of the picture, in NumPy alone.

Heat pools to logits exactly, so a zone's share of a logit is arithmetic. Let M_c (L',h,w) be the heat cube of class c,
b_c its bias and m (h,w) the share of each cell that lies in the zone. For the heat slice l, the zone's logit is

    z_c(l)  =  b_c + mean_{y,x} m(y,x) M_c(l,y,x)

which is the class's logit with the heat outside of the zone taken away. If zones divide the picture among them, their
masks add up to 1 everywhere, and so their z_c(l) − b_c add up to the slice's logit minus b_c. The mean over all slices
is the clip's logit. Scores follow from z by the model's own function: a sigmoid, or a softmax over the classes.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.event import Rectangle
from streamcam.heat.localise import largest_box
from streamcam.heat.results import Link
from streamcam.records import Floats, Heat, Transform

SAMPLES = 16
"""A cell's share is measured at so many points across and down."""

FINER = 4
"""Boxes are found on heat that is enlarged so many times."""


def zone_mask(polygon: Sequence[tuple[float, float]], transform: Transform, height: int, width: int) -> Floats:
    """Measure how much of each heat cell lies in a polygon: float32 [height,width], 0–1.

    A point on an edge that two polygons share belongs to one of them, so zones that divide a picture add up to 1.

    Args:
        polygon: its corners (x, y), as fractions of the picture.
        transform: the part of the picture that the cells cover.
        height: of the heat, in cells.
        width: of the heat, in cells.
    """
    across = transform.left + (np.arange(width * SAMPLES) + 0.5) / (width * SAMPLES) * (
        transform.right - transform.left
    )
    down = transform.top + (np.arange(height * SAMPLES) + 0.5) / (height * SAMPLES) * (transform.bottom - transform.top)
    inside = _inside(polygon, across[None, :], down[:, None])
    return np.asarray(inside.reshape(height, SAMPLES, width, SAMPLES).mean((1, 3)), np.float32)


def zone_logits(heat: Heat, mask: Floats | None, *, first: int = 0) -> Floats:
    """Compute the logit of each class in a zone at each heat slice.

    Args:
        heat: of K classes, in L' slices.
        mask: float32 [h,w] of `zone_mask`; None for the whole picture.
        first: the slice to begin with; those before it are left out.

    Returns:
        float32 [K,L' − first]. The mean over all slices is the clip's logit, for the whole picture.
    """
    bias = heat.logits[heat.classes] - heat.cube.mean((1, 2, 3))
    slices = heat.cube[:, first:]
    inside = slices if mask is None else slices * mask
    return np.asarray(bias[:, None] + inside.mean((2, 3)), np.float32)


def zone_scores(heat: Heat, mask: Floats | None, link: Link, *, first: int = 0) -> Floats:
    """Compute the score of each class in a zone at each heat slice from `first` on: float32 [K,L' − first], 0–1.

    Raises:
        StreamcamError: the scores need the heat of all classes, and some are missing.
    """
    if not link.multi_label and len(heat.classes) < len(heat.logits):
        raise StreamcamError(
            f"a zone's score needs the heat of all classes, and {heat.model} gave {len(heat.classes)} of "
            f"{len(heat.logits)}"
        )
    return link.scores(zone_logits(heat, mask, first=first), axis=0)


def hottest_box(cells: Floats, mask: Floats | None, transform: Transform) -> Rectangle | None:
    """Find the box of the largest hot region in a zone; None if nothing there is above zero.

    Args:
        cells: float32 [h,w], centred heat.
        mask: as in `zone_logits`.
        transform: the part of the picture that the cells cover.
    """
    inside = cells if mask is None else cells * mask
    height, width = inside.shape[0] * FINER, inside.shape[1] * FINER
    fine = np.asarray(cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    box = largest_box(fine)
    if box is None:
        return None
    across, down = transform.right - transform.left, transform.bottom - transform.top
    return Rectangle(
        transform.left + across * box.x0 / width,
        transform.top + down * box.y0 / height,
        transform.left + across * box.x1 / width,
        transform.top + down * box.y1 / height,
    )


def _inside(
    polygon: Sequence[tuple[float, float]], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Whether points lie in a polygon, by the even-odd rule: bool, of the shape that x and y have together."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.bool_)
    for a, b in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        (x0, y0), (x1, y1) = sorted((a, b), key=lambda point: (point[1], point[0]))  # both neighbours compute the same
        if y0 == y1:
            continue
        crosses = (y0 <= y) & (y < y1)
        inside ^= crosses & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    return inside
