"""Heat → places in the picture: maps, points, boxes, and boxes linked over time. Plain numpy, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.records import Floats, Heat, Transform

PAPER_THRESHOLD = 0.2
"""Of the maximum, where a box is cut: section 3.1 of Zhou et al., CVPR 2016."""

LINK_IOU = 0.3
"""Two boxes in successive slices that overlap by so much are one thing."""


class Box(NamedTuple):
    """A rectangle in pixels; x1 and y1 are the first that are no longer in it."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """In pixels; 0 where it is empty."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)

    def intersection(self, other: "Box") -> int:
        """The area in pixels that both cover."""
        corner = max(self.x0, other.x0), max(self.y0, other.y0)
        return Box(*corner, min(self.x1, other.x1), min(self.y1, other.y1)).area

    def iou(self, other: "Box") -> float:
        """Intersection over union, 0–1."""
        both = self.intersection(other)
        return both / max(1, self.area + other.area - both)


@dataclass(frozen=True, slots=True)
class Tube:
    """One thing, followed over successive slices."""

    slices: tuple[int, ...]
    """The slices, successive ones, that it was seen in."""
    boxes: tuple[Box, ...]
    """Where, one for each of them."""
    score: float
    """0–1: the share of all positive heat that lies in it."""


def centred_at(heat: Heat, k: int, pts_s: float) -> Floats:
    """The contrast of class `k`, float32 [h,w] in logit units, at a time.

    Between the centres of two slices it is interpolated; before the first and after the last it is held.
    """
    at = float(np.interp(pts_s, heat.pts_s, np.arange(len(heat.pts_s))))
    lower = int(at)
    upper = min(lower + 1, len(heat.pts_s) - 1)
    early, late = (heat.cube[k, i] - heat.common[i] for i in (lower, upper))
    return np.asarray(early + (at - lower) * (late - early), np.float32)


def enlarge(cells: Floats, width: int, height: int) -> Floats:
    """Heat cells [h,w] → float32 [height,width], bilinear.

    A cell's value lies on the centre of the cell, as with `align_corners=False`.
    """
    return np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def on_picture(cells: Floats, transform: Transform, *, width: int, height: int) -> Floats:
    """Heat cells [h,w] → a value for each pixel, float32 [height,width]; −∞ where the network did not look."""
    x0, y0, x1, y1 = transform.to_pixels(height, width)
    whole = np.full((height, width), -np.inf, np.float32)
    whole[y0:y1, x0:x1] = enlarge(cells, x1 - x0, y1 - y0)
    return whole


def peak(pixels: Floats) -> tuple[int, int]:
    """(x, y) of the hottest pixel of a map [H,W]; the middle one, where several in a row are equally hot."""
    ys, xs = np.nonzero(pixels == pixels.max())
    return int(xs[len(xs) // 2]), int(ys[len(ys) // 2])


def boxes_above(pixels: Floats, level: float) -> list[Box]:
    """The box of each connected region of a map [H,W] that is above `level`; the largest region first."""
    return [box for box, _ in _regions(pixels, level)]


def largest_box(pixels: Floats, *, threshold: float = PAPER_THRESHOLD) -> Box | None:
    """The box of the largest region above `threshold` of the maximum of a map [H,W]: the paper's rule.

    None where nothing is above zero.
    """
    boxes = boxes_above(pixels, threshold * float(pixels.max())) if pixels.max() > 0 else []
    return boxes[0] if boxes else None


def tubes(pixels: Sequence[Floats], *, threshold: float = PAPER_THRESHOLD) -> list[Tube]:
    """Regions above `threshold` of the maximum of maps T × [H,W], linked over successive slices; the hottest first.

    A region goes on in the one of the next slice that it overlaps most, from an IoU of `LINK_IOU` on.
    """
    hottest = max(float(p.max()) for p in pixels)
    if hottest <= 0:
        return []
    total = sum(float(p[p > 0].sum()) for p in pixels)
    open_tubes: list[_Growing] = []
    done: list[_Growing] = []
    for i, slice_pixels in enumerate(pixels):
        regions = _regions(slice_pixels, threshold * hottest)
        followed = _follow(open_tubes, regions, i)
        done += [tube for tube in open_tubes if tube not in followed]
        open_tubes = followed
    grown = [Tube(tuple(t.slices), tuple(t.boxes), t.heat / total) for t in (*done, *open_tubes)]
    return sorted(grown, key=lambda tube: -tube.score)


@dataclass(eq=False, slots=True)
class _Growing:
    slices: list[int]
    boxes: list[Box]
    heat: float

    def add(self, i: int, box: Box, heat: float) -> None:
        self.slices.append(i)
        self.boxes.append(box)
        self.heat += heat


def _follow(open_tubes: Sequence[_Growing], regions: Sequence[tuple[Box, float]], i: int) -> list[_Growing]:
    """Give each region of slice `i` to the tube that it overlaps most, the best pairs first; or begin another tube."""
    pairs = sorted(
        ((tube.boxes[-1].iou(box), t, r) for t, tube in enumerate(open_tubes) for r, (box, _) in enumerate(regions)),
        key=lambda pair: -pair[0],
    )
    owner: dict[int, int] = {}
    for iou, t, r in pairs:
        if iou >= LINK_IOU and r not in owner and t not in owner.values():
            owner[r] = t
    followed = []
    for r, (box, heat) in enumerate(regions):
        tube = open_tubes[owner[r]] if r in owner else _Growing([], [], 0.0)
        tube.add(i, box, heat)
        followed.append(tube)
    return followed


def _regions(pixels: Floats, level: float) -> list[tuple[Box, float]]:
    """(box, sum of its heat) of each region above `level`, the largest region first."""
    above = np.asarray(pixels > level, np.uint8)
    count, numbered, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    heat = np.bincount(numbered.ravel(), weights=np.where(above, pixels, 0).ravel(), minlength=count)
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")
    return [(_box(stats[r]), float(heat[r])) for r in order]


def _box(stats: npt.NDArray[np.int32]) -> Box:
    x, y, width, height = (int(stats[i]) for i in (0, 1, 2, 3))
    return Box(x, y, x + width, y + height)
