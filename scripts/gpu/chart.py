"""The figures of the GPU check at a glance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from scripts.benchmarks.chart import BLUE, GREEN, GREY, ORANGE, Panel, draw_panels
from scripts.gpu.targets import where

COLOURS = {"bf16": BLUE, "fp16": GREEN, "fp32": ORANGE, "motion": BLUE, "r3d_18": ORANGE}


def draw(results: dict[str, Any], path: Path) -> None:
    """Write a PNG with a panel for each point that came far enough."""
    points = {name: figures for name, figures in results["points"].items() if _has_rows(figures)}
    draw_panels(
        PANELS, points, f"{results['machine']['gpu'] or results['machine']['device']}; medians with quartiles", path
    )


def _has_rows(figures: Mapping[str, Any]) -> bool:
    return any(where(figures.get(name, ())) for name in ("rows", "runs"))


def throughput(axis: Axes, figures: dict[str, Any]) -> None:
    """How near each batch is to a plain matrix product."""
    for precision in ("bf16", "fp16", "fp32"):
        rows = sorted(where(figures["rows"], model="r3d_18", precision=precision), key=lambda row: row["batch"])
        for way, style in (("graph", "-"), ("eager", ":")):
            spreads = [row["share"][way] for row in rows]
            label = f"{precision}, {way}"
            _line(axis, [row["batch"] for row in rows], spreads, 100.0, COLOURS[precision], label, style)
    axis.axhline(35, color=GREY, linestyle=":", linewidth=1)
    axis.set_xscale("log", base=2)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("windows in a batch")
    axis.set_ylabel("% of a plain matrix product's rate")
    axis.set_title("r3d_18: share of the card's limit")
    axis.legend(frameon=False)


def streams(axis: Axes, figures: dict[str, Any]) -> None:
    """Frames a second by the number of cameras."""
    for name in ("motion", "r3d_18"):
        rows = sorted(where(figures["rows"], model=name), key=lambda row: row["cameras"])
        axis.plot([r["cameras"] for r in rows], [r["fps"] for r in rows], color=COLOURS[name], marker="o", label=name)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel("cameras")
    axis.set_ylabel("frames/s (logarithmic)")
    axis.set_title("Each frame once: frames of all cameras")
    axis.legend(frameon=False)


def cameras(axis: Axes, figures: dict[str, Any]) -> None:
    """Latency by the number of cameras; a cross where it was too late, or something was dropped."""
    runs = sorted(figures["runs"], key=lambda run: run["cameras"])
    for what, colour in (("p50_ms", GREEN), ("p95_ms", BLUE), ("p99_ms", GREY)):
        axis.plot([r["cameras"] for r in runs], [r[what] for r in runs], color=colour, label=what.removesuffix("_ms"))
    for held, marker in ((True, "o"), (False, "x")):
        own = [run for run in runs if run["sustained"] is held]
        axis.plot([r["cameras"] for r in own], [r["p95_ms"] for r in own], color=BLUE, marker=marker, linestyle="")
    axis.axhline(100, color=GREY, linestyle=":", linewidth=1)
    axis.set_ylim(0, 250)
    axis.set_xlabel("cameras at 15 frames/s")
    axis.set_ylabel("frame in the host's memory → heat there, ms")
    axis.set_title(f"motion: {figures['cameras']} cameras in time")
    axis.legend(frameon=False)


def _line(
    axis: Axes, xs: Sequence[float], spreads: Sequence[Any], scale: float, colour: Any, label: str, style: str
) -> None:
    """Medians with their quartiles."""
    medians = [scale * s["median"] for s in spreads]
    errors = [[scale * (s["median"] - s["low"]) for s in spreads], [scale * (s["high"] - s["median"]) for s in spreads]]
    axis.errorbar(xs, medians, errors, color=colour, marker="o", capsize=3, linestyle=style, label=label)


PANELS: dict[str, Panel] = {"throughput": throughput, "streams": streams, "cameras": cameras}
