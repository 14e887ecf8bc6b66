"""Whether memory stays flat: batches of `motion`, the smallest there are, so that there is time for all of them."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from scripts.benchmarks.common import table
from scripts.gpu.common import GpuPlan, cameras_for, flow, model_of
from streamcam.engines.backends import make_engine
from streamcam.records import Clip

BATCHES, WARM_UP = 50_000, 200
TOLERANCE_MB = {"allocated": 1.0, "device": 16.0}
"""What PyTorch has handed out must not grow at all, but for what is under way; others use the device as well."""


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """Memory after a warm-up, on the way and at the end."""
    engine = make_engine(model_of("motion", plan), name="stream", device=str(plan.device))
    cameras, first = cameras_for(engine, plan), engine.runner.spec.clip_format.length - 1
    batches, number = 20 if plan.quick else BATCHES, 0

    def coming() -> Iterator[Sequence[Clip]]:
        index = first
        while True:
            yield [cameras.clip(0, index)]
            index += engine.hop

    endless = coming()
    for _ in flow(engine, islice(endless, 10 if plan.quick else WARM_UP)):
        pass
    seen, begin_s, step = [taken(plan, 0)], time.perf_counter(), max(1, batches // 10)
    while number < batches and (plan.left_s > 0 or number == 0):
        number += sum(1 for _ in flow(engine, islice(endless, step)))
        seen.append(taken(plan, number))
        yield {"batches": number, "asked": batches, "seconds": time.perf_counter() - begin_s, "seen": seen}


def taken(plan: GpuPlan, batches: int) -> dict[str, Any]:
    """MB: what PyTorch has handed out and keeps, what is taken on the device by anybody, and this process's own."""
    row: dict[str, Any] = {"batches": batches, "host": _host_mb()}
    if plan.on_gpu:
        torch.cuda.synchronize(plan.device)
        free, total = torch.cuda.mem_get_info(plan.device)
        row["allocated"] = torch.cuda.memory_allocated(plan.device) / 1e6
        row["reserved"] = torch.cuda.memory_reserved(plan.device) / 1e6
        row["device"] = (total - free) / 1e6
    return row


def grew(figures: dict[str, Any]) -> bool | None:
    """Whether the device's memory did; None where there is none."""
    first, last = figures["seen"][0], figures["seen"][-1]
    if "allocated" not in first:
        return None
    return any(last[name] - first[name] > allowed for name, allowed in TOLERANCE_MB.items())


def _host_mb() -> float:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def markdown(figures: dict[str, Any]) -> str:
    """As a table of some moments, and a line."""
    seen = figures["seen"]
    names = [name for name in ("allocated", "reserved", "device", "host") if name in seen[0]]
    rows = [
        [str(s["batches"]), *(f"{s[name]:.1f} MB" for name in names)] for s in (seen[0], seen[len(seen) // 2], seen[-1])
    ]
    so_far = "it did not grow" if figures["batches"] >= figures["asked"] else "not shown: it did not grow so far"
    verdict = {None: "no GPU", True: "it grew", False: so_far}[grew(figures)]
    done = f"{figures['batches']:,} of {figures['asked']:,} batches of one camera"
    line = f"{done} in {figures['seconds']:.0f} s: {verdict}."
    return f"{line}\n\n{table(('batches', *names), rows)}"
