"""Twice the work that fits, for a quarter of an hour, and whether it shows: scripts/overload [--minutes 15]

It finds out how many frames a second one source gets through the network here when nobody makes it wait, and then runs
so many real cameras (RTSP, 30 frames a second) that they ask for at least twice that, with a subscriber that wants all
results and all overlays. Latency, drops and memory are sampled once a second. It ends with a verdict (exit code 0 or
1), figures and a picture.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from soaking.chart import draw_overload
from soaking.overloaded import judged_overload
from soaking.running import end_run, progress, start_run, wait_for_results
from soaking.sample import Second, Seen
from soaking.verdict import lines
from support.cameras import rtsp_server
from support.ports import unused_port

from streamcam.files import write_json

FPS, SIZE = 30, "320x240"
"""Of a camera: what `rtsp_server` sends."""
CALIBRATION_S = 6
TIMES = 2.0
"""How much more than fits is asked for, at least."""
MAX_CAMERAS = 64


@dataclass(frozen=True)
class Load:
    """What is asked for, and what fits: frames a second."""

    fits_fps: float
    cameras: int

    @property
    def times(self) -> float:
        """How much more is asked for than fits."""
        return self.cameras * FPS / self.fits_fps


def main() -> None:
    arguments = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overload-")))
        load = calibrated(arguments.model, folder)
        print(f"{load.fits_fps:.0f} frames/s fit; {load.cameras} cameras ask for {load.times:.1f}× as many", flush=True)
        seconds, outcome, status = overload(arguments, load, folder, stack)
    checks = judged_overload(seconds, outcome, status)
    print(lines(checks))
    title = (
        f"{arguments.minutes:g} minutes, {arguments.model}: {load.cameras} cameras ask for "
        f"{load.cameras * FPS} frames/s, {load.times:.1f}× the {load.fits_fps:.0f} that fit"
    )
    draw_overload(seconds, checks, arguments.chart, title=title)
    print(f"picture: {arguments.chart}")
    if arguments.json:
        figures = {"checks": [asdict(c) for c in checks], "outcome": outcome, "load": asdict(load), "status": status}
        write_json(arguments.json, figures | {"seconds": [asdict(s) for s in seconds]})
    sys.exit(0 if all(check.ok for check in checks) else 1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="how long (default: 15)")
    parser.add_argument("--model", default="motion", help="one of `streamcam models` (default: motion)")
    parser.add_argument("--json", type=Path, help="write all samples and figures to this file")
    parser.add_argument(
        "--chart", type=Path, default=Path("overload.png"), help="draw them to this PNG (default: overload.png)"
    )
    arguments = parser.parse_args()
    if arguments.minutes < 0.1:
        parser.error("give at least a tenth of a minute")
    return arguments


def calibrated(model: str, folder: Path) -> Load:
    """How many frames a second get through when nobody waits, and how many cameras are twice that."""
    summary = folder / "fits.json"
    source = f"lavfi:testsrc2=size={SIZE}:rate={FPS}"
    command = [sys.executable, "-m", "streamcam", "run", source, "--model", model, "--as-fast-as-possible"]
    command += ["--bind", "none", "--seconds", str(CALIBRATION_S), "--summary-json", str(summary)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"cannot find out what fits:\n{done.stdout}{done.stderr}")
    fits_fps = json.loads(summary.read_text())["fps"]
    cameras = math.ceil(TIMES * fits_fps / FPS)
    if cameras > MAX_CAMERAS:
        sys.exit(f"{fits_fps:.0f} frames/s fit, too many to play twice as many here: give a larger --model")
    return Load(fits_fps, cameras)


def overload(
    arguments: argparse.Namespace, load: Load, folder: Path, stack: ExitStack
) -> tuple[list[Second], dict[str, Any], dict[str, Any]]:
    """Run it; seconds, how it ended, and the last status of each camera."""
    names = [f"cam{i + 1}" for i in range(load.cameras)]
    endpoint, port = f"ipc://{folder}/results", unused_port()
    stack.enter_context(rtsp_server(port))
    sources = [{"uri": f"rtsp://127.0.0.1:{port}/live", "name": name} for name in names]
    config = folder / "overload.yaml"
    config.write_text(yaml.safe_dump({"sources": sources, "model": arguments.model, "bind": endpoint}))
    log = stack.enter_context((folder / "log.txt").open("w+"))
    run = start_run(config, log)
    stack.callback(run.kill)
    seen = stack.enter_context(closing(Seen(endpoint, kinds=("result", "overlay", "status"))))
    wait_for_results(seen, len(names), run, log)
    seconds = watch(run, seen, names, 60 * arguments.minutes)
    if not seconds:
        sys.exit("the run ended at once")
    exit_code = end_run(run)
    seen.close()
    outcome = {"exit_code": exit_code, "disordered": seen.disordered, "malformed": seen.malformed}
    return seconds, outcome, {name: seen.status[name] for name in names}


def watch(run: subprocess.Popen[bytes], seen: Seen, names: list[str], seconds: float) -> list[Second]:
    """Sample once a second."""
    process, began_s = psutil.Process(run.pid), time.monotonic()
    samples: list[Second] = []
    seen.second(process, 0.0, names)  # what came before is not of this run
    with progress("overloading", seconds) as show:
        while (at_s := time.monotonic() - began_s) < seconds and run.poll() is None:
            time.sleep(max(0.0, began_s + len(samples) + 1 - time.monotonic()))
            try:
                samples.append(seen.second(process, time.monotonic() - began_s, names))
            except psutil.Error:  # it has just ended
                break
            show(at_s)
    return samples


if __name__ == "__main__":
    main()
