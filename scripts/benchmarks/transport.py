"""Pictures to other processes: streamcam, imagezmq and vidgear's NetGear, all by JPEG over TCP on this machine.

All tools' processes are started at once; those that are not being measured are stopped (SIGSTOP), since some look for
messages in a loop that never rests.
"""

import json
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import numpy as np

from scripts.benchmarks.common import Plan, spread, table
from scripts.benchmarks.transport_worker import TOOLS
from scripts.parent import with_parent
from streamcam.bench.measure import Spread, round_order

SECONDS = 160.0
SIZES = ((640, 480), (1280, 720))
SUBSCRIBERS = (1, 8)
PACE_FPS = 30.0
PACED_S, FLAT_S = 1.2, 0.5
"""How long a turn is, at a camera's pace and as fast as it goes."""

START_S, ANSWER_S, DRAIN_S = 40.0, 20.0, 8.0


def measure(plan: Plan) -> dict[str, Any]:
    """With each number of subscribers; then with two, of which one is stopped."""
    absent: dict[str, str] = {}
    rows = []
    for number, count in enumerate(SUBSCRIBERS):
        with groups(count, absent, plan) as running:
            rows += _flows(running, count, plan, seconds=plan.left_s / (len(SUBSCRIBERS) + 1 - number))
    with groups(2, absent, plan) as running:
        stopped = _stopped(running, plan, seconds=plan.left_s)
    return {"flows": rows, "stopped": stopped, "absent": absent}


def markdown(figures: dict[str, Any]) -> str:
    """As two tables."""
    rows = [
        [
            f"{row['tool']}, {row['size'][0]}×{row['size'][1]}, {row['subscribers']}",
            spread(row["sent_fps"], ".0f"),
            spread(row["received_fps"], ".0f"),
            spread(row["cpu_ms"], ".2f", " ms"),
            *(f"{p50:.1f} / {p99:.1f} ms" for p50, p99 in (row["flat_ages_ms"], row["ages_ms"])),
        ]
        for row in figures["flows"]
    ]
    absent = [[name, f"not run: {reason}", "", "", "", ""] for name, reason in figures["absent"].items()]
    columns = (
        *("tool, picture, subscribers", "sent, frames/s", "received by each", "CPU a frame"),
        *("age on arrival p50 / p99", "at 30 frames/s"),
    )
    flows = table(columns, rows + absent)
    rows = [
        [
            f"{row['tool']}, {row['size'][0]}×{row['size'][1]}",
            f"{row['before_p99_ms']:.1f} ms",
            f"{row['stopped_p99_ms']:.1f} ms",
        ]
        for row in figures["stopped"]
    ]
    stopped = table(("tool, picture", "p99, both well", "p99, the other one stopped"), rows)
    return f"{flows}\n\n{stopped}"


