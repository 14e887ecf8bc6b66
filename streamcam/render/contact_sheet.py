"""Contact sheets: pictures with text in rows and columns, and charts of curves over time, drawn by OpenCV."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.errors import one_line
from streamcam.records import Floats, Image
from streamcam.render.text import cut as fitting

PAPER, INK, FADED, RULE = (255, 255, 255), (28, 28, 34), (110, 110, 120), (222, 222, 228)
GAP = 12
"""Pixels between two cells, and around the sheet."""

FONT, LINE = 0.43, 18
"""OpenCV's scale of the letters, and the height of a line of text in pixels."""

LEGEND = 240
"""Pixels for the curves' names, at the right of a chart."""

PALETTE = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
"""The colours of Okabe and Ito (*Color Universal Design*, 2008), which colour-blind people can tell apart."""

CEILINGS = (0.1, 0.2, 0.5, 1.0)
"""The values that the top of a chart can have: the lowest that holds all curves is chosen."""

TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)

TITLE_FONT, TITLE_LINE = 0.62, 30


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A picture with lines of text below it."""

    image: Image
    """uint8 [H,W,3], RGB, of any size."""
    lines: Sequence[str | tuple[str, str]] = ()
    """The first line is dark, the others are fainter. A line that is too long is cut at its end; of a pair, only the
    first text is cut."""


def grid(cells: Sequence[Cell], *, columns: int, width: int = 240, height: int | None = None, title: str = "") -> Image:
    """Arrange pictures in rows of `columns`, each with its lines below it: uint8 [H,W,3], RGB, on white.

    Args:
        cells: at least one, in reading order.
        columns: the number of pictures in a row.
        width: the width of a cell in pixels; whole pictures are fitted into it.
        height: the height of a picture in pixels; by default that of the first picture at this width.
        title: a line above the first row.

    Raises:
        ValueError: there are no cells, or no columns.
    """
    if not cells or columns < 1:
        raise ValueError(f"expected at least one cell and one column, got {len(cells)} and {columns}")
    if height is None:
        height = max(1, round(width * cells[0].image.shape[0] / cells[0].image.shape[1]))
    below = max(len(cell.lines) for cell in cells) * LINE
    above = TITLE_LINE if title else 0
    rows = -(-len(cells) // columns)
    step_x, step_y = width + GAP, height + below + GAP
    sheet = blank(columns * step_x + GAP, above + rows * step_y + GAP)
    write(sheet, title, GAP, GAP + TITLE_LINE * 2 // 3, width=sheet.shape[1] - 2 * GAP, font=TITLE_FONT)
    for i, cell in enumerate(cells):
        x, y = GAP + i % columns * step_x, above + GAP + i // columns * step_y
        sheet[y : y + height, x : x + width] = fit(cell.image, width, height)
        for row, line in enumerate(cell.lines, start=1):
            text, end = (line, "") if isinstance(line, str) else line
            at, colour = y + height + row * LINE - 4, FADED if row > 1 else INK
            write(sheet, text, x, at, width=width, end=end, colour=colour)
    return sheet


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Values over time."""

    label: str
    values: Floats
    """float32 [T], 0–1."""


def chart(times_s: npt.NDArray[np.float64], curves: Sequence[Curve], *, width: int, height: int = 230) -> Image:
    """Draw curves over time, with their names at the right: uint8 [height,width,3], RGB.

    Args:
        times_s: float64 [T], in seconds, ascending.
        curves: at most as many as there are colours in `PALETTE`, the most important first: it is drawn on top.
        width: the width in pixels, names included.
        height: the height in pixels.
    """
    sheet = blank(width, height)
    highest = max((float(curve.values.max()) for curve in curves), default=1.0)
    axes = _Axes(
        begin_s=float(times_s[0]),
        span_s=max(float(times_s[-1] - times_s[0]), 1e-9),
        ceiling=next((c for c in CEILINGS if c >= highest - 1e-6), 1.0),
        area=(GAP + 44, GAP + 4, width - LEGEND, height - GAP - LINE),
    )
    axes.draw(sheet)
    for i in reversed(range(len(curves))):
        line = np.stack([axes.x(times_s), axes.y(curves[i].values)], axis=1)
        fine = np.round(line * 16).astype(np.int32)  # fixed point with 4 bits of fraction (`shift`): a smooth line
        cv2.polylines(sheet, [fine], False, PALETTE[i], 2, lineType=cv2.LINE_AA, shift=4)
    for i, curve in enumerate(curves):
        x, y = width - LEGEND + GAP, GAP + 4 + LINE // 2 + i * (LINE + 4)
        cv2.line(sheet, (x, y), (x + 18, y), PALETTE[i], 3, lineType=cv2.LINE_AA)
        write(sheet, curve.label, x + 26, y + 5, width=LEGEND - 2 * GAP - 26)
    return sheet


