"""All figures at a glance: a picture with a panel for each point."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter

from streamcam.render.contact_sheet import PALETTE

BLUE, RED, GREEN, PINK, ORANGE, SKY = (tuple(c / 255 for c in colour) for colour in PALETTE)
GREY, INK = (0.62, 0.62, 0.65), (0.2, 0.2, 0.2)
TOOLS = {"streamcam": BLUE, "imagezmq": ORANGE, "vidgear NetGear": GREY}


Panel = Callable[[Axes, dict[str, Any]], None]


def draw(results: dict[str, Any], path: Path) -> None:
    """Write a PNG with a panel for each point that has figures."""
    machine = results["machine"]
    title = f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; medians with quartiles"
    draw_panels(PANELS, results["points"], title, path)


def draw_panels(panels: Mapping[str, Panel], points: Mapping[str, Any], title: str, path: Path) -> None:
    """Write a PNG with those panels whose point has figures."""
    there = [name for name in panels if name in points and "failed" not in points[name]]
    if not there:
        return
    columns = min(2, len(there))
    rows = -(-len(there) // columns)
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 12}):
        figure, axes = plt.subplots(rows, columns, figsize=(8.2 * columns, 4.1 * rows), squeeze=False)
        for axis, name in zip(axes.flat, there, strict=False):
            panels[name](axis, points[name])
        for axis in axes.flat[len(there) :]:
            axis.set_axis_off()
        figure.suptitle(title, fontsize=13)
        figure.tight_layout(rect=(0, 0, 1, 0.98), h_pad=2.5, w_pad=2.5)
        figure.savefig(path, dpi=110)
        plt.close(figure)


def _bars(
    axis: Axes, names: Sequence[str], spreads: Sequence[dict[str, float]], colours: Sequence[Any], notes: Sequence[str]
) -> None:
    """Bars from left to right, each with its quartiles and a note behind it."""
    medians = [s["median"] for s in spreads]
    errors = [[s["median"] - s["low"] for s in spreads], [s["high"] - s["median"] for s in spreads]]
    at = range(len(names))
    axis.barh(at, medians, color=colours, xerr=errors, error_kw={"ecolor": INK, "elinewidth": 1}, height=0.7)
    axis.set_yticks(at, names)
    axis.invert_yaxis()
    for y, s, note in zip(at, spreads, notes, strict=True):
        axis.annotate(note, (s["high"], y), (5, 0), textcoords="offset points", va="center")
    axis.set_xlim(right=1.2 * max(s["high"] for s in spreads))


def loop(axis: Axes, figures: dict[str, Any]) -> None:
    """Frames a second."""
    names = list(figures["ms"])
    rates = [{k: 1e3 / figures["ms"][n][v] for k, v in RATE_OF.items()} for n in names]
    colours = [GREY if n.startswith("by hand") else BLUE if "window" in n else GREEN for n in names]
    short = [n.replace("OpenCV, deque, grad-cam", "grad-cam").replace(", hop 1", "") for n in names]
    times = [f" ({figures['ratio'][n]['median']:.1f}×)" if n in figures["ratio"] else "" for n in names]
    _bars(axis, short, rates, colours, [f"{r['median']:.1f}{t}" for r, t in zip(rates, times, strict=True)])
    axis.set_xlabel("overlays a second; window sees what the loop sees, stream computes each frame once")
    axis.set_title("Every frame explained, r3d_18: the loop by hand, and streamcam")


RATE_OF = {"median": "median", "low": "high", "high": "low"}
"""The lower quartile of a rate is the upper one of the time."""


def cam(axis: Axes, figures: dict[str, Any]) -> None:
    """Forwards."""
    one = {"median": 1.0, "low": 1.0, "high": 1.0}
    names = ["the bare forward", *figures["forwards"]]
    colours = [BLUE if n.startswith("streamcam") else SKY if n.startswith("the bare") else GREY for n in names]
    spreads = [figures["forwards"].get(n, one) for n in names]
    _bars(axis, names, spreads, colours, [f"{s['median']:.2f}" for s in spreads])
    axis.set_xlabel("times the bare forward")
    axis.set_title("What heat costs beside the bare forward (r3d_18)")


def stream(axis: Axes, figures: dict[str, Any]) -> None:
    """How many times as fast, by hop, for each length."""
    rows = figures["windows"]
    for length, colour in zip(sorted({row["length"] for row in rows}), (SKY, BLUE, GREEN), strict=False):
        own = [row for row in rows if row["length"] == length]
        ratio = [row["ratio"] for row in own]
        medians = [r["median"] for r in ratio]
        errors = [[r["median"] - r["low"] for r in ratio], [r["high"] - r["median"] for r in ratio]]
        hops = [row["hop"] for row in own]
        axis.errorbar(hops, medians, errors, color=colour, marker="o", capsize=3, label=f"windows of {length} frames")
        axis.annotate(
            f"{medians[0]:.1f}×", (hops[0], medians[0]), (-8, 0), textcoords="offset points", ha="right", va="center"
        )
    axis.axhline(1, color=GREY, linestyle=":", linewidth=1)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks(sorted({row["hop"] for row in rows}), [f"{hop}" for hop in sorted({row["hop"] for row in rows})])
    axis.set_xlim(left=0.75)
    axis.set_xlabel("hop: frames between windows")
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.set_ylabel("times as fast (logarithmic)")
    title = "Each frame once, against windows computed anew (r3d_18)"
    if peer := figures["continual"]["ratio"]:
        title += f"\nand {peer['median']:.1f}× continual-inference"
    axis.set_title(title)
    axis.legend(frameon=False)


def limit(axis: Axes, figures: dict[str, Any]) -> None:
    """Shares of a matrix product's rate."""
    rows = [row for row in figures["rows"] if row["share"]]
    names = [f"{row['model']}, {row['precision']}, {row['engine']}" for row in rows]
    shares = [{k: 100 * v for k, v in row["share"].items()} for row in rows]
    colours = [BLUE if row["engine"] == "window" else GREEN for row in rows]
    _bars(axis, names, shares, colours, [f"{share['median']:.0f} %" for share in shares])
    axis.axvline(100, color=GREY, linestyle=":", linewidth=1)
    axis.set_xlabel("% of the operations a second of a plain matrix product in the same precision")
    axis.set_title("Share of the machine's limit")


