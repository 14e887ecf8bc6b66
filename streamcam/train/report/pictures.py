"""Pictures for the report: moments of a clip with heat on them, as data URIs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamcam.records import Heat, Image
from streamcam.render.canvas import VISIBLE, heat_paint
from streamcam.train.report.figures import moments

HEIGHT = 160
"""Pixels of a picture; smaller ones are enlarged, larger ones reduced."""

QUALITY = 82
"""Of JPEG, 0–100."""

STOPS = 9
"""The key to the heat's colours blends so many of them."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A picture of a clip."""

    uri: str
    """The picture itself, as a data URI."""
    time: str
    """Since the beginning of the window."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Moments of a clip with the heat of one class."""

    title: str
    """The class, and its score."""
    moments: Sequence[Moment]


def strip(frames: Sequence[Image], heat: Heat, k: int) -> Strip:
    """Paint moments of a clip with the heat of class `k` at full strength, however improbable the class is.

    Args:
        frames: L × uint8 [H,W,3], evenly spaced in time.
        heat: of all classes.
        k: the class, by its position among the heat's classes.
    """
    scale = 1.0 if heat.scale is None else float(heat.scale[k])
    pictures = [
        Moment(data_uri(_fitted(picture)), f"{time_s:.1f} s")
        for time_s, picture in moments(frames, heat, k=k, scale=scale, fade=False)
    ]
    return Strip(f"{heat.labels[k]}, {heat.scores[k] * 100:.0f} %", pictures)


def data_uri(image: Image) -> str:
    """Return a picture, uint8 [H,W,3], RGB, as the data URI of a JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return embedded(content, "image/jpeg")


def embedded(content: bytes, kind: str) -> str:
    """Return a file's bytes as a data URI of that media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def colour_key() -> str:
    """Return the colours of heat from weak to strong, as a CSS gradient."""
    colours, _ = heat_paint()
    stops = np.linspace(255 * VISIBLE, 255, STOPS).round().astype(int)
    return f"linear-gradient(to right, {', '.join('rgb({}, {}, {})'.format(*colours[i]) for i in stops)})"


def _fitted(image: Image) -> Image:
    height, width = image.shape[:2]
    size = max(1, round(width * HEIGHT / height)), HEIGHT
    how = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
