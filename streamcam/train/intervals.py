"""95 % intervals of scores: what another draw of as many clips could have given."""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

Z_95 = 1.96
"""Standard deviations of the normal distribution within which 95 % lie."""

DRAWS = 400
"""How many samples a bootstrap draws, if it costs little."""

MOST_SCORED = 20_000_000
"""Of large sets fewer samples are drawn, so that they hold about so many values together."""

LEAST_DRAWS = 40


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0–1: the score interval of Wilson (JASA 1927).

    >>> [round(bound, 3) for bound in wilson(10, 10)]
    [0.722, 1.0]
    """
    share, z2 = right / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_of_shares(counts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of independent shares, such as the mean recall of classes, 0–1.

    It recovers the variance of each share from its Wilson interval (Zou & Donner, Statistics in Medicine 2008). So it
    is sensible where all clips of a class are right; a bootstrap would then say that nothing is uncertain.

    >>> [round(bound, 3) for bound in mean_of_shares([(4, 4)] * 4)]
    [0.755, 1.0]

    Args:
        counts: for each share how many are right, and of how many; at least one share, and none of nothing.
    """
    shares = np.array([right / total for right, total in counts])
    low, high = np.array([wilson(right, total) for right, total in counts]).T
    mean, count = float(shares.mean()), len(counts)
    below, above = (float(np.linalg.norm(shares - bound)) / count for bound in (low, high))
    return max(0.0, mean - below), min(1.0, mean + above)


def bootstrap(score: Callable[[Ints], float], strata: Ints, *, columns: int = 1, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a score by resampling (Efron, Annals of Statistics 1979), the same in every run.

    Args:
        score: gives the score of clips, by their indices int64 [M]; some come several times, others never.
        strata: int64 [M], the stratum of each clip. Every sample has as many clips of each stratum.
        columns: how many values the score reads of each clip.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    draws = int(np.clip(MOST_SCORED // max(1, len(strata) * columns), LEAST_DRAWS, DRAWS))
    scores = [score(np.concatenate([rng.choice(clips, len(clips)) for clips in members])) for _ in range(draws)]
    low, high = np.quantile(scores, (0.025, 0.975))
    return float(low), float(high)
