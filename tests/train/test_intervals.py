"""Intervals hold what they promise."""

import numpy as np
import pytest

from streamcam.train.intervals import bootstrap, mean_of_shares, wilson


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # The bounds are those of scipy.stats.binomtest(right, total).proportion_ci(method="wilson").
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (40, 48, 0.7042, 0.9130)],
)
def test_the_interval_is_wilsons(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=1e-4)


def test_the_mean_of_one_share_has_its_interval() -> None:
    assert mean_of_shares([(7, 9)]) == pytest.approx(wilson(7, 9))


@pytest.mark.parametrize("shares", [(0.9, 0.7, 0.5), (0.97, 0.97, 0.97)])
def test_intervals_of_a_mean_cover_it_about_as_often_as_they_say(shares: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    covered = 0.0
    for _ in range(500):
        low, high = mean_of_shares([(int(rng.binomial(12, share)), 12) for share in shares])
        covered += float(low <= np.mean(shares) <= high)
    assert 0.92 <= covered / 500 <= 0.995


def test_a_bootstrap_is_as_wide_as_the_deviation_of_the_mean_and_repeatable() -> None:
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap(lambda clips: float(values[clips].mean()), np.zeros(400, np.int64))
    assert (high - low) / 2 == pytest.approx(1.96 / 20, rel=0.15)
    assert (low, high) == bootstrap(lambda clips: float(values[clips].mean()), np.zeros(400, np.int64))


def test_a_bootstrap_keeps_the_clips_of_each_stratum() -> None:
    strata = np.array([0] * 3 + [1] * 7)
    assert bootstrap(lambda clips: float((strata[clips] == 0).sum()), strata) == (3.0, 3.0)
