"""Score one method on one case (a class of a clip), and summarise many cases as figures.

To add a figure, write its arithmetic in `metrics.py`, add a field to `Scores` and to `score`, and list it in `FIGURES`
and `figures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamcam.evaluate import metrics
from streamcam.evaluate.erasure import Erasure
from streamcam.evaluate.objects import Mask, box_of
from streamcam.heat.localise import Box, tubes
from streamcam.records import Floats

NEAR = 4
"""The tolerance of the second pointing game, in pixels of the grid (`assess.GRID`)."""

ALWAYS_PRESENT = 0.95
"""A class that is present for more than this share of a clip is not scored in time: any answer would be right."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The scores of one method on one case: means over the slices in which the class is present."""

    points: float
    """Share of slices whose peak is in the mask."""
    near: float
    """Share of slices whose peak is in the mask or within `NEAR` pixels."""
    energy: float
    """Share of positive heat in the mask."""
    boxes: Numbers
    """float64 [T]: share of slices whose largest region's box reaches IoU 0.5, at each threshold."""
    all_boxes: Numbers
    """float64 [I,T]: share of slices in which any region's box reaches each of `metrics.IOUS`, at each threshold."""
    inside: Numbers
    """float64 [T]: pixels of the mask that reach each threshold, per slice."""
    everywhere: Numbers
    """float64 [T]: all pixels that reach each threshold, per slice."""
    time_points: float | None = None
    """1 if the class curve is highest while the class is present, else 0. None if it is always present."""
    time_ious: Numbers | None = None
    """float64 [T], see `metrics.time_ious`. None if the class is always present."""
    tube_ious: Numbers | None = None
    """float64 [9], at each of `metrics.TUBE_THRESHOLDS`. None for a single slice."""
    erasure: Erasure | None = None
    """None if insertion and deletion were not asked for."""


def score(maps: Sequence[Floats], curve: Numbers, objects: Sequence[Mask], *, erasure: Erasure | None = None) -> Scores:
    """Score the heat of one method on one case.

    Args:
        maps: float32 [h,w] for each of the S slices of the clip, on the grid.
        curve: float64 [S], the class curve.
        objects: a mask bool [S,h,w] for each object of the class. In one slice at least, one object is present.
        erasure: insertion and deletion, which the result carries along.
    """
    union = np.any(objects, axis=0)
    present = union.any((1, 2))
    slices: list[int] = np.flatnonzero(present).tolist()
    boxes = [[box_of(mask) for mask in masks] for masks in objects]
    counts = [metrics.pixel_counts(maps[i], union[i]) for i in slices]
    ious = [metrics.box_ious(maps[i], _boxes_at(i, boxes)) for i in slices]
    comes_or_goes = present.mean() <= ALWAYS_PRESENT
    return Scores(
        points=float(np.mean([metrics.points(maps[i], union[i]) for i in slices])),
        near=float(np.mean([metrics.points(maps[i], union[i], tolerance=NEAR) for i in slices])),
        energy=float(np.mean([metrics.energy_inside(maps[i], union[i]) for i in slices])),
        boxes=np.mean([largest >= 0.5 for largest, _ in ious], axis=0),
        all_boxes=np.mean([best >= np.array(metrics.IOUS)[:, None] for _, best in ious], axis=0),
        inside=np.mean([inside for inside, _ in counts], axis=0),
        everywhere=np.mean([everywhere for _, everywhere in counts], axis=0),
        time_points=float(metrics.points_in_time(curve, present)) if comes_or_goes else None,
        time_ious=metrics.time_ious(curve, present) if comes_or_goes else None,
        tube_ious=_tube_ious(maps, boxes) if len(maps) > 1 else None,
        erasure=erasure,
    )


def _boxes_at(i: int, boxes: Sequence[Sequence[Box | None]]) -> list[Box]:
    """Return the boxes of the objects that are present in slice `i`."""
    return [box for object_boxes in boxes if (box := object_boxes[i]) is not None]


