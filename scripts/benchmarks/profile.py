"""Where the time of a frame goes: the profile behind what is said of each target that is missed."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

from scripts.benchmarks.common import Plan, not_run, table, those_that_work
from scripts.benchmarks.loop import BASE, STRIDE, Frames, by_hand, by_streamcam
from streamcam.bench.measure import Turn

SECONDS = 30.0
SHOWN = 4
"""So many operators, those that take the longest."""
FORWARD_AND_BACK = {"convolution_backward": "convolution, backward", "mkldnn_convolution": "convolution"}
"""PyTorch's names that say less than they could."""


def measure(plan: Plan) -> dict[str, Any]:
    """Milliseconds a frame of each loop: all, PyTorch's operators, and what is outside of them."""
    counts = {BASE: 1, "streamcam, window, hop 1, fp32": 1, "streamcam, stream, hop 1, fp32": STRIDE}
    builders: dict[str, Callable[[], Turn]] = {
        BASE: lambda: Frames(by_hand(), 1),
        "streamcam, window, hop 1, fp32": lambda: Frames(by_streamcam("window", "fp32"), 1),
        "streamcam, stream, hop 1, fp32": lambda: Frames(by_streamcam("stream", "fp32"), STRIDE),
    }
    turns, absent = those_that_work(builders, plan.say)
    return {"rows": [{"name": name} | profiled(turn, counts[name]) for name, turn in turns.items()], "absent": absent}


def profiled(turn: Turn, frames: int) -> dict[str, Any]:
    """One turn under PyTorch's profiler. What its threads do counts once, as the time that is waited for them."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        ms = turn()
    took: Counter[str] = Counter()
    for event in recorded.key_averages():
        name = event.key.removeprefix("aten::")
        took[FORWARD_AND_BACK.get(name, name)] += event.self_cpu_time_total / 1e3 / frames
    return {"ms": ms, "operators": dict(took.most_common(SHOWN)), "outside": ms - sum(took.values())}


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for row in figures["rows"]:
        parts = "; ".join(f"{name} {ms:.1f}" for name, ms in row["operators"].items())
        rows.append([row["name"], f"{row['ms']:.1f} ms", parts, f"{row['outside']:.1f}"])
    columns = ("loop", "a frame", "PyTorch's operators that take the longest, ms", "outside PyTorch, ms")
    return table(columns, rows + not_run(figures["absent"], 4))
