"""Run streamcam for long while everything around it fails: scripts/soak --minutes 10 --cameras 2

Real cameras (RTSP servers, each behind a proxy) are killed, stopped, cut off, held up and garbled. When, follows from a
seed. Meanwhile one subscriber keeps up, one is stopped, and one is killed and started again. Memory, descriptors,
threads, latency and drops are sampled once a second. It ends with a verdict (exit code 0 or 1), figures and a picture.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import psutil

from scripts.endurance.running import end_run, progress, start_run, wait_for_results
from scripts.endurance.sample import Sample, Seen
from scripts.endurance.verdict import Check, after_warm_up, judged, latencies, lines
from scripts.endurance.world import PASSWORD, Camera, RestartingSubscriber, back_after_s, start_watcher, write_config
from streamcam.files import write_json

ENDPOINT = "ipc://{}/results"
LAST_CALM_S = 15.0
"""No fault begins so shortly before the end, so that every camera can come back."""


def main() -> None:
    arguments = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        samples, outcome, faults = soak(arguments, folder, stack)
    checks = judged(samples, outcome, cameras=arguments.cameras)
    tell(checks, samples)
    write(arguments, samples, outcome, faults, checks)
    sys.exit(0 if all(check.ok for check in checks) else 1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--cameras", type=int, default=2, help="how many (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of what fails when")
    parser.add_argument("--model", default="motion", help="one of `streamcam models` (default: motion)")
    parser.add_argument("--json", type=Path, help="write all samples and figures to this file")
    parser.add_argument(
        "--chart", type=Path, default=Path("soak.png"), help="draw them to this PNG (default: soak.png)"
    )
    arguments = parser.parse_args()
    if arguments.minutes < 0.5 or arguments.cameras < 1:
        parser.error("give at least half a minute and one camera")
    return arguments


def soak(
    arguments: argparse.Namespace, folder: Path, stack: ExitStack
) -> tuple[list[Sample], dict[str, Any], list[dict[str, Any]]]:
    """Run it; samples, what else there is to judge by, and what was done to the cameras."""
    stop, began_s, seconds = Event(), time.monotonic(), 60 * arguments.minutes
    endpoint = ENDPOINT.format(folder)
    cameras = [
        stack.enter_context(closing(Camera(f"cam{i + 1}", random.Random(1000 * arguments.seed + i), stop)))
        for i in range(arguments.cameras)
    ]
    stack.callback(stop.set)
    write_config(folder / "soak.yaml", cameras, {"model": arguments.model, "bind": endpoint})
    log = stack.enter_context((folder / "log.txt").open("w+"))
    run = start_run(folder / "soak.yaml", log)
    stack.callback(run.kill)
    seen = stack.enter_context(closing(Seen(endpoint)))
    stalled = start_watcher(endpoint)
    stack.callback(stalled.kill)
    wait_for_results(seen, len(cameras), run, log)
    stalled.send_signal(signal.SIGSTOP)
    restarting = stack.enter_context(closing(RestartingSubscriber(endpoint, stop)))
    stack.callback(stop.set)  # before anything is closed that waits for it
    began_s = time.monotonic()
    for camera in cameras:
        camera.start(began_s, partial(seen.sessions.__getitem__, camera.name))
    samples, back = watch(run, seen, cameras, stop, until_s=began_s + seconds, began_s=began_s)
    if not samples:
        sys.exit("the run ended at once")
    exit_code = end_run(run)
    stop.set()
    restarting.close()
    seen.close()
    log.seek(0)
    outcome = {
        "exit_code": exit_code,
        "faults": sum(len(camera.faults) for camera in cameras),
        "back": back,
        "disordered": seen.disordered,
        "malformed": seen.malformed,
        "leaks": sum(PASSWORD in line for line in log),
        "restarts": f"{restarting.served} of {restarting.starts}",
        "restarts_ok": restarting.served == restarting.starts,
    }
    return samples, outcome, sorted((f for camera in cameras for f in camera.faults), key=lambda f: f["begin_s"])


def watch(
    run: subprocess.Popen[bytes],
    seen: Seen,
    cameras: list[Camera],
    stop: Event,
    *,
    until_s: float,
    began_s: float,
) -> tuple[list[Sample], list[dict[str, Any]]]:
    """Sample once a second; also, how long each camera took to give a result after each fault, which lasted so long."""
    process, names = psutil.Process(run.pid), [camera.name for camera in cameras]
    samples: list[Sample] = []
    back: list[dict[str, Any]] = []
    waiting: dict[str, dict[str, Any]] = {}
    known = dict.fromkeys(names, 0)
    with progress("soaking", until_s - began_s) as show:
        while (now_s := time.monotonic()) < until_s and run.poll() is None:
            if until_s - now_s < LAST_CALM_S:
                stop.set()
            try:
                samples.append(seen.sample(process, now_s - began_s, names))
            except psutil.Error:  # it has just ended
                break
            for camera in cameras:
                for fault in camera.faults[known[camera.name] :]:
                    waiting[camera.name] = fault
                    known[camera.name] += 1
                awaited = waiting.get(camera.name)
                if awaited is None:
                    continue
                back_s = back_after_s(awaited, seen.last_result_s[camera.name], seen.sessions[camera.name])
                if back_s is not None:
                    back.append(back_from(waiting.pop(camera.name), back_s))
                    camera.returned.set()
            show(now_s - began_s)
            time.sleep(max(0.0, began_s + len(samples) - time.monotonic()))
    return samples, back


def back_from(fault: dict[str, Any], back_s: float) -> dict[str, Any]:
    """What a camera came back from, and how long after it."""
    return {
        "camera": fault["camera"],
        "kind": fault["kind"],
        "lasted_s": fault["end_s"] - fault["begin_s"],
        "back_s": back_s,
    }


def tell(checks: list[Check], samples: list[Sample]) -> None:
    """The verdict, as lines."""
    print(lines(checks))
    after = latencies(after_warm_up(samples))
    quarter = max(1, len(after) // 4)
    import numpy as np

    first, last = np.nanmedian(after[:quarter], axis=0), np.nanmedian(after[-quarter:], axis=0)
    print(f"capture → publish, p50 / p95 ms: {first[0]:.0f} / {first[1]:.0f} → {last[0]:.0f} / {last[1]:.0f}")


def write(
    arguments: argparse.Namespace,
    samples: list[Sample],
    outcome: dict[str, Any],
    faults: list[dict[str, Any]],
    checks: list[Check],
) -> None:
    """The files that were asked for."""
    from scripts.endurance.chart import draw

    title = (
        f"{arguments.minutes:g} minutes, {arguments.cameras} cameras over RTSP, {arguments.model}: "
        f"{outcome['faults']} faults, {sum(sum(s.results.values()) for s in samples)} results"
    )
    draw(samples, faults, checks, arguments.chart, title=title)
    print(f"picture: {arguments.chart}")
    if arguments.json:
        figures = {"checks": [asdict(c) for c in checks], "outcome": outcome, "faults": faults}
        write_json(arguments.json, figures | {"samples": [asdict(s) for s in samples]})


if __name__ == "__main__":
    main()
