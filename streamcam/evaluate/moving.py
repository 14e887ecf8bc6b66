"""Does heat lie on what moves? One window of a video against its optical flow, and many of them in figures."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamcam.evaluate.flow import DIRECTIONS, MIN_SPEED, SIDE, Motion, dilate, direction
from streamcam.heat.localise import enlarge, peak
from streamcam.records import Floats, Heat
from streamcam.render.overlay import FULL_SCORE

NEAR = 4.0
"""px of 112: so close to a moving pixel counts as near."""

MOTION_SHARE = 0.25
"""Of a window's slices in which something moves, for it to be a window with motion."""

DIRECTION_SHARE = 0.75
"""Of a window's slices that go the same way, for the window to have a direction."""

NOT_MOTION = re.compile(r"^still$|camera|flicker", re.IGNORECASE)
"""Classes of a model that knows motion which do not speak of one moving thing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One window. None where a question does not arise in it."""

    points: bool | None = None
    """Whether the hottest place of the window, in space and time, moves at that slice's own time."""
    near: bool | None = None
    """Whether it moves within `NEAR` of it."""
    painted: bool = False
    """Whether that heat is painted at full strength: the network says that its class is there."""
    energy: float | None = None
    """Share of the positive heat that lies on moving pixels."""
    chance: float | None = None
    """Share of the window's pixels that move."""
    chance_near: float | None = None
    """Share of the window's pixels with a moving one within `NEAR`."""
    direction: str | None = None
    """Which way the largest moving region goes."""
    said: str | None = None
    """The strongest of the model's direction classes."""
    still: bool | None = None
    """Where nothing moves: whether the strongest class is `still`."""
    quiet: bool = False
    """Whether, besides, nothing even changes: nobody sways, no shadow falls."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a model's classes say of motion, as indices."""

    motion: tuple[int, ...] | None
    """Classes whose heat should lie on what moves; None (all of them) for a model that does not know stillness."""
    directions: dict[str, int]
    """left, right, up, down; empty where the model has not all four."""
    still: int | None

    @classmethod
    def of(cls, classes: Sequence[str]) -> "Vocabulary":
        """Read it off the names: `still`, `moving left` and so on."""
        names = [name.casefold() for name in classes]
        still = names.index("still") if "still" in names else None
        motion = tuple(i for i, name in enumerate(names) if not NOT_MOTION.search(name))
        found = {way: i for way in DIRECTIONS for i, name in enumerate(names) if name in (way, f"moving {way}")}
        return cls(None if still is None else motion, found if len(found) == len(DIRECTIONS) else {}, still)


def judge(heat: Heat, motions: Sequence[Motion], words: Vocabulary) -> Verdict:
    """Hold a window's heat against what moves.

    Args:
        heat: of `words.motion`, the strongest class first.
        motions: one for each slice, at its own time.
        words: what the classes mean.
    """
    in_motion = sum(bool(motion.moving.any()) for motion in motions)
    if in_motion < MOTION_SHARE * len(motions):
        if in_motion or words.still is None or any(motion.camera > MIN_SPEED for motion in motions):
            return Verdict()
        return Verdict(still=int(heat.logits.argmax()) == words.still, quiet=all(motion.quiet for motion in motions))
    maps = heat_maps(heat)
    at = int(np.argmax([m.max() for m in maps]))
    x, y = peak(maps[at])
    moving = np.stack([motion.moving for motion in motions])
    near = np.stack([dilate(mask, NEAR) for mask in moving])
    positive = np.maximum(maps, 0)
    way = window_direction(motions) if words.directions else None
    return Verdict(
        points=bool(moving[at, y, x]),
        near=bool(near[at, y, x]),
        painted=float(heat.scores[0]) >= FULL_SCORE,
        energy=float(positive[moving].sum() / max(float(positive.sum()), 1e-12)),
        chance=float(moving.mean()),
        chance_near=float(near.mean()),
        direction=way,
        said=max(words.directions, key=lambda w: heat.logits[words.directions[w]]) if way else None,
    )


def heat_maps(heat: Heat) -> Floats:
    """The contrast of the strongest class on the flow's grid, float32 [L',SIDE,SIDE]."""
    return np.stack([enlarge(cells, SIDE, SIDE) for cells in heat.cube[0] - heat.common])


def window_direction(motions: Sequence[Motion]) -> str | None:
    """The way that the largest moving region goes in `DIRECTION_SHARE` of the slices; None where there is no such."""
    way, count = Counter(direction(motion) for motion in motions).most_common(1)[0]
    return way if count >= DIRECTION_SHARE * len(motions) else None


def summary(verdicts: Sequence[Verdict]) -> dict[str, float | int | None]:
    """Many windows in figures; a share is None where no window asks for it."""

    def mean(values: Sequence[float | bool | None]) -> float | None:
        known = [float(value) for value in values if value is not None]
        return round(sum(known) / len(known), 4) if known else None

    painted = [v for v in verdicts if v.painted]
    directed = [v for v in verdicts if v.direction is not None]
    return {
        "windows": len(verdicts),
        "with_motion": sum(v.points is not None for v in verdicts),
        "points": mean([v.points for v in verdicts]),
        "chance": mean([v.chance for v in verdicts]),
        "points_near": mean([v.near for v in verdicts]),
        "chance_near": mean([v.chance_near for v in verdicts]),
        "painted": len(painted),
        "points_painted": mean([v.points for v in painted]),
        "points_near_painted": mean([v.near for v in painted]),
        "energy": mean([v.energy for v in verdicts]),
        "with_direction": len(directed),
        "direction": mean([v.direction == v.said for v in directed]),
        "without_motion": sum(v.still is not None for v in verdicts),
        "still": mean([v.still for v in verdicts]),
        "unchanging": sum(v.quiet for v in verdicts),
        "still_unchanging": mean([v.still for v in verdicts if v.quiet]),
    }
