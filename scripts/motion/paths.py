"""Make the paths of things in a rendered scene, and their true labels, with NumPy from a seed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamcam.models.motion import LABELS

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

CLASS = {label: i for i, label in enumerate(LABELS)}
DIRECTIONS = ("moving left", "moving right", "moving up", "moving down")
TOWARDS, TURNS = ("approaching", "receding"), ("turning clockwise", "turning counter-clockwise")
GOING = (*DIRECTIONS, *TOWARDS, *TURNS, "waving", "bouncing")
"""Classes of what changes its place."""
DT = 0.25
"""Frames between the points of a path."""


@dataclass(eq=False)
class Path2D:
    """How a thing moves, at every point of a time line; pixels, radians, frames at 15 a second."""

    t: Array
    x: Array
    y: Array
    angle: Array
    log_scale: Array
    alpha: Array
    half: tuple[float, float]
    """Half its width and height in pixels, at scale 1."""
    pivot: tuple[float, float] = (0.0, 0.0)
    """The point that it turns about, in units of its half width and height."""
    events: dict[str, Array] = field(default_factory=dict)
    """Class → 0 to 1 along the line, for what cannot be read off the path at a moment: to and fro, coming to be."""
    root: "Path2D | None" = None
    """The path of the body that this is a part of. What is true of the body is true of its parts."""
    doubtful: tuple[str, ...] = ()
    """Classes that are not to be asked of it."""

    def centre(self, at: Array) -> tuple[Array, Array]:
        """Return x and y of its centre at some times, which goes round its pivot as it turns."""
        x, y, angle, scale = (np.interp(at, self.t, z) for z in (self.x, self.y, self.angle, np.exp(self.log_scale)))
        dx, dy = self.pivot[0] * self.half[0] * scale, self.pivot[1] * self.half[1] * scale
        cos, sin = np.cos(angle), np.sin(angle)
        return x + dx - dx * cos + dy * sin, y + dy - dx * sin - dy * cos


@dataclass(frozen=True)
class ClipExtent:
    """The extent in space and time of a clip that paths are made for."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    frames: int
    centre: float
    """The frame in the middle of the heat slices."""
    slowest_period: float
    """Frames that one to and fro takes at least, so that the camera's rate can show it."""

    @property
    def t(self) -> Array:
        """The time line: a little more than the clip."""
        return np.arange(-4, self.frames + 4, DT)


def rest(extent: ClipExtent, rng: Rng, *, area: float) -> Path2D:
    """Return the path of a thing that stands still and covers a share `area` of the picture.

    Large things are often cut by an edge of the picture, mostly by the lower one, as somebody at a desk is.
    """
    h, w = extent.size
    aspect = np.exp(rng.uniform(-0.7, 0.7))
    r = np.sqrt(area * h * w * 1.8) / 2
    half = (float(np.clip(r / aspect, 2, 0.75 * w)), float(np.clip(r * aspect, 2, 0.9 * h)))
    x, y = rng.uniform(0.08, 0.92) * w, rng.uniform(0.08, 0.92) * h
    if area > 0.06 and rng.random() < 0.4:
        x, y = rng.uniform(0.2, 0.8) * w, h + half[1] * rng.uniform(-0.7, 0.1)
    zero = np.zeros_like(extent.t)
    return Path2D(extent.t, zero + x, zero + y, zero + rng.choice([0.0, rng.uniform(-3.1, 3.1)]), zero.copy(), zero + 1,
                  half)  # fmt: skip


def activity(extent: ClipExtent, rng: Rng, *, whole: float = 0.55) -> Array:
    """Return how active a thing is over time, 0 to 1.

    It moves all the time with a probability of `whole`; else it starts or stops within the clip.
    """
    t, ramp = extent.t, rng.uniform(0.5, 3)
    on = np.ones_like(t)
    if rng.random() < whole:
        return on
    kind = rng.integers(3)
    if kind != 1:
        on *= np.clip((t - rng.uniform(4, extent.frames * 0.6)) / ramp, 0, 1)
    if kind != 0:
        on *= np.clip((rng.uniform(extent.frames * 0.4, extent.frames - 4) - t) / ramp, 0, 1)
    return on


