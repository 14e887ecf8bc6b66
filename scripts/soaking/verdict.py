"""Samples → figures, and what of them is as it has to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import theilslopes

from soaking.sample import Sample, Second

Kept = TypeVar("Kept", Sample, Second)

WARM_UP_S = 240.0
"""Until then memory is still being found: buffers of every size that comes up."""
BLOCK_S = 10.0
MAX_SLOPE_MB_H = 1.0
"""Of memory, for each camera."""
ENOUGH_S = 180.0
"""After the warm-up, for a slope of memory to say anything."""
FIRST_AND_LAST = 0.25
"""Of the samples after the warm-up: what the beginning and the end are."""
MAX_BACK_S = 20.0
"""How long a camera may take to give a result once it can be reached again: the longest pause between tries, with its
jitter, the connection, and a window."""


@dataclass(frozen=True)
class Check:
    """One thing that was promised."""

    what: str
    found: str
    ok: bool


def slope_mb_h(samples: Sequence[Sample | Second]) -> tuple[float, float, float]:
    """How fast memory grows, MB an hour: the median of all slopes (Theil and Sen), and its 95 % interval.

    Over means of blocks, since what is freed late makes neighbouring seconds alike.
    """
    t, mb = (np.array(z) for z in zip(*((s.at_s, s.rss_mb) for s in samples), strict=True))
    block = (t // BLOCK_S).astype(int)
    kept = np.unique(block)
    means = np.array([mb[block == b].mean() for b in kept])
    slope, _, low, high = theilslopes(means, kept * BLOCK_S, alpha=0.95)
    return slope * 3600, low * 3600, high * 3600


def settled(samples: Sequence[Kept]) -> list[Kept]:
    """After the warm-up; of a short run, its second half."""
    begin_s = min(WARM_UP_S, samples[-1].at_s / 2)
    return [s for s in samples if s.at_s >= begin_s]


def judged(samples: Sequence[Sample], outcome: dict[str, Any], *, cameras: int) -> list[Check]:
    """Everything that was promised, and whether it was kept."""
    after = settled(samples)
    calm = [s for s in after if s.live == cameras]
    checks = [
        at_its_end(outcome),
        Check("all cameras were there at once at times", f"{len(calm)} of {len(after)} s", bool(calm)),
    ]
    checks += flat_memory(after, cameras)
    checks += _left_open(calm) if calm else []
    waits = np.array([back["back_s"] for back in outcome["back"]] or [0.0])
    back = f"{len(outcome['back'])} of {outcome['faults']}"
    checks += [
        Check(
            "every camera came back after every fault",
            f"{back}, after {np.median(waits):.1f} s (longest {waits.max():.1f})",
            len(outcome["back"]) == outcome["faults"] and bool(waits.max() <= MAX_BACK_S),
        ),
        *whole(outcome),
        Check("the password is in no line of output", str(outcome["leaks"]), outcome["leaks"] == 0),
        Check("the restarted subscriber had results each time", outcome["restarts"], outcome["restarts_ok"]),
    ]
    return checks


def at_its_end(outcome: dict[str, Any]) -> Check:
    """How it ended."""
    code = outcome["exit_code"]
    return Check("the run ended when it was told to, without an error", f"exit code {code}", code == 0)


def flat_memory(after: Sequence[Sample | Second], cameras: int) -> list[Check]:
    """Whether memory grows; nothing, where too little time has passed after the warm-up to tell."""
    if after[-1].at_s - after[0].at_s < ENOUGH_S:
        return []
    slope, low, high = (x / cameras for x in slope_mb_h(after))
    what = f"memory grows by less than {MAX_SLOPE_MB_H:g} MB an hour for each camera"
    return [Check(what, f"{slope:+.2f} (95 %: {low:+.2f} to {high:+.2f})", bool(low < MAX_SLOPE_MB_H))]


def whole(outcome: dict[str, Any]) -> list[Check]:
    """Whether messages came as they were sent."""
    return [
        Check("no result twice or out of order", str(outcome["disordered"]), outcome["disordered"] == 0),
        Check("no malformed message", str(outcome["malformed"]), outcome["malformed"] == 0),
    ]


def lines(checks: Sequence[Check]) -> str:
    """The verdict for people."""
    return "\n".join(f"{'kept  ' if check.ok else 'BROKEN'}  {check.what}: {check.found}" for check in checks)


def _left_open(calm: Sequence[Sample]) -> list[Check]:
    """Whether anything is, at the end, that was not at the beginning; of seconds in which all cameras are there."""
    share = max(1, round(FIRST_AND_LAST * len(calm)))
    checks = []
    for name, word in (("fds", "file descriptors"), ("threads", "threads")):
        first, last = (_usual([getattr(s, name) for s in part]) for part in (calm[:share], calm[-share:]))
        checks.append(Check(f"as many {word} at the end as at the beginning", f"{first} → {last}", last <= first))
    return checks


def _usual(values: Sequence[int]) -> int:
    """What is there most often."""
    found, counts = np.unique(np.array(values), return_counts=True)
    return int(found[counts.argmax()])


def latencies(samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
    """Median and 95th percentile of capture → publish in each second, milliseconds, float64 [n,2]; NaN where no result
    came.
    """
    return np.array([(s.p50_ms, s.p95_ms) for s in samples], np.float64)
