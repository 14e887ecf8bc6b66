"""What heat of all classes costs beside the bare forward of the same network: r3d_18, both as graphs, in turns."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from scripts.benchmarks.common import spread, table
from scripts.gpu.common import DeviceTurn, GpuPlan, model_of, tried, windows_on
from streamcam.bench.measure import Spread, ratios
from streamcam.engines.device.runner import TorchRunner

PRECISIONS, BATCHES = ("bf16", "fp32"), (16, 1)


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """A row for each precision and batch."""
    rows: list[dict[str, Any]] = []
    cases = [(p, b) for b in plan.sized(BATCHES, (1,)) for p in plan.sized(PRECISIONS, ("fp32",))]
    for left, (precision, batch) in zip(range(len(cases), 0, -1), cases, strict=True):
        row = tried(partial(one, plan, precision, batch, seconds=plan.left_s / left))
        rows.append({"precision": precision, "batch": batch, **row})
        yield {"rows": rows}


@torch.inference_mode()
def one(plan: GpuPlan, precision: str, batch: int, *, seconds: float) -> dict[str, Any]:
    """Milliseconds a window with and without heat, and the first over the second."""
    runner = TorchRunner(model_of("r3d_18", plan), plan.device, precision)
    frames, head = windows_on(runner, batch), runner.model.head

    def bare(frames: Tensor) -> Sequence[Tensor]:
        """The network as it was before it was cut: pooled, and classified."""
        pooled = runner.model.feature_maps(runner.normalise(frames))[0].mean((2, 3, 4))
        return [linear(pooled, head.classifier.weight.to(pooled), head.bias.to(pooled))]

    def with_heat(frames: Tensor) -> Sequence[Tensor]:
        output = runner.forward(frames)
        return [output.logits, output.cube]

    turns = {
        name: DeviceTurn(plan.device, runner.streams.capture(function, [frames]), per=batch)
        for name, function in (("bare", bare), ("heat", with_heat))
    }
    taken = plan.alternate_for(turns, 0.7 * seconds)
    ms = {name: asdict(Spread.of(values)) for name, values in taken.items()}
    return {"ms": ms, "forwards": asdict(ratios(taken["heat"], taken["bare"]))}


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for row in figures["rows"]:
        name = f"{row['precision']}, batch {row['batch']}"
        if "failed" in row:
            rows.append([name, f"failed: {row['failed']}"])
            continue
        ms = [spread(row["ms"][n], ".3f", " ms") for n in ("bare", "heat")]
        rows.append([name, *ms, spread(row["forwards"], ".3f")])
    return table(("", "a window, bare", "with the heat of all classes", "forwards"), rows)
