"""Find places in heat: enlarge it to the picture, and find its peak, its boxes, and boxes linked over time (tubes).

This module needs NumPy and OpenCV, not torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.records import Floats, Heat, Transform

PAPER_THRESHOLD = 0.2
"""A box is drawn around what is above this share of the maximum: Zhou et al., CVPR 2016, section 3.1."""

LINK_IOU = 0.3
"""Two boxes in successive heat slices belong to the same tube from this IoU on."""


class Box(NamedTuple):
    """A rectangle in pixels, from x0 and y0 up to x1 and y1, which lie outside."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Return the area in pixels; 0 if the box is empty."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)

    def intersection(self, other: "Box") -> int:
        """Return the area in pixels that both boxes cover."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Box(x0, y0, min(self.x1, other.x1), min(self.y1, other.y1)).area

    def iou(self, other: "Box") -> float:
        """Return the intersection over union, 0–1."""
        both = self.intersection(other)
        return both / max(1, self.area + other.area - both)


@dataclass(frozen=True, slots=True)
class Tube:
    """A region of heat, followed over successive heat slices."""

    slices: tuple[int, ...]
    """The indices of the slices, without gaps."""
    boxes: tuple[Box, ...]
    """The region's box in each of these slices."""
    score: float
    """The share of all positive heat that lies in the tube, 0–1."""


def centred_at(heat: Heat, k: int, pts_s: float) -> Floats:
    """Return the centred heat of class `k` at a time in seconds: float32 [h,w], in logit units. See `slice_at`."""
    return slice_at(heat.cube[k] - heat.common, heat.pts_s, pts_s)


def slice_at(slices: Floats, pts_s: npt.NDArray[np.float64], at_s: float) -> Floats:
    """Return heat at a time, interpolated linearly between the centres of two slices.

    It is constant before the first slice and after the last.

    Args:
        slices: float32 [...,L',h,w].
        pts_s: float64 [L'], the time of each slice in seconds.
        at_s: the time asked for, in seconds.

    Returns:
        float32 [...,h,w].
    """
    position = float(np.interp(at_s, pts_s, np.arange(len(pts_s))))
    lower = int(position)
    upper = min(lower + 1, len(pts_s) - 1)
    early, late = slices[..., lower, :, :], slices[..., upper, :, :]
    return np.asarray(early + np.float32(position - lower) * (late - early), np.float32)


def enlarge(cells: Floats, width: int, height: int) -> Floats:
    """Enlarge heat cells [h,w] to float32 [height,width], bilinearly.

    A cell's value lies on the centre of the cell, as PyTorch does it with `align_corners=False`.
    """
    return np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def on_picture(cells: Floats, transform: Transform, *, width: int, height: int) -> Floats:
    """Lay heat cells [h,w] over the picture: float32 [height,width], −∞ outside of what the network saw."""
    x0, y0, x1, y1 = transform.to_pixels(height, width)
    # −∞ is never a peak and never above a threshold, so no box can reach beyond what the network saw.
    pixels = np.full((height, width), -np.inf, np.float32)
    pixels[y0:y1, x0:x1] = enlarge(cells, x1 - x0, y1 - y0)
    return pixels


def peak(pixels: Floats) -> tuple[int, int]:
    """Return (x, y) of the hottest pixel of a map [H,W]; of several equally hot ones, the middle in reading order."""
    ys, xs = np.nonzero(pixels == pixels.max())
    return int(xs[len(xs) // 2]), int(ys[len(ys) // 2])


def boxes_above(pixels: Floats, level: float) -> list[Box]:
    """Return the box of each connected region of a map [H,W] that is above `level`, the largest region first."""
    return [box for _, box in connected_regions(pixels > level)[1]]


def largest_box(pixels: Floats, *, threshold: float = PAPER_THRESHOLD) -> Box | None:
    """Return the box of the largest region above `threshold` times the maximum of a map [H,W].

    This is the rule of Zhou et al., CVPR 2016, section 3.1. None if nothing is above zero.
    """
    boxes = boxes_above(pixels, threshold * float(pixels.max())) if pixels.max() > 0 else []
    return boxes[0] if boxes else None


def connected_regions(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], list[tuple[int, Box]]]:
    """Find the connected regions of a mask, bool [H,W]. Pixels that touch at a corner are connected.

    Returns:
        The number of each pixel's region, int32 [H,W], 0 for the background. And each region's number and box, the
        largest region (by pixels) first.
    """
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    # Row 0 is the background. The sort is stable, so regions of equal size stay in reading order.
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")
    boxes = [Box(x, y, x + width, y + height) for x, y, width, height, _ in stats[order].tolist()]
    return np.asarray(numbers, np.int32), list(zip(order.tolist(), boxes, strict=True))


def tubes(pixels: Sequence[Floats], *, threshold: float = PAPER_THRESHOLD) -> list[Tube]:
    """Link the regions of successive maps over time, the hottest tube first.

    Args:
        pixels: T maps [H,W] of successive slices.
        threshold: regions are above this share of the maximum over all T maps.

    Returns:
        The tubes; a region continues the tube that it overlaps most, from an IoU of `LINK_IOU` on.
    """
    # One threshold for all slices: with one of its own, a slice without the object would have a region all the same.
    hottest = max(float(p.max()) for p in pixels)
    if hottest <= 0:
        return []
    total = sum(float(p[p > 0].sum()) for p in pixels)
    open_tubes: list[_OpenTube] = []
    closed: list[_OpenTube] = []
    for i, slice_pixels in enumerate(pixels):
        continued = _link(open_tubes, _hot_regions(slice_pixels, threshold * hottest), i)
        closed += [tube for tube in open_tubes if tube not in continued]
        open_tubes = continued
    finished = [Tube(tuple(t.slices), tuple(t.boxes), t.heat / total) for t in (*closed, *open_tubes)]
    return sorted(finished, key=lambda tube: -tube.score)


@dataclass(eq=False, slots=True)
class _OpenTube:
    """A tube that may still go on in the next slice."""

    slices: list[int]
    boxes: list[Box]
    heat: float

    def append(self, i: int, box: Box, heat: float) -> None:
        self.slices.append(i)
        self.boxes.append(box)
        self.heat += heat


def _link(open_tubes: Sequence[_OpenTube], regions: Sequence[tuple[Box, float]], i: int) -> list[_OpenTube]:
    """Append each region of slice `i` to the tube that it overlaps most, or begin another tube with it.

    Pairs are matched greedily by descending IoU, and each tube and each region at most once.
    """
    pairs = sorted(
        ((tube.boxes[-1].iou(box), t, r) for t, tube in enumerate(open_tubes) for r, (box, _) in enumerate(regions)),
        key=lambda pair: -pair[0],
    )
    tube_of: dict[int, int] = {}
    for iou, t, r in pairs:
        if iou >= LINK_IOU and r not in tube_of and t not in tube_of.values():
            tube_of[r] = t
    continued = []
    for r, (box, heat) in enumerate(regions):
        tube = open_tubes[tube_of[r]] if r in tube_of else _OpenTube([], [], 0.0)
        tube.append(i, box, heat)
        continued.append(tube)
    return continued


def _hot_regions(pixels: Floats, level: float) -> list[tuple[Box, float]]:
    """Return the box and the sum of the heat of each region above `level`, the largest region first."""
    numbers, regions = connected_regions(pixels > level)
    inside = np.where(numbers > 0, pixels, 0)  # −∞ of what the network did not see would spoil the background's sum
    heat = np.bincount(numbers.ravel(), weights=inside.ravel())
    return [(box, float(heat[number])) for number, box in regions]
