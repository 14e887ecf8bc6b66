"""Measure how well heat fits the truth. Pure functions of arrays, without torch.

A map is float32 [h,w] and belongs to one heat slice; it is −∞ where the network did not look. A mask is bool [h,w], at
the time of that slice. A class curve is float64 [S]: the mean heat of a class in each of S slices.
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
"""A map, scaled to 0–1, is cut at each of these; the best one is chosen for the whole data set."""

IOUS = (0.3, 0.5, 0.7)
"""MaxBoxAccV2 counts a box as found from each of these IoUs on."""

TUBE_THRESHOLDS: Numbers = np.arange(1, 10) / 10
"""Tubes are cut at each of these shares of a clip's maximum."""


def points(pixels: Floats, mask: Mask, *, tolerance: int = 0) -> bool:
    """Play the pointing game: return whether the peak of a map lies in the mask, or within `tolerance` pixels of it.

    Zhang et al., *Top-down Neural Attention by Excitation Backprop*, ECCV 2016.
    """
    x, y = peak(pixels)
    # To be within the tolerance of the mask is to lie in the mask, grown by a disc of that radius.
    size = 2 * tolerance + 1
    grown = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return bool(grown[y, x])


def energy_inside(pixels: Floats, mask: Mask) -> float:
    """Return the share of positive heat that lies in the mask, 0–1; 0 if no heat is positive.

    This is the energy-based pointing game of Wang et al., *Score-CAM*, CVPR workshops 2020.
    """
    positive = np.maximum(pixels, 0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else 0.0


def scaled(values: Floats) -> Floats:
    """Scale values linearly to 0–1 by their own minimum and maximum; −∞ becomes 0. A constant map becomes 0."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.zeros_like(values)
    return np.asarray((np.maximum(values, low) - low) / (high - low), np.float32)


def box_ious(pixels: Floats, boxes: Sequence[Box]) -> tuple[Numbers, Numbers]:
    """Measure how well the boxes that a map gives fit the true ones, at each of `THRESHOLDS`.

    Both figures are of Choe et al., *Evaluating Weakly Supervised Object Localization Methods Right*, CVPR 2020.
    MaxBoxAcc is the share of a set in which the largest region's box reaches IoU 0.5, at the best threshold.
    MaxBoxAccV2 takes the region that fits best, and the mean of that share over the IoUs 0.3, 0.5 and 0.7 (`IOUS`).

    Args:
        pixels: the map.
        boxes: the true boxes, at least one.

    Returns:
        Two float64 [T]: the IoU of the largest region's box, and the best IoU of any region's box.
    """
    scaled_map = scaled(pixels)
    largest, best = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
    for i, threshold in enumerate(THRESHOLDS):
        # Largest region first. Each box counts with the true box that it fits best.
        ious = [max(found.iou(box) for box in boxes) for found in boxes_above(scaled_map, threshold)]
        largest[i], best[i] = (ious[0], max(ious)) if ious else (0.0, 0.0)
    return largest, best


def pixel_counts(pixels: Floats, mask: Mask) -> tuple[Numbers, Numbers]:
    """Count the pixels that reach each of `THRESHOLDS`: those of the mask, and all. Two float64 [T]."""
    # A pixel in bin i reaches the thresholds 0 to i: sum the histogram from above, and cut the map only once.
    bins = np.digitize(scaled(pixels), THRESHOLDS) - 1
    inside = np.bincount(bins[mask], minlength=len(THRESHOLDS))
    everywhere = np.bincount(bins.ravel(), minlength=len(THRESHOLDS))
    return _sum_from_above(inside), _sum_from_above(everywhere)


def _sum_from_above(counts: npt.NDArray[np.int64]) -> Numbers:
    """Sum, for each bin, the counts of this bin and of all higher ones."""
    return np.cumsum(counts[::-1])[::-1].astype(np.float64)


def pixel_average_precision(inside: Numbers, everywhere: Numbers) -> float:
    """Compute PxAP, the area under the precision-recall curve of pixels (Choe et al., CVPR 2020).

    With p_t the precision and r_t the recall at threshold t, PxAP = Σ_t p_t · (r_t − r_{t+1}), where r is 0 above the
    highest threshold.

    Args:
        inside: float64 [T], true positives at each threshold: means or sums over slices of `pixel_counts`.
        everywhere: float64 [T], all positives, averaged or summed alike.
    """
    # Of a single map, scikit-learn's average_precision_score gives the same (a test holds ours to it). But it wants
    # every pixel of the set at once; these counts are averaged case by case, and take no memory.
    precision = inside / np.maximum(everywhere, 1e-12)
    recall = inside / max(float(inside[0]), 1e-12)  # every pixel of the mask reaches threshold 0
    # From the highest threshold down, so that recall rises and its differences are positive.
    return float(np.sum(precision[::-1] * np.diff(recall[::-1], prepend=0.0)))


def points_in_time(curve: Numbers, present: Mask) -> bool:
    """Play the pointing game in time: return whether a class curve [S] is highest while the class is present [S]."""
    return bool(present[int(np.argmax(curve))])


def time_ious(curve: Numbers, present: Mask, *, thresholds: Numbers = THRESHOLDS) -> Numbers:
    """Compare the times when a class curve is high with the times when the class is present.

    Args:
        curve: float64 [S], the class curve; it is scaled to 0–1.
        present: bool [S], whether the class is present in each slice.
        thresholds: float64 [T].

    Returns:
        float64 [T]: the IoU of the two sets of slices at each threshold.
    """
    above = scaled(np.asarray(curve, np.float32))[None] >= thresholds[:, None]
    union = (above | present).sum(1)
    return np.asarray((above & present).sum(1) / np.maximum(union, 1), np.float64)


def tube_iou(tube: Tube, truth: Sequence[Box | None]) -> float:
    """Return the IoU of a tube and the true boxes of one object: Σ intersections / Σ unions over all slices.

    This is the 3D IoU of boxes that action detection uses. A slice in which only one of the two has a box adds to the
    unions alone.

    Args:
        tube: the tube that heat gives.
        truth: for each slice of the clip, the object's box; None where it is absent.
    """
    boxes = dict(zip(tube.slices, tube.boxes, strict=True))
    intersections = unions = 0
    for i, true in enumerate(truth):
        box = boxes.get(i)
        overlap = box.intersection(true) if box is not None and true is not None else 0
        intersections += overlap
        unions += (box.area if box is not None else 0) + (true.area if true is not None else 0) - overlap
    return intersections / max(1, unions)


def area_under(probabilities: Sequence[float]) -> float:
    """Return the area under evenly spaced values over 0–1, by the trapezoidal rule.

    Insertion and deletion are such areas (Petsiuk et al., *RISE*, BMVC 2018).
    """
    return float(np.trapezoid(probabilities) / (len(probabilities) - 1))


def average_precision(scores: Numbers, truth: Mask) -> float:
    """Return the average precision of a ranking: AP = Σ_n (R_n − R_{n−1}) · P_n over the distinct scores, from the top.

    P_n and R_n are precision and recall of all items that score at least the n-th score, so ties share one rank.

    Args:
        scores: float64 [N].
        truth: bool [N], of which at least one is true.
    """
    # scikit-learn's average_precision_score is the same definition, and a test holds ours to it. Ours stands here
    # because `streamcam eval` runs without extras, and scikit-learn (with SciPy) would be a dependency for six lines.
    order = np.argsort(-scores, kind="stable")
    hits, ranks = np.cumsum(truth[order]), np.arange(1, len(order) + 1)
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last item of each run of equal scores
    gained = np.diff(hits[ends], prepend=0)
    return float((gained * hits[ends] / ranks[ends]).sum() / truth.sum())
