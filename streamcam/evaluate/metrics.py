"""How well heat fits the truth, in numbers. Maps are of one slice, masks and boxes of the same time. No torch.

A map is float32 [h,w], −∞ where the network did not look; a mask is bool [h,w].
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.heat.localise import Box, Tube, boxes_above, peak
from streamcam.records import Floats

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

THRESHOLDS: Numbers = np.arange(50) / 50
"""At which a map, scaled to 0–1, is cut; the best one is chosen for the whole set."""

IOUS = (0.3, 0.5, 0.7)
"""At which a box counts as found in MaxBoxAccV2."""

TUBE_THRESHOLDS: Numbers = np.arange(1, 10) / 10
"""Of the hottest place of a clip, at which tubes are cut."""


def points(pixels: Floats, mask: Mask, *, tolerance: int = 0) -> bool:
    """The pointing game (Zhang et al., ECCV 2016): whether the peak lies in the mask, or so many pixels beside it."""
    x, y = peak(pixels)
    size = 2 * tolerance + 1
    grown = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return bool(grown[y, x])


def energy_inside(pixels: Floats, mask: Mask) -> float:
    """The share of positive heat that lies in the mask (Wang et al., *Score-CAM*, CVPR 2020); 0 where there is none."""
    positive = np.maximum(pixels, 0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else 0.0


def scaled(values: Floats) -> Floats:
    """Values → 0 to 1, by their least and greatest finite ones; −∞ becomes 0. A flat map is 0 throughout."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.zeros_like(values)
    return np.asarray((np.maximum(values, low) - low) / (high - low), np.float32)


def box_ious(pixels: Floats, boxes: Sequence[Box]) -> tuple[Numbers, Numbers]:
    """How well the boxes around what is above each of `THRESHOLDS` fit the true ones, of which there is at least one.

    Choe et al., *Evaluating Weakly Supervised Object Localization Methods Right*, CVPR 2020: the share of a set in
    which it reaches 0.5, at the best threshold, is MaxBoxAcc (the largest region); the mean of that for each of `IOUS`
    is MaxBoxAccV2 (the region that fits best).

    Returns:
        Two float64 [T]: the IoU of the largest region's box, and the best of any region's.
    """
    above = scaled(pixels)
    largest, best = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
    for i, threshold in enumerate(THRESHOLDS):
        ious = [max(found.iou(box) for box in boxes) for found in boxes_above(above, threshold)]
        largest[i], best[i] = (ious[0], max(ious)) if ious else (0.0, 0.0)
    return largest, best


def pixel_counts(pixels: Floats, mask: Mask) -> tuple[Numbers, Numbers]:
    """How many pixels of the mask, and of the whole map, reach each of `THRESHOLDS`: two float64 [T]."""
    bins = np.digitize(scaled(pixels), THRESHOLDS) - 1
    inside = np.bincount(bins[mask], minlength=len(THRESHOLDS))
    everywhere = np.bincount(bins.ravel(), minlength=len(THRESHOLDS))
    return _from_above(inside), _from_above(everywhere)


def _from_above(counts: npt.NDArray[np.int64]) -> Numbers:
    """How many are in each bin or a higher one."""
    return np.cumsum(counts[::-1])[::-1].astype(np.float64)


def pixel_precision(inside: Numbers, everywhere: Numbers) -> float:
    """PxAP (Choe et al., CVPR 2020): the area under precision over recall of pixels, from sums of `pixel_counts`."""
    precision = inside / np.maximum(everywhere, 1e-12)
    recall = inside / max(float(inside[0]), 1e-12)
    # From the highest threshold down, so that recall rises.
    return float(np.sum(precision[::-1] * np.diff(recall[::-1], prepend=0.0)))


def points_in_time(curve: Numbers, present: Mask) -> bool:
    """The pointing game in time: whether a class curve [S] is highest while the class is there [S]."""
    return bool(present[int(np.argmax(curve))])


def time_ious(curve: Numbers, present: Mask, *, thresholds: Numbers = THRESHOLDS) -> Numbers:
    """How well the times when a class curve [S], scaled to 0–1, is high fit those when the class is there [S].

    Returns:
        float64 [T]: the IoU at each threshold.
    """
    above = scaled(np.asarray(curve, np.float32))[None] >= thresholds[:, None]
    either = (above | present).sum(1)
    return np.asarray((above & present).sum(1) / np.maximum(either, 1), np.float64)


def tube_iou(tube: Tube, truth: Sequence[Box | None]) -> float:
    """How well a tube fits a thing whose box is known for each slice: Σ intersections / Σ unions, over slices."""
    found = dict(zip(tube.slices, tube.boxes, strict=True))
    both = union = 0
    for i, true in enumerate(truth):
        box = found.get(i)
        overlap = box.intersection(true) if box is not None and true is not None else 0
        both += overlap
        union += (box.area if box is not None else 0) + (true.area if true is not None else 0) - overlap
    return both / max(1, union)


def area_under(probabilities: Sequence[float]) -> float:
    """The area under a curve from 0 to 1 with evenly spaced values: insertion and deletion (RISE, BMVC 2018)."""
    return float(np.trapezoid(probabilities) / (len(probabilities) - 1))


def average_precision(scores: Numbers, truth: Mask) -> float:
    """The mean, over those [N] that are true, of the precision down to each of them; equal scores share their rank."""
    order = np.argsort(-scores, kind="stable")
    hits, ranks = np.cumsum(truth[order]), np.arange(1, len(order) + 1)
    ends = np.append(np.diff(scores[order]) != 0, True)  # the last of each run of equal scores
    last = np.flatnonzero(ends)
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / ranks[last]).sum() / truth.sum())
