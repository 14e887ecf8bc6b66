"""The scores of one contender on one case (a class of a clip), and of many cases in figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamcam.evaluate import metrics
from streamcam.evaluate.erasure import Erasure
from streamcam.evaluate.truth import Mask, box_of
from streamcam.heat.localise import Box, tubes
from streamcam.records import Floats

NEAR = 4
"""Pixels of the grid: the tolerance of the second pointing game."""

ALWAYS_THERE = 0.95
"""A class that is there for more of a clip says nothing about time."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One contender on one case; means over the slices in which the class is there."""

    points: float
    near: float
    energy: float
    boxes: Numbers
    """float64 [T], by the largest region, at IoU 0.5."""
    all_boxes: Numbers
    """float64 [I,T], by any region, at each of `metrics.IOUS`."""
    inside: Numbers
    """float64 [T], pixels of the mask that reach each threshold, a slice."""
    everywhere: Numbers
    """float64 [T], all pixels that do."""
    time_points: float | None = None
    """None where the class is there all the time."""
    time_ious: Numbers | None = None
    tube_ious: Numbers | None = None
    """float64 [9], at each of `metrics.TUBE_THRESHOLDS`; None of a single slice."""
    erasure: Erasure | None = None


def score(maps: Sequence[Floats], curve: Numbers, things: Sequence[Mask], *, erasure: Erasure | None = None) -> Scores:
    """Hold heat against the truth.

    Args:
        maps: one for each slice of the clip, on the grid.
        curve: float64 [S], the class's heat over time.
        things: bool [S,h,w], where each thing of the class is; in one slice at least, one of them.
        erasure: is handed on.
    """
    union = np.any(things, axis=0)
    present = union.any((1, 2))
    there: list[int] = np.flatnonzero(present).tolist()
    boxes = [[box_of(mask) for mask in thing] for thing in things]
    counts = [metrics.pixel_counts(maps[i], union[i]) for i in there]
    ious = [metrics.box_ious(maps[i], [box for thing in boxes if (box := thing[i]) is not None]) for i in there]
    moments = present.mean() <= ALWAYS_THERE
    return Scores(
        points=float(np.mean([metrics.points(maps[i], union[i]) for i in there])),
        near=float(np.mean([metrics.points(maps[i], union[i], tolerance=NEAR) for i in there])),
        energy=float(np.mean([metrics.energy_inside(maps[i], union[i]) for i in there])),
        boxes=np.mean([largest >= 0.5 for largest, _ in ious], axis=0),
        all_boxes=np.mean([best >= np.array(metrics.IOUS)[:, None] for _, best in ious], axis=0),
        inside=np.mean([inside for inside, _ in counts], axis=0),
        everywhere=np.mean([everywhere for _, everywhere in counts], axis=0),
        time_points=float(metrics.points_in_time(curve, present)) if moments else None,
        time_ious=metrics.time_ious(curve, present) if moments else None,
        tube_ious=_tube_ious(maps, boxes) if len(maps) > 1 else None,
        erasure=erasure,
    )


def _tube_ious(maps: Sequence[Floats], boxes: Sequence[Sequence[Box | None]]) -> Numbers:
    """Of the hottest tube, with the thing that it fits best, at each threshold: float64 [9]."""
    found = [tubes(maps, threshold=float(threshold)) for threshold in metrics.TUBE_THRESHOLDS]
    return np.array([max(metrics.tube_iou(f[0], thing) for thing in boxes) if f else 0.0 for f in found])


FIGURES = {
    "points": "the peak is inside the mask",
    "near": f"the peak is inside the mask, or within {NEAR} of {112} pixels of it",
    "energy": "share of the positive heat that is inside the mask",
    "box_acc": "MaxBoxAcc: the largest region's box, IoU 0.5, at the best threshold",
    "box_acc_v2": "MaxBoxAccV2: any region's box, IoU 0.3, 0.5 and 0.7, each at its best threshold",
    "pxap": "PxAP: average precision of pixels",
    "time_points": "the class's curve is highest while the class is there",
    "time_iou": "IoU of the times above the best threshold with those when the class is there",
    "tube_iou": "IoU of the hottest tube, at the best threshold, with the thing that it fits best",
    "insertion": "area under the probability as pixels come, the hottest first",
    "deletion": "area under the probability as pixels go, the hottest first: less is better",
}
"""What can be said of a contender, in words."""

LESS_IS_BETTER = frozenset({"deletion"})


def figures(scores: Sequence[Scores]) -> dict[str, float | None]:
    """Many cases in figures, each case counting as much as any other; thresholds are the best for the whole set.

    Returns:
        For each of `FIGURES`, a number from 0 to 1; None where no case asks for it.
    """
    inside, everywhere = _mean([s.inside for s in scores]), _mean([s.everywhere for s in scores])
    boxes, all_boxes = _mean([s.boxes for s in scores]), _mean([s.all_boxes for s in scores])
    erasures = [s.erasure for s in scores if s.erasure is not None]
    found = {
        "points": _mean([s.points for s in scores]),
        "near": _mean([s.near for s in scores]),
        "energy": _mean([s.energy for s in scores]),
        "box_acc": None if boxes is None else boxes.max(),
        "box_acc_v2": None if all_boxes is None else all_boxes.max(1).mean(),
        "pxap": None if inside is None or everywhere is None else metrics.pixel_precision(inside, everywhere),
        "time_points": _mean([s.time_points for s in scores]),
        "time_iou": _best([s.time_ious for s in scores]),
        "tube_iou": _best([s.tube_ious for s in scores]),
        "insertion": _mean([e.insertion for e in erasures]),
        "deletion": _mean([e.deletion for e in erasures]),
    }
    return {name: None if value is None else round(float(value), 4) for name, value in found.items()}


def best_threshold(scores: Sequence[Scores]) -> float:
    """Where MaxBoxAcc is reached: of a map scaled to 0–1."""
    boxes = _mean([s.boxes for s in scores])
    return 0.0 if boxes is None else float(metrics.THRESHOLDS[int(np.argmax(boxes))])


def _mean(values: Sequence[Numbers | float | None]) -> Numbers | None:
    known = [np.asarray(value, np.float64) for value in values if value is not None]
    return np.asarray(np.mean(known, axis=0), np.float64) if known else None


def _best(values: Sequence[Numbers | None]) -> float | None:
    mean = _mean(values)
    return None if mean is None else float(mean.max())
