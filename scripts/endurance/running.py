"""`streamcam run` in a process of its own, and how long it still has to go."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from scripts.endurance.sample import Seen
from scripts.parent import with_parent

FIRST_RESULTS_S = 120.0


def start_run(config: Path, log: IO[str]) -> subprocess.Popen[bytes]:
    """Begin; all that it says goes to `log`. It ends with this process, even where that is killed."""
    command = [sys.executable, "-m", "streamcam", "run", "--config", str(config)]
    return subprocess.Popen(with_parent(command, signal.SIGTERM), stdout=log, stderr=subprocess.STDOUT)


def wait_for_results(seen: Seen, cameras: int, run: subprocess.Popen[bytes], log: IO[str]) -> None:
    """Until every camera has given one; ends the program where they do not."""
    give_up_s = time.monotonic() + FIRST_RESULTS_S
    while len(seen.last_result_s) < cameras:
        if run.poll() is not None or time.monotonic() > give_up_s:
            log.seek(0)
            sys.exit(f"no results from all cameras; the run said:\n{log.read()}")
        time.sleep(0.2)


def end_run(run: subprocess.Popen[bytes]) -> int | None:
    """End it as systemd does. Its exit code; None if it does not end."""
    run.terminate()
    try:
        return run.wait(10)
    except subprocess.TimeoutExpired:
        return None


@contextmanager
def progress(what: str, seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar and how long it will still take, to be told how many seconds are over."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=seconds)
        yield lambda at_s: bar.update(task, completed=at_s)
