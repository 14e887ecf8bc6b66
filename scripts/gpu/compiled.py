"""`torch.compile` against launches one by one and graphs. It needs a C compiler, and time to get ready."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from scripts.benchmarks.common import spread, table
from scripts.gpu.common import DeviceTurn, GpuPlan, model_of, tried, windows_on
from streamcam.bench.measure import Spread
from streamcam.engines.device.runner import TorchRunner

CASES = (
    ("motion", "bf16", 16),
    ("r3d_18", "bf16", 16),
    ("mc3_18", "bf16", 16),
    ("motion", "bf16", 1),
    ("r3d_18", "bf16", 1),
)
COMPILERS = ("cc", "gcc", "clang")


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """A row for each case. A compilation cannot be hurried: who waits for this may have to end it."""
    torch.backends.cudnn.benchmark = True
    compiler = next((name for name in COMPILERS if shutil.which(name)), None)
    figures: dict[str, Any] = {"rows": [], "compiler": compiler}
    yield figures
    for name, precision, batch in plan.sized(CASES, (("motion", "fp32", 1),)):
        if plan.left_s == 0:
            return
        row = tried(partial(one, plan, name, precision, batch))
        figures["rows"].append({"model": name, "precision": precision, "batch": batch, **row})
        yield figures


@torch.inference_mode()
def one(plan: GpuPlan, name: str, precision: str, batch: int) -> dict[str, Any]:
    """Milliseconds a window in all ways, in turns."""
    runner = TorchRunner(model_of(name, plan), plan.device, precision)
    frames = windows_on(runner, batch)

    def see(frames: Tensor) -> Sequence[Tensor]:
        output = runner.forward(frames)
        return [output.logits, output.cube]

    compiled = torch.compile(see, dynamic=False, backend="eager" if plan.quick else "inductor")
    begin_s = time.perf_counter()
    compiled(frames)
    warm_up_s = time.perf_counter() - begin_s
    works = {"eager": lambda: see(frames), "graph": runner.streams.capture(see, [frames])}
    works |= {"compiled": lambda: compiled(frames), "compiled, graph": runner.streams.capture(compiled, [frames])}
    turns = {way: DeviceTurn(plan.device, work, per=batch) for way, work in works.items()}
    taken = plan.alternate_for(turns, 1.0)
    return {"ms": {way: asdict(Spread.of(values)) for way, values in taken.items()}, "warm_up_s": warm_up_s}


WAYS = ("eager", "graph", "compiled", "compiled, graph")


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for row in figures["rows"]:
        name = f"{row['model']}, {row['precision']}, {row['batch']}"
        if "failed" in row:
            rows.append([name, f"failed: {row['failed']}"])
        else:
            rows.append([name, *(spread(row["ms"][w], ".3f", " ms") for w in WAYS), f"{row['warm_up_s']:.0f} s"])
    line = "" if figures["compiler"] else "No C compiler was found (cc, gcc, clang), which `torch.compile` needs.\n\n"
    return line + table(("network, precision, batch; a window", *WAYS, "compiling"), rows)