def integral(rate: Array, extent: ClipExtent) -> Array:
    """Integrate a rate per frame over time, from 0 at the middle of the slices."""
    z = np.cumsum(rate) * DT
    return z - np.interp(extent.centre, extent.t, z)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Draw a number log-uniformly between two."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _unsteady(extent: ClipExtent, rng: Rng) -> Array:
    """Return a speed that varies around 1, as in walking."""
    return 1 + rng.uniform(0, 0.4) * np.sin(2 * np.pi * extent.t / rng.uniform(5, 16) + rng.uniform(0, 6.3))


def move(path: Path2D, extent: ClipExtent, rng: Rng, heading: float) -> None:
    """Move in a straight or slightly bent line; some things bob, roll or grow a little meanwhile."""
    on = activity(extent, rng)
    spread = 0.3 if rng.random() < 0.6 else 0.9
    angle = heading + rng.uniform(-spread, spread) + rng.normal(0, 0.01) * (extent.t - extent.centre)
    speed = log_uniform(rng, 0.2, 8) * on * _unsteady(extent, rng)
    path.x += integral(speed * np.cos(angle), extent)
    path.y += integral(speed * np.sin(angle), extent)
    if rng.random() < 0.15:
        path.angle += integral(on * rng.normal(0, 0.15), extent)
    if rng.random() < 0.2:
        path.log_scale += integral(on * rng.normal(0, 0.01), extent)
    if rng.random() < 0.25:
        bob = min(rng.uniform(0, 0.06) * path.half[1], 0.5 * float(speed.max()))
        path.y += bob * np.sin(2 * np.pi * extent.t / rng.uniform(4, 9)) * on


def come(path: Path2D, extent: ClipExtent, rng: Rng, sign: int) -> None:
    """Come towards the camera (sign 1) or go away from it; often sideways in the picture too, as on a floor."""
    on = activity(extent, rng, whole=0.5)
    duration = max(on.sum() * DT, 4)
    h = extent.size[0]
    room = np.log(np.clip(0.7 * h / max(path.half), 1.6, 5))
    rate = max(rng.uniform(0.4, 1) * room / duration, 0.35 / max(path.half))
    path.log_scale += sign * integral(on * rate, extent)
    path.log_scale -= path.log_scale.max() - min(path.log_scale.max(), room)
    if rng.random() < 0.5:
        angle = sign * rng.choice([np.pi / 2, rng.uniform(-3.1, 3.1)])
        speed = rng.uniform(0.1, 1.2) * rate * np.mean(path.half) * on
        path.x += integral(speed * np.cos(angle), extent)
        path.y += integral(speed * np.sin(angle), extent)


def turn(path: Path2D, extent: ClipExtent, rng: Rng, sign: int) -> None:
    """Turn about the centre or another point; clockwise as seen where sign is 1 (y points down)."""
    on = activity(extent, rng) * _unsteady(extent, rng)
    r = float(np.mean(path.half))
    rate = min(log_uniform(rng, 0.35, 7) / r, 0.45)
    path.angle += sign * integral(on * rate, extent)
    if rng.random() < 0.2:
        path.pivot = tuple(rng.uniform(-0.6, 0.6, 2))
    if rng.random() < 0.2:
        speed, angle = rng.uniform(0, 0.3) * rate * r * on, rng.uniform(0, 6.3)
        path.x += integral(speed * np.cos(angle), extent)
        path.y += integral(speed * np.sin(angle), extent)


def to_and_fro(extent: ClipExtent, rng: Rng) -> Array:
    """Return a wave between −1 and 1: smooth, as of a ball that bounces, or with a halt at either end."""
    period = max(log_uniform(rng, 4.5, 18), extent.slowest_period)
    turns = 2 * np.pi * integral(_unsteady(extent, rng) / period, extent) + rng.uniform(0, 6.3)
    wave = np.sin(turns)
    if rng.random() < 0.25:
        wave = np.abs(np.sin(turns / 2)) * 2 - 1
    elif rng.random() < 0.3:
        wave = np.clip(1.6 * wave, -1, 1)
    return np.asarray(wave, np.float64)


