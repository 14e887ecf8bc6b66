"""More work than fits: what was promised of it, and whether it was kept."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.endurance.sample import Second, dropped
from scripts.endurance.verdict import Check, after_warm_up, at_its_end, flat_memory, whole

KINDS = ("result", "overlay")
MINUTE_S = 60.0
"""What is compared, after a first minute in which queues fill; of a run of less than four minutes, quarters."""
MAX_RATIO = 1.1
"""Of the 95th percentile of latency in the last minute to that in the first."""
UNDER_WAY = 12
"""Windows of a camera that may be neither results nor dropped yet: one waits, some are computed and go out, and a
status is put together while the others count."""


def first_and_last(seconds: Sequence[Second]) -> tuple[list[Second], list[Second]]:
    """The minute after the first one, and the last."""
    end_s = seconds[-1].at_s
    minute_s = min(MINUTE_S, end_s / 4)
    first = [s for s in seconds if minute_s <= s.at_s < 2 * minute_s]
    return first, [s for s in seconds if s.at_s > end_s - minute_s]


def p95_ms(seconds: Sequence[Second], kind: str) -> float:
    """Of all messages of a kind, capture → publish; NaN where there are none."""
    ages_ms = [age for s in seconds for age in s.ages_ms.get(kind, [])]
    return float(np.percentile(ages_ms, 95)) if ages_ms else float("nan")


def curves_ms(seconds: Sequence[Second], kind: str) -> npt.NDArray[np.float64]:
    """Median and 95th percentile of each second, milliseconds, float64 [n,2]; NaN where nothing came."""
    none = [float("nan")]
    return np.array([np.percentile(s.ages_ms.get(kind) or none, (50, 95)) for s in seconds])


def judged_overload(seconds: Sequence[Second], outcome: dict[str, Any], status: dict[str, Any]) -> list[Check]:
    """Everything that was promised.

    Args:
        seconds: the run.
        outcome: how it ended, and what its messages were like.
        status: the last status of each camera.
    """
    first, last = first_and_last(seconds)
    checks = [at_its_end(outcome)]
    for kind in KINDS:
        before_ms, after_ms = p95_ms(first, kind), p95_ms(last, kind)
        what = f"p95 of {kind}s, capture → publish, in the last minute at most {MAX_RATIO:g}× that in the first"
        found = f"{before_ms:.0f} → {after_ms:.0f} ms (×{after_ms / before_ms:.2f})"
        checks.append(Check(what, found, after_ms <= MAX_RATIO * before_ms))
    lost = [part[-1].drops - part[0].drops for part in (first, last)]
    fewest = min(sum(s.results[name] for s in last) for name in last[-1].results)
    return [
        *checks,
        Check("drops are counted, in the first minute as in the last", f"{lost[0]}, {lost[1]}", min(lost) > 0),
        _accounted(status),
        Check("no camera is left without results in the last minute", f"{fewest} at least", fewest > 0),
        *flat_memory(after_warm_up(seconds), len(status)),
        *whole(outcome),
    ]


def _accounted(status: dict[str, Any]) -> Check:
    """Every window is a result, or counted as dropped; what the output thread drops may be frames as well."""
    windows, results, drops = (
        sum(int(s.get(key) or 0) for s in status.values()) for key in ("windows", "results", "dropped_window")
    )
    out = sum(int(s.get("dropped_output") or 0) for s in status.values())
    left, slack = windows - results - drops, UNDER_WAY * len(status)
    everything = sum(dropped(s) for s in status.values())
    found = f"{windows} = {results} + {drops} + {left} under way (with frames, {everything} dropped)"
    return Check("windows = results + dropped", found, results > 0 and -slack <= left <= out + slack)
