"""Results → pictures: heat over the frame, the classes that are sure, a key to the colours, a caption.

This is the only module that maps heat to colours. It uses an absolute scale, in logit units, and paints an improbable
class faintly. A scale by each window's own minimum and maximum would flicker, and would show something hot where
there is nothing.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from streamcam.heat.localise import Box, centred_at, enlarge
from streamcam.records import Floats, GpuImage, Heat, Image, Patch, Picture, Result
from streamcam.render.canvas import Canvas, Caption, certainty, heat_paint, to_colours, words


class RunningScale:
    """A scale for models that have none of their own: for each source, the peak of its recent centred heat."""

    def __init__(self, half_life: int = 200) -> None:
        """Start without any source; a peak falls to half of its value in `half_life` windows."""
        self._decay = 0.5 ** (1 / half_life)
        self._peaks: dict[str, float] = {}

    def update(self, source: str, heat: Heat) -> float:
        """Add a window and return the source's scale, in logit units. It rises at once and falls slowly."""
        peak = float(np.quantile(heat.centred, 0.99)) if heat.centred.size else 0.0
        self._peaks[source] = max(peak, self._peaks.get(source, 0.0) * self._decay, 1e-6)
        return self._peaks[source]


def paint(
    image: Image, heat: Heat, *, k: int, pts_s: float, scale: float, opacity: float = 0.6, fade: bool = True
) -> Image:
    """Return a copy of a picture with the heat of class `k` at time `pts_s` over what the network saw of it.

    Args:
        image: uint8 [H,W,3], RGB.
        heat: the heat to paint.
        k: the class, as its position among the heat's classes, 0 to K − 1.
        pts_s: the time of the picture, in seconds.
        scale: the centred heat, in logit units, that is painted at full strength.
        opacity: 0–1, how much of the picture full strength hides.
        fade: whether to paint an improbable class faintly; if not, every class is painted as a certain one.
    """
    x0, y0, x1, y1 = heat.transform.to_pixels(*image.shape[:2])
    strength = np.clip(enlarge(centred_at(heat, k, pts_s), x1 - x0, y1 - y0) / scale, 0.0, 1.0)
    indices = (strength * 255).astype(np.uint8)
    colours, hidden = heat_paint()
    alpha = cv2.LUT(indices, hidden * np.float32(opacity * certainty(heat, k) if fade else opacity))
    colour = cv2.LUT(cv2.merge([indices] * 3), colours[None])
    painted = image.copy()
    # blendLinear weighs both pictures per pixel in one pass; it takes contiguous arrays only.
    region = np.ascontiguousarray(image[y0:y1, x0:x1])
    painted[y0:y1, x0:x1] = cv2.blendLinear(colour, region, alpha, 1 - alpha)
    return painted


def cells_alone(cells: Floats, *, scale: float, width: int, height: int) -> Image:
    """Paint heat cells [h,w] without a picture, each as a rectangle of one colour: uint8 [height,width,3], RGB."""
    squares = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    return to_colours(np.clip(squares / scale, 0.0, 1.0))


