"""The light on a rendered scene, and the sensor and the encoder that its clip passes through. Plain numpy."""

from typing import Any

import numpy as np

from scripts.motion.camera import wander
from scripts.motion.paths import Array, ClipExtent, Rng, log_uniform

CODECS = ("libx264", "mpeg4", "mjpeg")


def light(extent: ClipExtent, rng: Rng, frames: Array, *, flickering: bool) -> dict[str, Any]:
    """How bright the picture is on each frame, and where."""
    h, w = extent.size
    t = extent.t
    gain = 1 + rng.choice([0.0, rng.normal(0, 0.06)]) * wander(t, rng, 24)
    slope = rng.choice([0.0, rng.uniform(0.02, 0.12)], p=[0.65, 0.35]) * np.stack([wander(t, rng, 16) for _ in "xy"], 1)
    lamp = None
    if flickering:
        turns = 2 * np.pi * t / log_uniform(rng, 2.2, 9) + rng.uniform(0, 6.3)
        by_chance = np.repeat(rng.uniform(-1, 1, len(turns) // 4 + 1), 4)[: len(turns)]
        wave = (np.sin(turns), np.sign(np.sin(turns)), by_chance)[rng.integers(3)]
        gain = gain * (1 + rng.uniform(0.08, 0.42) * (wave - rng.uniform(0, 1)))
        lamp = (rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.3, 0.7) * w) if rng.random() < 0.3 else None
    return {
        "gain": np.clip(np.interp(frames, t, gain), 0.1, 2),
        "slope": np.stack([np.interp(frames, t, z) for z in slope.T], 1),
        "lamp": lamp,
    }


def sensor(rng: Rng) -> dict[str, Any]:
    """How noisy, blurred and compressed the clip is; a fifth pass through a real encoder."""
    made = {
        "noise": float(rng.choice([0.0, rng.exponential(2.5), rng.uniform(0, 10)], p=[0.2, 0.6, 0.2])),
        "colour_noise": float(rng.choice([0.0, rng.exponential(2.0)], p=[0.7, 0.3])),
        "blur": float(rng.choice([0.0, rng.uniform(0.3, 1.2)], p=[0.7, 0.3])),
        "quality": float(rng.choice([0.0, rng.uniform(4, 30)], p=[0.65, 0.35])),
        "stale": float(rng.choice([0.0, rng.uniform(1, 6)], p=[0.65, 0.35])),
        "refresh": int(rng.integers(6, 60)),
        "codec": "",
        "coarse": float(rng.uniform(0, 1)),
    }
    if rng.random() < 0.2:
        made |= {"quality": 0.0, "stale": 0.0, "codec": str(rng.choice(CODECS, p=[0.5, 0.25, 0.25]))}
    return made
