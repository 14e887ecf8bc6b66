"""Give streamcam twice the work that fits, for a quarter of an hour: scripts/overload [--minutes 15]

`streamcam bench` finds out how many cameras fit here. Then twice as many real ones (RTSP) run,
with a subscriber to all results and a viewer of the first camera's overlay. Latency, drops and memory are
sampled once a second. It ends with a verdict (exit code 0 or 1), figures and a picture.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import yaml

from scripts.endurance.chart import draw_overload
from scripts.endurance.overload_verdict import judged_overload
from scripts.endurance.running import end_run, progress, start_run, wait_for_results
from scripts.endurance.sample import Second, Seen
from scripts.endurance.verdict import lines
from streamcam.files import write_json
from tests.support.cameras import playing, rtsp_server
from tests.support.ports import unused_port

CALIBRATION_S = 40
TIMES = 2


def main() -> None:
    arguments = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overload-")))
        fit = arguments.fit or how_many_fit(arguments.model, folder)
        print(f"{fit} cameras fit: {TIMES * fit} run", flush=True)
        seconds, outcome, status = overload(arguments, TIMES * fit, folder, stack)
    checks = judged_overload(seconds, outcome, status)
    print(lines(checks))
    title = f"{arguments.minutes:g} min, {arguments.model}: {fit} cameras fit, {TIMES * fit} run"
    draw_overload(seconds, checks, arguments.chart, title=title)
    print(f"picture: {arguments.chart}")
    if arguments.json:
        figures = {"checks": [asdict(c) for c in checks], "outcome": outcome, "fit": fit, "status": status}
        write_json(arguments.json, figures | {"seconds": [asdict(s) for s in seconds]})
    sys.exit(0 if all(check.ok for check in checks) else 1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="how long (default: 15)")
    parser.add_argument("--model", default="motion", help="one of `streamcam models` (default: motion)")
    parser.add_argument("--fit", type=int, help="so many cameras fit (by default, streamcam bench finds out)")
    parser.add_argument("--json", type=Path, help="write all samples and figures to this file")
    parser.add_argument(
        "--chart", type=Path, default=Path("overload.png"), help="draw them to this PNG (default: overload.png)"
    )
    arguments = parser.parse_args()
    if arguments.minutes < 0.1 or (arguments.fit is not None and arguments.fit < 1):
        parser.error("give at least a tenth of a minute, and one camera")
    return arguments


def how_many_fit(model: str, folder: Path) -> int:
    """As `streamcam bench` says; where not even one fits, one: two are more than twice that."""
    report = folder / "fit.json"
    command = [sys.executable, "-m", "streamcam", "bench", "--model", model, "--seconds", str(CALIBRATION_S)]
    done = subprocess.run([*command, "--json", str(report)], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit("cannot find out how many cameras fit")
    return max(1, int(json.loads(report.read_text())["cameras"]))


def overload(
    arguments: argparse.Namespace, cameras: int, folder: Path, stack: ExitStack
) -> tuple[list[Second], dict[str, Any], dict[str, Any]]:
    """Run it; seconds, how it ended, and the last status of each camera."""
    names = [f"cam{i + 1}" for i in range(cameras)]
    endpoint, port = f"ipc://{folder}/results", unused_port()
    stack.enter_context(rtsp_server(port))
    sources = [{"uri": f"rtsp://127.0.0.1:{port}/live", "name": name} for name in names]
    config = folder / "overload.yaml"
    config.write_text(yaml.safe_dump({"sources": sources, "model": arguments.model, "bind": endpoint}))
    log = stack.enter_context((folder / "log.txt").open("w+"))
    with playing(port):
        run = start_run(config, log)
        stack.callback(run.kill)
        seen = stack.enter_context(closing(Seen(endpoint)))
        viewer = stack.enter_context(closing(Seen(endpoint, kinds=("overlay",), sources=names[:1])))
        wait_for_results(seen, len(names), run, log)
    seconds = watch(run, seen, viewer, names, 60 * arguments.minutes)
    if not seconds:
        sys.exit("the run ended at once")
    exit_code = end_run(run)
    seen.close()
    outcome = {"exit_code": exit_code, "disordered": seen.disordered, "malformed": seen.malformed}
    return seconds, outcome, {name: seen.status[name] for name in names}


def watch(run: subprocess.Popen[bytes], seen: Seen, viewer: Seen, names: list[str], seconds: float) -> list[Second]:
    """Sample once a second."""
    process, began_s = psutil.Process(run.pid), time.monotonic()
    samples: list[Second] = []
    viewer.ages_ms(), seen.second(process, 0.0, names)  # what came before does not count
    with progress("overloading", seconds) as show:
        while (at_s := time.monotonic() - began_s) < seconds and run.poll() is None:
            time.sleep(max(0.0, began_s + len(samples) + 1 - time.monotonic()))
            try:
                second = seen.second(process, time.monotonic() - began_s, names)
            except psutil.Error:  # it has just ended
                break
            samples.append(replace(second, ages_ms=second.ages_ms | viewer.ages_ms()))
            show(at_s)
    return samples


if __name__ == "__main__":
    main()
