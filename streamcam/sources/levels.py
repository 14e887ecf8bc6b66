"""Grey of more than 8 bits, as of thermal cameras → 8 bits: between two given levels, or between slow ones."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.records import Image

AUTO = "auto"
MOST = 65535

SLOW_S = 5.0
"""In so many seconds `auto` goes 63 % of the way to where a scene's levels are now."""

FAR_S = 10.0
"""A time further ahead than this, or that goes back, is a new beginning."""

DARKEST, BRIGHTEST = 0.5, 99.5
"""The percentiles of a picture that become black and white: a few dead pixels do not count."""

FINEST = 255.0
"""The least distance of `auto`'s levels: not finer than one grey for each value, or an even scene would be noise."""

ENOUGH = 1 << 16
"""Pixels: of larger pictures, some are left out of the percentiles."""

Values = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Levels:
    """The values that become 0 and 255."""

    low: float
    high: float


def parse_levels(text: str) -> Levels | None:
    """`7000:9500` → levels; `auto` → None.

    Raises:
        StreamcamError: it is neither.
    """
    if text == AUTO:
        return None
    low, colon, high = text.partition(":")
    if not colon or not low.strip().isdecimal() or not high.strip().isdecimal():
        raise StreamcamError(f"levels: expected LOW:HIGH, such as 7000:9500, or auto, got {text[:80]!r}")
    levels = Levels(int(low), int(high))
    if not levels.low < levels.high <= MOST:
        raise StreamcamError(f"levels: expected LOW below HIGH, and HIGH at most {MOST}, got {text[:80]}")
    return levels


def grey(values: Values, levels: Levels) -> npt.NDArray[np.uint8]:
    """uint16 [H,W] → uint8 [H,W]: linear between the levels, rounded; what lies outside becomes 0 or 255."""
    steps = (np.arange(MOST + 1, dtype=np.float32) - levels.low) * (255 / (levels.high - levels.low))
    return np.asarray(np.clip(np.rint(steps), 0, 255).astype(np.uint8)[values])


class Range:
    """Levels that follow a scene, so slowly that nothing flickers; the same for the same pictures."""

    def __init__(self) -> None:
        self._last: tuple[float, Levels] | None = None

    def update(self, values: Values, time_s: float) -> Levels:
        """Take in a picture, uint16 [H,W], of this time in seconds; the levels for it."""
        step = max(1, math.isqrt(values.size // ENOUGH))
        low, high = (float(level) for level in np.percentile(values[::step, ::step], (DARKEST, BRIGHTEST)))
        if self._last is not None and 0 <= time_s - self._last[0] <= FAR_S:
            share = 1 - math.exp((self._last[0] - time_s) / SLOW_S)
            before = self._last[1]
            low, high = (before.low + share * (low - before.low), before.high + share * (high - before.high))
        self._last = time_s, Levels(low, high)
        wanting = max(0.0, FINEST - (high - low)) / 2
        return Levels(low - wanting, high + wanting)


class Grader:
    """Pictures of one source → 8 bits, by `--levels`."""

    def __init__(self, text: str) -> None:
        """Take `low:high` or `auto`.

        Raises:
            StreamcamError: it is neither.
        """
        self._levels = parse_levels(text)
        self._range = Range()

    def image(self, values: Values, time_s: float) -> Image:
        """uint16 [H,W] → uint8 [H,W,3]."""
        levels = self._levels or self._range.update(values, time_s)
        return np.repeat(grey(values, levels)[:, :, None], 3, axis=2)
