"""Draw the best and the worst cases: heat, the outline of the truth, and the box that the heat gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamcam.errors import StreamcamError
from streamcam.evaluate.assess import Case, Example
from streamcam.evaluate.metrics import energy_inside, points, scaled
from streamcam.evaluate.objects import Mask
from streamcam.evaluate.report import Report
from streamcam.heat.localise import Box, boxes_above, enlarge, peak
from streamcam.records import Floats, Image
from streamcam.render.contact_sheet import Cell, grid, stack
from streamcam.render.overlay import cells_alone

COLUMNS = 6
DRAWN = "centred"
"""The method whose best and worst cases are drawn."""

LEGEND = "the truth in white, the heat's peak and box in cyan"

OPACITY = 0.55
"""Of the hottest heat, 0–1."""

TRUTH, FOUND, RIM = (255, 255, 255), (80, 230, 255), (16, 16, 20)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """An example, and how well the box of `DRAWN` fits it."""

    case: Case
    example: Example
    iou: float


def draw_sheet(report: Report) -> Image:
    """Draw three rows: the best fits of a box, the worst ones, and one example by every method.

    A row has one example of each case.

    Returns:
        uint8 [H,W,3].

    Raises:
        StreamcamError: the truth of the data set has no places.
    """
    thresholds = report.thresholds
    shown = sorted(
        (_Shown(case, e, _iou(e, DRAWN, thresholds[DRAWN])) for case in report.cases for e in case.examples),
        key=_sort_key,
    )
    if not shown:
        raise StreamcamError("nothing to draw: the truth of these clips says nothing about places")
    worst, best = _one_per_case(shown), _one_per_case(shown[::-1])
    middle = shown[len(shown) // 2]
    rows = {
        f"Best, by {DRAWN}: {LEGEND}": [_cell(example, DRAWN, thresholds) for example in best],
        f"Worst, by {DRAWN}": [_cell(example, DRAWN, thresholds) for example in worst],
        "One example, by every method": [_cell(middle, name, thresholds, title=name) for name in report.methods],
    }
    return stack([grid(cells, title=title, columns=COLUMNS, height=170) for title, cells in rows.items()])


def _sort_key(shown: _Shown) -> tuple[float, str, float]:
    """Sort by fit; names and times decide ties, so that two runs draw the same sheet."""
    return shown.iou, shown.case.clip, shown.example.pts_s


def _one_per_case(examples: Sequence[_Shown]) -> list[_Shown]:
    """Keep the first example of each case, up to `COLUMNS` of them."""
    chosen: dict[tuple[str, str], _Shown] = {}
    for shown in examples:
        chosen.setdefault((shown.case.clip, shown.case.label), shown)
    return list(chosen.values())[:COLUMNS]


def _iou(example: Example, name: str, threshold: float) -> float:
    """Return the IoU of a method's box with the true box that it fits best; 0 if there is no box."""
    box = _box(example.maps[name], threshold)
    return max((box.iou(true) for true in example.boxes), default=0.0) if box is not None else 0.0


def _box(pixels: Floats, threshold: float) -> Box | None:
    """Return the box of the largest region above a threshold, of the map scaled to 0–1."""
    boxes = boxes_above(scaled(pixels), threshold)
    return boxes[0] if boxes else None


def _cell(shown: _Shown, name: str, thresholds: Mapping[str, float], *, title: str | None = None) -> Cell:
    example, case = shown.example, shown.case
    pixels = example.maps[name]
    hit = "on it" if points(pixels, example.mask) else "off"
    iou = _iou(example, name, thresholds[name])
    label = case.label, f", {example.pts_s:.1f} s"
    lines = (
        title or label,
        case.clip if title is None else label,
        f"peak {hit}, energy {energy_inside(pixels, example.mask):.2f}, box IoU {iou:.2f}",
    )
    return Cell(_drawn(example, pixels, thresholds[name]), lines)


def _drawn(example: Example, pixels: Floats, threshold: float) -> Image:
    """Paint heat over the picture, outline the truth in white, and mark the box and the peak in cyan.

    Heat is at full strength where this map is hottest: the sheet asks where heat lies, not how strong it is.
    """
    height, width = example.image.shape[:2]
    hottest = max(float(pixels.max()), 1e-6)
    heat = enlarge(np.asarray(np.maximum(pixels, 0) / hottest, np.float32), width, height)
    alpha = np.clip(heat, 0, 1) * np.float32(OPACITY)
    colours = cells_alone(heat, scale=1.0, width=width, height=height)
    image = np.asarray(cv2.blendLinear(colours, example.image, alpha, 1 - alpha), np.uint8)
    _outline_truth(image, example.mask)
    box = _box(pixels, threshold)
    if box is not None:
        # The picture is twice as large as the grid of the maps.
        corners = (2 * box.x0, 2 * box.y0), (2 * box.x1 - 1, 2 * box.y1 - 1)
        cv2.rectangle(image, *corners, RIM, 4)
        cv2.rectangle(image, *corners, FOUND, 2)
    x, y = peak(pixels)
    cv2.drawMarker(image, (2 * x, 2 * y), RIM, cv2.MARKER_CROSS, 16, 4)
    cv2.drawMarker(image, (2 * x, 2 * y), FOUND, cv2.MARKER_CROSS, 14, 2)
    return image


def _outline_truth(image: Image, mask: Mask) -> None:
    """Outline a mask, enlarged to the picture, in white with a dark rim."""
    large = cv2.resize(mask.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, RIM, 4)
    cv2.drawContours(image, outlines, -1, TRUTH, 2)
