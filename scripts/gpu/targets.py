"""What was asked for on an H200-class GPU, beside what was reached. It needs nothing but Python."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]
NOT_MEASURED = "not measured yet"


@dataclass(frozen=True)
class Target:
    """One of them."""

    what: str
    point: str
    """Whose figures say it."""
    asked: float
    at_most: bool
    form: str
    reached: Callable[[Figures], Iterable[float]]
    """All figures that it is about: the worst of them counts."""


def where(rows: Iterable[Figures], **said: Any) -> list[Figures]:
    """Those rows that have figures, and of which all this is so."""
    return [row for row in rows if "failed" not in row and all(row.get(name) == value for name, value in said.items())]


def share(figures: Figures) -> list[float]:
    """Of r3d_18 in bf16, at batches from 16 on, as a graph."""
    rows = where(figures["rows"], model="r3d_18", precision="bf16")
    return [row["share"]["graph"]["median"] for row in rows if row["batch"] >= 16]


def late(figures: Figures) -> list[float]:
    """Of r3d_18 in its fastest precision."""
    found = [row["median"] for row in where(figures["latency"], model="r3d_18")]
    return [min(found)] if found else []


def held(figures: Figures) -> list[float]:
    """Cameras whose heat came in time."""
    return [float(figures["cameras"])] if any(run["sustained"] for run in figures["runs"]) else [0.0]


def against_gradcam(cameras: str) -> Callable[[Figures], list[float]]:
    """How many times as fast as Grad-CAM in the same precision, for one camera or for each of many."""

    def times(figures: Figures) -> list[float]:
        ms, found = figures["ms"], []
        for precision in ("fp32", "bf16"):
            bases = [
                ms[f"{name}, {precision}"] for name in ("grad-cam", "Grad-CAM by hooks") if f"{name}, {precision}" in ms
            ]
            own = f"streamcam, `stream`, {precision}"
            ours = [ms[n] for n in ms if n.startswith(own) and n.endswith("cameras") is (cameras == "many")]
            found += [bases[0]["median"] / spread["median"] for spread in ours if bases]
        return found

    return times


def against_window(many: bool) -> Callable[[Figures], list[float]]:
    """`stream` over `window`."""
    return lambda f: [row["ratio"]["median"] for row in where(f["against"]) if (row["cameras"] > 1) is many]


def half(what: str) -> Callable[[Figures], list[float]]:
    """Of each network in the precision that `auto` takes."""
    return lambda f: [row[what] for row in where(f["rows"], auto=True)]


def more_memory(figures: Figures) -> list[float]:
    """Nothing where there was no time for all batches: a leak may be too slow for those that there were."""
    seen = figures["seen"]
    return [seen[-1]["allocated"] - seen[0]["allocated"]] if figures["batches"] >= figures["asked"] else []


TARGETS = (
    Target(
        "r3d_18, bf16, batches from 16 on: share of a matrix product's rate", "throughput", 0.35, False, ".0%", share
    ),
    Target("r3d_18, one window, host to host, in its fastest precision, ms", "throughput", 1.5, True, ".2f", late),
    Target(
        "copies under computing: share of their time",
        "overlap",
        0.9,
        False,
        ".0%",
        lambda f: [row["overlapped"] for row in where(f["rows"]) if row["overlapped"] is not None],
    ),
    Target(
        "r3d_18, heat of all classes: forwards",
        "heat",
        1.02,
        True,
        ".3f",
        lambda f: [row["forwards"]["median"] for row in where(f["rows"])],
    ),
    Target("half precision beside float32: logits, off by", "precision", 0.01, True, ".2%", half("logits")),
    Target("the same: clips with the same first class", "precision", 0.99, False, ".0%", half("same_class")),
    Target("the same: cosine of heat", "precision", 0.999, False, ".4f", half("cosine")),
    Target(
        "r3d_18, L = 16, `stream` over window hop 1, many cameras", "streams", 10, False, ".1f", against_window(True)
    ),
    Target("the same, one camera", "streams", 10, False, ".1f", against_window(False)),
    Target("cameras with `motion` at 15 frames/s, p95 ≤ 100 ms", "cameras", 1000, False, ".0f", held),
    Target(
        "r3d_18, `stream` over Grad-CAM, a frame of many cameras", "gradcam", 30, False, ".1f", against_gradcam("many")
    ),
    Target("the same, one camera", "gradcam", 30, False, ".1f", against_gradcam("one")),
    Target(
        "memory that PyTorch has handed out: more after all batches than before, MB",
        "memory",
        1.0,
        True,
        ".1f",
        more_memory,
    ),
)


def table_of(points: Mapping[str, Figures]) -> str:
    """In Markdown: the worst of all figures that a target is about, and whether it is met."""
    lines = ["| | reached (the worst of all rows) | asked for | |", "|---|---:|---:|---|"]
    for target in TARGETS:
        values = _values(target, points)
        ask = f"{'≤' if target.at_most else '≥'} {target.asked:{target.form}}"
        if not values:
            lines.append(f"| {target.what} | {NOT_MEASURED} | {ask} | |")
            continue
        worst = max(values) if target.at_most else min(values)
        met = worst <= target.asked if target.at_most else worst >= target.asked
        lines.append(f"| {target.what} | {worst:{target.form}} | {ask} | {'met' if met else 'missed'} |")
    return "\n".join(lines)


def _values(target: Target, points: Mapping[str, Figures]) -> list[float]:
    try:
        return list(target.reached(points[target.point]))
    except KeyError:  # the point did not come so far
        return []
