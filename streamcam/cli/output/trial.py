"""Prints what rules would have done on recorded footage."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamcam.cli.output.tables import table_console
from streamcam.config.events import RuleConfig
from streamcam.event import Event
from streamcam.events.track import Observation
from streamcam.runtime.trial import Trial

BARS = " ▁▂▃▄▅▆▇█"
"""Scores from 0 to 1."""


def print_trial(trial: Trial, chart: Path | None) -> None:
    """Print each rule's score over time and its events."""
    console = table_console()
    width = min(console.width - 2, 100)
    for name, rule in trial.rules.items():
        events = [event for event in trial.events if event.rule == name]
        _print_rule(console, name, rule, trial.scores.get(name, ()), events, width)
    if any(rule.schedule is not None for rule in trial.rules.values()):
        console.print("Schedules did not count.", style="dim")
    if chart is not None:
        console.print(f"chart: {chart}", markup=False, highlight=False, soft_wrap=True)


def _print_rule(
    console: Console, name: str, rule: RuleConfig, scores: Sequence[Observation], events: Sequence[Event], width: int
) -> None:
    where = f" in {rule.zone}" if rule.zone else ""
    levels = f"on {rule.on:g}, off {rule.off_at:g}, for {rule.for_s:g} s"
    console.print(Text.assemble((name, "bold"), f"  {', '.join(rule.classes)}{where}  ({levels})"), soft_wrap=True)
    if not scores:
        console.print("  no score: the footage is too short for a window")
        return
    first_s, last_s = scores[0].pts_s, scores[-1].pts_s
    console.print(Text("  ").append_text(_curve(scores, events, width)))
    console.print(f"  {first_s:.1f} s{last_s:>{max(1, width - len(f'{first_s:.1f} s') - 2)}.1f} s", style="dim")
    if not events:
        best = max(scores, key=lambda seen: seen.score)
        console.print(f"  no event; the highest score is {best.score:.2f}, at {best.pts_s:.1f} s\n")
        return
    table = Table(box=None, padding=(0, 2))
    for head in ("begins", "seconds", "peak", "at", "class", "ended"):
        table.add_column(head, justify="left" if head in ("class", "ended") else "right")
    for event in events:
        times = f"{event.start_pts_s:.1f} s", f"{event.seconds:.1f}"
        table.add_row(*times, f"{event.peak:.2f}", f"{event.peak_pts_s:.1f} s", event.label, event.reason or "")
    console.print(table, "")


def _curve(scores: Sequence[Observation], events: Sequence[Event], width: int) -> Text:
    """Draw the highest score of each stretch of time; events in red, quiet times dim."""
    edges = np.linspace(scores[0].pts_s, scores[-1].pts_s + 1e-6, min(width, len(scores)) + 1)
    text = Text()
    for begin_s, end_s in pairwise(edges.tolist()):
        inside = [seen for seen in scores if begin_s <= seen.pts_s < end_s]
        score = max((seen.score for seen in inside), default=0.0)
        is_event = any(event.start_pts_s < end_s and event.pts_s >= begin_s for event in events)
        style = "bold red" if is_event else "dim" if any(seen.quiet for seen in inside) else ""
        text.append(BARS[min(len(BARS) - 1, int(score * len(BARS)))], style)
    return text
