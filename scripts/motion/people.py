"""Somebody who stands, walks or waves, as parts that move about each other. Plain numpy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scripts.motion.paths import (
    DIRECTIONS,
    PROGRAMS,
    TOWARDS,
    Array,
    ClipExtent,
    Path2D,
    Rng,
    activity,
    log_uniform,
    move,
    rest,
    sway,
    to_and_fro,
)

HEAD_Y, SHOULDER, HIP_Y = -0.37, (0.1, -0.235), 0.06
"""Where they are on a body, in heights of it, from the middle of its trunk; y points down."""
UPPER, FORE, LEG = 0.17, 0.22, 0.44
"""Lengths of an upper arm, a forearm with its hand, and a leg."""
SHAKES = ("shake", "nod", "tilt")


@dataclass
class Part:
    """One part of a thing, or all of it."""

    path: Path2D
    shape: str = ""
    """A kind of `appearance.PARTS`, or any shape if empty."""
    look: str = ""
    """What it is made of: "skin", "face", "cloth", "trousers"; anything if empty."""
    slide: Array | None = None
    """[2,points]: how far what is painted on it moves over it, in units of its half width and height."""


@dataclass
class Body:
    """Somebody who is put together."""

    root: Path2D
    height: float
    """In pixels, at scale 1."""
    parts: list[Part]

    def place(
        self, x: Array, y: Array, angle: Array, half: tuple[float, float], pivot: tuple[float, float] = (0.0, 0.0)
    ) -> Path2D:
        """Return the path of a part whose pivot is at x, y on the body; all lengths in heights of the body."""
        root, size = self.root, self.height * np.exp(self.root.log_scale)
        cos, sin = np.cos(root.angle), np.sin(root.angle)
        a, b = half[0] * self.height, half[1] * self.height
        scale = np.exp(root.log_scale)
        return Path2D(
            root.t,
            root.x + size * (x * cos - y * sin) - pivot[0] * a * scale,
            root.y + size * (x * sin + y * cos) - pivot[1] * b * scale,
            root.angle + angle,
            root.log_scale,
            root.alpha,
            (a, b),
            pivot,
            root=root,
        )

    def arm(self, side: int, upper: Array, fore: Array, thick: float) -> tuple[Part, Part]:
        """Return an upper arm and a forearm with its hand; angles are 0 where they hang, and grow outwards."""
        zero = 0 * self.root.t
        x, y = SHOULDER[0] * side + zero, SHOULDER[1] + zero
        top = self.place(x, y, -side * upper, (thick, UPPER / 1.7), (0.0, -0.85))
        x, y = x + side * UPPER * np.sin(upper), y + UPPER * np.cos(upper)
        low = self.place(x, y, -side * fore, (thick * 1.15, FORE / 1.7), (0.0, -0.85))
        return Part(top, "capsule", "cloth"), Part(low, "forearm", "skin")

    def leg(self, side: int, angle: Array, thick: float) -> Part:
        """Return a leg; angles grow outwards."""
        zero = 0 * self.root.t
        path = self.place(0.05 * side + zero, HIP_Y + zero, -side * angle, (thick, LEG / 1.8), (0.0, -0.9))
        return Part(path, "capsule", "trousers")


def body(extent: ClipExtent, rng: Rng, part: float, *, whole: bool | None = None) -> Body:
    """Return somebody who stands: all of them, from the waist up, or a face at a webcam.

    Args:
        extent: of the clip.
        rng: what it depends on.
        part: how much larger things are here than on a whole picture, as an area.
        whole: all of them, or not; by chance if None.
    """
    h, w = extent.size
    full = h * np.sqrt(part)
    root = rest(extent, rng, area=0.05)
    root.angle = 0 * root.t + rng.normal(0, 0.05)
    if whole if whole is not None else rng.random() < 0.4:
        height = full * log_uniform(rng, 0.3, 1.0)
        root.x, root.y = 0 * root.t + rng.uniform(0.1, 0.9) * w, 0 * root.t + rng.uniform(0.4, 0.65) * h
    else:
        height = full * log_uniform(rng, 1.1, 4.5)
        head_y = rng.uniform(0.2, 0.55) * h
        root.x, root.y = 0 * root.t + rng.uniform(0.2, 0.8) * w, 0 * root.t + head_y - HEAD_Y * height
    root.half = (float(min(0.17 * height, 0.2 * full)), float(min(0.5 * height, 0.4 * full)))  # what is seen of them
    return Body(root, float(height), [])


def person(extent: ClipExtent, rng: Rng, label: str, part: float) -> list[Part]:
    """Return the parts of somebody who does what a label says, or stands if it says "still"; from back to front."""
    made = body(extent, rng, part, whole=True if label in DIRECTIONS and rng.random() < 0.4 else None)
    zero = 0 * made.root.t
    how = _manner(label, rng)
    if how == "whole":
        PROGRAMS[label](made.root, extent, rng)
    swing = _gait(made.root, rng) if label in (*DIRECTIONS, *TOWARDS) else zero
    on = activity(extent, rng, whole=0.7) if how not in ("whole", "stand") else zero
    wave = to_and_fro(extent, rng) * on
    if how in ("jump", "jack"):
        made.root.y = made.root.y - max(log_uniform(rng, 0.03, 0.12) * made.height, 1.5) * wave
        made.root.events["bouncing"] = on
    thick = rng.uniform(0.022, 0.035)
    spread = rng.uniform(0.02, 0.12) + 0.25 * wave * (how == "jack")
    legs = [made.leg(side, spread + side * 0.45 * swing, 1.4 * thick) for side in (-1, 1)]
    trunk = Part(made.place(zero, zero - 0.08, zero, (rng.uniform(0.1, 0.13), 0.2)), "torso", "cloth")
    head = _head(made, rng, how, wave)
    if how in SHAKES:
        head.path.events["bouncing" if how == "nod" else "waving"] = on
    arms = _arms(made, rng, how, wave, on, thick) if how in WAYS else _hanging_arms(made, rng, swing, thick)
    if np.ptp(swing) > 0:
        for limb in (*legs, *arms):
            limb.path.doubtful = ("waving", "bouncing")
    return [*legs, trunk, head, *arms]


def _arms(made: Body, rng: Rng, how: str, wave: Array, on: Array, thick: float) -> list[Part]:
    """One arm or both that act; what hardly moves of an arm is not asked about."""
    zero, first = 0 * wave, int(rng.choice([-1, 1]))
    both = how == "jack" or rng.random() < 0.5
    arms: list[Part] = []
    for side in (first, -first):
        if side != first and not both:
            arms += made.arm(side, zero + 0.12, zero + rng.uniform(0.15, 0.55), thick)
            continue
        upper, fore = WAYS[how](rng, wave)
        pair = made.arm(side, zero + upper, zero + fore, thick)
        for piece, angle in zip(pair, (upper, fore), strict=True):
            if np.ptp(angle) > 0.3 or piece is pair[1]:
                piece.path.events["bouncing" if how == "hammer" else "waving"] = on
            else:
                piece.path.doubtful = ("waving", "bouncing")
        arms += pair
    return arms


def _hanging_arms(made: Body, rng: Rng, swing: Array, thick: float) -> list[Part]:
    """Arms that hang, and swing as somebody walks."""
    arms: list[Part] = []
    for side in (-1, 1):
        arms += made.arm(side, 0.12 + side * 0.4 * swing, 0.15 + side * 0.4 * swing + rng.uniform(0, 0.4), thick)
    return arms


def _manner(label: str, rng: Rng) -> str:
    """How somebody does it."""
    if label == "waving":
        return str(
            rng.choice(["raised", "swing", "clap", "shake", "tilt", "whole"], p=[0.3, 0.25, 0.15, 0.1, 0.1, 0.1])
        )
    if label == "bouncing":
        return str(rng.choice(["hammer", "nod", "jump", "jack"], p=[0.35, 0.2, 0.25, 0.2]))
    return "stand" if label == "still" else "whole"


def _gait(root: Path2D, rng: Rng) -> Array:
    """How limbs swing while a body goes somewhere, between −1 and 1."""
    speed = np.hypot(np.gradient(root.x), np.gradient(root.y)) + 30 * np.abs(np.gradient(root.log_scale))
    walks = np.clip(2 * speed / (speed.max() + 1e-6), 0, 1)
    return np.asarray(walks * np.sin(2 * np.pi * root.t / log_uniform(rng, 6, 14) + rng.uniform(0, 6.3)), np.float64)


def _head(made: Body, rng: Rng, how: str, wave: Array) -> Part:
    """A head, which may be shaken, nod, or be tilted to and fro."""
    zero = 0 * made.root.t
    half = (rng.uniform(0.058, 0.072), rng.uniform(0.08, 0.095))
    x, y, angle, slide = zero, zero + HEAD_Y, zero, np.zeros((2, len(zero)))
    amount = rng.uniform(0.5, 1) * wave
    if how == "shake":
        x, slide = x + 0.3 * half[0] * amount, np.stack([-0.3 * amount, zero])
    elif how == "nod":
        y, slide = y + 0.25 * half[1] * amount, np.stack([zero, -0.25 * amount])
    elif how == "tilt":
        angle = 0.4 * amount
    pivot = (0.0, 0.9)
    path = made.place(x, y + 0.9 * half[1], angle, half, pivot)
    return Part(path, "head", "face" if rng.random() < 0.8 else "skin", slide)


def _raised(rng: Rng, wave: Array) -> tuple[Array, Array]:
    """A raised forearm that swings."""
    return rng.uniform(0.4, 2.4) + 0.06 * wave, np.pi + rng.uniform(-0.3, 0.2) + rng.uniform(0.25, 0.7) * wave


def _stretched(rng: Rng, wave: Array) -> tuple[Array, Array]:
    """A stretched arm that goes up and down at the side, as a fan."""
    middle, amount = rng.uniform(1.2, 2.2), rng.uniform(0.4, 1.0)
    return middle + amount * wave, middle + amount * wave + rng.uniform(0, 0.3)


def _jack(rng: Rng, wave: Array) -> tuple[Array, Array]:
    """Stretched arms that go from the hips to above the head."""
    amount = rng.uniform(0.9, 1.2)
    return 1.5 + amount * wave, 1.6 + amount * wave


def _clap(rng: Rng, wave: Array) -> tuple[Array, Array]:
    """Hands before the chest that go apart and together."""
    return rng.uniform(0.2, 0.6) + 0.1 * wave, -rng.uniform(2.0, 2.6) + rng.uniform(0.25, 0.5) * wave


def _hammer(rng: Rng, wave: Array) -> tuple[Array, Array]:
    """A forearm that is held sideways and goes up and down."""
    return rng.uniform(0.1, 0.8) + 0.08 * wave, rng.choice([-1, 1]) * (1.57 + rng.uniform(0.25, 0.6) * wave)


WAYS: dict[str, Callable[[Rng, Array], tuple[Array, Array]]] = {
    "raised": _raised,
    "swing": _stretched,
    "jack": _jack,
    "clap": _clap,
    "hammer": _hammer,
}
"""How arms act: from a wave between −1 and 1 to the angles of the upper arm and the forearm."""


def hand(extent: ClipExtent, rng: Rng, label: str, part: float) -> list[Part]:
    """Return a hand near a camera, with its forearm, that waves or goes up, down or sideways."""
    h, w = extent.size
    long = h * np.sqrt(part) * log_uniform(rng, 0.35, 1.1)
    root = rest(extent, rng, area=0.05)
    root.half = (float(long * rng.uniform(0.14, 0.26)), float(long / 1.7))
    root.angle = 0 * root.t + np.pi + rng.normal(0, 0.25)
    root.x, root.y = 0 * root.t + rng.uniform(0.1, 0.9) * w, 0 * root.t + h * rng.uniform(0.5, 0.95)
    if label == "waving" and rng.random() < 0.7:
        on = activity(extent, rng, whole=0.7)
        root.pivot = (0.0, -0.85)
        root.y += 0.85 * root.half[1]
        root.angle = root.angle + rng.uniform(0.15, 0.6) * to_and_fro(extent, rng) * on
        root.events["waving"] = on
    elif label in ("waving", "bouncing"):
        sway(root, extent, rng, 0.0 if label == "waving" else np.pi / 2)
    elif label in DIRECTIONS:
        move(root, extent, rng, {"left": np.pi, "right": 0.0, "up": -np.pi / 2, "down": np.pi / 2}[label.split()[1]])
    else:
        PROGRAMS[label](root, extent, rng)
    return [Part(root, "forearm", "skin")]
