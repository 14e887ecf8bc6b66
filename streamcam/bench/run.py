"""`streamcam bench`: what a model costs on this machine, and how many cameras that makes."""

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from streamcam.bench.cameras import CameraRun, find_most
from streamcam.bench.engines import EngineTurn, engine_turns, matmul_turn
from streamcam.bench.measure import MIN_ROUNDS, Show, Spread, alternate, ratios
from streamcam.engines.device.hardware import PRECISIONS
from streamcam.models.base import CamModel
from streamcam.models.registry import load_model

FPS = 15.0
"""Of the cameras that are counted."""

SHARE_FOR_ENGINES = 0.2
SHARE_FOR_A_RUN = 0.06
"""Of the time that there is: for the engines, and for each number of cameras that is tried."""


@dataclass(frozen=True, slots=True)
class EngineCost:
    """What a frame costs in one engine."""

    ms: Spread
    gflop: float
    """Billions of operations a frame, a multiply–add counted as two."""
    share: Spread | None
    """0–1, how fast it computes beside a plain matrix product in the same precision; None where there is none."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a model costs on this machine."""

    model: str
    device: str
    precision: str
    processor: str
    cores: int
    engines: Mapping[str, EngineCost]
    ratio: Spread | None
    """How many times as long `window` takes as `stream`, at hop 1; None where the model cannot be streamed."""
    fps: float
    cameras: int
    """How many cameras of `fps` frames a second come through without loss."""
    runs: tuple[CameraRun, ...]


def bench(
    name: str,
    *,
    weights: str | None = None,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    seconds: float = 40.0,
    show: Show = lambda _done, _total: None,
) -> Report:
    """Measure a model.

    Args:
        name: one of `streamcam models`, or a checkpoint.
        weights: as for `load_model`.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        seconds: about how long to measure.
        show: called with the seconds that have gone by, and all.

    Raises:
        StreamcamError: no such model, device or precision.
    """
    begin_s = time.perf_counter()

    def gone_s() -> float:
        return min(time.perf_counter() - begin_s, seconds)

    def enough() -> bool:
        show(gone_s(), seconds)
        return gone_s() >= seconds

    model = load_model(name, weights=weights)
    turns = engine_turns(model, backend=backend, device=device, precision=precision)
    runner = turns["window"].runner
    costs, ratio = engine_costs(
        model, turns, seconds=seconds * SHARE_FOR_ENGINES, show=lambda _done, _total: show(gone_s(), seconds)
    )
    runs = find_most(
        model,
        fps=FPS,
        seconds=seconds * SHARE_FOR_A_RUN,
        backend=backend,
        device=device,
        precision=precision,
        enough=enough,
    )
    return Report(
        model=runner.context.model,
        device=runner.device_name,
        precision=runner.precision,
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        engines=costs,
        ratio=ratio,
        fps=FPS,
        cameras=max((run.cameras for run in runs if run.sustained), default=0),
        runs=tuple(runs),
    )


def engine_costs(
    model: CamModel,
    turns: Mapping[str, EngineTurn],
    *,
    seconds: float,
    min_rounds: int = MIN_ROUNDS,
    show: Show = lambda _done, _total: None,
) -> tuple[dict[str, EngineCost], Spread | None]:
    """Let engines and a matrix product take turns; what each engine costs, and `window` over `stream`."""
    runner = turns["window"].runner
    can_multiply = isinstance(runner.device, torch.device) and runner.precision in PRECISIONS
    product = {"matmul": matmul_turn(runner.device, runner.precision)} if can_multiply else {}
    taken = alternate({**turns, **product}, seconds=seconds, min_rounds=min_rounds, show=show)
    # Operations are counted where the counter can see them, and are the same everywhere.
    gflop = {
        name: turn.gflop()
        for name, turn in engine_turns(model, backend="torch", device="cpu", precision="fp32").items()
    }
    costs = {
        name: EngineCost(
            ms=Spread.of(taken[name]),
            gflop=gflop[name],
            share=ratios([ms * gflop[name] for ms in taken["matmul"]], taken[name]) if product else None,
        )
        for name in turns
    }
    return costs, ratios(taken["window"], taken["stream"]) if "stream" in turns else None


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
