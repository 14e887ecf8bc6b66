"""A run at a glance: what was done to the cameras, and what came of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from soaking.sample import Sample
from soaking.verdict import Check, settled
from streamcam.sheet import PALETTE

COLOURS = [tuple(c / 255 for c in colour) for colour in PALETTE]
INK, GREY = (0.2, 0.2, 0.2), (0.62, 0.62, 0.65)


def draw(
    samples: Sequence[Sample], faults: Sequence[dict[str, Any]], checks: Sequence[Check], path: Path, *, title: str
) -> None:
    """Write a PNG."""
    cameras = list(samples[0].results)
    minutes = np.array([s.at_s for s in samples]) / 60
    heights = [1.1] * len(cameras) + [1.4, 1.4, 1.1]
    plots_in, text_in = 1.35 * sum(heights), 0.17 * len(checks) + 0.2
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(
            len(heights),
            1,
            figsize=(13, plots_in + text_in),
            sharex=True,
            gridspec_kw={"height_ratios": heights},
        )
        for axis, name, colour in zip(axes, cameras, COLOURS * len(cameras), strict=False):
            axis.plot(minutes, [s.results[name] for s in samples], color=colour, linewidth=1.2)
            axis.set_ylabel(f"{name}\nresults/s")
            axis.set_ylim(bottom=0)
            _shade(axis, [f for f in faults if f["camera"] == name])
        latency, memory, counts = axes[len(cameras) :]
        latency.plot(minutes, [s.p95_ms for s in samples], ".", color=COLOURS[0], markersize=3, label="p95")
        latency.plot(minutes, [s.p50_ms for s in samples], ".", color=GREY, markersize=3, label="p50")
        latency.set_ylabel("capture → publish\nof each second, ms")
        latency.set_ylim(bottom=0)
        latency.legend(loc="upper right", frameon=False, ncols=2)
        memory.plot(minutes, [s.rss_mb for s in samples], color=INK, linewidth=1)
        memory.axvline(settled(samples)[0].at_s / 60, color=GREY, linewidth=0.8, linestyle=":")
        memory.set_ylabel("memory, MB")
        counts.plot(minutes, [s.fds for s in samples], color=COLOURS[1], linewidth=1, label="file descriptors")
        counts.plot(minutes, [s.threads for s in samples], color=COLOURS[2], linewidth=1, label="threads")
        counts.set_ylim(bottom=0)
        counts.legend(loc="lower right", frameon=False, ncols=2)
        counts.set_xlabel("minutes")
        text = "\n".join(f"{'kept  ' if c.ok else 'BROKEN'}  {c.what}: {c.found}" for c in checks)
        figure.suptitle(title, fontsize=13, x=0.01, y=0.995, ha="left")
        figure.text(0.01, 0.01, text, family="monospace", fontsize=8.5, va="bottom")
        figure.tight_layout(rect=(0, text_in / (plots_in + text_in), 1, 0.985), h_pad=0.3)
        figure.savefig(path, dpi=100)
        plt.close(figure)


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
