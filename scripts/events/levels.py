"""Which levels hold up? All rules with the same levels, over many of them, from the cache of `measure.py`.

    python -m scripts.events.levels FOLDER... --cache FOLDER [--part first] [--rules rules.yaml]

Each line is one choice, with what is found and what is false, by what disturbs the footage, and in all together. The
best come first: those with the fewest missed and false together.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.events.cache import Cache
from scripts.events.judge import Verdict
from scripts.events.measure import HERE, PARTS, Measured, measured, verdict_of
from streamcam.config.events import RuleConfig
from streamcam.config.run import RunConfig
from streamcam.config.yaml_file import read_yaml
from streamcam.errors import StreamcamError

ON = (0.3, 0.5, 0.7)
OFF = (0.5, 0.8)
"""As shares of `on`."""
FOR_S = (0.0, 0.3, 0.5)
GAP_S = (0.5, 1.0)
QUIET: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "camera": {"camera moving": 0.5},
    "camera 0.95": {"camera moving": 0.95},
    "camera, light": {"camera moving": 0.5, "flickering light": 0.5},
}
KINDS = "plain", "light", "shake", "rain"


OWN: Sequence[Mapping[str, float]] = ({},)
"""The rules' own levels."""


def choices() -> Sequence[Mapping[str, float]]:
    """Give all choices of levels, without quiet conditions."""
    found = product(ON, OFF, FOR_S, GAP_S)
    return [{"on": on, "off": off * on, "for_s": for_s, "gap_s": gap_s} for on, off, for_s, gap_s in found]


def total(
    rules: Mapping[str, RuleConfig], on: Sequence[Measured], looked: Mapping[str, Any], part: str
) -> dict[str, Verdict]:
    """Count all rules together, by what disturbs the footage."""
    totals: defaultdict[str, Verdict] = defaultdict(Verdict)
    for each in on:
        for name, rule in rules.items():
            verdict = verdict_of(rule, name, each, looked, part)
            if verdict is not None:
                totals[each.footage.kind] += verdict
    return totals


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, nargs="+", help="folders of videos, or files")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--rules", type=Path, default=HERE / "rules.yaml")
    parser.add_argument("--looked", type=Path, default=HERE / "looked.yaml")
    parser.add_argument("--only", nargs="+", help="these rules")
    parser.add_argument("--part", choices=PARTS, default="first", help="which half of each video counts")
    parser.add_argument("--quiet-only", action="store_true", help="vary quiet conditions alone")
    parser.add_argument("--best", type=int, default=25, help="how many lines")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Print the best choices."""
    config, looked = RunConfig(**read_yaml(options.rules)), read_yaml(options.looked)
    footage = list(measured(options.path, config, Cache(options.cache)))
    names = options.only or list(config.events)
    rows = []
    for levels, quiet in product(OWN if options.quiet_only else choices(), QUIET):
        rules = {n: config.events[n].model_copy(update={**levels, "quiet": QUIET[quiet]}) for n in names}
        totals = total(rules, footage, looked, options.part)
        together = sum(totals.values(), Verdict())
        wrong = together.true - together.found + together.false
        choice = [f"{levels[key]:.2g}" if key in levels else "" for key in ("on", "off", "for_s", "gap_s")]
        rows.append((wrong, [*choice, quiet, *(_cell(totals[kind]) for kind in KINDS), _cell(together)]))
    table = Table("on", "off", "for_s", "gap_s", "quiet", *KINDS, "all", title="found/true, false")
    for _, cells in sorted(rows, key=lambda row: row[0])[: options.best]:
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _cell(verdict: Verdict) -> str:
    return f"{verdict.found}/{verdict.true}, {verdict.false}"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        run(options)
    except StreamcamError as e:
        print(f"levels: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