def overlay(
    result: Result,
    *,
    scale: float,
    k: int = 0,
    opacity: float = 0.6,
    caption: Caption | None = None,
    box: Box | None = None,
) -> Picture:
    """Draw the whole overlay: frame, heat of class `k`, box, the classes that are sure, the key, the caption.

    Heat is painted where the frame's picture lies, on the host or on its GPU. The host draws the text in both cases: a
    GPU image is given it as patches, so that only those cross the bus.
    """
    picture, heat, pts_s = result.frame.picture, result.heat, result.frame.pts_s
    caption = caption or Caption(f"{result.frame.source}  {pts_s:.2f} s")
    if isinstance(picture, np.ndarray):
        painted = picture.copy()
        if heat is not None:
            painted = paint(picture, heat, k=k, pts_s=pts_s, scale=scale, opacity=opacity)
        _annotate(painted, heat, k=k, caption=caption, box=box)
        return painted
    if heat is not None:
        picture = _paint_on_gpu(picture, heat, k=k, pts_s=pts_s, scale=scale, opacity=opacity)
    # Triangulation matting (Smith and Blinn, *Blue Screen Matting*, SIGGRAPH 1996). Drawn on black, a pixel is the
    # drawing's premultiplied colour. What white adds to it is how much of the picture shines through. One layer of
    # RGBA would not do: OpenCV 5 writes a letter's coverage over the alpha below it, where it should blend the two.
    black = np.zeros(picture.shape, np.uint8)
    white = np.full(picture.shape, 255, np.uint8)
    for ground in (black, white):
        drawn = _annotate(ground, heat, k=k, caption=caption, box=box)
    return picture.with_patches([_patch(black, white, area) for area in drawn])


def _patch(black: Image, white: Image, area: Box) -> Patch:
    """Cut the patch over an area out of the same drawing on black and on white."""
    x0, y0, x1, y1 = area
    colour = black[y0:y1, x0:x1]
    return Patch(x0, y0, colour, white[y0:y1, x0:x1, 0] - colour[:, :, 0])


def _paint_on_gpu(picture: GpuImage, heat: Heat, *, k: int, pts_s: float, scale: float, opacity: float) -> GpuImage:
    """Do what `paint` does for a picture in a GPU's memory."""
    colours, hidden = heat_paint()
    return picture.heated(
        centred_at(heat, k, pts_s),
        heat.transform.to_pixels(*picture.shape[:2]),
        scale=scale,
        colours=colours,
        hidden=hidden * np.float32(opacity * certainty(heat, k)),
    )


def _annotate(image: Image, heat: Heat | None, *, k: int, caption: Caption, box: Box | None) -> list[Box]:
    """Draw everything but the heat on a picture; return boxes that hold all of it and do not overlap."""
    canvas = Canvas(image)
    if box is not None:
        canvas.box(box)
    canvas.write(words(heat, k, caption))
    return canvas.drawn


def panel(image: Image, lines: Sequence[str]) -> Image:
    """Return a copy of a picture with lines of text in a dark box in its middle."""
    painted = image.copy()
    Canvas(painted).panel(lines)
    return painted


class Painter:
    """Paints results one after the other, by the model's scale or else by a running one."""

    def __init__(self, caption: Callable[[Result], Caption] | None = None, *, opacity: float = 0.6) -> None:
        """Start without results.

        Args:
            caption: gives a result's caption; by default the source and the time.
            opacity: 0–1, how much of the picture full strength hides.
        """
        self._caption, self._opacity = caption, opacity
        self._running = RunningScale()
        # The last heat of each source and its running scale: many frames share one heat, which counts once.
        self._scales: dict[str, tuple[Heat, float]] = {}
        self._last: tuple[Result, Picture] | None = None

    def overlay(self, result: Result, *, k: int = 0, box: Box | None = None) -> Picture:
        """Return the overlay of a result with class `k`, by default the strongest, where its frame lies.

        Asked again for the last result, it returns the same picture: publisher and recorder share one painting.
        """
        if self._last is None or self._last[0] is not result:
            scale = 1.0 if result.heat is None else self.scale(result.frame.source, result.heat, k)
            caption = self._caption(result) if self._caption else None
            picture = overlay(result, scale=scale, k=k, opacity=self._opacity, caption=caption, box=box)
            self._last = result, picture
        return self._last[1]

    def scale(self, source: str, heat: Heat, k: int = 0) -> float:
        """Return the centred heat of class `k`, in logit units, that is painted at full strength."""
        if heat.scale is not None:
            return float(heat.scale[k])
        last = self._scales.get(source)
        if last is None or last[0] is not heat:
            last = self._scales[source] = heat, self._running.update(source, heat)
        return last[1]
