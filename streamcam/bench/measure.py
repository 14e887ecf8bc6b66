"""Take turns, and sum up the times: medians, quartiles, and ratios within a round."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

Turn = Callable[[], float]
"""Runs a method once, and returns how long that took: milliseconds for each frame."""

Clock = Callable[[], float]
Show = Callable[[float, float], None]
"""Is called with the seconds that have passed, and all."""

MIN_ROUNDS = 3
MAX_CAMERAS = 512


class CameraTrial(Protocol):
    """The outcome of a run with several cameras at once."""

    @property
    def cameras(self) -> int:
        """The number of cameras."""
        ...

    @property
    def missing(self) -> float:
        """0–1, the share of frames or windows that were lost."""
        ...

    @property
    def sustained(self) -> bool:
        """Whether so little was lost that the machine can do this for long."""
        ...


Trial = TypeVar("Trial", bound=CameraTrial)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of some values."""

    median: float
    low: float
    """The lower quartile."""
    high: float
    """The upper quartile."""
    count: int

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Sum up at least one value."""
        low, median, high = np.percentile(np.asarray(values, np.float64), (25, 50, 75)).tolist()
        return Spread(median, low, high, len(values))


def round_order(names: Sequence[str], number: int) -> list[str]:
    """Return the order of the methods in a round: each is first in turn, and every other round is reversed.

    So no method always follows the same one, with the caches and the temperature that it leaves.
    """
    first = number // 2 % len(names)
    rotated = [*names[first:], *names[:first]]
    return rotated[::-1] if number % 2 else rotated


def alternate(
    turns: Mapping[str, Turn],
    *,
    seconds: float,
    min_rounds: int = MIN_ROUNDS,
    show: Show = lambda _done, _total: None,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Let methods take turns, and return the times of each, one a round.

    Each method takes a turn to warm up first, which does not count.

    Args:
        turns: at least one method, by name.
        seconds: stop after the round in which this time has passed.
        min_rounds: take this many rounds in any case.
        show: called after each turn.
        clock: returns seconds.
    """
    times_ms: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():  # memory is allocated and code is compiled at a first call
        turn()
    begin_s, number = clock(), 0
    while number < min_rounds or clock() - begin_s < seconds:
        for name in round_order(list(turns), number):
            times_ms[name].append(turns[name]())
            show(min(clock() - begin_s, seconds), seconds)
        number += 1
    return times_ms


def ratios(base: Sequence[float], values: Sequence[float]) -> Spread:
    """Return how many times as long `base` took, round by round. What slows a whole round down cancels out."""
    return Spread.of([b / v for b, v in zip(base, values, strict=True)])


def timed_ms(work: Callable[[], object], *, frames: int = 1, clock: Clock = time.perf_counter) -> float:
    """Do some work on `frames` frames, and return how long it took: milliseconds for each frame."""
    start_s = clock()
    work()
    return (clock() - start_s) * 1e3 / frames


def search_max_cameras(
    attempt: Callable[[int], Trial],
    *,
    first: int = 1,
    between: int = 2,
    limit: int = MAX_CAMERAS,
    enough: Callable[[], bool] = lambda: False,
) -> list[Trial]:
    """Double the number of cameras until a run is not sustained; then halve the gap between the two last numbers.

    A run that is not sustained is repeated once: the machine may have been busy with something else.

    Args:
        attempt: runs with a number of cameras.
        first: the number to begin with.
        between: how many times to halve the gap.
        limit: the largest number to try.
        enough: whether the time is up; then there are no more runs, except for the first.

    Returns:
        One trial for each number of cameras, also those that were not sustained, sorted by that number.
    """
    trials: list[Trial] = []

    def sustains(count: int) -> bool:
        once = attempt(count)
        # Of two runs the better one counts: what disturbs a run only ever makes it worse.
        again = once if once.sustained or enough() else attempt(count)
        trials.append(min(once, again, key=lambda trial: (not trial.sustained, trial.missing)))
        return trials[-1].sustained

    good, count = 0, first
    while sustains(count):
        good, count = count, 2 * count
        if count > limit or enough():
            break
    bad = trials[-1].cameras  # equal to `good` if that was sustained: then there is no gap to halve
    for _ in range(between):
        middle = (good + bad) // 2
        if middle in (good, bad) or enough():
            break
        good, bad = (middle, bad) if sustains(middle) else (good, middle)
    return sorted(trials, key=lambda trial: trial.cameras)
