"""A chart of rules' scores over time, with their thresholds and events."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streamcam.config.events import RuleConfig
from streamcam.event import Event
from streamcam.events.track import Observation

CURVE, EVENT, QUIET, LINE = "#0072b2", "#d55e00", "#999999", "#444444"
"""Colours of Okabe and Ito, which people who see few colours can tell apart."""

WIDTH, ROW = 10.0, 1.7
"""Inches: the chart's width, and each rule's height."""


def draw_chart(
    rules: Mapping[str, RuleConfig], scores: Mapping[str, Sequence[Observation]], events: Sequence[Event], title: str
) -> bytes:
    """Draw each rule's score, `on`, `off`, quiet times and events, as a PNG file."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(WIDTH, 0.9 + ROW * len(rules)), layout="constrained")
        rows = figure.subplots(len(rules), sharex=True, squeeze=False)[:, 0]
        for axes, (name, rule) in zip(rows, rules.items(), strict=True):
            _draw_rule(axes, name, rule, scores.get(name, ()), [event for event in events if event.rule == name])
        rows[-1].set_xlabel("seconds of the footage")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        png = BytesIO()
        figure.savefig(png, dpi=120)
    return png.getvalue()


def _draw_rule(axes: Axes, name: str, rule: RuleConfig, scores: Sequence[Observation], events: Sequence[Event]) -> None:
    times, values = [seen.pts_s for seen in scores], [seen.score for seen in scores]
    for event in events:
        axes.axvspan(event.start_pts_s, max(event.pts_s, event.start_pts_s + 0.02), color=EVENT, alpha=0.25, lw=0)
        axes.plot(event.peak_pts_s, event.peak, "v", color=EVENT, ms=5, clip_on=False)
    quiet = np.array([seen.quiet for seen in scores], bool)
    axes.fill_between(times, 0, 1, where=quiet, step="mid", color=QUIET, alpha=0.3, lw=0)
    axes.plot(times, values, color=CURVE, lw=1.1)
    for level, text in ((rule.on, "on"), (rule.off_at, "off")):
        axes.axhline(level, color=LINE, lw=0.7, ls="--" if text == "on" else ":")
        axes.annotate(f" {text} {level:g}", (1, level), xycoords=("axes fraction", "data"), va="center", color=LINE)
    axes.set(ylim=(0, 1.02), yticks=(0, 0.5, 1))
    where = f" in {rule.zone}" if rule.zone else ""
    count = f"{len(events)} event{'' if len(events) == 1 else 's'}"
    axes.set_title(f"{name}: {', '.join(rule.classes)}{where} — {count}", loc="left", fontsize=9)
