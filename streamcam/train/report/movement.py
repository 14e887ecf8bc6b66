"""How much of a clip's heat lies where something moves."""

from collections.abc import Sequence

import cv2
import numpy as np

from streamcam.heat.localise import centred_at, enlarge
from streamcam.records import Floats, Heat, Image

MOVING = 0.2
"""The share of the picture that counts as moving: what changes most."""

STILL = 3.0
"""Grey levels, 0–255: where the picture changes by less, nothing moves but noise."""

SPREAD = 1 / 16
"""Changes are averaged over this share of the picture's height."""


def heat_on_movement(frames: Sequence[Image], heat: Heat, k: int) -> float | None:
    """Return the share of a class's positive heat that lies on the fifth of the picture that changes most, 0–1.

    Args:
        frames: L × uint8 [H,W,3], evenly spaced in time, as the network sees them.
        heat: the heat of the clip.
        k: the class, by its position among the heat's classes.

    Returns:
        None where nothing moves, or where there is no heat.
    """
    height, width = frames[0].shape[:2]
    times = np.linspace(heat.clip_pts_s[0], heat.clip_pts_s[1], len(frames))
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames]
    on, all_heat = 0.0, 0.0
    for i in range(1, len(frames) - 1):
        change = _spread(np.abs(grey[i + 1] - grey[i - 1]))
        edge = float(np.quantile(change, 1 - MOVING))
        if change.max() >= STILL:
            strength = np.maximum(enlarge(centred_at(heat, k, float(times[i])), width, height), 0)
            on += float(strength[change > edge].sum())
            all_heat += float(strength.sum())
    return on / all_heat if all_heat else None


def _spread(change: Floats) -> Floats:
    size = 2 * round(change.shape[0] * SPREAD / 2) + 1
    return np.asarray(cv2.blur(change, (size, size)), np.float32)
