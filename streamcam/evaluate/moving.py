"""Compare heat with optical flow: does it lie on what moves? One window at a time, and many windows as figures."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamcam.evaluate.flow import DIRECTIONS, MIN_SPEED, SIDE, Motion, dilate, region_direction
from streamcam.heat.localise import enlarge, peak
from streamcam.records import Floats, Heat
from streamcam.render.canvas import FULL_SCORE

NEAR = 4.0
"""In px of 112: a place within this distance of a moving pixel counts as near."""

MOTION_SHARE = 0.25
"""A window has motion if something moves in this share of its slices or more."""

DIRECTION_SHARE = 0.75
"""A window has a direction if this share of its slices or more go the same way."""

NAMED = 0.5
"""A class of this score or more is named."""

CAMERA_STANDS = MIN_SPEED / 4
"""In px of 112 a second: a camera that is slower certainly stands. From `MIN_SPEED` on, it certainly moves."""

SIZES = {"small": (0.0, 0.03), "medium": (0.03, 0.1), "large": (0.1, 1.0)}
"""Share of the picture that moves, from and to, of each class of size."""

CONTRARY = (
    ("moving left", "moving right"),
    ("moving up", "moving down"),
    ("approaching", "receding"),
    ("turning clockwise", "turning counter-clockwise"),
    ("appearing", "disappearing"),
)
"""Names that contradict each other, when one thing moves."""

NOT_MOTION = re.compile(r"^still$|camera|flicker", re.IGNORECASE)
"""Matches the names of classes that do not mean one moving object."""


@dataclass(frozen=True, slots=True)
class MotionScore:
    """How well the heat of one window fits the motion in it. None where the question does not arise."""

    points: bool | None = None
    """Whether the hottest place of the window, in space and time, is a moving pixel at that slice's own time."""
    near: bool | None = None
    """Whether a moving pixel lies within `NEAR` of that place."""
    painted: bool = False
    """Whether that heat is painted at full strength, because its class is probable enough."""
    energy: float | None = None
    """Share of the positive heat that lies on moving pixels."""
    chance: float | None = None
    """Share of the window's pixels that move."""
    chance_near: float | None = None
    """Share of the window's pixels with a moving one within `NEAR`."""
    direction: str | None = None
    """The direction in which the largest moving region goes, one of `DIRECTIONS`."""
    predicted_direction: str | None = None
    """The direction whose class has the highest logit."""
    still: bool | None = None
    """Where nothing moves: whether the strongest class is `still`."""
    quiet: bool = False
    """Where nothing moves: whether nothing changes either, such as a shadow or somebody who sways."""
    size: float | None = None
    """Share of the picture that moves, in the slices in which something does."""
    camera: bool | None = None
    """Whether the camera moves, where that is certain."""
    camera_named: bool = False
    """Whether `camera moving` is named."""
    contradicts: bool = False
    """Whether two names that contradict each other are named."""
    beliefs: tuple[tuple[float, bool], ...] = ()
    """Scores of classes whose truth the flow tells, each with that truth."""


@dataclass(frozen=True, slots=True)
class MotionClasses:
    """The classes of a model that are about motion, as indices."""

    motion: tuple[int, ...] | None
    """Classes whose heat should lie on what moves; None (all classes) for a model without the class `still`."""
    directions: dict[str, int]
    """left, right, up, down; empty unless the model has all four."""
    still: int | None
    """The class `still`; None if the model has none."""
    camera: int | None = None
    """The class `camera moving`; None if the model has none."""
    contrary: tuple[tuple[int, int], ...] = ()
    """Pairs of classes that contradict each other."""

    @classmethod
    def of(cls, classes: Sequence[str]) -> "MotionClasses":
        """Find them by their names: `still`, `left` or `moving left`, and so on."""
        names = [name.casefold() for name in classes]
        still = names.index("still") if "still" in names else None
        motion = tuple(i for i, name in enumerate(names) if not NOT_MOTION.search(name))
        directions = {way: i for way in DIRECTIONS for i, name in enumerate(names) if name in (way, f"moving {way}")}
        complete = len(directions) == len(DIRECTIONS)
        camera = names.index("camera moving") if "camera moving" in names else None
        contrary = tuple((names.index(a), names.index(b)) for a, b in CONTRARY if a in names and b in names)
        return cls(None if still is None else motion, directions if complete else {}, still, camera, contrary)

    def strongest_direction(self, logits: Floats) -> str:
        """Return the direction whose class has the highest logit, of logits float32 [C]."""
        return max(self.directions, key=lambda way: logits[self.directions[way]])


def score_motion(heat: Heat, motions: Sequence[Motion], classes: MotionClasses) -> MotionScore:
    """Compare a window's heat with the motion in it.

    Args:
        heat: of `classes.motion`, the strongest class first.
        motions: the motion at the time of each slice.
        classes: the model's classes that are about motion.
    """
    with_motion = sum(bool(motion.moving.any()) for motion in motions)
    judged = _judge_names(heat, motions, classes)
    if with_motion < MOTION_SHARE * len(motions):
        # `still` can be judged only where nothing moves in any slice and the camera stands.
        if with_motion or classes.still is None or any(motion.camera > MIN_SPEED for motion in motions):
            return judged
        still = int(heat.logits.argmax()) == classes.still
        return replace(judged, still=still, quiet=all(motion.quiet for motion in motions))
    # Motion and heat are compared slice by slice: an object is somewhere else in the next one.
    maps = heat_maps(heat)
    hottest = int(np.argmax([m.max() for m in maps]))
    x, y = peak(maps[hottest])
    moving = np.stack([motion.moving for motion in motions])
    near = np.stack([dilate(mask, NEAR) for mask in moving])
    positive = np.maximum(maps, 0)
    direction = window_direction(motions) if classes.directions else None
    return replace(
        judged,
        points=bool(moving[hottest, y, x]),
        near=bool(near[hottest, y, x]),
        painted=float(heat.scores[0]) >= FULL_SCORE,
        energy=float(positive[moving].sum() / max(float(positive.sum()), 1e-12)),
        chance=float(moving.mean()),
        chance_near=float(near.mean()),
        direction=direction,
        predicted_direction=None if direction is None else classes.strongest_direction(heat.logits),
        size=float(moving[moving.any((1, 2))].mean()),
    )


