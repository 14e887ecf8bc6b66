"""Streams of many cameras: frames a second and how late a frame is; and against windows computed anew, at hop 1."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any

from scripts.benchmarks.common import spread, table
from scripts.gpu.common import Cameras, DeviceTurn, GpuPlan, cameras_for, cell, flow, model_of, tried
from streamcam.bench.engines import EngineTurn
from streamcam.bench.measure import Spread, Turn, ratios
from streamcam.engines.backends import make_engine
from streamcam.engines.base import Engine
from streamcam.engines.stream_engine import StreamEngine
from streamcam.records import Clip

MODELS = ("motion", "r3d_18")
COUNTS = (1, 16, 64, 256, 1024, 4)
ROW_S = 1.0
MANY, AT_ONCE = 64, 4
"""Cameras, and batches handed over one after the other, where throughput is compared."""


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """`stream` against `window` in half precision, a row for each network and number of cameras, then in fp32."""
    figures: dict[str, Any] = {"against": [], "rows": []}
    half, full = plan.sized((["bf16"], ["fp32"]), (["fp32"], []))
    for part in (against(plan, half), rows(plan), against(plan, full)):
        for name, row in part:
            figures[name].append(row)
            yield figures
            if plan.left_s == 0 and figures["rows"]:
                return


def against(plan: GpuPlan, precisions: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Both engines, for one camera and for many."""
    for precision in precisions:
        for cameras in plan.sized((MANY, 1), (2,)):
            row = tried(partial(against_window, plan, precision, cameras))
            yield "against", {"precision": precision, "cameras": cameras, **row}


def rows(plan: GpuPlan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each network with more and more cameras."""
    for name in MODELS:
        engine = make_engine(model_of(name, plan), name="stream", device=str(plan.device))
        assert isinstance(engine, StreamEngine)
        pushes = Pushes(engine, cameras_for(engine, plan), plan)
        for number in plan.sized(COUNTS, (1, 2)):
            row = tried(partial(pushes.row, number))
            yield "rows", {"model": name, "precision": engine.runner.precision, "cameras": number, **row}


class Pushes:
    """Cameras of one engine, each of which brings a stride's worth of frames at a time."""

    def __init__(self, engine: StreamEngine, cameras: Cameras, plan: GpuPlan) -> None:
        self.engine, self._cameras, self._plan = engine, cameras, plan
        self.frames = engine.span.stride
        self._next = engine.runner.spec.clip_format.length - 1

    def push(self, number: int) -> list[Any]:
        """The next clips of so many cameras."""
        self._next += self.frames
        return self._cameras.clips(number, self._next)

    def settle(self, number: int) -> None:
        """Push so many cameras until the work repeats itself."""
        for _ in range(-(-(self.engine.span.last + self.engine.span.stride) // self.frames) + 3):
            self.engine.infer(self.push(number))

    def row(self, number: int) -> dict[str, Any]:
        """Milliseconds from the host's memory to heat there, and frames a second with several pushes under way."""
        self.settle(number)
        alone: list[float] = []
        seconds = min(ROW_S, self._plan.left_s)
        begin_s = time.perf_counter()
        while len(alone) < 3 or time.perf_counter() - begin_s < seconds / 2:
            clips, start_s = self.push(number), time.perf_counter()
            self.engine.infer(clips)
            alone.append((time.perf_counter() - start_s) * 1e3)
        pushes = max(3, min(50, int(seconds / 2 * 1e3 / Spread.of(alone).median)))
        ready = [self.push(number) for _ in range(pushes)]
        begin_s = time.perf_counter()
        for _ in flow(self.engine, ready):
            pass
        fps = pushes * number * self.frames / (time.perf_counter() - begin_s)
        return {**asdict(Spread.of(alone)), "frames": self.frames, "fps": fps}


def against_window(plan: GpuPlan, precision: str, cameras: int) -> dict[str, Any]:
    """r3d_18, L = 16: milliseconds a frame of each of so many cameras, in turns."""
    model = model_of("r3d_18", plan)
    turns: dict[str, Turn] = {}
    for name in ("window", "stream"):
        engine = make_engine(model, name=name, device=str(plan.device), precision=precision)
        turns[name] = EngineTurn(engine) if cameras == 1 else together(engine, plan, cameras)
    taken = plan.alternate_for(turns, ROW_S)
    ms = {name: asdict(Spread.of(values)) for name, values in taken.items()}
    return {"ms": ms, "ratio": asdict(ratios(taken["window"], taken["stream"]))}


def together(engine: Engine, plan: GpuPlan, cameras: int) -> DeviceTurn:
    """A window of each camera for each frame; or a stride's worth of frames of each at once."""
    held = cameras_for(engine, plan)
    if isinstance(engine, StreamEngine):
        pushes = Pushes(engine, held, plan)
        pushes.settle(cameras)
        return _flowing(plan, engine, lambda: pushes.push(cameras), cameras * pushes.frames)
    indices = count(engine.runner.spec.clip_format.length - 1)
    return _flowing(plan, engine, lambda: held.clips(cameras, next(indices)), cameras)


def _flowing(plan: GpuPlan, engine: Engine, batch: Callable[[], Sequence[Clip]], frames: int) -> DeviceTurn:
    """Batches of so many frames, several of them under way."""

    def work() -> None:
        for _ in flow(engine, (batch() for _ in range(AT_ONCE))):
            pass

    return DeviceTurn(plan.device, work, per=AT_ONCE * frames)


def markdown(figures: dict[str, Any]) -> str:
    """As two tables."""
    lines = []
    for row in figures["rows"]:
        name = f"{row['model']}, {row['precision']}, {row['cameras']}"
        more = ["", ""] if "failed" in row else [str(row["frames"]), f"{row['fps']:.0f}"]
        lines.append([name, cell(row, ".2f", " ms"), *more])
    streams = table(("network, precision, cameras", "a push, host to host", "frames in it", "frames/s"), lines)
    lines = []
    for row in figures["against"]:
        name = f"{row['precision']}, {row['cameras']}"
        if "failed" in row:
            lines.append([name, f"failed: {row['failed']}"])
        else:
            lines.append(
                [name, *(spread(row["ms"][n], ".3f", " ms") for n in ("window", "stream")), spread(row["ratio"])]
            )
    columns = ("r3d_18, L = 16, precision, cameras", "`window`, a frame", "`stream`, a frame", "ratio")
    return f"{streams}\n\n{table(columns, lines)}"