def sway(path: Path2D, extent: ClipExtent, rng: Rng, axis: float) -> None:
    """Go to and fro along an axis (0 sideways, π/2 up and down): shifted, or swung about one end like an arm."""
    on = activity(extent, rng, whole=0.7)
    wave = to_and_fro(extent, rng)
    if rng.random() < 0.45:
        _swing(path, rng, axis, wave * on)
    else:
        amplitude = np.clip(log_uniform(rng, 0.15, 1.2) * np.mean(path.half), 1.2, 0.2 * extent.size[1])
        angle = axis + rng.uniform(-0.35, 0.35)
        path.x += amplitude * wave * on * np.cos(angle)
        path.y += amplitude * wave * on * np.sin(angle)
    path.events["waving" if axis == 0 else "bouncing"] = on


def _swing(path: Path2D, rng: Rng, axis: float, wave: Array) -> None:
    """Swing a long thing about one end. If it is upright or hangs, its tip goes sideways; if it lies, up and down."""
    length, width = max(path.half), min(path.half) * rng.uniform(0.5, 1)
    end, swing = rng.choice([-0.9, 0.9]), rng.uniform(0.15, 0.8)
    path.half = (width, length) if axis == 0 else (length, width)
    path.pivot = (0.0, end) if axis == 0 else (end, 0.0)
    path.angle = path.angle * 0 + rng.uniform(-0.3, 0.3) + swing * wave


def come_to_be(path: Path2D, extent: ClipExtent, rng: Rng, sign: int) -> None:
    """Appear (sign 1) or disappear, at once or over some frames; some pop up in size."""
    at, over = extent.centre + rng.uniform(-7, 7), rng.choice([0.5, rng.uniform(1, 7)])
    there = np.clip(sign * (extent.t - at) / over + 0.5, 0, 1)
    if rng.random() < 0.25:
        path.log_scale += np.log(np.maximum(there, 0.02))
    path.alpha = np.minimum(path.alpha, there if rng.random() < 0.8 else (there > 0.02).astype(float))
    near = np.clip((5 + over / 2 - np.abs(extent.t - at)) / 1.5, 0, 1)
    path.events["appearing" if sign > 0 else "disappearing"] = near


Program = Callable[[Path2D, ClipExtent, Rng], None]
PROGRAMS: dict[str, Program] = {
    "moving left": lambda p, s, r: move(p, s, r, np.pi),
    "moving right": lambda p, s, r: move(p, s, r, 0.0),
    "moving up": lambda p, s, r: move(p, s, r, -np.pi / 2),
    "moving down": lambda p, s, r: move(p, s, r, np.pi / 2),
    "approaching": lambda p, s, r: come(p, s, r, 1),
    "receding": lambda p, s, r: come(p, s, r, -1),
    "turning clockwise": lambda p, s, r: turn(p, s, r, 1),
    "turning counter-clockwise": lambda p, s, r: turn(p, s, r, -1),
    "waving": lambda p, s, r: sway(p, s, r, 0.0),
    "bouncing": lambda p, s, r: sway(p, s, r, np.pi / 2),
    "appearing": lambda p, s, r: come_to_be(p, s, r, 1),
    "disappearing": lambda p, s, r: come_to_be(p, s, r, -1),
}


def truth(path: Path2D, frames: Array, *, past: Array | None = None) -> tuple[Array, Array]:
    """What a path shows at some frames, over five frames around each.

    Args:
        path: in the world, before the camera's own motion.
        frames: [N].
        past: [N], pixels a frame at which the world goes past the camera there. What is slower than half of that is not
            asked about.

    Returns:
        target: float [N,C], 0 to 1. Where two things are true of it, or one of them half, it lies between.
        sure: float [N,C], 0 where it is neither clearly so nor clearly not.
    """
    target, sure = np.zeros((len(frames), len(LABELS))), np.ones((len(frames), len(LABELS)))
    body = path.root or path
    swaying, changing = _event(body, frames, "waving", "bouncing"), _event(body, frames, "appearing", "disappearing")
    calm, swings = (swaying < 0.05) & (changing < 0.05), swaying > 0.6
    for label, (share, fast) in _strengths(body, frames).items():
        target[:, CLASS[label]] = share * (fast >= 1) * calm
        sure[:, CLASS[label]] = (target[:, CLASS[label]] > 0) | (share < 0.05) | (fast <= 0.5) | swings
    for label in path.events | body.events:
        strength = np.maximum(_event(path, frames, label), _event(body, frames, label))
        target[:, CLASS[label]] = there = strength >= 0.6
        sure[:, CLASS[label]] = there | (strength <= 0.1)
    for label in path.doubtful:
        sure[:, CLASS[label]] = 0
    if past is not None:
        pace = _pace(path, frames)
        lost = (pace > 0.1) & (pace < 0.5 * past)
        for label in GOING:
            sure[lost, CLASS[label]] = 0
    return target, sure


