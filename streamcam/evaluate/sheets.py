"""The best and the worst cases as a picture: heat, the outline of the truth, and the box that the heat gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamcam.errors import StreamcamError
from streamcam.evaluate.assess import Case, Example
from streamcam.evaluate.metrics import energy_inside, points, scaled
from streamcam.evaluate.report import Report
from streamcam.evaluate.truth import Mask
from streamcam.heat.localise import Box, boxes_above, enlarge, peak
from streamcam.records import Floats, Image
from streamcam.render.contact_sheet import Cell, grid, stack
from streamcam.render.overlay import cells_alone

COLUMNS = 6
DRAWN = "contrast"
"""Whose heat is shown of the best and the worst cases."""

LEGEND = "the truth in white, the heat's peak and box in cyan"

OPACITY = 0.55
TRUTH, FOUND, RIM = (255, 255, 255), (80, 230, 255), (16, 16, 20)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """An example, and how well the box of one contender fits it."""

    case: Case
    example: Example
    iou: float


def sheet(report: Report) -> Image:
    """The moments at which the box fits best and worst, a case each; and one moment by every contender.

    Raises:
        StreamcamError: the set has no truth about places.
    """
    cut = report.thresholds[DRAWN]
    found = sorted((_Shown(case, e, _iou(e, DRAWN, cut)) for case in report.cases for e in case.examples), key=_rank)
    if not found:
        raise StreamcamError("nothing to draw: the truth of these clips says nothing about places")
    worst, best = _one_a_case(found), _one_a_case(found[::-1])
    middle = found[len(found) // 2]
    cells = [_cell(middle, name, report.thresholds, title=name) for name in report.methods]
    many = {"columns": COLUMNS, "height": 170}
    return stack(
        [
            grid([_cell(s, DRAWN, report.thresholds) for s in best], title=f"Best, by {DRAWN}: {LEGEND}", **many),
            grid([_cell(s, DRAWN, report.thresholds) for s in worst], title=f"Worst, by {DRAWN}", **many),
            grid(cells, title="One moment, by every contender", **many),
        ]
    )


def _rank(shown: _Shown) -> tuple[float, str, float]:
    return shown.iou, shown.case.clip, shown.example.pts_s


def _one_a_case(found: Sequence[_Shown]) -> list[_Shown]:
    """The first of each case, as many as there are columns."""
    chosen: dict[tuple[str, str], _Shown] = {}
    for shown in found:
        chosen.setdefault((shown.case.clip, shown.case.label), shown)
    return list(chosen.values())[:COLUMNS]


def _iou(example: Example, name: str, threshold: float) -> float:
    box = _box(example.maps[name], threshold)
    return max((box.iou(true) for true in example.boxes), default=0.0) if box is not None else 0.0


def _box(pixels: Floats, threshold: float) -> Box | None:
    """Of the largest region above the threshold that is best for the set."""
    boxes = boxes_above(scaled(pixels), threshold)
    return boxes[0] if boxes else None


def _cell(shown: _Shown, name: str, thresholds: Mapping[str, float], *, title: str | None = None) -> Cell:
    example, case = shown.example, shown.case
    pixels = example.maps[name]
    hit = "on it" if points(pixels, example.mask) else "off"
    iou = _iou(example, name, thresholds[name])
    what = case.label, f", {example.pts_s:.1f} s"
    lines = (
        title or what,
        case.clip if title is None else what,
        f"peak {hit}, energy {energy_inside(pixels, example.mask):.2f}, box IoU {iou:.2f}",
    )
    return Cell(_drawn(example, pixels, thresholds[name]), lines)


def _drawn(example: Example, pixels: Floats, threshold: float) -> Image:
    """The picture with heat (at full strength where this map is hottest), truth in white and the box in cyan."""
    height, width = example.image.shape[:2]
    hottest = max(float(pixels.max()), 1e-6)
    heat = enlarge(np.asarray(np.maximum(pixels, 0) / hottest, np.float32), width, height)
    alpha = np.clip(heat, 0, 1) * np.float32(OPACITY)
    colours = cells_alone(heat, scale=1.0, width=width, height=height)
    image = np.asarray(cv2.blendLinear(colours, example.image, alpha, 1 - alpha), np.uint8)
    _outline(image, example.mask)
    box = _box(pixels, threshold)
    if box is not None:
        corners = (2 * box.x0, 2 * box.y0), (2 * box.x1 - 1, 2 * box.y1 - 1)
        cv2.rectangle(image, *corners, RIM, 4)
        cv2.rectangle(image, *corners, FOUND, 2)
    x, y = peak(pixels)
    cv2.drawMarker(image, (2 * x, 2 * y), RIM, cv2.MARKER_CROSS, 16, 4)
    cv2.drawMarker(image, (2 * x, 2 * y), FOUND, cv2.MARKER_CROSS, 14, 2)
    return image


def _outline(image: Image, mask: Mask) -> None:
    large = cv2.resize(mask.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, RIM, 4)
    cv2.drawContours(image, outlines, -1, TRUTH, 2)
