"""What the command line shows while it runs, and at the end."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from streamcam.doctor import Finding
from streamcam.evaluate.report import Report, table
from streamcam.explain.film import Explained
from streamcam.explain.stills import Done
from streamcam.live import Live
from streamcam.metrics import Summary
from streamcam.models import ModelSpec
from streamcam.pipeline import Sink
from streamcam.records import Heat, Result

PLAIN_EVERY_S = 5.0
PLAIN_WIDTH = 130
"""Letters in a line of a table, where there is no terminal to ask."""


class StatusLine(Sink):
    """One line that follows the run; where there is no terminal, a new line every few seconds."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._display = LiveDisplay(console=self._console, auto_refresh=False, transient=True)
        self._newest: dict[str, Heat] = {}
        self._latency_ms: dict[str, float] = {}
        self._due_s = time.monotonic() + PLAIN_EVERY_S

    def on_window(self, result: Result) -> None:
        """Remember the newest heat of each source, and how long it took."""
        if result.heat is not None:
            self._newest[result.frame.source] = result.heat
            self._latency_ms[result.frame.source] = (time.time_ns() - result.frame.captured_ns) / 1e6

    def show(self, live: Live) -> None:
        """Say how it goes."""
        line = "  │  ".join(self._part(live, source.name, source.state) for source in live.sources)
        if self._console.is_terminal:
            self._display.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + PLAIN_EVERY_S
            print(line, file=sys.stderr, flush=True)

    def _part(self, live: Live, name: str, state: str) -> str:
        metrics = live.pipeline.metrics
        heat = self._newest.get(name)
        top = f"{heat.labels[0]} {heat.scores[0] * 100:.0f} %" if heat else "no heat yet"
        latency = self._latency_ms.get(name)
        shown = [f"{name} {metrics.fps(name):.0f} fps", top]
        if latency is not None and not live.config.as_fast_as_possible:
            shown.append(f"{latency:.0f} ms")
        shown.append(f"{sum(metrics.drops(name).values())} dropped")
        if state not in ("live", "ended"):
            shown.append(state)
        return "  ".join(shown)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._display.stop()


class Progress:
    """A bar with the time that is left; where there is no terminal, a new line every few seconds."""

    def __init__(self, what: str, *, unit: str) -> None:
        self._what, self._unit = what, unit
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[of]}"))
        self._bar = RichProgress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
        self._task = self._bar.add_task(what, total=None, of="")
        self._begin_s = time.monotonic()
        self._due_s = self._begin_s + PLAIN_EVERY_S

    def show(self, done: float, total: float | None) -> None:
        """Say that so much of the whole is done; `total` is None where it is not known."""
        of = f"{done:.0f} of {total:.0f} {self._unit}" if total else f"{done:.0f} {self._unit}"
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total, of=of)
        elif time.monotonic() >= self._due_s:
            now_s = time.monotonic()
            self._due_s = now_s + PLAIN_EVERY_S
            left_s = (now_s - self._begin_s) * (total / done - 1) if total and done else None
            print(f"{self._what}: {of}{f', {left_s:.0f} s left' if left_s else ''}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._bar.stop()


def print_explained(done: Explained, folder: Path, *, window_frames: int) -> None:
    """What came out of a file."""
    if done.window_frames < window_frames:
        print(
            f"the file is shorter than a window of {window_frames} frames: explained by one of {done.window_frames}",
            file=sys.stderr,
        )
    if done.corrupt:
        print(f"the file is damaged: in {done.corrupt} places, something did not decode", file=sys.stderr)
    print(
        f"{done.frames} frames, {done.windows} windows in {done.seconds:.1f} s ({done.frames / done.seconds:.1f} "
        f"frames/s): {', '.join(path.name for path in done.files)} in {folder}"
    )


def print_stills(done: Done, folder: Path) -> None:
    """What came out of pictures, and which could not be read."""
    for path in done.skipped:
        print(f"skipped {path}: not a picture that can be read", file=sys.stderr)
    print(
        f"{done.pictures} pictures, {len(done.skipped)} skipped in {done.seconds:.1f} s "
        f"({done.pictures / done.seconds:.1f} pictures/s): overlays, scores.csv and sheets in {folder}"
    )


def print_report(report: Report) -> None:
    """Contenders by figures."""
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(table(report), highlight=False)


def print_start(live: Live) -> None:
    """What runs, and how to watch it."""
    runner = live.engine.runner
    print(
        f"{runner.context.model} on {runner.device} in {runner.precision}, engine {live.engine.name}: "
        + ", ".join(source.shown for source in live.sources),
        file=sys.stderr,
    )
    if live.config.record is not None:
        print(f"recording to {live.config.record}", file=sys.stderr)
    if live.endpoint:
        print(f"watch it from another terminal: streamcam view {live.endpoint}", file=sys.stderr)


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


def print_models(specs: dict[str, ModelSpec]) -> None:
    """All models, as a table."""
    table = Table(caption="exact: the heat, pooled, gives the logits", caption_justify="left")
    for column in ("model", "window", "fps", "temporal stride", "heat slices", "classes", "exact"):
        table.add_column(column, no_wrap=column in ("model", "window"))
    for spec in specs.values():
        clip_format = spec.clip_format
        window = f"{clip_format.length} × {clip_format.crop[0]}×{clip_format.crop[1]}"
        row = (window, f"{clip_format.fps:g}", str(spec.temporal_stride), str(spec.slices))
        table.add_row(spec.name, *row, str(len(spec.classes)), "yes")
    console = Console()
    console.print(table)
    about: dict[str, list[str]] = {}
    for spec in specs.values():
        about.setdefault(f"{spec.summary}. Weights: {spec.weights_source}.", []).append(spec.name)
    for text, names in about.items():
        console.print(f"[bold]{', '.join(names)}[/]: {text}", highlight=False)


def print_finding(finding: Finding) -> None:
    """One line of the doctor's report."""
    mark = "[green]ok[/]" if finding.works else "[yellow]--[/]"
    Console().print(f"{mark}  [bold]{finding.what}[/]: {finding.detail}", highlight=False, soft_wrap=True)