def _event(path: Path2D, frames: Array, *labels: str) -> Array:
    """Return how strong the strongest of some events is at some frames, 0 to 1."""
    nothing = np.zeros_like(path.t)
    strengths = [np.interp(frames, path.t, path.events.get(label, nothing)) for label in labels]
    return np.asarray(np.max(strengths, axis=0), np.float64)


def _strengths(path: Path2D, frames: Array) -> dict[str, tuple[Array, Array]]:
    """What a thing does, from its rates.

    Returns:
        For each class, two arrays [N]. The first says how much of what it does this is, 0 to 1. The second is its speed
        over the least that counts, some tenths of a pixel a frame.
    """
    vx, vy, spin, growth = (_rate(path, z, frames) for z in (path.x, path.y, path.angle, path.log_scale))
    r = _radius(path, frames)
    speed, rim, edge = np.hypot(vx, vy), spin * r, growth * r
    straight = _outdoes(speed, np.maximum(np.abs(rim), np.abs(edge)))
    # A direction is fully true within 35° and not at all beyond 55°. A diagonal is half of each.
    near, far = np.cos(np.radians(35)), np.cos(np.radians(55))
    strengths = {
        label: (np.clip((part / (speed + 1e-6) - far) / (near - far), 0, 1) * straight, speed / 0.2)
        for label, part in zip(DIRECTIONS, (-vx, vx, -vy, vy), strict=True)
    }
    for names, part, least in ((TOWARDS, edge, 0.12), (TURNS, rim, 0.25)):
        for name, sign in zip(names, (1, -1), strict=True):
            strengths[name] = (_outdoes(sign * part, speed), sign * part / least)
    return strengths


def _outdoes(part: Array, other: Array) -> Array:
    """How much a motion counts beside another, 0 to 1: not at all below a third of it, fully from two thirds up."""
    return np.asarray(np.clip(3 * part / (other + 1e-6) - 1, 0, 1), np.float64)


def _radius(path: Path2D, frames: Array) -> Array:
    return np.asarray(np.exp(np.interp(frames, path.t, path.log_scale)) * np.mean(path.half), np.float64)


def _rate(path: Path2D, z: Array, frames: Array) -> Array:
    """Return the change of `z` per frame, by central differences over two frames on either side."""
    return (np.interp(frames + 2, path.t, z) - np.interp(frames - 2, path.t, z)) / 4


def _pace(path: Path2D, frames: Array) -> Array:
    """Return how fast a thing's centre or edge goes at most within four frames of each frame; pixels a frame, [N]."""
    near = frames + np.arange(-4, 5)[:, None]
    r = float(_radius(path, frames).max())
    along = (path.x, path.y, path.angle * r, path.log_scale * r)
    steps = [np.interp(near + 0.5, path.t, z) - np.interp(near - 0.5, path.t, z) for z in along]
    return np.asarray(np.abs(steps).max((0, 1)), np.float64)


def moves(path: Path2D, frames: Array) -> npt.NDArray[np.bool_]:
    """Return at which frames a thing moves more than somebody who stands still, bool [N]."""
    r = _radius(path, frames).max()
    along = (path.x, path.y, path.angle * r, path.log_scale * r, path.alpha * 9)
    fast = np.max([np.abs(_rate(path, z, frames)) for z in along], axis=0) > 0.15
    return np.asarray(fast | (_event(path, frames, *path.events, "waving") > 0.05), np.bool_)
