"""How right are events? Rules on real footage, against what really moves, plain and disturbed.

    python -m scripts.events.measure FOLDER... --cache FOLDER [--part first|second|bursts] [--json OUT]

Takes folders of videos and single files. A video that `disturb.py` made is held against the truth of the footage that
it was made of, which must be among the paths. The rules are those of a configuration of `streamcam run`.

- A rule for one direction is true while 1 % of the picture goes that way in its zone, and half of what moves there.
- A rule for several classes is true while 1 % of the picture moves in its zone.
- For other classes, `looked.yaml` says when they are true.
- From 0.2 % on it is unclear, and 0.3 s before and after. What is true for less than 0.4 s is unclear, too.

A true time is *found* if an event of the rule overlaps it. An event is *false* if it overlaps nothing true or unclear.
`delay` is how much later an event begins than what it is about, and `told` how much later it is told of; both are
medians, and to `told` the network's third of a second comes in addition. With `quiet` is as the rules say; without, all
quiet conditions are left out. Scores and truth are kept in the cache, so other levels cost nothing.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.events.cache import Cache, moving_in, scores_of
from scripts.events.footage import Footage, find_footage
from scripts.events.judge import (
    FALSE,
    LEAST_S,
    TRUE,
    UNCLEAR,
    Span,
    Truth,
    Verdict,
    find_events,
    judge,
    judge_bursts,
    truth_of,
)
from scripts.events.truth import Moving
from streamcam.config.events import RuleConfig
from streamcam.config.run import RunConfig
from streamcam.config.yaml_file import read_yaml
from streamcam.errors import StreamcamError
from streamcam.events.track import Observation
from streamcam.files import write_json
from streamcam.models.registry import find_spec
from streamcam.sources.base import open_source

HERE = Path(__file__).parent
ENOUGH, SOME = 0.01, 0.002
"""Shares of the picture: from the first on something is true, from the second on unclear."""

MOST_OF = 0.5
"""A direction is true if this share of what moves in the zone has it."""

DIRECTIONS = {"moving left": "left", "moving right": "right", "moving up": "up", "moving down": "down"}
PARTS = {"all": (0.0, 1.0), "first": (0.0, 0.5), "second": (0.5, 1.0), "bursts": (0.0, 1.0)}
"""Shares of each video. `bursts` are the times in which it is disturbed, and the same times of the clean one."""


def with_quiet(rule: RuleConfig, name: str, scores: Mapping[str, Sequence[Observation]]) -> list[Observation]:
    """Say of each moment whether one of the rule's quiet conditions holds."""
    conditions = [(scores[f"quiet {label}"], least) for label, least in rule.quiet.items()]
    return [
        Observation(
            seen.pts_s, seen.score, step_s=seen.step_s, quiet=any(of[i].score >= least for of, least in conditions)
        )
        for i, seen in enumerate(scores[name])
    ]


def levels(moving: Moving, way: str, enough: float = ENOUGH) -> list[int]:
    """Say at each moment whether something in a zone moves, or moves one way: `FALSE`, `UNCLEAR` or `TRUE`.

    Args:
        moving: what moves in the zone.
        way: one of `WAYS`.
        enough: the share of the picture from which on it is true.
    """
    everything, share = moving.shares["any"], moving.shares[way]
    found = []
    for one, of, outside in zip(share, everything, moving.outside, strict=True):
        sure = one >= enough and one >= MOST_OF * of
        found.append(TRUE if sure else UNCLEAR if one + outside >= SOME else FALSE)
    return found


def truth_for(
    rule: RuleConfig, footage: Footage, moving: Mapping[str, Moving], looked: Mapping[str, Any], enough: float = ENOUGH
) -> Truth | None:
    """Find out when a rule is true; None where nobody knows."""
    if rule.classes[0] not in DIRECTIONS:
        return _looked_at(rule.classes[0], looked.get(footage.clean.name, looked.get(footage.clean.parent.name, {})))
    there, way = moving[rule.zone or "whole"], DIRECTIONS[rule.classes[0]] if len(rule.classes) == 1 else "any"
    return truth_of(there.times, levels(there, way, enough))


def _looked_at(label: str, seen: Mapping[str, Any]) -> Truth | None:
    if label not in seen:
        return None
    spans = [[0.0, 1e9]] if seen[label] == "all" else seen[label]
    found = [Span(begin, end) for begin, end in spans]
    return Truth(found, found)


def clipped(truth: Truth, begin_s: float, end_s: float) -> Truth:
    """Leave out what is true before the first score and after the last."""
    spans = [Span(max(s.start_s, begin_s), min(s.end_s, end_s)) for s in truth.true]
    return Truth([span for span in spans if span.end_s - span.start_s >= LEAST_S - 1e-6], truth.unclear)