def transport(axis: Axes, figures: dict[str, Any]) -> None:
    """Frames a second that arrive, and how old they are then."""
    rows = figures["flows"]
    cases = list(dict.fromkeys((tuple(row["size"]), row["subscribers"]) for row in rows))
    tools = [tool for tool in TOOLS if any(row["tool"] == tool for row in rows)]
    for i, tool in enumerate(tools):
        own = {(tuple(row["size"]), row["subscribers"]): row for row in rows if row["tool"] == tool}
        for j, case in enumerate(cases):
            if case not in own:
                continue
            x, value = j + (i - (len(tools) - 1) / 2) * 0.27, own[case]["received_fps"]
            error = [[value["median"] - value["low"]], [value["high"] - value["median"]]]
            axis.bar(x, value["median"], 0.25, yerr=error, color=TOOLS[tool], label=tool if j == 0 else None)
            note = f"{value['median']:.0f}\n{own[case]['flat_ages_ms'][0]:.0f} ms"
            axis.annotate(note, (x, value["high"]), (0, 3), textcoords="offset points", ha="center", fontsize=9)
    labels = [f"{size[0]}×{size[1]}\n{n} subscriber{'s' if n > 1 else ''}" for size, n in cases]
    axis.set_xticks(range(len(cases)), labels)
    axis.set_ylabel("frames/s that reach each")
    axis.margins(y=0.18)
    axis.set_title("JPEG to other processes, as fast as it goes: what arrives, and its age")
    axis.legend(frameon=False)


def cameras(axis: Axes, figures: dict[str, Any]) -> None:
    """Latency by the number of cameras; a cross where something was missing."""
    for rate, colour in zip(figures["rates"], (BLUE, ORANGE), strict=False):
        runs = [run for run in rate["runs"] if run["p95_ms"] is not None]
        held, lost = ([run for run in runs if (run["missing"] <= 0.01) is good] for good in (True, False))
        label = f"{rate['fps']:g} frames/s: {rate['cameras']} without loss"
        axis.plot([r["cameras"] for r in held], [r["p95_ms"] for r in held], color=colour, marker="o", label=label)
        axis.plot([r["cameras"] for r in lost], [r["p95_ms"] for r in lost], color=colour, marker="x", linestyle="")
    axis.plot([], [], color="black", marker="x", linestyle="", label="something was missing")
    axis.set_ylim(bottom=0)
    axis.set_xlim(left=0)
    axis.set_xlabel("cameras")
    axis.set_ylabel("capture → heat published, p95, ms")
    axis.set_title(f"How many cameras: the whole pipeline with {figures['model']}")
    axis.legend(frameon=False)


PANELS: dict[str, Panel] = {
    "loop": loop,
    "stream": stream,
    "cam": cam,
    "limit": limit,
    "transport": transport,
    "cameras": cameras,
}
