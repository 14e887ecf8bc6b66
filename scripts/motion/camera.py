"""How the camera of a rendered scene moves: it pans, zooms, rolls and shakes. Plain numpy."""

from dataclasses import dataclass

import numpy as np

from scripts.motion.paths import DT, Array, ClipExtent, Path2D, Rng, activity, integral, log_uniform

SEEN = 0.25
"""Pixels a frame from which the picture's own motion is a camera that moves."""
UNSEEN = 0.1
"""Pixels a frame below which it is a camera that stands."""


@dataclass(eq=False)
class Camera:
    """Its path, at every point of a time line."""

    t: Array
    size: tuple[int, int]
    """(height, width) of the picture in pixels."""
    pan: Array
    """[2,points], x and y in pixels, as a camera that turns moves its picture: near and far things alike."""
    shift: Array
    """[2,points], x and y in pixels, as a camera that changes place moves what is far: near things move by more."""
    zoom: Array
    """[points], the logarithm of its zoom."""
    roll: Array
    """[points], radians."""

    def pose(self, at: Array, x: Array, y: Array, *, depth: float) -> tuple[Array, Array, Array, Array]:
        """Return x, y, roll and zoom in the picture, at some times, of points in the world; `depth` is 1 far away."""
        pan_x, pan_y = (np.interp(at, self.t, p + depth * s) for p, s in zip(self.pan, self.shift, strict=True))
        zoom, roll = (np.interp(at, self.t, z) for z in (self.zoom, self.roll))
        h, w = self.size
        dx, dy = np.exp(zoom) * (x - w / 2), np.exp(zoom) * (y - h / 2)
        cos, sin = np.cos(roll), np.sin(roll)
        return dx * cos - dy * sin + w / 2 + pan_x, dx * sin + dy * cos + h / 2 + pan_y, roll, zoom

    def speed(self, at: Array, x: Array, y: Array, *, depth: float = 1.0) -> Array:
        """Pixels a frame at which the camera moves what stands at a place; the mean over five frames."""
        steps = []
        for k in (-2, -1, 0, 1):
            (x0, y0, *_), (x1, y1, *_) = (self.pose(at + k + d, x, y, depth=depth) for d in (0, 1))
            steps.append(np.hypot(x1 - x0, y1 - y0))
        return np.asarray(np.mean(steps, axis=0), np.float64)

    def moving(self, at: Array) -> tuple[Array, Array]:
        """Whether it moves at some frames, 0 or 1, and whether that is clear; from five places of the picture."""
        h, w = self.size
        places = ((0.5, 0.5), (0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))
        speed = np.mean([self.speed(at, at * 0 + u * w, at * 0 + v * h) for u, v in places], axis=0)
        return (speed >= SEEN).astype(float), ((speed >= SEEN) | (speed <= UNSEEN)).astype(float)


def wander(t: Array, rng: Rng, smooth: float) -> Array:
    """A smooth random path of unit deviation."""
    n = max(int(smooth / DT), 2)
    z = np.convolve(rng.normal(size=len(t) + 2 * n), np.hanning(n), mode="same")[n:-n]
    return np.asarray((z - z.mean()) / (z.std() + 1e-6), np.float64)


def standing(extent: ClipExtent, rng: Rng) -> Camera:
    """Return a camera that stands, at times with a little unrest; a seventh are held in a hand that is nearly still."""
    amount = rng.choice([0.0, rng.uniform(0, 0.12), log_uniform(rng, 0.12, 0.4)], p=[0.5, 0.35, 0.15])
    t = extent.t
    smooth = rng.uniform(5, 9)
    pan = amount * np.stack([wander(t, rng, smooth), wander(t, rng, smooth)])
    return Camera(t, extent.size, pan, 0 * pan, 0 * t, 0.003 * amount * wander(t, rng, smooth))


def moving(extent: ClipExtent, rng: Rng, follows: Path2D | None = None) -> Camera:
    """Return a camera that pans, travels, zooms or is held in a hand, or does two of these; it may follow a thing."""
    t = extent.t
    pan, shift, zoom, roll = np.zeros((2, len(t))), np.zeros((2, len(t))), 0 * t, 0 * t
    on = activity(extent, rng, whole=0.75)
    kind = rng.choice(["pan", "travel", "hand", "zoom"], p=[0.35, 0.25, 0.25, 0.15])
    if follows is not None:
        pan -= rng.uniform(0.7, 1) * np.stack([follows.x - follows.x.mean(), follows.y - follows.y.mean()])
    elif kind in ("pan", "travel"):
        angle = rng.choice([0, np.pi, rng.uniform(0, 6.3)]) + rng.normal(0, 0.1)
        way = integral(on * log_uniform(rng, 0.35, 7) * (1 + rng.uniform(0, 0.5) * wander(t, rng, 10)), extent)
        path = np.stack([way * np.cos(angle), way * np.sin(angle)])
        pan, shift = (path, shift) if kind == "pan" else (pan, path)
    elif kind == "zoom":
        zoom = integral(on * rng.choice([-1, 1]) * log_uniform(rng, 0.008, 0.04), extent)
    if kind == "hand" or rng.random() < 0.35:
        amount, smooth = log_uniform(rng, 0.6 if kind == "hand" else 0.15, 4), rng.uniform(2.5, 10)
        turned = rng.uniform(0.3, 1)
        shake = amount * np.stack([wander(t, rng, smooth), wander(t, rng, smooth)])
        pan, shift = pan + turned * shake, shift + (1 - turned) * shake
        roll = roll + amount * rng.uniform(0, 0.012) * wander(t, rng, smooth)
        zoom = zoom + amount * rng.uniform(0, 0.006) * wander(t, rng, smooth)
    if rng.random() < 0.1:
        roll = roll + integral(on * rng.normal(0, 0.012), extent)
    return Camera(t, extent.size, pan, shift, zoom, roll)