def _flows(running: "dict[str, Group]", count: int, plan: Plan, *, seconds: float) -> list[dict[str, Any]]:
    """Turns at a camera's pace and as fast as it goes, for each size and tool."""
    taken: dict[tuple[tuple[int, int], str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    begin_s, number = time.perf_counter(), 0
    while number < plan.min_rounds or time.perf_counter() - begin_s < seconds:
        for size in SIZES:
            for name in round_order(list(running), number):
                with running[name].awake() as group:
                    own = taken[size, name]
                    own["ages_ms"] += group.flow(size, PACED_S, PACE_FPS).pooled_ms
                    group.drain()
                    flat = group.flow(size, FLAT_S, None)
                    own["sent_fps"].append(flat.sent["fps"])
                    own["cpu_ms"].append(flat.sent["cpu_ms"])
                    own["received_fps"].append(flat.received_fps)
                    own["flat_ages_ms"] += flat.pooled_ms
                    group.drain()
        number += 1
    return [_row(name, size, count, own) for (size, name), own in taken.items()]


def _row(name: str, size: tuple[int, int], count: int, own: dict[str, list[float]]) -> dict[str, Any]:
    ages = {key: np.percentile(own[key], (50, 99)).tolist() for key in ("ages_ms", "flat_ages_ms")}
    sums = {key: asdict(Spread.of(own[key])) for key in ("sent_fps", "received_fps", "cpu_ms")}
    return {"tool": name, "size": size, "subscribers": count, **ages, **sums}


def _stopped(running: "dict[str, Group]", plan: Plan, *, seconds: float) -> list[dict[str, Any]]:
    """What the first subscriber sees at a camera's pace, while the second one is well and while it is stopped."""
    taken: dict[tuple[str, tuple[int, int]], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    begin_s, number = time.perf_counter(), 0
    while number < plan.min_rounds or time.perf_counter() - begin_s < seconds:
        for size in SIZES:
            for name in round_order(list(running), number):
                with running[name].awake() as group:
                    own = taken[name, size]
                    own["before_ms"] += group.flow(size, PACED_S, PACE_FPS).ages_ms[0]
                    group.subscribers[1].send_signal(signal.SIGSTOP)
                    own["stopped_ms"] += group.flow(size, PACED_S, PACE_FPS, asked=1).ages_ms[0]
                    group.subscribers[1].send_signal(signal.SIGCONT)
                    group.drain()
        number += 1
    return [
        {
            "tool": name,
            "size": size,
            "before_p99_ms": float(np.percentile(own["before_ms"], 99)),
            "stopped_p99_ms": float(np.percentile(own["stopped_ms"], 99)),
        }
        for (name, size), own in taken.items()
    ]


@contextmanager
def groups(count: int, absent: dict[str, str], plan: Plan) -> Iterator["dict[str, Group]"]:
    """Every tool's publisher and so many subscribers, connected and asleep; those that fail are noted in `absent`."""
    with ExitStack() as stack:
        starting = {name: stack.enter_context(Group(name, count)) for name in TOOLS if name not in absent}
        running = {}
        for name, group in starting.items():
            try:
                group.connect()
            except Exception as e:  # another tool may fail in any way, and the rest is measured all the same
                absent[name] = f"{type(e).__name__}: {e}"
                plan.say(f"{name} does not run: {absent[name]}")
                group.close()
            else:
                running[name] = group
        yield running


class Flow:
    """What a turn came to."""

    def __init__(self, sent: dict[str, float], ages_ms: list[list[float]]) -> None:
        self.sent, self.ages_ms = sent, ages_ms

    @property
    def pooled_ms(self) -> list[float]:
        """The ages that all subscribers saw."""
        return [age for ages in self.ages_ms for age in ages]

    @property
    def received_fps(self) -> float:
        """How many frames a second a subscriber got while they were sent; the median of all."""
        count = float(np.median([len(ages) for ages in self.ages_ms]))
        return count * self.sent["fps"] / self.sent["sent"]


class Group:
    """A tool's processes: a publisher and its subscribers."""

    def __init__(self, tool: str, count: int) -> None:
        """Start them."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed with the group)
        ports = json.dumps(_free_ports(count))
        self.subscribers = [self._start(tool, "subscriber", ports, str(i)) for i in range(count)]
        self._publisher = self._start(tool, "publisher", ports)
        self._all = [self._publisher, *self.subscribers]

    def connect(self) -> None:
        """Wait until everybody is there and receives; then put all to sleep."""
        for process in self._all:
            self._read(process, START_S)
        end_s = time.monotonic() + START_S
        while not all(self.flow(SIZES[0], 0.3, PACE_FPS).ages_ms):
            if time.monotonic() > end_s:
                raise TimeoutError("nothing arrives")
        self._signal(signal.SIGSTOP)

    @contextmanager
    def awake(self) -> Iterator[Self]:
        """Let them run for a while."""
        self._signal(signal.SIGCONT)
        try:
            time.sleep(0.05)
            yield self
        finally:
            self._signal(signal.SIGSTOP)

    def flow(self, size: tuple[int, int], seconds: float, fps: float | None, *, asked: int | None = None) -> Flow:
        """Send for a while, and see what arrives meanwhile at the first `asked` subscribers, by default at all."""
        receivers = self.subscribers[:asked]
        for process in receivers:
            self._ask(process)
        sent = self._ask(self._publisher, {"size": size, "seconds": seconds, "fps": fps})
        return Flow(sent, [self._ask(process)["ages_ms"] for process in receivers])

    def drain(self) -> None:
        """Wait until what is queued has come."""
        end_s = time.monotonic() + DRAIN_S
        while time.monotonic() < end_s:
            time.sleep(0.1)
            came = [self._ask(process)["ages_ms"] for process in self.subscribers]
            if not any(came):
                return

    def close(self) -> None:
        """End them; twice is fine."""
        for process in self._all:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
        self._errors.close()

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            # One that is stopped would not see its input end.
            with_parent([sys.executable, "-m", "scripts.benchmarks.transport_worker", *arguments], signal.SIGKILL),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )

    def _ask(self, process: "subprocess.Popen[bytes]", order: object = "report") -> Any:
        assert process.stdin is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        return self._read(process, ANSWER_S)

    def _read(self, process: "subprocess.Popen[bytes]", timeout_s: float) -> Any:
        assert process.stdout is not None
        line = b""
        end_s = time.monotonic() + timeout_s
        while not line.endswith(b"\n"):
            if not select.select([process.stdout], [], [], max(0.0, end_s - time.monotonic()))[0]:
                raise TimeoutError("it does not answer")
            part = process.stdout.read(65536)
            if not part:
                raise RuntimeError(self._last_error())
            line += part
        return json.loads(line)

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"

    def _signal(self, what: signal.Signals) -> None:
        for process in self._all:
            process.send_signal(what)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
