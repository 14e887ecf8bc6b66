"""Results → pictures. The only place where heat is scaled to colours.

Heat is drawn by an absolute scale, in logit units, and faded with the class's probability: scaling each window by its
own minimum and maximum would flicker, and paint something hot even when nothing is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamcam.errors import one_line
from streamcam.heat.localise import Box, centred_at, enlarge
from streamcam.records import Floats, Heat, Image, Patch, Picture, Result
from streamcam.render.text import cut

COLOUR_MAP = cv2.COLORMAP_INFERNO
"""Dark to bright, so that colour-blind people, and black-and-white prints, can tell more heat from less."""

FULL_SCORE = 0.5
"""The probability from which a class is painted at full strength."""

WHITE, GREY, SHADE = (255, 255, 255), (170, 170, 170), (16, 16, 20)


class RunningScale:
    """A slow scale for models that carry none: the peak contrast lately seen, per source, in logit units."""

    def __init__(self, half_life: int = 200) -> None:
        self._keep = 0.5 ** (1 / half_life)
        self._peaks: dict[str, float] = {}

    def update(self, source: str, heat: Heat) -> float:
        """Take in a window; what is painted at full strength now. It rises at once and falls slowly."""
        peak = float(np.quantile(heat.centred, 0.99)) if heat.centred.size else 0.0
        self._peaks[source] = max(peak, self._peaks.get(source, 0.0) * self._keep, 1e-6)
        return self._peaks[source]


def paint(
    image: Image, heat: Heat, *, k: int, pts_s: float, scale: float, opacity: float = 0.6, fade: bool = True
) -> Image:
    """A picture with the heat of class `k` at time `pts_s` over it; only where the network saw the picture.

    Args:
        image: uint8 [H,W,3], RGB; it is not changed.
        heat: what to paint.
        k: which of the heat's classes, 0 to K − 1.
        pts_s: the time of the picture, in seconds.
        scale: the contrast, in logit units, that is painted at full strength.
        opacity: 0–1, how much of the picture full strength hides.
        fade: paint an improbable class faintly; otherwise as if the network were sure of it.
    """
    x0, y0, x1, y1 = heat.transform.to_pixels(*image.shape[:2])
    region = image[y0:y1, x0:x1]
    strength = np.clip(enlarge(centred_at(heat, k, pts_s), x1 - x0, y1 - y0) / scale, 0.0, 1.0)
    colour = _coloured(strength)
    alpha = strength * (opacity * _certainty(heat, k) if fade else opacity)
    painted = image.copy()
    painted[y0:y1, x0:x1] = cv2.blendLinear(colour, np.ascontiguousarray(region), alpha, 1 - alpha)
    return painted


def _certainty(heat: Heat, k: int) -> float:
    """0–1: how strongly a class is painted for its probability."""
    return min(1.0, float(heat.scores[k]) / FULL_SCORE)


def cells_alone(cells: Floats, *, scale: float, width: int, height: int) -> Image:
    """Heat cells [h,w] as they are, each a rectangle of its colour, without a picture: uint8 [height,width,3]."""
    squares = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    return _coloured(np.clip(squares / scale, 0.0, 1.0))


def _coloured(strength: Floats) -> Image:
    """0–1 [H,W] → colours, uint8 [H,W,3]."""
    painted = cv2.applyColorMap((strength * 255).astype(np.uint8), COLOUR_MAP)
    return np.asarray(cv2.cvtColor(painted, cv2.COLOR_BGR2RGB), np.uint8)


def outline(image: Image, box: Box) -> None:
    """Draw a box on a picture: white with a dark rim, so that it can be seen on anything."""
    thickness = max(1, round(min(image.shape[:2]) / 300))
    corners = (box.x0, box.y0), (box.x1 - 1, box.y1 - 1)
    cv2.rectangle(image, *corners, SHADE, thickness + 2)
    cv2.rectangle(image, *corners, WHITE, thickness)


@dataclass(frozen=True, slots=True)
class Caption:
    """What is written on an overlay besides the classes."""

    title: str
    """Top left: the source, which is cut where it is too long, and after two spaces its time or rate."""
    notes: Sequence[str] = ()
    """Below it: the age of the heat, latency, drops."""


def overlay(
    result: Result,
    *,
    scale: float,
    k: int = 0,
    opacity: float = 0.6,
    caption: Caption | None = None,
    box: Box | None = None,
) -> Picture:
    """The whole overlay: frame, heat of class `k`, a box, the top classes as bars, the scale's legend, a caption.

    It is painted where the frame's picture lies. Text is drawn by the host in either case: for a card on black and on
    white, which says of each pixel how much of the picture shines through, and what is added.
    """
    picture, heat, pts_s = result.frame.picture, result.heat, result.frame.pts_s
    caption = caption or Caption(f"{result.frame.source}  {pts_s:.2f} s")
    if isinstance(picture, np.ndarray):
        painted = picture.copy()
        if heat is not None:
            painted = paint(picture, heat, k=k, pts_s=pts_s, scale=scale, opacity=opacity)
        _draw(painted, heat, scale=scale, k=k, caption=caption, box=box)
        return painted
    height, width = picture.shape[:2]
    if heat is not None:
        picture = picture.heated(
            centred_at(heat, k, pts_s),
            heat.transform.to_pixels(height, width),
            scale=scale,
            opacity=opacity * _certainty(heat, k),
            colours=_coloured(np.linspace(0, 1, 256, dtype=np.float32)[None])[0],
        )
    black, white = np.zeros((height, width, 3), np.uint8), np.full((height, width, 3), 255, np.uint8)
    for ground in (black, white):
        touched = _draw(ground, heat, scale=scale, k=k, caption=caption, box=box)
    patches = []
    for x0, y0, x1, y1 in touched:
        colours = black[y0:y1, x0:x1]
        patches.append(Patch(x0, y0, colours, white[y0:y1, x0:x1, 0] - colours[:, :, 0]))
    return picture.with_patches(patches)


def _draw(image: Image, heat: Heat | None, *, scale: float, k: int, caption: Caption, box: Box | None) -> Sequence[Box]:
    """Draw what stands on an overlay besides the heat → rectangles, which do not overlap, that hold all of it."""
    canvas = _Canvas(image)
    if box is not None:
        outline(image, box)
    canvas.caption(caption)
    if heat is not None:
        canvas.bars(heat, k)
        canvas.legend(scale)
    whole = Box(0, 0, image.shape[1], image.shape[0])
    return _apart(canvas.touched) if box is None else [whole]


def _apart(boxes: Sequence[Box]) -> Sequence[Box]:
    """Boxes over the same area, where those that overlap are one."""
    apart: list[Box] = []
    for box in boxes:
        while other := next((other for other in apart if other.intersection(box)), None):
            apart.remove(other)
            box = Box(*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:]))
        apart.append(box)
    return apart


def panel(image: Image, lines: Sequence[str]) -> Image:
    """A picture with lines of text in a dark box in its middle; the picture is not changed."""
    painted = image.copy()
    _Canvas(painted).panel(lines)
    return painted


class Painter:
    """Paints results one after the other, by the model's scale or a running one; a result is painted only once."""

    def __init__(self, caption: Callable[[Result], Caption] | None = None, *, opacity: float = 0.6) -> None:
        self._caption, self._opacity = caption, opacity
        self._running = RunningScale()
        self._scales: dict[str, tuple[Heat, float]] = {}
        self._painted: tuple[Result, Picture] | None = None

    def overlay(self, result: Result, *, k: int = 0, box: Box | None = None) -> Picture:
        """The overlay of a result with class `k`, by default the strongest, uint8 [H,W,3], where its frame lies.

        The same array for the same result.
        """
        if self._painted is None or self._painted[0] is not result:
            scale = 1.0 if result.heat is None else self.scale(result.frame.source, result.heat, k)
            caption = self._caption(result) if self._caption else None
            picture = overlay(result, scale=scale, k=k, opacity=self._opacity, caption=caption, box=box)
            self._painted = result, picture
        return self._painted[1]

    def scale(self, source: str, heat: Heat, k: int = 0) -> float:
        """The contrast of class `k`, in logit units, that is painted at full strength."""
        if heat.scale is not None:
            return float(heat.scale[k])
        known = self._scales.get(source)
        if known is None or known[0] is not heat:
            known = self._scales[source] = heat, self._running.update(source, heat)
        return known[1]


