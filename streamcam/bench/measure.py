"""Turns and what they come to: medians, quartiles, and ratios within a round. Pure but for the clock."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

Turn = Callable[[], float]
"""Do a contender's work once; what it took, in milliseconds for each frame."""

Clock = Callable[[], float]
Show = Callable[[float, float], None]
"""So many seconds of so many are done."""

MIN_ROUNDS = 3
MAX_CAMERAS = 512


class Attempt(Protocol):
    """What so many cameras at once came to."""

    @property
    def cameras(self) -> int:
        """How many."""
        ...

    @property
    def missing(self) -> float:
        """The share that did not come through."""
        ...

    @property
    def sustained(self) -> bool:
        """Whether all came through."""
        ...


A = TypeVar("A", bound=Attempt)


@dataclass(frozen=True, slots=True)
class Spread:
    """What many turns came to."""

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


def order(names: Sequence[str], number: int) -> list[str]:
    """Who comes after whom in a round: each in turn is first, and every other round goes backwards.

    So nobody always follows the same one, with the caches and the temperature that it leaves.
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
    """Let contenders take turns; a value for each and each round. One turn each goes before and does not count.

    Args:
        turns: at least one contender.
        seconds: stop after the round in which so much time has gone by.
        min_rounds: but not before so many rounds.
        show: called after each turn.
        clock: in seconds.
    """
    taken: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():
        turn()
    begin_s, number = clock(), 0
    while number < min_rounds or clock() - begin_s < seconds:
        for name in order(list(turns), number):
            taken[name].append(turns[name]())
            show(min(clock() - begin_s, seconds), seconds)
        number += 1
    return taken


def ratios(base: Sequence[float], values: Sequence[float]) -> Spread:
    """How many times as long `base` took, round by round: what slows a whole round down cancels out."""
    return Spread.of([b / v for b, v in zip(base, values, strict=True)])


def timed_ms(work: Callable[[], object], *, frames: int = 1, clock: Clock = time.perf_counter) -> float:
    """How long something takes, in milliseconds for each of its frames."""
    start_s = clock()
    work()
    return (clock() - start_s) * 1e3 / frames


def most(
    attempt: Callable[[int], A],
    *,
    first: int = 1,
    between: int = 2,
    limit: int = MAX_CAMERAS,
    enough: Callable[[], bool] = lambda: False,
) -> list[A]:
    """Twice as many cameras each time, until it is too much; then look `between` times halfway.

    What fails is tried once more: a machine may have been busy with something else.

    Args:
        attempt: runs so many cameras.
        first: how many to begin with.
        between: how many times to halve the gap that is left.
        limit: no more than so many.
        enough: whether the time is up: then there are no more runs after the first.

    Returns:
        All runs, those that failed too, by the number of cameras.
    """
    runs: list[A] = []

    def holds(count: int) -> bool:
        once = attempt(count)
        again = once if once.sustained or enough() else attempt(count)
        runs.append(min(once, again, key=lambda r: (not r.sustained, r.missing)))
        return runs[-1].sustained

    good, count = 0, first
    while holds(count):
        good, count = count, 2 * count
        if count > limit or enough():
            break
    bad = runs[-1].cameras  # if that held, there is no gap to look into
    for _ in range(between):
        middle = (good + bad) // 2
        if middle in (good, bad) or enough():
            break
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return sorted(runs, key=lambda r: r.cameras)
