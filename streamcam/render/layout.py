"""Where each text of an overlay goes, in pixels: no two boxes overlap, and all lie inside the picture.

    ┌───────────────────────────┐
    │ source and time           │   the header: a caption's title and notes
    │                           │
    │                           │
    │ dog 92 %  where it sees … │   the footer: the classes that are sure, and the key to the colours.
    │           weak ▒▓█ strong │   In a narrow picture the key stands below the classes
    └───────────────────────────┘

What does not fit is left out: first the notes but for one, then all names but the first, then the title, then the key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from streamcam.errors import one_line
from streamcam.heat.localise import Box
from streamcam.render.text import cut

FONT = cv2.FONT_HERSHEY_SIMPLEX
SMALLEST_FONT = 0.3
"""OpenCV's scale below which letters cannot be read."""

MOST_COVERED = 0.6
"""The share of a picture's height that header and footer may cover."""

WEAK, STRONG = "weak", "strong"


@dataclass(frozen=True, slots=True)
class Words:
    """All that is written on an overlay."""

    header: Sequence[str] = ()
    """The lines at the top, the first in white."""
    names: Sequence[tuple[str, str]] = ()
    """The lines at the bottom left: a text that may be cut, and an end such as " 92 %" that is kept."""
    key: str | None = None
    """The line above the colours: what they show. None: no colours."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text."""

    text: str
    box: Box
    """The room that its letters take, in pixels."""
    faint: bool = False
    """Whether it is of less importance than the others."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of all that is written on a picture."""

    lines: Sequence[Line]
    shades: Sequence[Box]
    """Rectangles that are darkened, so that text is legible; all other boxes lie inside one of them."""
    colours: Box | None = None
    """The strip of colours of the key."""


NOTHING = Layout((), ())


