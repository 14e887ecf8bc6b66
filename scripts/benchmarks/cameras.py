"""How many cameras: the whole pipeline with `motion`, each number of them in a fresh process."""

import multiprocessing
import tempfile
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmarks.common import Plan, table
from streamcam.bench.cameras import CameraRun, run_cameras, write_camera
from streamcam.bench.measure import search_max_cameras
from streamcam.models.registry import load_model

SECONDS = 130.0
RATES_FPS = (15.0, 30.0)
MODEL = "motion"
USUAL_RUNS = 8
"""How many numbers of cameras are tried, usually, for each rate."""

START_S, SHORTEST_S, GIVE_UP_S = 6.0, 3.0, 60.0
"""What a fresh process takes until its first window is full; how long it then runs at least; and how long all that may
take beyond its time."""


def measure(plan: Plan) -> dict[str, Any]:
    """For each rate: more and more cameras, until something is missing."""
    rates = []
    with tempfile.TemporaryDirectory(prefix="streamcam-") as folder:
        for number, fps in enumerate(RATES_FPS):
            camera = Path(folder) / f"{fps:g}.mp4"
            write_camera(camera, fps)
            seconds = max(SHORTEST_S, plan.left_s / (len(RATES_FPS) - number) / USUAL_RUNS - START_S)
            end_s = plan.seconds * (len(RATES_FPS) - 1 - number) / len(RATES_FPS)
            runs = search_max_cameras(
                partial(_run, camera, fps, seconds),
                between=1,
                enough=partial(_less_left, plan, end_s),
            )
            rates.append(_summed_up(fps, runs))
    return {"model": MODEL, "rates": rates}


def _run(camera: Path, fps: float, seconds: float, count: int) -> CameraRun:
    return in_a_process(camera, count, fps, seconds)


def _less_left(plan: Plan, end_s: float) -> bool:
    return plan.left_s <= end_s


def _summed_up(fps: float, runs: list[CameraRun]) -> dict[str, Any]:
    """Runs, and what each further camera costs: the slope over those that held."""
    held = [run for run in runs if run.sustained]
    slopes = {}
    if len(held) > 1:
        counts = [run.cameras for run in held]
        for what in ("cores", "memory_mb"):
            slopes[what] = float(np.polyfit(counts, [getattr(run, what) for run in held], 1)[0])
    return {
        "fps": fps,
        "cameras": max((run.cameras for run in held), default=0),
        "runs": [asdict(run) for run in runs],
        "per_camera": slopes,
    }


def markdown(figures: dict[str, Any]) -> str:
    """As a table for each rate."""
    columns = ("cameras", "missing", "capture → heat published p50 / p95", "cores in use", "memory")
    parts = []
    for rate in figures["rates"]:
        rows = [
            [
                str(run["cameras"]),
                f"{run['missing']:.1%}",
                "" if run["p50_ms"] is None else f"{run['p50_ms']:.0f} / {run['p95_ms']:.0f} ms",
                f"{run['cores']:.2f}",
                f"{run['memory_mb']:.0f} MB",
            ]
            for run in rate["runs"]
        ]
        more = "" if rate["runs"][-1]["cameras"] > rate["cameras"] else "at least "
        line = f"At {rate['fps']:g} frames/s: {more}{rate['cameras']} without loss"
        if cost := rate["per_camera"]:
            line += f"; each takes {cost['cores']:.3f} of a core ({1 / cost['cores']:.0f} cameras a core)"
            line += f" and {cost['memory_mb']:.0f} MB"
        parts.append(f"{line}.\n\n{table(columns, rows)}")
    return "\n\n".join(parts)


def in_a_process(camera: Path, count: int, fps: float, seconds: float) -> CameraRun:
    """So many cameras in a process of their own, so that its memory is theirs.

    Raises:
        TimeoutError: it did not end.
        EOFError: it failed.
    """
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=one_run, args=(send, camera, count, fps, seconds), daemon=True)
    process.start()
    send.close()
    try:
        if not receive.poll(seconds + GIVE_UP_S):
            raise TimeoutError(f"{count} cameras did not end")
        run: CameraRun = receive.recv()
    finally:
        process.kill()
        process.join()
    return run


def one_run(send: Connection, camera: Path, count: int, fps: float, seconds: float) -> None:
    """So many cameras, in this process."""
    model = load_model(MODEL)
    send.send(run_cameras(model, camera, count, fps=fps, seconds=seconds, device="cpu", precision="auto"))
