"""A run at a glance: what was done to the cameras, and what came of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt

from scripts.endurance.overload_verdict import KINDS, curves_ms, first_and_last
from scripts.endurance.sample import Sample, Second
from scripts.endurance.verdict import Check, Kept, after_warm_up, latencies, lines
from streamcam.render.contact_sheet import PALETTE

COLOURS = [tuple(c / 255 for c in colour) for colour in PALETTE]
INK, GREY = (0.2, 0.2, 0.2), (0.62, 0.62, 0.65)


@contextmanager
def _framed(heights: Sequence[float], checks: Sequence[Check], path: Path, *, title: str) -> Iterator[Sequence[Any]]:
    """Plots over one axis of minutes, the verdict below them: draw them, and it is a PNG."""
    plots_in, text_in = 1.35 * sum(heights), 0.17 * len(checks) + 0.2
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(
            len(heights),
            1,
            figsize=(13, plots_in + text_in),
            sharex=True,
            gridspec_kw={"height_ratios": heights},
        )
        yield axes
        axes[-1].set_xlabel("minutes")
        axes[-1].set_xlim(left=0)
        axes[-1].margins(x=0)
        figure.suptitle(title, fontsize=13, x=0.01, y=0.995, ha="left")
        figure.text(0.01, 0.01, lines(checks), family="monospace", fontsize=8.5, va="bottom")
        figure.tight_layout(rect=(0, text_in / (plots_in + text_in), 1, 0.985), h_pad=0.3)
        figure.savefig(path, dpi=100)
        plt.close(figure)


def draw(
    samples: Sequence[Sample], faults: Sequence[dict[str, Any]], checks: Sequence[Check], path: Path, *, title: str
) -> None:
    """Write a PNG of a soak."""
    cameras = list(samples[0].results)
    minutes = np.array([s.at_s for s in samples]) / 60
    with _framed([1.1] * len(cameras) + [1.4, 1.4, 1.1], checks, path, title=title) as axes:
        for axis, name, colour in zip(axes, cameras, COLOURS * len(cameras), strict=False):
            axis.plot(minutes, [s.results[name] for s in samples], color=colour, linewidth=1.2)
            axis.set_ylabel(f"{name}\nresults/s")
            axis.set_ylim(bottom=0)
            _shade(axis, [f for f in faults if f["camera"] == name])
        latency, memory, counts = axes[len(cameras) :]
        _latency(latency, minutes, latencies(samples), "capture → publish\nof each second, ms")
        _memory(memory, samples)
        counts.plot(minutes, [s.fds for s in samples], color=COLOURS[1], linewidth=1, label="file descriptors")
        counts.plot(minutes, [s.threads for s in samples], color=COLOURS[2], linewidth=1, label="threads")
        counts.set_ylim(bottom=0)
        counts.legend(loc="lower right", frameon=False, ncols=2)


def draw_overload(seconds: Sequence[Second], checks: Sequence[Check], path: Path, *, title: str) -> None:
    """Write a PNG of an overload; what is compared is shaded."""
    minutes = np.array([s.at_s for s in seconds]) / 60
    with _framed([1.4, 1.4, 1.1, 1.1, 1.4], checks, path, title=title) as axes:
        *latency, results, drops, memory = axes
        for axis, kind in zip(latency, KINDS, strict=True):
            _latency(axis, minutes, curves_ms(seconds, kind), f"{kind}s: capture\n→ publish, ms")
            for part in first_and_last(seconds):
                axis.axvspan(part[0].at_s / 60, part[-1].at_s / 60, color=COLOURS[1], alpha=0.1, linewidth=0)
        for name, colour in zip(seconds[0].results, COLOURS * len(seconds[0].results), strict=False):
            results.plot(minutes, [s.results[name] for s in seconds], color=colour, linewidth=0.7)
        results.set_ylabel("results/s\nof each camera")
        results.set_ylim(bottom=0)
        drops.plot(minutes[1:], np.diff([s.drops for s in seconds]), color=INK, linewidth=1)
        drops.set_ylabel("dropped/s")
        drops.set_ylim(bottom=0)
        _memory(memory, seconds)


def _latency(axis: Any, minutes: npt.NDArray[np.float64], curves: npt.NDArray[np.float64], label: str) -> None:
    """Median and 95th percentile of each second, float64 [n,2]."""
    axis.plot(minutes, curves[:, 1], ".", color=COLOURS[0], markersize=3, label="p95")
    axis.plot(minutes, curves[:, 0], ".", color=GREY, markersize=3, label="p50")
    axis.set_ylabel(label)
    axis.set_ylim(bottom=0)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 0.93), frameon=False, ncols=2, borderpad=0)


def _memory(axis: Any, samples: Sequence[Kept]) -> None:
    """Where it begins to count is dotted."""
    axis.plot([s.at_s / 60 for s in samples], [s.rss_mb for s in samples], color=INK, linewidth=1)
    axis.axvline(after_warm_up(samples)[0].at_s / 60, color=GREY, linewidth=0.8, linestyle=":")
    axis.set_ylabel("memory, MB")


def _shade(axis: Any, faults: Sequence[dict[str, Any]]) -> None:
    """Where something was done to the camera, with its name."""
    for fault in faults:
        begin, end = fault["begin_s"] / 60, fault["end_s"] / 60
        axis.axvspan(begin, end, color=COLOURS[1], alpha=0.16, linewidth=1)
        axis.annotate(
            fault["kind"],
            (begin, 1),
            xycoords=("data", "axes fraction"),
            fontsize=7,
            rotation=25,
            color=INK,
            va="bottom",
        )