def is_too_short(video: Path, model: str) -> bool:
    """Whether a video has no window of the network's."""
    clip_format = find_spec(model).clip_format
    with closing(open_source(str(video), paced=False)) as source:
        return source.duration_s is not None and source.duration_s < clip_format.length / clip_format.fps


@dataclass(frozen=True, slots=True)
class Measured:
    """Footage with its scores and its truth."""

    footage: Footage
    scores: Mapping[str, Sequence[Observation]]
    """By rule, and by `quiet CLASS` for each quiet condition."""
    moving: Mapping[str, Moving]
    """By zone; `whole` is the whole picture."""


def measured(paths: Sequence[Path], config: RunConfig, cache: Cache) -> Iterator[Measured]:
    """Measure all videos that have a window, as far as the cache does not have them."""
    for footage in find_footage(paths):
        if is_too_short(footage.video, config.model):
            print(f"{footage.video.name}: left out, too short for {config.model}", file=sys.stderr)
            continue
        yield Measured(footage, scores_of(footage, config, cache), moving_in(footage, config, cache))


def verdict_of(
    rule: RuleConfig, name: str, on: Measured, looked: Mapping[str, Any], part: str, enough: float = ENOUGH
) -> Verdict | None:
    """Judge a rule on a video; None where nobody knows what is true."""
    truth, seen = truth_for(rule, on.footage, on.moving, looked, enough), on.scores[name]
    if truth is None or not seen:
        return None
    begin_s, end_s = seen[0].pts_s, seen[-1].pts_s
    low, high = (begin_s + share * (end_s - begin_s) for share in PARTS[part])
    found = find_events(rule, with_quiet(rule, name, on.scores))
    if part == "bursts":
        return judge_bursts(found, clipped(truth, begin_s, end_s), [Span(*burst) for burst in on.footage.bursts])
    return judge(found, clipped(truth, begin_s, end_s), Span(low, high))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, nargs="+", help="folders of videos, or files")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for scores and truth")
    parser.add_argument("--rules", type=Path, default=HERE / "rules.yaml", help="a configuration with events")
    parser.add_argument("--looked", type=Path, default=HERE / "looked.yaml", help="what was seen by looking")
    parser.add_argument("--part", choices=PARTS, default="all", help="which half of each video counts, or its bursts")
    parser.add_argument("--enough", type=float, default=ENOUGH, help="the share of the picture that makes a rule true")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Verdict]:
    """Measure everything: by kind of footage, rule, and `quiet` or `never quiet`."""
    config = RunConfig(**read_yaml(options.rules))
    cache, looked = Cache(options.cache), read_yaml(options.looked)
    totals: dict[str, Verdict] = {}
    for on in measured(options.path, config, cache):
        for name, rule in config.events.items():
            for kind, used in (("quiet", rule), ("never quiet", rule.model_copy(update={"quiet": {}}))):
                verdict = verdict_of(used, name, on, looked, options.part, options.enough)
                if verdict is not None:
                    for key in (f"{on.footage.kind}/{name}/{kind}", f"{on.footage.kind}/all/{kind}"):
                        totals[key] = totals.get(key, Verdict()) + verdict
        print(f"{on.footage.video.name}: done", file=sys.stderr)
    return totals


def print_verdicts(totals: Mapping[str, Verdict]) -> None:
    """Print what is found of what is true, and what is false, by what disturbs the footage."""
    kinds = [kind for kind in ("plain", "light", "shake", "rain") if any(key.startswith(f"{kind}/") for key in totals)]
    names = list(dict.fromkeys(key.split("/", 1)[1] for key in totals))
    table = Table("rule", "", *kinds, title="found/true, false (unclear); delay of the begin")
    for name in sorted(names, key=lambda name: name.startswith("all/")):
        cells = [_cell(totals.get(f"{kind}/{name}")) for kind in kinds]
        table.add_row(*name.split("/"), *cells)
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    for kind in kinds:
        row = totals[f"{kind}/all/quiet"].row(), totals[f"{kind}/all/never quiet"].row()
        hourly = " / ".join(str(each["false_per_hour"]) for each in row)
        print(
            f"{kind}: {row[0]['seconds']} s of rules on footage; false an hour and rule, quiet / never quiet: {hourly}"
        )


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "–"
    delay_s = verdict.row()["delay_s"]
    unclear = f" ({verdict.unclear})" if verdict.unclear else ""
    return f"{verdict.found}/{verdict.true}, {verdict.false}{unclear}" + (
        f"; {delay_s} s" if delay_s is not None else ""
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        totals = run(options)
        print_verdicts(totals)
        if options.json is not None:
            write_json(options.json, {key: verdict.row() for key, verdict in totals.items()})
    except StreamcamError as e:
        print(f"measure: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
