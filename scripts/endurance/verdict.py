"""Samples → figures, and what of them is as it has to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import theilslopes

from scripts.endurance.sample import Sample, Second

Kept = TypeVar("Kept", Sample, Second)
Floats = npt.NDArray[np.float64]

WARM_UP_S = 240.0
"""Until then memory is still being found: buffers of every size that comes up."""
BLOCK_S, BLOCKS = 10.0, 8
"""Memory is looked at in means over so long, or twice, four times… as long; over so many of them at least."""
ALIKE = 0.25
"""How much of a block's distance from the line the next one may share: if they share more, the interval would lie."""
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
    """Whether it is not broken."""
    shown: bool = True
    """False where what was found fits a promise that was kept, and one that was broken as well."""

    @property
    def word(self) -> str:
        """What became of it."""
        return "BROKEN" if not self.ok else "kept" if self.shown else "not shown"


def slope_mb_h(samples: Sequence[Sample | Second]) -> tuple[float, float, float]:
    """How fast memory grows, MB an hour: the median of all slopes (Theil and Sen), and its 95 % interval.

    That holds for values that are independent of their neighbours; memory is given back about once a minute. So it is
    taken over means of blocks, which are made longer until each is as far from the line as if it knew no other.
    """
    t, mb = (np.array(z) for z in zip(*((s.at_s, s.rss_mb) for s in samples), strict=True))
    block_s = BLOCK_S
    while True:
        middles, means = _blocks(t, mb, block_s)
        slope, intercept, low, high = theilslopes(means, middles, alpha=0.95)
        if len(means) < 2 * BLOCKS or _shared(means - slope * middles - intercept) <= ALIKE:
            return slope * 3600, low * 3600, high * 3600
        block_s *= 2


def _blocks(t: Floats, values: Floats, block_s: float) -> tuple[Floats, Floats]:
    block = (t // block_s).astype(int)
    kept = np.unique(block)
    return (kept + 0.5) * block_s, np.array([values[block == b].mean() for b in kept])


def _shared(rest: Floats) -> float:
    """The correlation of neighbours."""
    rest = rest - rest.mean()
    return float((rest[1:] * rest[:-1]).sum() / max(float((rest**2).sum()), 1e-12))


def after_warm_up(samples: Sequence[Kept]) -> list[Kept]:
    """After the warm-up; of a short run, its second half."""
    begin_s = min(WARM_UP_S, samples[-1].at_s / 2)
    return [s for s in samples if s.at_s >= begin_s]


def judged(samples: Sequence[Sample], outcome: dict[str, Any], *, cameras: int) -> list[Check]:
    """Everything that was promised, and whether it was kept."""
    after = after_warm_up(samples)
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
            shown=outcome["faults"] > 0,
        ),
        *whole(outcome),
        Check("the password is in no line of output", str(outcome["leaks"]), outcome["leaks"] == 0),
        Check(
            "the restarted subscriber had results each time",
            outcome["restarts"],
            outcome["restarts_ok"],
            shown=not outcome["restarts"].endswith(" of 0"),
        ),
    ]
    return checks


def at_its_end(outcome: dict[str, Any]) -> Check:
    """How it ended."""
    code = outcome["exit_code"]
    return Check("the run ended when it was told to, without an error", f"exit code {code}", code == 0)


def flat_memory(after: Sequence[Sample | Second], cameras: int) -> list[Check]:
    """Whether memory grows; nothing, where too little time has passed after the warm-up to tell.

    It is kept where the whole interval is below what is allowed, broken where all of it is above.
    """
    if after[-1].at_s - after[0].at_s < ENOUGH_S:
        return []
    slope, low, high = (x / cameras for x in slope_mb_h(after))
    what = f"memory grows by less than {MAX_SLOPE_MB_H:g} MB an hour for each camera"
    found = f"{slope:+.2f} (95 %: {low:+.2f} to {high:+.2f})"
    broken, kept = low > MAX_SLOPE_MB_H, high < MAX_SLOPE_MB_H
    return [Check(what, found, ok=not broken, shown=bool(broken or kept))]


def whole(outcome: dict[str, Any]) -> list[Check]:
    """Whether messages came as they were sent."""
    return [
        Check("no result twice or out of order", str(outcome["disordered"]), outcome["disordered"] == 0),
        Check("no malformed message", str(outcome["malformed"]), outcome["malformed"] == 0),
    ]


def lines(checks: Sequence[Check]) -> str:
    """The verdict for people."""
    return "\n".join(f"{check.word:9}  {check.what}: {check.found}" for check in checks)


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


def latencies(samples: Sequence[Sample]) -> Floats:
    """Median and 95th percentile of capture → publish in each second, milliseconds, float64 [n,2]; NaN where no result
    came.
    """
    return np.array([(s.p50_ms, s.p95_ms) for s in samples], np.float64)
