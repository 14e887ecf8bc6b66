"""A profiler around work on a device."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from scripts.gpu.common import GpuPlan, settle
from scripts.gpu.timeline import Timeline

SHOWN = 4
"""So many kinds of copies, those that take the longest."""


def profiled(plan: GpuPlan, work: Callable[[], object], *, name: str) -> Timeline:
    """What a device does while work is done; the timeline is kept as `NAME.json` where a folder was asked for."""
    # Once it has been taken down, it sees nothing more in this process; an empty run to begin with would do that, too.
    os.environ["TEARDOWN_CUPTI"] = "0"
    settle(plan.device)
    with profile(activities=[ProfilerActivity.CUDA if plan.on_gpu else ProfilerActivity.CPU]) as recorded:
        work()
        settle(plan.device)
    with tempfile.TemporaryDirectory(prefix="streamcam-") as folder:
        path = Path(plan.trace or folder) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(path))
        timeline = Timeline.of(json.loads(path.read_text()))
    if plan.on_gpu and not timeline.computing:
        raise RuntimeError("the profiler saw nothing of the GPU: CUPTI does not work here")
    return timeline


def figures_of(timeline: Timeline) -> dict[str, Any]:
    """A timeline in numbers."""
    kinds = sorted(timeline.kinds.items(), key=lambda kind: -kind[1])[:SHOWN]
    return {
        "overlapped": timeline.overlapped,
        "computing": timeline.busy(timeline.computing),
        "copying": timeline.busy(timeline.copies),
        "copies_ms": {name: us / 1e3 for name, us in kinds},
    }
