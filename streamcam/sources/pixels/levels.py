"""Grey of more than 8 bits, as of thermal cameras → 8 bits, between two fixed levels or two that follow the scene."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.records import Image

AUTO = "auto"
MAX_VALUE = 65535

TIME_CONSTANT_S = 5.0
"""In this time `auto` goes 63 % of the way to the levels that the scene has now."""

MAX_GAP_S = 10.0
"""After a longer gap in time, or a step back, `auto` begins anew."""

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
"""The percentiles of a picture that become black and white, so that a few dead pixels do not count."""

MIN_SPAN = 255.0
"""The smallest distance of `auto`'s levels: one value for each grey. With less, an even scene would be noise."""

SAMPLED_PIXELS = 1 << 16
"""About how many pixels the percentiles are taken of; larger pictures are subsampled."""

GreyValues = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Levels:
    """The two values that become 0 and 255."""

    low: float
    high: float


def parse_levels(text: str) -> Levels | None:
    """Turn `7000:9500` into levels, and `auto` into None.

    Raises:
        StreamcamError: it is neither.
    """
    if text == AUTO:
        return None
    low, colon, high = text.partition(":")
    if not colon or not low.strip().isdecimal() or not high.strip().isdecimal():
        raise StreamcamError(f"levels: expected LOW:HIGH, such as 7000:9500, or auto, got {text[:80]!r}")
    levels = Levels(int(low), int(high))
    if not levels.low < levels.high <= MAX_VALUE:
        raise StreamcamError(f"levels: expected LOW below HIGH, and HIGH at most {MAX_VALUE}, got {text[:80]}")
    return levels


def apply_levels(values: GreyValues, levels: Levels) -> npt.NDArray[np.uint8]:
    """Map uint16 [H,W] → uint8 [H,W]: linear between the levels, rounded; what lies outside becomes 0 or 255."""
    # One entry for each possible value: a table costs less than arithmetic on every pixel.
    steps = (np.arange(MAX_VALUE + 1, dtype=np.float32) - levels.low) * (255 / (levels.high - levels.low))
    return np.asarray(np.clip(np.rint(steps), 0, 255).astype(np.uint8)[values])


class AutoLevels:
    """Levels that follow a scene, too slowly to flicker. The same pictures always give the same levels."""

    def __init__(self) -> None:
        self._last: tuple[float, Levels] | None = None

    def update(self, values: GreyValues, time_s: float) -> Levels:
        """Take in a picture and return its levels.

        Args:
            values: uint16 [H,W].
            time_s: the picture's time, in seconds.
        """
        step = max(1, math.isqrt(values.size // SAMPLED_PIXELS))
        low, high = (float(v) for v in np.percentile(values[::step, ::step], (LOW_PERCENTILE, HIGH_PERCENTILE)))
        if self._last is not None and 0 <= time_s - self._last[0] <= MAX_GAP_S:
            # An exponential moving average: its weight depends on the time since the last picture.
            last_s, last = self._last
            weight = 1 - math.exp((last_s - time_s) / TIME_CONSTANT_S)
            low, high = last.low + weight * (low - last.low), last.high + weight * (high - last.high)
        self._last = time_s, Levels(low, high)
        margin = max(0.0, MIN_SPAN - (high - low)) / 2
        return Levels(low - margin, high + margin)


class LevelMapper:
    """Maps the grey values of one source to 8 bits, as `--levels` says."""

    def __init__(self, text: str) -> None:
        """Take the option's text: `low:high` or `auto`.

        Raises:
            StreamcamError: it is neither.
        """
        self._fixed = parse_levels(text)
        self._auto = AutoLevels()

    def image(self, values: GreyValues, time_s: float) -> Image:
        """Map uint16 [H,W] → uint8 [H,W,3]; `time_s` is the picture's time in seconds."""
        levels = self._fixed or self._auto.update(values, time_s)
        return np.repeat(apply_levels(values, levels)[:, :, None], 3, axis=2)
