"""What `streamcam run` shows."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

from streamcam.cli.output.progress import PLAIN_EVERY_S, TerminalLine
from streamcam.errors import one_line
from streamcam.metrics import Summary
from streamcam.records import Heat, Result
from streamcam.render.text import short
from streamcam.runtime.app import Live
from streamcam.sinks.base import Sink
from streamcam.sources.status import SourceStatus
from streamcam.sources.status import log as state_log
from streamcam.transport.keys import CLIENTS, server_keys


class StatusLine(TerminalLine, Sink):
    """One line that follows the run; where there is no terminal, a new line every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._newest: dict[str, Heat] = {}
        self._latency_ms: dict[str, float] = {}
        self._lost: dict[str, str | None] = {}
        self._due_s = time.monotonic() + PLAIN_EVERY_S
        self._said_here = logging.NullHandler()

    def __enter__(self) -> Self:
        state_log.addHandler(self._said_here)  # where nobody listens, Python would print warnings as well
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        super().__exit__(kind, error, tb)
        state_log.removeHandler(self._said_here)

    def on_window(self, result: Result) -> None:
        """Remember the newest heat of each source, and how long it took."""
        if result.heat is not None:
            self._newest[result.frame.source] = result.heat
            self._latency_ms[result.frame.source] = (time.time_ns() - result.frame.captured_ns) / 1e6

    def show(self, live: Live) -> None:
        """Say how it goes."""
        for source in live.sources:
            self._tell(source.name, source.status)
        line = "  │  ".join(self._part(live, source.name, source.state) for source in live.sources)
        if not self.draw(line) and time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + PLAIN_EVERY_S
            print(line, file=sys.stderr, flush=True)

    def _tell(self, name: str, status: SourceStatus) -> None:
        """A line of its own when a source is lost, and when it is there again; not for each further attempt."""
        if status.kind == "lost" and (name not in self._lost or self._lost[name] != status.reason):
            self._lost[name] = status.reason
            self._console.print(f"{name} {status}", soft_wrap=True, markup=False, highlight=False)
        elif status.kind == "live" and self._lost.pop(name, None) is not None:
            self._console.print(f"{name} is there", soft_wrap=True, markup=False, highlight=False)

    def _part(self, live: Live, name: str, state: str) -> str:
        metrics = live.pipeline.metrics
        heat = self._newest.get(name)
        top = f"{short(heat.labels[0])} {heat.scores[0] * 100:.0f} %" if heat else "no heat yet"
        latency = self._latency_ms.get(name)
        shown = [f"{name} {metrics.fps(name):.0f} fps", top]
        if latency is not None and not live.config.as_fast_as_possible:
            shown.append(f"{latency:.0f} ms")
        hop_s = metrics.wide_hop_s(name)
        if hop_s is not None:
            shown.append(f"a window every {hop_s:.2f} s")
        shown.append(f"{sum(metrics.drops(name).values())} dropped")
        if state not in ("live", "ended"):
            shown.append(state)
        return "  ".join(shown)


def print_start(live: Live) -> None:
    """What runs, and how to watch it."""
    engine = live.engines[0]
    runner = engine.runner
    print(
        f"{runner.context.model} on {live.device_name} in {runner.precision}, engine {engine.name}: "
        + one_line(", ".join(source.shown for source in live.sources)),
        file=sys.stderr,
    )
    if live.config.record is not None:
        print(f"recording to {one_line(str(live.config.record))}", file=sys.stderr)
    for path in live.left:
        print(f"a run that did not end had recorded there, too: it is {one_line(str(path))} now", file=sys.stderr)
    if live.endpoint:
        keys = live.config.keys
        where = live.endpoint.replace("//0.0.0.0:", "//HOST:").replace("//[::]:", "//HOST:")
        print(
            f"watch it from another terminal: streamcam view {where}" + (" --keys YOUR-KEYS" if keys else ""),
            file=sys.stderr,
        )
        if keys:
            admitted = (
                ", ".join(server_keys(keys).admitted) or f"nobody yet (copy their public keys to {keys / CLIENTS})"
            )
            print(f"who may watch: {one_line(admitted)}", file=sys.stderr)


def print_left_behind(live: Live) -> None:
    """Which threads could not be ended, if any."""
    if left := live.pipeline.left_behind:
        print(f"did not end when told to, and was left behind: {', '.join(left)}", file=sys.stderr)


def print_no_window(live: Live) -> bool:
    """Which sources gave no window, and why; whether there were any that gave pictures."""
    without, metrics = live.without_window(), live.pipeline.metrics
    for why in without.values():
        print(f"streamcam: {why}", file=sys.stderr)
    for source in live.sources:
        if not metrics.frames[source.name]:
            print(f"streamcam: {source.name}: not a single frame came", file=sys.stderr)
    return bool(without)


def print_summary(summary: Summary) -> None:
    """What a run did, as a few lines."""
    drops = ", ".join(f"{stage} {count}" for stage, count in summary.drops.items()) or "none"
    print(
        f"{summary.frames} frames, {summary.windows} windows, {summary.results} results "
        f"in {summary.seconds:.1f} s ({summary.fps:.1f} frames/s); dropped: {drops}"
    )
    for stage, values in summary.latency_ms.items():
        if values["count"]:
            print(f"  {stage:18} p50 {values['p50']:7.1f}   p95 {values['p95']:7.1f}   p99 {values['p99']:7.1f} ms")
