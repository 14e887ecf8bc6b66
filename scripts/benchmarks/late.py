"""How late is the answer? The sample clip, paced like a 30 fps camera, watched by another process."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.benchmarks.common import Plan, table

SECONDS = 30.0
MODELS = ("motion", "imagenet")


def measure(plan: Plan) -> dict[str, Any]:
    """For each model: `streamcam run` as it is, and a subscriber to overlays and heat."""
    return {"runs": [one_run(name, plan.seconds / len(MODELS) - 6.0) for name in MODELS]}


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for run in figures["runs"]:
        latency, seen = run["latency_ms"], run["seen"]
        published = [latency[stage] for stage in ("capture_to_frame", "capture_to_result")]
        rows.append(
            [
                f"{run['model']}, {run['precision']}, `{run['engine']}`",
                str(run["frames"]),
                str(run["results"]),
                str(sum(run["drops"].values())),
                *(f"{values['p50']:.1f} / {values['p95']:.1f} ms" for values in published),
                f"{seen['overlay'][0]:.1f} / {seen['overlay'][1]:.1f} ms",
            ]
        )
    columns = ("", "frames", "windows", "dropped", "overlay published", "heat published", "overlay at the subscriber")
    return table(columns, rows)


def one_run(model: str, seconds: float) -> dict[str, Any]:
    """Publisher and subscriber side by side; the publisher's summary and what the subscriber saw."""
    seconds = max(seconds, 4.0)
    with tempfile.TemporaryDirectory() as folder:
        endpoint, summary = f"ipc://{folder}/bench", Path(folder) / "summary.json"
        command = [sys.executable, "-m", "streamcam", "run", "sample", "--loop", "--seconds", str(seconds)]
        command += ["--model", model, "--bind", endpoint, "--summary-json", str(summary)]
        watcher = subprocess.Popen(
            [sys.executable, "-m", "scripts.benchmarks.late_watcher", endpoint], stdout=subprocess.PIPE
        )
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=seconds + 60)
            seen = json.loads(watcher.communicate(timeout=30)[0])
        finally:
            watcher.kill()
            watcher.wait()
        return {**json.loads(summary.read_text()), "seen": seen}