@dataclass(frozen=True, slots=True)
class Letters:
    """The size of the letters on a picture; all gaps follow from it."""

    font: float
    """OpenCV's scale."""
    weight: int
    """OpenCV's thickness of the strokes, in pixels."""
    ascent: int
    """Pixels of a line above its baseline."""
    line: int
    """Pixels of a line, from its top to the next one's."""

    @classmethod
    def fitting(cls, height: int, width: int) -> "Letters":
        """Choose the size for a picture of [height, width] pixels.

        Letters grow with the picture, but less than it does: on a large picture small letters are legible, too.
        """
        font = max(SMALLEST_FONT, 0.38 + (min(height, width) - 240) / 1100)
        weight = max(1, round(font))
        (_, above), below = cv2.getTextSize("Åg|", FONT, font, weight)
        ascent = round(1.1 * above) + 1
        return cls(font, weight, ascent, ascent + below + 1)

    @property
    def margin(self) -> int:
        """Pixels between a text and the edge of its shade."""
        return max(2, self.line // 3)

    def width(self, text: str) -> int:
        """Return the width of a line of text in pixels."""
        (width, _), _ = cv2.getTextSize(one_line(text), FONT, self.font, self.weight)
        return int(width)

    def cut(self, text: str, room: int, end: str = "") -> str:
        """Shorten a text to a room in pixels; `end` is kept whole, unless there is no room for it either."""
        shown = cut(one_line(text), room, self.width, end=end)
        return shown if self.width(shown) <= room else ""


def arrange(height: int, width: int, words: Words) -> Layout:
    """Give everything its place on a picture of [height, width] pixels."""
    letters = Letters.fitting(height, width)
    most = round(MOST_COVERED * height)
    footer = _roomiest_footer(height, width, words, letters, most)
    header = _header(width, words.header, letters, most - _covered(footer, height))
    return Layout([*header.lines, *footer.lines], [*header.shades, *footer.shades], footer.colours)


def _roomiest_footer(height: int, width: int, words: Words, letters: Letters, most: int) -> Layout:
    """Choose the footer with the most names that leaves room for two lines at the top, or else for none."""
    two_lines = letters.margin + 2 * letters.line if words.header else 0
    counts = range(max(1, len(words.names)), 0, -1)
    tries = [(Words(names=words.names[:count], key=words.key), two_lines) for count in counts]
    tries += [(tries[-1][0], 0), (Words(names=words.names[:1]), 0)]
    footers = ((_footer(height, width, part, letters), reserved) for part, reserved in tries)
    return next((footer for footer, reserved in footers if _covered(footer, height) <= most - reserved), NOTHING)


def _covered(footer: Layout, height: int) -> int:
    """Return how many rows of the picture a footer takes."""
    return height - min((shade.y0 for shade in footer.shades), default=height)


def _header(width: int, texts: Sequence[str], letters: Letters, room: int) -> Layout:
    """Write as many lines as fit into `room` rows, from the top left on. A single one is the first note."""
    count = max(0, (room - letters.margin) // letters.line)
    shown = texts[1:2] if count == 1 and len(texts) > 1 else texts[:count]
    lines = _stack([(text, "") for text in shown], letters.margin, letters.margin // 2, width, letters)
    return _shaded([Line(line.text, line.box, faint=i > 0) for i, line in enumerate(lines)], letters)


def _footer(height: int, width: int, words: Words, letters: Letters) -> Layout:
    """Write the names at the bottom left, and the key at the bottom right or, without room there, below them."""
    margin, inside = letters.margin, width - 2 * letters.margin
    names_width = max((letters.width(name + end) for name, end in words.names), default=0)
    if words.key is None:
        return _names(height, words.names, inside, letters)
    # The colours of the key are at least as long as its two words together.
    least = 2 * letters.width(f"{WEAK}{STRONG}") + 2 * margin
    beside = inside - 3 * margin
    names_room = min(names_width, max(beside - max(least, letters.width(words.key)), beside // 2))
    if beside - names_room >= least:
        names = _names(height, words.names, names_room, letters)
        return _joined(names, _key(height, width, words.key, beside - names_room, letters))
    if inside < least:
        return _names(height, words.names, inside, letters)
    key = _key(height, width, words.key, inside, letters)
    return _joined(_names(height - _covered(key, height), words.names, inside, letters), key)


def _names(bottom: int, names: Sequence[tuple[str, str]], room: int, letters: Letters) -> Layout:
    """Write the names at the left, the last of them just above row `bottom`."""
    top = bottom - len(names) * letters.line - letters.margin // 2
    return _shaded(_stack(names, letters.margin, top, room + 2 * letters.margin, letters), letters)


def _key(height: int, width: int, text: str, room: int, letters: Letters) -> Layout:
    """Place the key at the bottom right: a line of text, and below it the colours between two words."""
    margin, line = letters.margin, letters.line
    weak, strong = letters.width(WEAK), letters.width(STRONG)
    wide = min(room, max(letters.width(text), 2 * (weak + strong) + 2 * margin))
    x0, x1 = width - margin - wide, width - margin
    top = height - margin // 2 - 2 * line
    lines = [
        Line(letters.cut(text, wide), Box(x0, top, x1, top + line)),
        Line(WEAK, Box(x0, top + line, x0 + weak, top + 2 * line)),
        Line(STRONG, Box(x1 - strong, top + line, x1, top + 2 * line)),
    ]
    middle, half = top + line + letters.ascent * 5 // 8, max(2, line // 4)
    colours = Box(x0 + weak + margin, middle - half, x1 - strong - margin, middle + half)
    shaded = _shaded(lines, letters)
    return Layout(shaded.lines, shaded.shades, colours)


def _stack(texts: Sequence[tuple[str, str]], x: int, y: int, width: int, letters: Letters) -> list[Line]:
    """Write texts one below the other, each cut to what a box `width` pixels wide has room for."""
    lines = []
    for row, (text, end) in enumerate(texts):
        shown = letters.cut(text, width - 2 * letters.margin, end)
        top = y + row * letters.line
        lines.append(Line(shown, Box(x, top, x + letters.width(shown), top + letters.line)))
    return lines


def _shaded(lines: Sequence[Line], letters: Letters) -> Layout:
    """Lay a shade around lines; those without text are left out."""
    shown = [line for line in lines if line.text]
    if not shown:
        return NOTHING
    boxes, margin = [line.box for line in shown], letters.margin
    x0, y0 = min(box.x0 for box in boxes) - margin, min(box.y0 for box in boxes) - margin // 2
    x1, y1 = max(box.x1 for box in boxes) + margin, max(box.y1 for box in boxes) + margin // 2
    return Layout(shown, [Box(x0, y0, x1, y1)])


def _joined(left: Layout, right: Layout) -> Layout:
    return Layout([*left.lines, *right.lines], [*left.shades, *right.shades], right.colours)
