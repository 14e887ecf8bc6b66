"""A timeline of batches under way: how much of the copies' time something is computed."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from scripts.benchmarks.common import table
from scripts.gpu.common import GpuPlan, cameras_for, flow, model_of, tried
from scripts.gpu.profiled import figures_of, profiled
from streamcam.engines.backends import make_engine
from streamcam.engines.base import Engine
from streamcam.records import Clip

CASES = (("r3d_18", "window", 16), ("motion", "window", 16), ("motion", "stream", 256))
"""Network, engine, clips in a batch."""
BATCHES = 30


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """A row for each case."""
    rows: list[dict[str, Any]] = []
    for model, engine, size in plan.sized(CASES, (("motion", "window", 1), ("motion", "stream", 2))):
        rows.append({"model": model, "engine": engine, "size": size, **tried(partial(one, plan, model, engine, size))})
        yield {"rows": rows}


def one(plan: GpuPlan, model: str, name: str, size: int) -> dict[str, Any]:
    """The timeline of a flow of batches, once it is in full swing."""
    engine = make_engine(model_of(model, plan), name=name, device=str(plan.device))
    coming = _batches(engine, plan, size)
    for _ in flow(engine, islice(coming, 8)):
        pass
    ready = list(islice(coming, 3 if plan.quick else BATCHES))  # making clips is no part of it
    timeline = profiled(plan, lambda: [None for _ in flow(engine, ready)], name=f"{model}-{name}")
    return {"precision": engine.runner.precision, **figures_of(timeline)}


def _batches(engine: Engine, plan: GpuPlan, size: int) -> Iterator[Sequence[Clip]]:
    cameras, index = cameras_for(engine, plan), engine.runner.spec.clip_format.length - 1
    while True:
        yield cameras.clips(size, index)
        index += engine.hop


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for row in figures["rows"]:
        name = f"{row['model']}, `{row['engine']}`, {row['size']} clips a batch"
        if "failed" in row:
            rows.append([name, f"failed: {row['failed']}"])
            continue
        kinds = "; ".join(f"{kind} {ms:.2f} ms" for kind, ms in row["copies_ms"].items())
        shares = ("no copies" if row[n] is None else f"{row[n]:.0%}" for n in ("overlapped", "computing", "copying"))
        rows.append([f"{name}, {row['precision']}", *shares, kinds])
    return table(("", "copies under computing", "computing", "copying", "copies"), rows)