def _judge_names(heat: Heat, motions: Sequence[Motion], classes: MotionClasses) -> MotionScore:
    """Compare what is named with what the flow tells for certain: the camera, a direction, that nothing moves."""
    scores = 1 / (1 + np.exp(-heat.logits.astype(np.float64)))
    speeds = [motion.camera for motion in motions]
    camera = True if min(speeds) > MIN_SPEED else False if max(speeds) < CAMERA_STANDS else None
    direction = window_direction(motions) if classes.directions else None
    quiet = all(motion.quiet for motion in motions)
    beliefs: list[tuple[float, bool]] = []
    if classes.camera is not None and camera is not None:
        beliefs.append((float(scores[classes.camera]), camera))
    if classes.still is not None and (quiet or direction is not None):
        beliefs.append((float(scores[classes.still]), quiet))
    if quiet or direction is not None:
        beliefs += [(float(scores[c]), way == direction) for way, c in classes.directions.items()]
    named = scores >= NAMED
    return MotionScore(
        camera=None if classes.camera is None else camera,
        camera_named=classes.camera is not None and bool(named[classes.camera]),
        contradicts=any(named[a] and named[b] for a, b in classes.contrary),
        beliefs=tuple(beliefs),
    )


def calibration_error(beliefs: Sequence[tuple[float, bool]], *, bins: int = 10) -> float | None:
    """Return the expected calibration error, 0–1 (Guo et al., ICML 2017): |mean score − share that is true|.

    Beliefs are sorted into bins of equal width by their scores, and bins weighed by their beliefs. None without any.
    """
    if not beliefs:
        return None
    scores, true = (np.asarray(z, np.float64) for z in zip(*beliefs, strict=True))
    which = np.minimum((scores * bins).astype(int), bins - 1)
    errors = [abs(float((scores - true)[which == b].sum())) for b in range(bins)]
    return round(sum(errors) / len(beliefs), 4)


def heat_maps(heat: Heat) -> Floats:
    """Return the centred heat of the strongest class on the grid of the flow, float32 [L',SIDE,SIDE]."""
    return np.stack([enlarge(cells, SIDE, SIDE) for cells in heat.cube[0] - heat.common])


def window_direction(motions: Sequence[Motion]) -> str | None:
    """Return the direction that the largest moving region has in `DIRECTION_SHARE` of the slices or more, or None."""
    way, count = Counter(region_direction(motion) for motion in motions).most_common(1)[0]
    return way if count >= DIRECTION_SHARE * len(motions) else None


def mean(values: Sequence[float | bool | None]) -> float | None:
    """Return the mean of what is known, or None."""
    known = [float(value) for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None


def of_size(name: str, scores: Sequence[MotionScore]) -> list[tuple[str, float | int | None]]:
    """Return the figures of the windows whose moving part has one size."""
    return [
        (name, len(scores)),
        (f"{name}_points", mean([v.points for v in scores])),
        (f"{name}_direction", mean([v.direction == v.predicted_direction for v in scores if v.direction is not None])),
    ]


def summary(scores: Sequence[MotionScore]) -> dict[str, float | int | None]:
    """Summarise many windows: counts, and shares 0–1. A share is None if no window has it."""
    painted = [v for v in scores if v.painted]
    directed = [v for v in scores if v.direction is not None]
    return {
        "windows": len(scores),
        "with_motion": sum(v.points is not None for v in scores),
        "points": mean([v.points for v in scores]),
        "chance": mean([v.chance for v in scores]),
        "points_near": mean([v.near for v in scores]),
        "chance_near": mean([v.chance_near for v in scores]),
        "painted": len(painted),
        "points_painted": mean([v.points for v in painted]),
        "points_near_painted": mean([v.near for v in painted]),
        "energy": mean([v.energy for v in scores]),
        "with_direction": len(directed),
        "direction": mean([v.direction == v.predicted_direction for v in directed]),
        "without_motion": sum(v.still is not None for v in scores),
        "still": mean([v.still for v in scores]),
        "unchanging": sum(v.quiet for v in scores),
        "still_unchanging": mean([v.still for v in scores if v.quiet]),
        "with_camera": sum(v.camera is not None for v in scores),
        "camera": mean([v.camera == v.camera_named for v in scores if v.camera is not None]),
        "contradicts": mean([v.contradicts for v in scores]),
        "named": sum(score >= NAMED for v in scores for score, _ in v.beliefs),
        "named_right": mean([true for v in scores for score, true in v.beliefs if score >= NAMED]),
        "named_score": mean([score for v in scores for score, _ in v.beliefs if score >= NAMED]),
        "calibration_error": calibration_error([belief for v in scores for belief in v.beliefs]),
        **{
            key: value
            for name, (least, most) in SIZES.items()
            for key, value in of_size(name, [v for v in scores if v.size is not None and least <= v.size < most])
        },
    }
