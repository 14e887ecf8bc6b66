"""`streamcam bench`: measure what a model costs on this machine, and how many cameras that makes."""

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from streamcam.bench.cameras import CameraRun, measure_cameras
from streamcam.bench.engines import EngineTurn, engine_turns, matmul_turn
from streamcam.bench.measure import MIN_ROUNDS, Show, Spread, Turn, alternate, ratios
from streamcam.engines.device.hardware import PRECISIONS
from streamcam.engines.device.runner import TorchRunner
from streamcam.models.base import CamModel
from streamcam.models.registry import load_model

FPS = 15.0
"""Frames a second of the cameras that are counted."""

ENGINES_SHARE = 0.2
"""The share of the time in which the engines are timed."""

CAMERAS_SHARE = 0.06
"""The share of the time that each number of cameras runs."""


@dataclass(frozen=True, slots=True)
class EngineCost:
    """What a frame costs in one engine, at hop 1."""

    ms: Spread
    """Milliseconds a frame."""
    gflop: float
    """Billions of operations a frame, a multiply–add counted as two."""
    share: Spread | None
    """0–1, its operations a second relative to a matrix product's in the same precision; None where none can be run."""


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
    """Frames a second of each camera."""
    cameras: int
    """The most cameras that come through without loss."""
    runs: tuple[CameraRun, ...]


class _TimeLimit:
    """The time that a whole measurement may take, from when this is made."""

    def __init__(self, seconds: float, show: Show) -> None:
        self._seconds, self._show, self._begin_s = seconds, show, time.perf_counter()

    def show_part(self, _done: float, _total: float) -> None:
        """Show how much of the whole time has passed, when a part of the measurement says how far it is."""
        self._show(min(time.perf_counter() - self._begin_s, self._seconds), self._seconds)

    def is_reached(self) -> bool:
        """Show how much time has passed, and return whether that is all."""
        passed_s = time.perf_counter() - self._begin_s
        self._show(min(passed_s, self._seconds), self._seconds)
        return passed_s >= self._seconds


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
        show: called with the seconds that have passed, and all.

    Raises:
        StreamcamError: no such model, device or precision.
    """
    limit = _TimeLimit(seconds, show)
    options = {"backend": backend, "device": device, "precision": precision}
    model = load_model(name, weights=weights)
    turns = engine_turns(model, **options)
    costs, ratio = engine_costs(model, turns, seconds=seconds * ENGINES_SHARE, show=limit.show_part)
    runs = measure_cameras(model, fps=FPS, seconds=seconds * CAMERAS_SHARE, enough=limit.is_reached, **options)
    runner = turns["window"].runner
    return Report(
        model=runner.context.model,
        device=runner.device_name,
        precision=runner.precision,
        processor=processor_name(),
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
    """Let a model's engines and a matrix product take turns.

    Args:
        model: the model of the engines.
        turns: what `engine_turns` gives.
        seconds: as for `alternate`.
        min_rounds: as for `alternate`.
        show: as for `alternate`.

    Returns:
        The cost of each engine, and how many times as long `window` takes as `stream` (None without `stream`).
    """
    matmul = _matmul_turn(turns["window"].runner)
    times_ms = alternate({**turns, **matmul}, seconds=seconds, min_rounds=min_rounds, show=show)
    # The counter sees PyTorch's operations on the CPU only; a network has the same ones on every device.
    counted = engine_turns(model, backend="torch", device="cpu", precision="fp32")
    gflop = {name: turn.gflop() for name, turn in counted.items()}
    costs = {}
    for name in turns:
        # The product's time is for one GFLOP. Times the engine's GFLOP a frame, it is a frame's time at that speed.
        share = ratios([ms * gflop[name] for ms in times_ms["matmul"]], times_ms[name]) if matmul else None
        costs[name] = EngineCost(ms=Spread.of(times_ms[name]), gflop=gflop[name], share=share)
    return costs, ratios(times_ms["window"], times_ms["stream"]) if "stream" in turns else None


def _matmul_turn(runner: TorchRunner) -> dict[str, Turn]:
    """Return a matrix product in a runner's precision by the name `matmul`; nothing where PyTorch does not run it."""
    if isinstance(runner.device, torch.device) and runner.precision in PRECISIONS:
        return {"matmul": matmul_turn(runner.device, runner.precision)}
    return {}


def processor_name() -> str:
    """Return the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
