"""One camera to ten clients, of which three are slow: by streamcam, by vidgear's WebGear, and by OpenCV and Flask.

    python -m venv peers && peers/bin/pip install vidgear flask opencv-python-headless simplejpeg uvicorn starlette
    python -m scripts.web.peers peers/bin/python [--rounds 5] [--seconds 10] [--json FILE] [--markdown FILE]

All send the same pictures (640×480, 15 fps, JPEG of quality 85). Each bears the time at which it came from the camera,
so that its age on arrival is measured alike. Methods take turns. The camera of streamcam is a process of its own, as
`streamcam run` is; that of the others is a thread of the server.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmarks.common import table
from scripts.web.load import most_memory
from scripts.web.running import Cores, cameras, server, started, wait_for_port
from streamcam.bench.measure import round_order
from streamcam.files import write_json
from tests.support.ports import unused_port

METHODS = ("streamcam, WebSocket", "streamcam, MJPEG", "vidgear WebGear", "OpenCV and Flask")
TOOLS = {"vidgear WebGear": "webgear", "OpenCV and Flask": "flask"}
FAST, SLOW = 7, 3


def main() -> None:
    """Measure, and write what was asked for."""
    options = parse()
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in METHODS}
    absent: dict[str, str] = {}
    for number in range(options.rounds):
        for name in round_order(list(METHODS), number):
            try:
                taken[name].append(turn(name, options))
            except (RuntimeError, ValueError) as e:  # the others are measured all the same
                absent[name] = f"{type(e).__name__}: {e}"
            print(name, taken[name][-1:] and taken[name][-1]["fps"], file=sys.stderr, flush=True)
    figures = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "fast": FAST,
        "slow": SLOW,
        "methods": {name: summary(turns) for name, turns in taken.items() if turns},
        "absent": absent,
    }
    print(markdown(figures))
    if options.json:
        write_json(options.json, figures)
    if options.markdown:
        options.markdown.write_text(markdown(figures) + "\n")


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="the interpreter of the environment with the other tools")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    return parser.parse_args()


def turn(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Let a method serve its clients for a while."""
    with serving(name, options.python) as (address, pid, camera_pid):
        arguments = [address, "--fast", str(FAST), "--slow", str(SLOW), "--seconds", str(options.seconds)]
        with started("scripts.web.peer_clients", *arguments, ready="^(measuring)$") as (clients, _):
            cores = Cores([pid])
            camera = None if camera_pid is None else Cores([camera_pid])
            memory = most_memory(pid, options.seconds - 1)
            taken, of_camera = cores.taken(), 0.0 if camera is None else camera.taken()
            assert clients.stdout is not None
            came = json.loads(clients.stdout.readline())
    ages_ms = [age for ages in came["fast"] for age in ages]
    return {
        "fps": [round(len(ages) / options.seconds, 2) for ages in came["fast"]],
        "slow_fps": [round(len(ages) / options.seconds, 2) for ages in came["slow"]],
        "ages_ms": ages_ms,
        "slow_ages_ms": [age for ages in came["slow"] for age in ages],
        "cores": taken,
        "camera_cores": of_camera,
        "rss_mb": memory.rss_mb,
    }


@contextmanager
def serving(name: str, python: Path) -> Iterator[tuple[str, int, int | None]]:
    """Run a method's server; yield the address of its pictures, its process, and its camera's if that is another."""
    if (tool := TOOLS.get(name)) is not None:
        port, video = unused_port(), str(files("streamcam") / "data" / "sample.mp4")
        arguments = (tool, str(port), video)
        with started("scripts.web.peer_server", *arguments, ready="^(ready)$", python=str(python)) as (process, _):
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}/video", process.pid, None
        return
    with (
        cameras("--cameras", "1", "--stamped", "--without-heat") as (camera, endpoint),
        server(endpoint) as (web, page),
    ):
        if name.endswith("WebSocket"):
            yield page.replace("http", "ws", 1), web.pid, camera.pid
        else:
            yield f"{page}/cameras/cam1.mjpeg?kind=frame", web.pid, camera.pid


def summary(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up all turns: medians of turns, but for ages, which are taken together."""
    ages_ms = [age for turn in turns for age in turn["ages_ms"]] or [float("nan")]
    slow_ms = [age for turn in turns for age in turn["slow_ages_ms"]] or [float("nan")]
    return {
        "fps": float(np.median([fps for turn in turns for fps in turn["fps"]])),
        "fps_least": min(fps for turn in turns for fps in turn["fps"]),
        **{f"age_p{p}_ms": round(float(np.percentile(ages_ms, p)), 1) for p in (50, 95)},
        "slow_age_p50_ms": round(float(np.median(slow_ms)), 1),
        **{key: float(np.median([turn[key] for turn in turns])) for key in ("cores", "camera_cores", "rss_mb")},
        "turns_cores": [turn["cores"] for turn in turns],
    }


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = [
        [
            name,
            f"{own['fps']:.1f} ({own['fps_least']:.1f})",
            f"{own['age_p50_ms']:.1f} / {own['age_p95_ms']:.1f} ms",
            f"{own['slow_age_p50_ms']:.0f} ms",
            f"{own['cores']:.2f}" + (f" + {own['camera_cores']:.2f}" if own["camera_cores"] else ""),
            f"{own['rss_mb']:.0f} MB",
        ]
        for name, own in figures["methods"].items()
    ]
    rows += [[name, f"not run: {why}", "", "", "", ""] for name, why in figures["absent"].items()]
    columns = ("server", "fps of fast clients (the worst)", "age p50 / p95", "of slow ones", "cores (+ camera)", "RSS")
    return table(columns, rows)


if __name__ == "__main__":
    main()