class _Canvas:
    """A picture with sizes in units of its own height, so that the text suits a thumbnail and a 4K frame."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._height, self._width = image.shape[:2]
        self._font = max(0.3, min(self._height, self._width) / 850)
        self._line = round(34 * self._font)
        self._margin = round(14 * self._font)
        self._weight = 2 if self._font > 1.2 else 1
        self._legend_width = round(200 * self._font) + 2 * self._margin
        self.touched: list[Box] = []
        """What has been drawn on: all text is on shades, but for a few of its rim's pixels."""

    def caption(self, caption: Caption) -> None:
        """Title and notes, top left."""
        room = self._width - 2 * self._margin
        name, rest, more = caption.title.partition("  ")
        lines = [self._cut(name, room, rest + more), *(self._cut(note, room) for note in caption.notes)]
        self._shade(0, 0, max(map(self._text_width, lines)) + 2 * self._margin, len(lines) * self._line + self._margin)
        for i, line in enumerate(lines):
            self._text(line, self._margin, (i + 1) * self._line, GREY if i else WHITE)

    def panel(self, lines: Sequence[str]) -> None:
        """Lines of text in the middle."""
        lines = [self._cut(line, self._width - 4 * self._margin) for line in lines]
        width = max(map(self._text_width, lines)) + 4 * self._margin
        height = len(lines) * self._line + 2 * self._margin
        x, y = (self._width - width) // 2, (self._height - height) // 2
        self._shade(x, y, width, height)
        for i, line in enumerate(lines):
            self._text(line, x + 2 * self._margin, y + self._margin + (i + 1) * self._line, WHITE)

    def bars(self, heat: Heat, k: int) -> None:
        """The classes with their probabilities, bottom left; the painted one is marked."""
        rows = min(len(heat.labels), 5, max(1, (self._height // 2) // self._line))
        # The painted class is shown even where it is not among the first.
        shown = list(range(rows)) if k < rows else [*range(rows - 1), k]
        bar, number = round(170 * self._font), self._text_width("100 %")
        room = max(bar, self._width - self._legend_width - number - 3 * self._margin)
        names = [self._cut(heat.labels[i], room) for i in shown]
        width = max(bar, *map(self._text_width, names)) + number + 3 * self._margin
        top = self._height - rows * self._line - self._margin
        self._shade(0, top, width, self._height - top)
        for row, i in enumerate(shown):
            y = top + row * self._line
            length = round(float(heat.scores[i]) * (width - 2 * self._margin))
            hot = (181, 66, 50) if i == k else (70, 70, 82)
            self._box(self._margin, y + self._margin // 2, length, round(self._line * 0.85), hot)
            self._text(names[row], self._margin + 4, y + self._line, WHITE)
            score = f"{heat.scores[i] * 100:.0f} %"
            self._text(score, width - self._margin - self._text_width(score), y + self._line, WHITE)

    def legend(self, scale: float) -> None:
        """The colours and what they stand for, bottom right."""
        width, height = self._legend_width - 2 * self._margin, max(4, round(12 * self._font))
        x = self._width - width - self._margin
        y = self._height - self._line - height - self._margin
        ramp = cv2.applyColorMap(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1)), COLOUR_MAP)
        label, peak = "heat, logits", f"+{scale:.3g}"
        self._shade(x - self._margin, y - self._margin, width + 2 * self._margin, self._height - y + self._margin)
        if x >= 0 and y >= 0:
            self._image[y : y + height, x : x + width] = cv2.cvtColor(ramp, cv2.COLOR_BGR2RGB)
        self._text(label, x, y + height + self._line, WHITE)
        self._text(peak, x + width - self._text_width(peak), y + height + self._line, WHITE)

    def _text(self, text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
        at = (x, y - self._line // 5)
        cv2.putText(
            self._image,
            one_line(text),
            at,
            cv2.FONT_HERSHEY_SIMPLEX,
            self._font,
            colour,
            self._weight,
            lineType=cv2.LINE_AA,
        )

    def _cut(self, text: str, width: int, end: str = "") -> str:
        return cut(text, width, self._text_width, end=end)

    def _text_width(self, text: str) -> int:
        (width, _), _ = cv2.getTextSize(one_line(text), cv2.FONT_HERSHEY_SIMPLEX, self._font, self._weight)
        return int(width)

    def _box(self, x: int, y: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
        cv2.rectangle(self._image, (x, y), (x + max(width, 1), y + height), colour, cv2.FILLED)

    def _shade(self, x: int, y: int, width: int, height: int) -> None:
        """Darken a rectangle, so that text can be read on any picture."""
        rim, (x1, y1) = self._margin, (x + width, y + height)
        corner = min(x1 + rim, self._width), min(y1 + rim, self._height)
        self.touched.append(Box(max(x - rim, 0), max(y - rim, 0), *corner))
        area = self._image[max(y, 0) : y1, max(x, 0) : x1]
        if area.size:
            area[:] = cv2.addWeighted(area, 0.4, np.full_like(area, SHADE), 0.6, 0)
