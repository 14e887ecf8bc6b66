"""Windows a second: networks, batches, precisions, launched one by one and as a graph; and how late one window is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from scripts.benchmarks.common import spread, table
from scripts.gpu.common import (
    PRECISIONS,
    Cameras,
    DeviceTurn,
    GpuPlan,
    cell,
    gflop_of,
    model_of,
    rate_turn,
    tried,
    windows_on,
)
from streamcam.bench.measure import Spread, Turn, ratios
from streamcam.engines.backends import make_engine
from streamcam.engines.device.runner import TorchRunner

MODELS = ("r3d_18", "motion", "mc3_18")
BATCHES = (16, 1, 64, 4, 32, 2, 8)
"""Those that say most come first."""
CASE_S, LATENCY_S = 0.25, 0.4


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """Latency, then a row for each case, then how layouts compare."""
    torch.backends.cudnn.benchmark = True  # for launches one by one too, so that both ways run the same kernels
    figures: dict[str, Any] = {"rows": [], "latency": [], "layouts": []}
    for name in plan.sized(MODELS, ("motion",)):
        for precision in plan.sized(PRECISIONS, ("fp32",)):
            row = tried(partial(latency, plan, name, precision))
            figures["latency"].append({"model": name, "precision": precision, **row})
            yield figures
    ready = cache(partial(Ready, plan))
    for batch in plan.sized(BATCHES, (2, 1)):
        for precision in plan.sized(PRECISIONS, ("fp32", "bf16")):
            for name in plan.sized(MODELS, MODELS[:2]):
                if plan.left_s == 0 and figures["rows"]:
                    continue
                row = tried(partial(_throughput, ready, name, precision, batch))
                figures["rows"].append({"model": name, "precision": precision, "batch": batch, **row})
                yield figures
        if not figures["layouts"]:
            figures["layouts"] = [
                {"precision": p, "batch": batch, **tried(partial(_compared_layouts, ready, p, batch))}
                for p in plan.sized(PRECISIONS, ("fp32",))
            ]
            yield figures


def _throughput(ready: Callable[[str, str], "Ready"], name: str, precision: str, batch: int) -> dict[str, Any]:
    return ready(name, precision).row(batch)


def _compared_layouts(ready: Callable[[str, str], "Ready"], precision: str, batch: int) -> dict[str, Any]:
    return layouts(ready("r3d_18", precision), batch)


class Ready:
    """A network on the device, and what it has to be held against."""

    def __init__(self, plan: GpuPlan, name: str, precision: str) -> None:
        model = model_of(name, plan)
        self.plan, self.gflop = plan, gflop_of(model)
        self.runner = TorchRunner(model, plan.device, precision)
        self.rate = rate_turn(plan.device, precision)

    @torch.inference_mode()
    def row(self, batch: int) -> dict[str, Any]:
        """Milliseconds a window in both ways, and the share of the matrix product's rate, in turns."""
        frames = windows_on(self.runner, batch)
        replay = self.runner.streams.capture(self._see, [frames])
        turns: dict[str, Turn] = {
            "graph": DeviceTurn(self.plan.device, replay, per=batch),
            "eager": DeviceTurn(self.plan.device, lambda: self._see(frames), per=batch),
            "matmul": self.rate,
        }
        taken = self.plan.alternate_for(turns, CASE_S)
        rate = taken["matmul"]
        return {
            "ms": {name: asdict(Spread.of(taken[name])) for name in ("graph", "eager")},
            "share": {
                name: asdict(ratios([ms * self.gflop for ms in rate], taken[name])) for name in ("graph", "eager")
            },
            "tflops": self.gflop / Spread.of(taken["graph"]).median,
            "matmul_tflops": 1 / Spread.of(rate).median,
            "captured": stays_in_place(replay),
        }

    def _see(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        output = self.runner.forward(frames)
        return output.logits, output.cube


def stays_in_place(replay: Any) -> bool:
    """Whether results come to where they came before: where capturing a graph failed, they do not."""
    before = replay()
    return all(a.data_ptr() == b.data_ptr() for a, b in zip(before, replay(), strict=True))


def latency(plan: GpuPlan, name: str, precision: str) -> dict[str, Any]:
    """One window, from uint8 in the host's memory to heat there."""
    engine = make_engine(model_of(name, plan), name="window", device=str(plan.device), precision=precision)
    clip = Cameras(engine.runner.spec.clip_format, pool=64).clip(0, 100)
    turn = DeviceTurn(plan.device, lambda: engine.infer([clip]))
    return plan.spread_of(turn, LATENCY_S)


@torch.inference_mode()
def layouts(ready: Ready, batch: int) -> dict[str, Any]:
    """The features alone in both layouts of memory, milliseconds a window."""
    runner, plan = ready.runner, ready.plan
    x, features, turns = runner.normalise(windows_on(runner, batch)), runner.model.features, {}

    def turn(layout: torch.memory_format) -> DeviceTurn:
        features.to(memory_format=layout)
        laid_out = x.contiguous(memory_format=layout)
        return DeviceTurn(plan.device, lambda: features(laid_out), per=batch)

    try:
        for name, layout in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last_3d)):
            turns[name] = plan.spread_of(turn(layout), CASE_S)
    finally:
        features.to(memory_format=torch.channels_last_3d)
    return {"ms": turns}


def markdown(figures: dict[str, Any]) -> str:
    """As tables."""
    late = [[f"{r['model']}, {r['precision']}", cell(r, ".2f", " ms")] for r in figures["latency"]]
    parts = [table(("one window, host to host", "latency"), late), table(COLUMNS, [_row(r) for r in _sorted(figures)])]
    if figures["layouts"]:
        rows = [[f"{row['precision']}, batch {row['batch']}", *_layouts(row)] for row in figures["layouts"]]
        parts.append(table(("r3d_18, the features alone, a window", "contiguous", "channels last"), rows))
    return "\n\n".join(parts)


COLUMNS = (
    "network, precision, batch",
    "windows/s, graph",
    "a window, graph",
    "a window, eager",
    "TFLOP/s",
    "of a matrix product's",
)


def _sorted(figures: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(
        figures["rows"], key=lambda r: (MODELS.index(r["model"]), PRECISIONS.index(r["precision"]), r["batch"])
    )


def _row(row: dict[str, Any]) -> Sequence[str]:
    name = f"{row['model']}, {row['precision']}, {row['batch']}"
    if "failed" in row:
        return [name, f"failed: {row['failed']}", *[""] * (len(COLUMNS) - 2)]
    graph = row["ms"]["graph"]
    return [
        name if row["captured"] else f"{name} (no graph)",
        f"{1e3 / graph['median']:.0f}",
        spread(graph, ".3f", " ms"),
        spread(row["ms"]["eager"], ".3f", " ms"),
        f"{row['tflops']:.1f}",
        spread(row["share"]["graph"], ".0%"),
    ]


def _layouts(row: dict[str, Any]) -> list[str]:
    if "failed" in row:
        return [f"failed: {row['failed']}", ""]
    return [spread(row["ms"][name], ".3f", " ms") for name in ("contiguous", "channels last")]
