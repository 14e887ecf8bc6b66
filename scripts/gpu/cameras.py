"""How many cameras with `motion` at 15 frames a second, from the host's memory; and what limits it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from scripts.benchmarks.common import table
from scripts.gpu.common import DeviceTurn, GpuPlan, cameras_for, model_of, tried
from scripts.gpu.pace import Arrivals, Outcome, run_at_pace
from scripts.gpu.profiled import figures_of, profiled
from streamcam.bench.measure import search_max_cameras
from streamcam.engines.backends import make_engine
from streamcam.engines.stream_engine import StreamEngine

FPS, JITTER_S = 15.0, 0.015
RUN_S, PROFILED_S, GET_READY_S = 2.5, 0.7, 4.0
FIRST, LIMIT = 128, 8192
LATE_MS = 100.0
"""What p95 may be."""


@dataclass(frozen=True)
class Run:
    """What so many cameras came to."""

    cameras: int
    frames: int
    missing: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    batch: float
    """Frames in a batch, on average."""
    feeding: float
    """Of the time, 0–1: how busy the thread is by which frames come,"""
    working: float
    """and the worker's."""

    @property
    def sustained(self) -> bool:
        """Whether all came through, in time."""
        return self.missing == 0 and self.p95_ms <= LATE_MS

    @staticmethod
    def of(cameras: int, outcome: Outcome) -> "Run":
        """Sum up."""
        p50, p95, p99 = np.percentile(outcome.latencies_ms, (50, 95, 99)).tolist()
        return Run(
            cameras=cameras,
            frames=outcome.frames,
            missing=outcome.dropped / outcome.frames,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            batch=len(outcome.latencies_ms) / outcome.batches,
            feeding=outcome.feeding_s / outcome.seconds,
            working=outcome.working_s / outcome.seconds,
        )


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """More and more cameras until it is too much; then the most that held, in detail."""
    fleet, runs = Fleet(plan), list[Run]()

    def attempt(count: int) -> Run:
        runs.append(fleet.run(count, seconds=0.3 if plan.quick else RUN_S))
        plan.say(f"{count} cameras: {runs[-1].missing:.1%} missing, p95 {runs[-1].p95_ms:.0f} ms")
        return runs[-1]

    search_max_cameras(
        attempt,
        first=1 if plan.quick else FIRST,
        between=3,
        limit=2 if plan.quick else LIMIT,
        enough=lambda: plan.left_s < RUN_S + PROFILED_S + GET_READY_S,
    )
    held = [run.cameras for run in runs if run.sustained]
    figures = {"precision": fleet.engine.runner.precision, "cameras": max(held, default=0)}
    figures["runs"] = [{**asdict(run), "sustained": run.sustained} for run in runs]
    yield figures
    yield figures | {"limit": tried(lambda: fleet.limits(max(held, default=runs[0].cameras)))}


class Fleet:
    """An engine, and as many cameras as are asked for."""

    def __init__(self, plan: GpuPlan) -> None:
        engine = make_engine(model_of("motion", plan), name="stream", device=str(plan.device))
        assert isinstance(engine, StreamEngine)
        self.engine, self._plan, self._cameras = engine, plan, cameras_for(engine, plan)
        self._next = engine.runner.spec.clip_format.length - 1

    def run(self, count: int, *, seconds: float) -> Run:
        """So many cameras for so long."""
        self.get_ready(count)
        return Run.of(count, self._at_pace(count, seconds))

    def get_ready(self, count: int) -> None:
        """A new session, in which each camera and each size of batch has been seen: what goes on is measured."""
        self._cameras.session += 1
        for _ in range(3):
            self.engine.infer(self._clips(count))
        clips, size = self._clips(count), 1
        while clips:
            self.engine.infer(clips[:size])
            clips, size = clips[size:], min(2 * size, self.engine.max_batch)
        self.engine.infer(self._clips(count))

    def _clips(self, count: int) -> list[Any]:
        self._next += 1
        return self._cameras.clips(count, self._next)

    def _at_pace(self, count: int, seconds: float) -> Outcome:
        arrivals = Arrivals.of(count, fps=FPS, seconds=seconds, first=self._next + 1, jitter_s=JITTER_S)
        self._next = int(arrivals.indices.max())
        return run_at_pace(self.engine, self._cameras.clip, arrivals)

    def limits(self, count: int) -> dict[str, Any]:
        """Who is busy for what share of the time, with so many cameras."""
        self.get_ready(count)
        outcomes: list[Outcome] = []
        seconds = 0.3 if self._plan.quick else PROFILED_S
        timeline = profiled(self._plan, lambda: outcomes.append(self._at_pace(count, seconds)), name="cameras")
        run = Run.of(count, outcomes[0])
        shares = {
            "the worker's thread": run.working,
            "of which packing frames": self._packing_ms(run) * count * FPS / 1e3,
            "the thread by which frames come": run.feeding,
        }
        device = figures_of(timeline)
        if self._plan.on_gpu:
            shares |= {"the device, computing": device["computing"], "the device, copying": device["copying"]}
        return {"cameras": count, "shares": shares}

    def _packing_ms(self, run: Run) -> float:
        """Milliseconds for a frame to be put where the device copies from."""
        size = max(1, round(run.batch))
        pieces = [torch.from_numpy(clip.frames[-1:]).reshape(-1) for clip in self._cameras.clips(size, self._next)]
        staging = self.engine.runner.streams.host_buffer(sum(len(piece) for piece in pieces))
        return DeviceTurn(torch.device("cpu"), lambda: torch.cat(pieces, out=staging), per=size)()


def markdown(figures: dict[str, Any]) -> str:
    """As tables."""
    rows = [
        [
            str(run["cameras"]),
            f"{run['missing']:.1%}",
            f"{run['p50_ms']:.0f} / {run['p95_ms']:.0f} / {run['p99_ms']:.0f} ms",
            f"{run['batch']:.0f}",
            f"{run['working']:.0%}",
            f"{run['feeding']:.0%}",
        ]
        for run in sorted(figures["runs"], key=lambda run: run["cameras"])
    ]
    columns = ("cameras", "dropped", "p50 / p95 / p99", "frames in a batch", "worker busy", "feeder busy")
    more = "" if any(not run["sustained"] for run in figures["runs"]) else "at least "
    parts = [f"{more}{figures['cameras']} cameras at {FPS:g} frames/s, {figures['precision']}.", table(columns, rows)]
    limit = figures.get("limit", {"failed": "no time was left"})
    if "failed" in limit:
        parts.append(f"Who is busy could not be seen: {limit['failed']}")
    else:
        shares = [[name, f"{share:.0%}"] for name, share in limit["shares"].items()]
        parts.append(table((f"with {limit['cameras']} cameras", "busy"), shares))
        parts.append(f"Nearest to its limit: {nearest(limit['shares'])}.")
    return "\n\n".join(parts)


def nearest(shares: dict[str, float]) -> str:
    """What is busy for the largest share of the time; Python lets one of the threads on at a time, mostly."""
    python = sum(share for name, share in shares.items() if "thread" in name)
    others = {name: share for name, share in shares.items() if name.startswith("the device")}
    name, share = max({"both threads of Python": python, **others}.items(), key=lambda item: item[1])
    return f"{name}, {share:.0%}"
