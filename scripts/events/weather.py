"""What disturbs a camera: a lamp that is switched or flickers, a mast that sways, rain. One frame at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.records import Floats, Image

GAMMA = 2.2
"""Light adds up in linear values, and pixels are about their 1/2.2th power."""

CROP = 0.022
"""Share of the width and height that a swaying camera's picture loses at each edge: a little more than `MOST_SWAY`."""

MOST_SWAY = 0.02
"""Of the width, either way."""

RAMP_S = 0.4
"""A camera begins and ends to sway within this time."""

Disturb = Callable[[Image, float, float], Image]
"""Changes a frame uint8 [H,W,3] at a time within a burst, in seconds; the last is how long the burst lasts."""


@dataclass(frozen=True, slots=True)
class Burst:
    """When a disturbance goes on, in seconds of the footage, and its own seed."""

    start_s: float
    end_s: float
    seed: int


def bursts(seconds: float, *, seed: int) -> list[Burst]:
    """Draw bursts of 2 to 6 s with pauses of 2 to 6 s, until the footage ends."""
    rng = np.random.default_rng(seed)
    found: list[Burst] = []
    at_s = float(rng.uniform(1, 4))
    while at_s < seconds - 1:
        end_s = min(at_s + float(rng.uniform(2, 6)), seconds)
        found.append(Burst(round(at_s, 2), round(end_s, 2), int(rng.integers(2**31))))
        at_s = end_s + float(rng.uniform(2, 6))
    return found


def light(seed: int) -> Disturb:
    """Make a burst of light: a lamp that is switched in steps, or one that flickers. It shines on one side more."""
    rng = np.random.default_rng(seed)
    flickers = bool(rng.random() < 0.4)
    times, levels = _steps(rng)
    hz, depth, phase = rng.uniform(2, 9), rng.uniform(0.15, 0.45), rng.uniform(0, 2 * np.pi)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)

    def disturb(image: Image, t: float, _lasts: float) -> Image:
        level = 1 + depth * np.sin(2 * np.pi * hz * t + phase) if flickers else levels[np.searchsorted(times, t)]
        return _lit(image, float(level), float(angle), float(slope))

    return disturb


def _steps(rng: np.random.Generator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draw the times of the switch, and how bright it is before and after each: darker and brighter in turn."""
    times = np.cumsum(rng.uniform(0.4, 1.6, 16))
    levels = np.where(np.arange(17) % 2 == 0, rng.uniform(0.3, 0.7, 17), rng.uniform(0.9, 1.5, 17))
    return times, levels


def _lit(image: Image, level: float, angle: float, slope: float) -> Image:
    height, width = image.shape[:2]
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    side = 1 + np.float32(slope) * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)
    gain = np.maximum(1 + np.float32(level - 1) * side, 0.02) ** np.float32(1 / GAMMA)
    return np.asarray(np.rint(np.clip(image * gain[..., None], 0, 255)), np.uint8)


def shake(seed: int) -> Disturb:
    """Make a burst of swaying, of 3 px to 2 % of the width, as two waves of 0.3 to 3 Hz."""
    rng = np.random.default_rng(seed)
    hz, phases, share = rng.uniform(0.3, 3, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2)), rng.uniform(0, 1)
    upright = rng.uniform(0.2, 1)

    def disturb(image: Image, t: float, lasts: float) -> Image:
        width = image.shape[1]
        reach = 3 + share * (MOST_SWAY * width - 3)
        ramp = min(1.0, t / RAMP_S, max(0.0, lasts - t) / RAMP_S)
        waves = np.sin(2 * np.pi * hz * t + phases) @ np.array([0.7, 0.3])
        return shifted(image, *(reach * ramp * waves * np.array([1, upright])))

    return disturb


def shifted(image: Image, x: float = 0.0, y: float = 0.0) -> Image:
    """Move the picture by so many pixels, and cut its edges off, so that no border shows. The size stays."""
    height, width = image.shape[:2]
    margin = CROP * width
    scale_x, scale_y = width / (width - 2 * margin), height / (height - 2 * margin)
    matrix = np.array([[scale_x, 0, scale_x * (x - margin)], [0, scale_y, scale_y * (y - margin)]])
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def kept(width: int, height: int) -> tuple[float, float, float, float]:
    """Return the part of the picture that `shifted` leaves: left, top, right, bottom, as fractions."""
    down = CROP * width / height
    return CROP, down, 1 - CROP, 1 - down


def rain(seed: int) -> Disturb:
    """Make a burst of rain: streaks of drops, near and far, as a shutter of 1/60 to 1/30 s blurs them.

    Between two frames a drop falls farther than the picture is high. So each frame has drops of its own.
    """
    rng = np.random.default_rng(seed)
    wind, density, opacity = rng.normal(0, 0.15), rng.uniform(0.7, 3), rng.uniform(0.25, 0.55)

    def disturb(image: Image, t: float, lasts: float) -> Image:
        height, width = image.shape[:2]
        ramp = min(1.0, (t + 0.1) / RAMP_S, max(0.0, lasts - t) / RAMP_S)
        drops = _streaks(rng, height, width, count=round(220 * density * ramp), wind=float(wind))
        cover = np.float32(opacity) * drops[..., None]
        return np.asarray(np.rint(image + cover * (np.float32(215) - image)).clip(0, 255), np.uint8)

    return disturb


def _streaks(rng: np.random.Generator, height: int, width: int, *, count: int, wind: float) -> Floats:
    """Draw streaks: float32 [H,W], 0–1. Few are near: long, wide and faint; most are far."""
    layer = np.zeros((height, width), np.float32)
    for _ in range(count):
        near = float(rng.beta(1, 4))
        x, y = float(rng.uniform(-0.1, 1.1) * width), float(rng.uniform(-0.2, 1) * height)
        long = (0.03 + 0.22 * near) * height * float(rng.uniform(0.7, 1.3))
        lean = wind + float(rng.normal(0, 0.02))
        ends = (round(16 * x), round(16 * y)), (round(16 * (x + lean * long)), round(16 * (y + long)))
        bright = float(rng.uniform(0.5, 1)) * (1 - 0.5 * near)
        thick = max(1, round((0.5 + 3 * near) * height / 432))
        cv2.line(layer, *ends, bright, thick, cv2.LINE_AA, shift=4)
    return np.asarray(cv2.GaussianBlur(layer, (0, 0), 0.6 * height / 432 + 0.2), np.float32)


KINDS: dict[str, Callable[[int], Disturb]] = {"light": light, "shake": shake, "rain": rain}
"""The disturbances, by name: each makes one burst from a seed."""