def _tube_ious(maps: Sequence[Floats], boxes: Sequence[Sequence[Box | None]]) -> Numbers:
    """Return the IoU of the hottest tube with the object that it fits best, at each threshold: float64 [9]."""
    cuts = [tubes(maps, threshold=float(threshold)) for threshold in metrics.TUBE_THRESHOLDS]
    return np.array([max(metrics.tube_iou(cut[0], truth) for truth in boxes) if cut else 0.0 for cut in cuts])


FIGURES = {
    "points": "the peak is inside the mask",
    "near": f"the peak is inside the mask, or within {NEAR} of 112 pixels of it",
    "energy": "share of the positive heat that is inside the mask",
    "box_acc": "MaxBoxAcc: the largest region's box, IoU 0.5, at the best threshold",
    "box_acc_v2": "MaxBoxAccV2: any region's box, IoU 0.3, 0.5 and 0.7, each at its best threshold",
    "pxap": "PxAP: average precision of pixels",
    "time_points": "the class's curve is highest while the class is there",
    "time_iou": "IoU of the times above the best threshold with those when the class is there",
    "tube_iou": "IoU of the hottest tube, at the best threshold, with the object that it fits best",
    "insertion": "area under the probability as pixels come, the hottest first",
    "deletion": "area under the probability as pixels go, the hottest first: less is better",
}
"""The figures of a method: name → what it says. Each is a number from 0 to 1."""

LESS_IS_BETTER = frozenset({"deletion"})


def figures(scores: Sequence[Scores]) -> dict[str, float | None]:
    """Summarise the scores of many cases, all with the same weight.

    Where a figure needs a threshold, it is the one that is best for the mean over all cases. So one threshold serves
    the whole set, as in Choe et al., CVPR 2020.

    Returns:
        For each of `FIGURES`, a number from 0 to 1, rounded to 4 digits; None if no case has it.
    """
    inside, everywhere = _mean([s.inside for s in scores]), _mean([s.everywhere for s in scores])
    boxes, all_boxes = _mean([s.boxes for s in scores]), _mean([s.all_boxes for s in scores])
    erasures = [s.erasure for s in scores if s.erasure is not None]
    values = {
        "points": _mean([s.points for s in scores]),
        "near": _mean([s.near for s in scores]),
        "energy": _mean([s.energy for s in scores]),
        "box_acc": None if boxes is None else boxes.max(),
        # Each IoU has its own best threshold; then the mean over IoUs.
        "box_acc_v2": None if all_boxes is None else all_boxes.max(1).mean(),
        "pxap": None if inside is None or everywhere is None else metrics.pixel_average_precision(inside, everywhere),
        "time_points": _mean([s.time_points for s in scores]),
        "time_iou": _best([s.time_ious for s in scores]),
        "tube_iou": _best([s.tube_ious for s in scores]),
        "insertion": _mean([e.insertion for e in erasures]),
        "deletion": _mean([e.deletion for e in erasures]),
    }
    return {name: None if value is None else round(float(value), 4) for name, value in values.items()}


def best_threshold(scores: Sequence[Scores]) -> float:
    """Return the threshold, of a map scaled to 0–1, at which MaxBoxAcc is reached."""
    boxes = _mean([s.boxes for s in scores])
    return 0.0 if boxes is None else float(metrics.THRESHOLDS[int(np.argmax(boxes))])


def _mean(values: Sequence[Numbers | float | None]) -> Numbers | None:
    """Return the mean over the cases that have a value; None if none has."""
    known = [np.asarray(value, np.float64) for value in values if value is not None]
    return np.asarray(np.mean(known, axis=0), np.float64) if known else None


def _best(values: Sequence[Numbers | None]) -> float | None:
    """Return the mean over cases at the threshold where it is highest."""
    mean = _mean(values)
    return None if mean is None else float(mean.max())
