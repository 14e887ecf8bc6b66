"""Prints for `streamcam run`: its start, its status line, and its summary."""

import sys
import time
from typing import Self

from streamcam.cli.output.progress import PLAIN_EVERY_S, TerminalLine
from streamcam.errors import one_line
from streamcam.metrics import Summary
from streamcam.records import Heat, Result
from streamcam.render.text import short
from streamcam.runtime.app import Live
from streamcam.sinks.base import Sink
from streamcam.transport.keys import CLIENTS, server_keys


class StatusLine(TerminalLine, Sink):
    """A line that follows the run; where there is no terminal, a new line every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        # The output thread writes both, and the main thread reads them. Each value is replaced in one step.
        self._newest: dict[str, Heat] = {}
        self._latency_ms: dict[str, float] = {}
        self._next_plain_s = 0.0

    def __enter__(self) -> Self:
        self._next_plain_s = time.monotonic() + PLAIN_EVERY_S  # loading the model does not count
        return super().__enter__()

    def on_window(self, result: Result) -> None:
        """Note the newest heat of each source, and its latency."""
        if result.heat is not None:
            self._newest[result.frame.source] = result.heat
            self._latency_ms[result.frame.source] = (time.time_ns() - result.frame.captured_ns) / 1e6

    def show(self, live: Live) -> None:
        """Draw the status of all sources."""
        line = "  │  ".join(self._part(live, source.name, source.state) for source in live.sources)
        if not self.draw(line) and time.monotonic() >= self._next_plain_s:
            self._next_plain_s = time.monotonic() + PLAIN_EVERY_S
            print(line, file=sys.stderr, flush=True)

    def _part(self, live: Live, name: str, state: str) -> str:
        """Describe one source: frame rate, strongest class, latency, drops, and its state unless it is live."""
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
    """Print what runs, and how to watch it."""
    engine = live.engines[0]
    runner = engine.runner
    print(
        f"{runner.context.model} on {live.device_name} in {runner.precision}, engine {engine.name}: "
        + one_line(", ".join(source.shown for source in live.sources)),
        file=sys.stderr,
    )
    if live.config.record is not None:
        print(f"recording to {one_line(str(live.config.record))}", file=sys.stderr)
    if live.endpoint:
        keys = live.config.keys
        # An endpoint for all interfaces is reached by the machine's name.
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
    if live.metrics_address:
        print(f"metrics: http://{live.metrics_address}/metrics", file=sys.stderr)


def print_left_behind(live: Live) -> None:
    """Print which threads could not be ended, if any."""
    if names := live.pipeline.left_behind:
        print(f"did not end when told to, and was left behind: {', '.join(names)}", file=sys.stderr)


def print_no_window(live: Live) -> bool:
    """Print which sources gave no window, and why. Return whether one of them gave frames."""
    reasons, metrics = live.without_window(), live.pipeline.metrics
    for reason in reasons.values():
        print(f"streamcam: {reason}", file=sys.stderr)
    for source in live.sources:
        if not metrics.frames[source.name]:
            print(f"streamcam: {source.name}: not a single frame came", file=sys.stderr)
    return bool(reasons)


def print_summary(summary: Summary) -> None:
    """Print the counts and latencies of a run."""
    drops = ", ".join(f"{stage} {count}" for stage, count in summary.drops.items()) or "none"
    print(
        f"{summary.frames} frames, {summary.windows} windows, {summary.results} results "
        f"in {summary.seconds:.1f} s ({summary.fps:.1f} frames/s); dropped: {drops}"
    )
    for stage, values in summary.latency_ms.items():
        if values["count"]:
            print(f"  {stage:18} p50 {values['p50']:7.1f}   p95 {values['p95']:7.1f}   p99 {values['p99']:7.1f} ms")
