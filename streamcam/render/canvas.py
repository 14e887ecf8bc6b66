"""Text, bars and legends on a picture, in sizes that suit a thumbnail and a 4K frame alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamcam.errors import one_line
from streamcam.heat.localise import Box
from streamcam.records import Floats, Heat, Image
from streamcam.render.text import cut

COLOUR_MAP = cv2.COLORMAP_INFERNO
"""Dark to bright, so that colour-blind people, and black-and-white prints, can tell more heat from less."""

Colour = tuple[int, int, int]
"""R, G and B, 0–255."""

WHITE, GREY, SHADE = (255, 255, 255), (170, 170, 170), (16, 16, 20)
BAR, PAINTED_BAR = (70, 70, 82), (181, 66, 50)
SHADE_OPACITY = 0.6
MAX_BARS = 5
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Caption:
    """The text at the top left of an overlay."""

    title: str
    """The source and, after two spaces, its time or rate. Only the source is cut where the title is too long."""
    notes: Sequence[str] = ()
    """The lines below the title: the age of the heat, latency, drops."""


def to_colours(strength: Floats) -> Image:
    """Map float32 [H,W], 0–1, to the colours of `COLOUR_MAP`: uint8 [H,W,3], RGB."""
    return _look_up((strength * 255).astype(np.uint8))


def _look_up(indices: Image) -> Image:
    """Map uint8 [H,W] to the 256 colours of `COLOUR_MAP`."""
    bgr = cv2.applyColorMap(indices, COLOUR_MAP)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def outline(image: Image, box: Box) -> None:
    """Draw a box on a picture: white with a dark rim, so that it stands out from any background."""
    thickness = max(1, round(min(image.shape[:2]) / 300))
    corners = (box.x0, box.y0), (box.x1 - 1, box.y1 - 1)
    cv2.rectangle(image, *corners, SHADE, thickness + 2)
    cv2.rectangle(image, *corners, WHITE, thickness)


class Canvas:
    """A picture to draw on, with text and gaps in proportion to its size."""

    def __init__(self, image: Image) -> None:
        """Take the picture, uint8 [H,W,3], RGB; it is drawn on in place."""
        self._image = image
        self._height, self._width = image.shape[:2]
        # OpenCV's scale of the letters; all other sizes, in pixels, follow from it.
        self._font = max(0.3, min(self._height, self._width) / 850)
        self._line = round(34 * self._font)
        self._margin = round(14 * self._font)
        self._weight = 2 if self._font > 1.2 else 1
        self._legend_width = round(200 * self._font) + 2 * self._margin
        self._drawn: list[Box] = []

    @property
    def drawn(self) -> list[Box]:
        """Boxes that hold everything drawn so far; no two of them overlap."""
        return _merge_overlapping(self._drawn)

    def box(self, box: Box) -> None:
        """Draw the outline of a box."""
        outline(self._image, box)
        # The outline may run through the whole picture: one patch is simpler than one for each of its sides.
        self._drawn.append(Box(0, 0, self._width, self._height))

    def caption(self, caption: Caption) -> None:
        """Write a title and notes at the top left."""
        room = self._width - 2 * self._margin
        name, separator, rest = caption.title.partition("  ")
        lines = [self._cut(name, room, separator + rest), *(self._cut(note, room) for note in caption.notes)]
        self._shade(0, 0, max(map(self._text_width, lines)) + 2 * self._margin, len(lines) * self._line + self._margin)
        for i, line in enumerate(lines):
            self._text(line, self._margin, (i + 1) * self._line, GREY if i else WHITE)

    def panel(self, lines: Sequence[str]) -> None:
        """Write lines of text in the middle."""
        lines = [self._cut(line, self._width - 4 * self._margin) for line in lines]
        width = max(map(self._text_width, lines)) + 4 * self._margin
        height = len(lines) * self._line + 2 * self._margin
        x, y = (self._width - width) // 2, (self._height - height) // 2
        self._shade(x, y, width, height)
        for i, line in enumerate(lines):
            self._text(line, x + 2 * self._margin, y + self._margin + (i + 1) * self._line)

    def bars(self, heat: Heat, k: int) -> None:
        """Draw the probabilities of the strongest classes as bars at the bottom left; class `k` has its own colour."""
        count = min(len(heat.labels), MAX_BARS, max(1, (self._height // 2) // self._line))
        # Class k gets the last bar where it is not among the strongest: its heat is what the picture shows.
        shown = list(range(count)) if k < count else [*range(count - 1), k]
        min_width, score_width = round(170 * self._font), self._text_width("100 %")
        room = max(min_width, self._width - self._legend_width - score_width - 3 * self._margin)
        names = [self._cut(heat.labels[i], room) for i in shown]
        width = max(min_width, *map(self._text_width, names)) + score_width + 3 * self._margin
        top = self._height - count * self._line - self._margin
        self._shade(0, top, width, self._height - top)
        for row, (i, name) in enumerate(zip(shown, names, strict=True)):
            self._bar(name, float(heat.scores[i]), top + row * self._line, width, PAINTED_BAR if i == k else BAR)

    def _bar(self, name: str, score: float, y: int, width: int, colour: Colour) -> None:
        length = round(score * (width - 2 * self._margin))
        self._fill(self._margin, y + self._margin // 2, length, round(self._line * 0.85), colour)
        self._text(name, self._margin + 4, y + self._line)
        percent = f"{score * 100:.0f} %"
        self._text(percent, width - self._margin - self._text_width(percent), y + self._line)

    def legend(self, scale: float) -> None:
        """Draw the colour map at the bottom right, with the heat in logits that its bright end stands for."""
        width, height = self._legend_width - 2 * self._margin, max(4, round(12 * self._font))
        x = self._width - width - self._margin
        y = self._height - self._line - height - self._margin
        self._shade(x - self._margin, y - self._margin, width + 2 * self._margin, self._height - y + self._margin)
        if x >= 0 and y >= 0:
            ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
            self._image[y : y + height, x : x + width] = _look_up(ramp)
        peak = f"+{scale:.3g}"
        self._text("heat, logits", x, y + height + self._line)
        self._text(peak, x + width - self._text_width(peak), y + height + self._line)

    def _text(self, text: str, x: int, y: int, colour: Colour = WHITE) -> None:
        """Write one line of text whose line box ends at `y`."""
        baseline = y - self._line // 5
        cv2.putText(
            self._image,
            one_line(text),
            (x, baseline),
            FONT,
            self._font,
            colour,
            self._weight,
            lineType=cv2.LINE_AA,
        )

    def _cut(self, text: str, width: int, end: str = "") -> str:
        return cut(text, width, self._text_width, end=end)

    def _text_width(self, text: str) -> int:
        (width, _), _ = cv2.getTextSize(one_line(text), FONT, self._font, self._weight)
        return int(width)

    def _fill(self, x: int, y: int, width: int, height: int, colour: Colour) -> None:
        cv2.rectangle(self._image, (x, y), (x + max(width, 1), y + height), colour, cv2.FILLED)

    def _shade(self, x: int, y: int, width: int, height: int) -> None:
        """Darken a rectangle, so that text can be read on any picture."""
        x1, y1 = x + width, y + height
        # Letters reach over the shade's edges by a few pixels; a margin around it holds those, too.
        rim = self._margin
        corner = min(x1 + rim, self._width), min(y1 + rim, self._height)
        self._drawn.append(Box(max(x - rim, 0), max(y - rim, 0), *corner))
        area = self._image[max(y, 0) : y1, max(x, 0) : x1]
        if area.size:
            shade = np.full_like(area, SHADE)
            area[:] = cv2.addWeighted(area, 1 - SHADE_OPACITY, shade, SHADE_OPACITY, 0)


def _merge_overlapping(boxes: Sequence[Box]) -> list[Box]:
    """Replace boxes that overlap by one box around them, until no two overlap."""
    merged: list[Box] = []
    for box in boxes:
        # A larger box may overlap others that the smaller one did not: so look again after each merge.
        while other := next((other for other in merged if other.intersection(box)), None):
            merged.remove(other)
            box = Box(*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:]))
        merged.append(box)
    return merged
