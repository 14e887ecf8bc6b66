"""What do a disk that is full and a server that does not answer cost a run?

    mount -t tmpfs -o size=1m tmpfs FULL
    python -m scripts.events.burden VIDEO --full FULL

Two cameras play the video at its own speed. Runs take turns: with rules alone, and with rules whose events are kept on
the full disk and posted to a server that takes connections and never answers. What counts is how many windows come out.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import yaml
from rich.console import Console
from rich.progress import track

from tests.support.ports import unused_port

RULE = {"classes": ["moving left", "moving right", "moving up", "moving down"], "on": 0.5, "off": 0.25}
CAMERAS = ("a", "b")


def results_of(video: Path, seconds: float, burdens: dict[str, object]) -> tuple[int, int]:
    """Run once; return how many windows were due and how many results came."""
    config = {
        "sources": [{"uri": str(video), "name": name} for name in CAMERAS],
        "bind": f"tcp://127.0.0.1:{unused_port()}",
        "loop": True,
        "seconds": seconds,
        "events": {"moves": RULE},
        **burdens,
    }
    with tempfile.TemporaryDirectory() as folder:
        path, summary = Path(folder, "run.yaml"), Path(folder, "summary.json")
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "streamcam", "run", "--config", str(path), "--summary-json", str(summary)]
        subprocess.run(command, check=True, capture_output=True)
        done = json.loads(summary.read_text())
    return int(done["windows"]), int(done["results"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--full", type=Path, required=True, help="a folder on a disk of 1 MB or less")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        burdens: dict[str, object] = {
            "event_files": {"folder": str(options.full / "events")},
            "on_event": [f"http://127.0.0.1:{silent.getsockname()[1]}/"],
        }
        shares: dict[str, list[float]] = {"rules alone": [], "full disk, silent server": []}
        for _ in track(range(options.rounds), console=Console(stderr=True), transient=True):
            for name, more in zip(shares, ({}, burdens), strict=True):
                due, came = results_of(options.video, options.seconds, more)
                shares[name].append(came / due)
    for name, values in shares.items():
        print(f"{name}: {median(values):.4f} of the windows came out ({', '.join(f'{v:.4f}' for v in values)})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
