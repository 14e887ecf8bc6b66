"""Prints the results of `streamcam bench`."""

from rich.markup import escape
from rich.table import Table

from streamcam.bench.run import Report
from streamcam.cli.output.tables import table_console


def print_bench(report: Report) -> None:
    """Print the figures: a table of engines, a table of numbers of cameras, and a line."""
    console = table_console()
    console.print(
        f"[bold]{escape(report.model)}[/] on {report.device} in {report.precision}: "
        f"{report.processor}, {report.cores} cores",
        highlight=False,
    )
    console.print(_engines(report), highlight=False)
    console.print(_cameras(report), highlight=False)
    most = max(run.cameras for run in report.runs)
    reached = "" if report.cameras < most else " or more"
    plural = "" if report.cameras == 1 else "s"
    console.print(
        f"[bold]{report.cameras} camera{plural}{reached}[/] at {report.fps:g} frames/s come through without loss",
        highlight=False,
    )


def _engines(report: Report) -> Table:
    caption = "median (quartiles); each new frame is a window. of the machine: beside a plain matrix product"
    if report.ratio is not None:
        caption += (
            f"\nstream is {report.ratio.median:.1f} times as fast ({report.ratio.low:.1f} to {report.ratio.high:.1f})"
        )
    table = Table(caption=caption, caption_justify="left")
    for column in ("engine", "ms a frame", "GFLOP a frame", "of the machine"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    for name, cost in report.engines.items():
        ms = f"{cost.ms.median:.2f} ({cost.ms.low:.2f} to {cost.ms.high:.2f})"
        share = "" if cost.share is None else f"{cost.share.median:.0%}"
        table.add_row(name, ms, f"{cost.gflop:.3g}", share)
    return table


def _cameras(report: Report) -> Table:
    table = Table(caption="latency: from a frame's capture until its heat is published", caption_justify="left")
    for column in ("cameras", "missing", "latency p50", "p95", "cores", "memory"):
        table.add_column(column, justify="right")
    for run in report.runs:
        latency = ["" if ms is None else f"{ms:.0f} ms" for ms in (run.p50_ms, run.p95_ms)]
        table.add_row(str(run.cameras), f"{run.missing:.1%}", *latency, f"{run.cores:.2f}", f"{run.memory_mb:.0f} MB")
    return table