@dataclass(frozen=True, slots=True)
class _Axes:
    """The axes of a chart, and where values lie in pixels."""

    begin_s: float
    span_s: float
    ceiling: float
    area: tuple[int, int, int, int]
    """Left, top, right and bottom in pixels."""

    def x(self, times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        left, _, right, _ = self.area
        return np.asarray(left + (times_s - self.begin_s) / self.span_s * (right - left))

    def y(self, values: Floats) -> npt.NDArray[np.float64]:
        _, top, _, bottom = self.area
        return np.asarray(bottom - values.astype(np.float64) / self.ceiling * (bottom - top))

    def draw(self, sheet: Image) -> None:
        """Draw lines at 0, half and the full value, and times below them."""
        left, top, right, bottom = self.area
        for share in (0.0, 0.5, 1.0):
            y = round(bottom - share * (bottom - top))
            cv2.line(sheet, (left, y), (right, y), RULE, 1)
            write(sheet, f"{share * self.ceiling * 100:.0f} %", GAP, y + 5, width=44, colour=FADED)
        ticks_s = _ticks(self.begin_s, self.begin_s + self.span_s)
        for tick_s, at in zip(ticks_s, self.x(np.array(ticks_s)), strict=True):
            x = round(float(at))
            cv2.line(sheet, (x, bottom), (x, bottom + 4), FADED, 1)
            write(sheet, clock(tick_s), x - text_width(clock(tick_s)) // 2, bottom + LINE, width=80, colour=FADED)


def _ticks(begin_s: float, end_s: float) -> list[float]:
    """Return round times between two, in seconds: about eight of them, or up to ten."""
    step_s = next((s for s in TICKS_S if (end_s - begin_s) / s <= 10), TICKS_S[-1])
    return [i * step_s for i in range(math.ceil(begin_s / step_s - 1e-6), math.floor(end_s / step_s + 1e-6) + 1)]


def clock(time_s: float) -> str:
    """Format a time as players show it, with hundredths where it has some: 0:07, 0:00.50, 1:02:03."""
    minutes, seconds = divmod(round(time_s, 2), 60)
    shown = f"{seconds:05.2f}" if seconds % 1 else f"{seconds:02.0f}"
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{shown}" if hours else f"{minutes}:{shown}"


def blank(width: int, height: int) -> Image:
    """Return an empty white sheet, uint8 [height,width,3]."""
    return np.full((height, width, 3), PAPER, np.uint8)


def fit(image: Image, width: int, height: int) -> Image:
    """Scale a picture to fit into uint8 [height,width,3], whole and centred on white."""
    factor = min(width / image.shape[1], height / image.shape[0])
    w, h = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    fitted = blank(width, height)
    x, y = (width - w) // 2, (height - h) // 2
    fitted[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=how)
    return fitted


def stack(images: Sequence[Image]) -> Image:
    """Put pictures one below the other, at the left edge, on a sheet as wide as the widest."""
    sheet = blank(max(image.shape[1] for image in images), sum(image.shape[0] for image in images))
    y = 0
    for image in images:
        height, width = image.shape[:2]
        sheet[y : y + height, :width] = image
        y += height
    return sheet


def write(
    sheet: Image,
    text: str,
    x: int,
    y: int,
    *,
    width: int,
    end: str = "",
    font: float = FONT,
    colour: tuple[int, int, int] = INK,
) -> None:
    """Write a line of text and `end` whose baseline starts at (x, y); cut the text to fit both into `width` pixels."""
    shown = cut(one_line(text), width, end=end, font=font)
    cv2.putText(sheet, shown, (x, y), cv2.FONT_HERSHEY_SIMPLEX, font, colour, 1, lineType=cv2.LINE_AA)


def cut(text: str, width: int, *, end: str = "", font: float = FONT) -> str:
    """Return as much of a text as fits into `width` pixels before `end`, and `end`."""
    return fitting(text, width, lambda shown: text_width(shown, font=font), end=end)


def text_width(text: str, *, font: float = FONT) -> int:
    """Return the width of a line of text, in pixels."""
    (width, _), _ = cv2.getTextSize(one_line(text), cv2.FONT_HERSHEY_SIMPLEX, font, 1)
    return int(width)
