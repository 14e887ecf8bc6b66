"""The learning curve: how good a classifier is that learns from fewer clips, or from fewer people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamcam.records import Floats
from streamcam.train.intervals import Ints

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
DRAWS = 5
"""So many subsets of each size are drawn."""

TRIES = 50
"""So often a subset of the people is drawn anew where a class has no clip in it."""


@dataclass(frozen=True, slots=True, eq=False)
class CurvePoint:
    """What is reached with subsets of one size."""

    share: float
    """0–1, of all training clips, or of all people."""
    clips: float
    """In a subset; the mean over the draws."""
    people: int | None
    """In a subset; None where clips were drawn, whoever is in them."""
    logits: Floats
    """float32 [D,M,C]: for the M validation clips, by the classifiers of the D draws."""


Fit = Callable[[Ints], Floats]
"""Trains a classifier on the clips with these indices; gives its logits, float32 [M,C], for the validation clips."""


def curve_of_clips(strata: Ints, fit: Fit, *, seed: int = 0) -> list[CurvePoint]:
    """Train on random subsets of the clips, and on all; each subset has its share of every stratum.

    Args:
        strata: int64 [N], the class of each training clip.
        fit: trains a classifier.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    points: list[CurvePoint] = []
    for share in SHARES:
        subsets = [draw_share(strata, share, rng) for _ in range(DRAWS if share < 1 else 1)]
        points.append(_point(share, None, subsets, fit))
    return _growing(points)


def curve_of_people(people: Ints, strata: Ints, fit: Fit, *, seed: int = 0) -> list[CurvePoint]:
    """Train on all clips of random subsets of the people, and of all people.

    Sizes are left out for which no subset with a clip of each stratum was found.

    Args:
        people: int64 [N], who is in each training clip.
        strata: int64 [N], the class of each training clip.
        fit: trains a classifier.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    everybody = np.unique(people)
    points: list[CurvePoint] = []
    for count in sorted({max(1, round(share * len(everybody))) for share in SHARES}):
        subsets = _draw_people(people, strata, count, rng)
        if subsets:
            points.append(_point(count / len(everybody), count, subsets, fit))
    return points


def draw_share(strata: Ints, share: float, rng: np.random.Generator) -> Ints:
    """Draw a share of the clips of each stratum, but one at least: their indices, ascending."""
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    counts = [max(1, round(share * len(clips))) for clips in members]
    chosen = [rng.choice(clips, n, replace=False) for clips, n in zip(members, counts, strict=True)]
    return np.sort(np.concatenate(chosen))


def _draw_people(people: Ints, strata: Ints, count: int, rng: np.random.Generator) -> list[Ints]:
    """Return the clips of a few different subsets of `count` people; every stratum has a clip in each."""
    subsets: dict[tuple[int, ...], Ints] = {}
    needed = len(np.unique(strata))
    for _ in range(TRIES):
        chosen = np.sort(rng.choice(np.unique(people), count, replace=False))
        clips = np.flatnonzero(np.isin(people, chosen))
        if len(np.unique(strata[clips])) == needed:
            subsets[tuple(chosen.tolist())] = clips
        if len(subsets) == DRAWS:
            break
    return list(subsets.values())


def _point(share: float, people: int | None, subsets: Sequence[Ints], fit: Fit) -> CurvePoint:
    clips = float(np.mean([len(subset) for subset in subsets]))
    return CurvePoint(share, clips, people, np.stack([fit(subset) for subset in subsets]))


def _growing(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Return the points without those that have as few clips as the one before: few clips have few subsets."""
    return [p for i, p in enumerate(points) if not i or p.clips > points[i - 1].clips]
