"""Make clips in which no class happens out of clips in which one does, in the same rooms and with the same people.

A recipe takes frames uint8 [n,3,H,W], and a generator that decides what it leaves to chance. It gives as many frames of
that size. Distances are shares of the picture's width, so that they do not depend on the network.
"""

from collections.abc import Callable
from contextlib import closing
from functools import cache
from threading import Event

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.sources.base import open_source

Frames = npt.NDArray[np.uint8]
"""uint8 [n,3,H,W]."""

Recipe = Callable[[Frames, np.random.Generator], Frames]

NOISE = 4.0
"""The sensor's noise has a standard deviation of up to this, of 255."""
LIGHT = 0.15
"""The light changes by up to this share."""
SHAKE = 0.015
"""A camera that shakes moves by about this share of the picture's width."""
SLOWEST, FASTEST = 0.002, 0.035
"""A thing moves by so much of the picture's width from frame to frame."""
TEMPO = 0.1, 0.35
"""What is slowed down plays at so much of its speed."""
PICTURE_EVERY_S = 0.5
"""What passes by is cut out of the sample's pictures, one for so many seconds."""


def stand_still(frames: Frames, generator: np.random.Generator) -> Frames:
    """Repeat one frame, with a sensor's noise and a slow change of light; every other time, the camera shakes."""
    count, width = len(frames), frames.shape[3]
    still = _repeat_one(frames, generator)
    phase = np.linspace(0, 6 * generator.random(), count)
    light = 1 + LIGHT * generator.random() * np.sin(phase)[:, None, None, None]
    if generator.random() < 0.5:
        shake = generator.normal(0, SHAKE * width * generator.random(), (count, 2))
        still = _moved(still, _smooth(shake))
    return _noisy(still * light, generator)


def slow_down(frames: Frames, generator: np.random.Generator) -> Frames:
    """Play a clip from three to ten times slower, around its middle; what lies between two frames is blended."""
    middle = (len(frames) - 1) / 2
    at = middle + (np.arange(len(frames)) - middle) * generator.uniform(*TEMPO)
    first = np.floor(at).astype(int)
    share = (at - first)[:, None, None, None]
    second = np.minimum(first + 1, len(frames) - 1)
    return np.asarray((frames[first] * (1 - share) + frames[second] * share).round(), np.uint8)


def pass_by(frames: Frames, generator: np.random.Generator) -> Frames:
    """Let one or two things pass over one frame, straight on: ovals that are cut out of pictures of the sample."""
    count, _, height, width = frames.shape
    scene = _repeat_one(frames, generator)
    pictures = _sample_pictures(height, width)
    other = pictures[generator.integers(len(pictures))]
    for _ in range(generator.integers(1, 3)):
        h, w = generator.integers(height // 8, height * 3 // 4), generator.integers(width // 10, width // 2)
        top, left = generator.integers(0, height - h), generator.integers(0, width - w)
        start = generator.random(2) * (width, height) - (w / 2, h / 2)
        path = (start + _straight(count, width, generator)).round().astype(int)
        for frame, (x, y) in zip(scene, path, strict=True):
            _paste(frame, other[:, top : top + h, left : left + w], x, y)
    return _noisy(scene, generator)


def as_it_is(frames: Frames, _generator: np.random.Generator) -> Frames:
    """Return footage that shows none of the classes as it is."""
    return frames


AS_IT_IS = "as it is"
SLOW: dict[str, Recipe] = {"stand still": stand_still, "slow down": slow_down}
"""Recipes in which hardly anything moves, by their names; these are part of a data set's digest."""
RECIPES: dict[str, Recipe] = {**SLOW, "pass by": pass_by, AS_IT_IS: as_it_is}
"""All recipes."""


@cache
def _sample_pictures(height: int, width: int) -> npt.NDArray[np.float32]:
    """Decode some pictures of the sample, float32 [n,3,height,width]."""
    pictures: list[npt.NDArray[np.float32]] = []
    with closing(open_source("sample", paced=False)) as source:
        for frame in source.frames(Event()):
            if frame.pts_s >= len(pictures) * PICTURE_EVERY_S:
                resized = cv2.resize(frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
                pictures.append(resized.transpose(2, 0, 1).astype(np.float32))
    return np.stack(pictures)


def _repeat_one(frames: Frames, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Choose one frame and repeat it: float32 [n,3,H,W]."""
    chosen = frames[generator.integers(len(frames))].astype(np.float32)
    return np.repeat(chosen[None], len(frames), axis=0)


def _straight(count: int, width: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a way at a constant speed, in any direction: where it is at each frame, (x, y) in pixels, [n,2]."""
    angle = 2 * np.pi * generator.random()
    speed = width * SLOWEST * (FASTEST / SLOWEST) ** generator.random()
    steps = np.arange(count) - (count - 1) / 2
    return np.asarray(steps[:, None] * speed * (np.cos(angle), np.sin(angle)), np.float64)


def _smooth(path: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average a way [n,2] over three frames: a hand does not jump from frame to frame."""
    padded = np.concatenate([path[:1], path, path[-1:]])
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) / 3, np.float64)


def _moved(frames: npt.NDArray[np.float32], path: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Shift each frame of [n,3,H,W] by (x, y) pixels; what comes in at an edge is mirrored there."""
    height, width = frames.shape[2:]
    moved = [
        cv2.warpAffine(
            np.ascontiguousarray(frame.transpose(1, 2, 0)),
            np.array([[1.0, 0.0, x], [0.0, 1.0, y]]),
            (width, height),
            borderMode=cv2.BORDER_REFLECT_101,
        )
        for frame, (x, y) in zip(frames, path, strict=True)
    ]
    return np.stack(moved).transpose(0, 3, 1, 2).astype(np.float32)


def _paste(frame: npt.NDArray[np.float32], piece: npt.NDArray[np.float32], x: int, y: int) -> None:
    """Paint the oval inside of a piece [3,h,w] over a frame [3,H,W], with its corner at (x, y)."""
    (height, width), (h, w) = frame.shape[1:], piece.shape[1:]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if x0 >= x1 or y0 >= y1:
        return
    rows, columns = np.ogrid[:h, :w]
    inside = ((2 * rows + 1) / h - 1) ** 2 + ((2 * columns + 1) / w - 1) ** 2 <= 1
    part = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
    target = frame[:, y0:y1, x0:x1]
    target[:] = np.where(inside[part], piece[:, *part], target)


def _noisy(frames: npt.NDArray[np.floating], generator: np.random.Generator) -> Frames:
    """Add a sensor's noise, and round to uint8."""
    sigma = NOISE * generator.random()
    noise = generator.standard_normal(frames.shape, np.float32) * sigma
    return (frames + noise).round().clip(0, 255).astype(np.uint8)
