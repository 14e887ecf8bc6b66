"""Text, boxes and the colour key on a picture, in sizes that suit a thumbnail and a 4K frame alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamcam.errors import one_line
from streamcam.heat.localise import Box
from streamcam.heat.none_of_these import NONE_OF_THESE
from streamcam.records import Floats, Heat, Image
from streamcam.render.layout import FONT, Letters, Line, Words, arrange
from streamcam.render.text import percent

COLOUR_MAP = cv2.COLORMAP_INFERNO
"""Dark to bright, so that colour-blind people, and black-and-white prints, can tell more heat from less."""

DARKEST, BRIGHTEST = 0.2, 0.86
"""The part of the colour map that is used. Beyond it lie black, which hides in shadows, and near white."""

VISIBLE, OPAQUE = 0.1, 0.4
"""The strengths of heat below which nothing is painted, and from which the paint hides most of the picture."""

FULL_SCORE = 0.5
"""The probability from which a class counts as sure: it is named, and its heat painted at full strength."""

FAINTEST = 0.1
"""The share of full strength below which heat is too faint to be explained."""

MOST_NAMES = 3

Colour = tuple[int, int, int]
"""R, G and B, 0–255."""

WHITE, GREY, SHADE, RED = (255, 255, 255), (205, 205, 210), (16, 16, 20), (230, 30, 30)
SHADE_OPACITY = 0.75


@dataclass(frozen=True, slots=True)
class Caption:
    """The text at the top left of an overlay."""

    title: str
    """The source, or what is shown of it."""
    notes: Sequence[str] = ()
    """The lines below the title: how old the picture is, and whatever is not as it should be."""


def to_colours(strength: Floats) -> Image:
    """Map float32 [H,W], 0–1, to colours, dark to bright: uint8 [H,W,3], RGB."""
    indices = (DARKEST + strength * (BRIGHTEST - DARKEST)) * 255
    bgr = cv2.applyColorMap(indices.astype(np.uint8), COLOUR_MAP)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def heat_paint() -> tuple[Image, Floats]:
    """Return the paint for 256 strengths of heat, from none to full.

    The paint turns opaque before it turns bright. So a hot place has a dark rim, which stands out from a bright
    picture, and a bright middle, which stands out from a dark one.

    Returns:
        Its colours, uint8 [256,3], RGB, and how much of the picture it hides, float32 [256], 0–1.
    """
    strength = np.linspace(0, 1, 256, dtype=np.float32)
    hidden = np.clip((strength - VISIBLE) / (OPAQUE - VISIBLE), 0, 1)
    return to_colours(strength[None])[0], np.asarray(hidden, np.float32)


def certainty(heat: Heat, k: int) -> float:
    """Return 0–1: how strongly class `k` is painted for its probability."""
    return min(1.0, float(heat.scores[k]) / FULL_SCORE)


def words(heat: Heat | None, k: int, caption: Caption) -> Words:
    """Choose what is written on an overlay that shows the heat of class `k`."""
    header = (caption.title, *caption.notes)
    if heat is None:
        return Words(header, [("no heat yet", "")])
    found = [label != NONE_OF_THESE for label in heat.labels]
    sure = [i for i in range(len(heat.labels)) if found[i] and heat.scores[i] >= FULL_SCORE]
    names = [(heat.labels[i], f" {percent(float(heat.scores[i]))}") for i in sure[:MOST_NAMES]]
    verb = "sees" if k in sure else "suspects"
    key = f"where it {verb} {heat.labels[k]}" if found[k] and certainty(heat, k) >= FAINTEST else None
    return Words(header, names or [("nothing sure", "")], key)


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
        self._letters = Letters.fitting(self._height, self._width)
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

    def write(self, text: Words) -> None:
        """Write the words of an overlay, and draw the key to its colours."""
        layout = arrange(self._height, self._width, text)
        for shade in layout.shades:
            self._shade(shade)
        for line in layout.lines:
            self._text(line)
        if layout.colours is not None:
            self._colours(layout.colours)

    def panel(self, texts: Sequence[str]) -> None:
        """Write lines of text in the middle."""
        letters, margin = self._letters, 2 * self._letters.margin
        shown = [letters.cut(text, self._width - 2 * margin) for text in texts]
        width = max(map(letters.width, shown)) + 2 * margin
        height = len(shown) * letters.line + 2 * margin
        x, y = (self._width - width) // 2, (self._height - height) // 2
        self._shade(Box(x, y, x + width, y + height))
        for row, text in enumerate(shown):
            top = y + margin + row * letters.line
            self._text(Line(text, Box(x + margin, top, x + width - margin, top + letters.line)))

    def number(self, value: int) -> None:
        """Write a number in the middle, a third of the picture high: it can be read from across a room."""
        text, weight = str(value), max(2, self._height // 40)
        font = cv2.getFontScaleFromHeight(FONT, max(1, self._height // 3), weight)
        (width, height), _ = cv2.getTextSize(text, FONT, font, weight)
        x, y, rim = (self._width - width) // 2, (self._height + height) // 2, max(1, weight // 3)
        # Drawn in the dark on all sides of itself first, it stands out from a bright picture.
        for dx, dy in ((-rim, 0), (rim, 0), (0, -rim), (0, rim)):
            cv2.putText(self._image, text, (x + dx, y + dy), FONT, font, SHADE, weight, lineType=cv2.LINE_AA)
        cv2.putText(self._image, text, (x, y), FONT, font, WHITE, weight, lineType=cv2.LINE_AA)
        corner = min(x + width + weight, self._width), min(y + weight, self._height)
        self._drawn.append(Box(max(x - weight, 0), max(y - height - weight, 0), *corner))

    def frame(self) -> None:
        """Draw a red frame along the edges, as cameras do while they record."""
        thickness = max(2, min(self._height, self._width) // 40)
        corners = (0, 0), (self._width - 1, self._height - 1)
        cv2.rectangle(self._image, *corners, RED, 2 * thickness)  # half of it lies outside
        self._drawn.append(Box(0, 0, self._width, self._height))

    def _colours(self, box: Box) -> None:
        """Draw the paint of heat from the weakest that is visible to full strength."""
        strength = np.linspace(VISIBLE, 1, box.x1 - box.x0, dtype=np.float32)
        self._image[box.y0 : box.y1, box.x0 : box.x1] = to_colours(strength[None])

    def _text(self, line: Line) -> None:
        at = line.box.x0, line.box.y0 + self._letters.ascent
        colour = GREY if line.faint else WHITE
        font, weight = self._letters.font, self._letters.weight
        cv2.putText(self._image, one_line(line.text), at, FONT, font, colour, weight, lineType=cv2.LINE_AA)

    def _shade(self, box: Box) -> None:
        """Darken a rectangle, so that text can be read on any picture."""
        # Letters reach over their boxes by a pixel or two; a margin around the shade holds those, too.
        rim = self._letters.margin
        corner = min(box.x1 + rim, self._width), min(box.y1 + rim, self._height)
        self._drawn.append(Box(max(box.x0 - rim, 0), max(box.y0 - rim, 0), *corner))
        area = self._image[max(box.y0, 0) : box.y1, max(box.x0, 0) : box.x1]
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
