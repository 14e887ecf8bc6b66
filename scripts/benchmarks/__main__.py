"""Speed, side by side: streamcam, and the tools that people use today, in one run of at most twelve minutes.

    scripts/install bench
    scripts/bench --json docs/benchmarks.json --chart docs/benchmarks.png --markdown docs/benchmarks.md

Methods take turns, so that a noisy machine favours none. The row of a method that cannot run says why. Close everything
else first: the whole machine is measured. r3d_18 has random weights, which change no speed.
"""

import argparse
import importlib
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from scripts.benchmarks import pages
from scripts.benchmarks.common import Plan
from streamcam.bench.run import processor_name
from streamcam.files import write_json

POINTS = ("loop", "profile", "cam", "stream", "limit", "transport", "cameras", "late")
PACKAGES = (
    "streamcam",
    "torch",
    "torchvision",
    "opencv-python",
    "grad-cam",
    "torchcam",
    "continual-inference",
    "imagezmq",
    "vidgear",
)
QUICK = 0.05
"""Of the usual time, for a run that only shows that all works."""


def main() -> None:
    """Measure, and write what was asked for."""
    arguments = parse()
    results = {"machine": machine(), "points": {}}
    for name in arguments.only:
        results["points"][name] = measured(name, quick=arguments.quick)
        print(f"\n## {name}\n\n{as_markdown(name, results['points'][name])}", flush=True)
        if arguments.json:  # after each point, so that nothing is lost
            write_json(arguments.json, results)
    if arguments.markdown:
        arguments.markdown.write_text(filled(arguments.markdown.read_text(), results))
    if arguments.chart:
        from scripts.benchmarks.chart import draw

        draw(results, arguments.chart)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=pages.some_of(POINTS), default=POINTS, metavar="NAME[,NAME…]", help=", ".join(POINTS)
    )
    parser.add_argument("--quick", action="store_true", help="a round of each: does it work?")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--chart", type=Path, help="draw them to this PNG")
    parser.add_argument("--markdown", type=Path, help="replace the tables in this page, each between its marks")
    return parser.parse_args()


def measured(name: str, *, quick: bool) -> dict[str, Any]:
    """A point's figures; or why there are none."""
    begin_s = time.perf_counter()
    try:
        point = importlib.import_module(f"scripts.benchmarks.{name}")
        plan = Plan(point.SECONDS * (QUICK if quick else 1.0), min_rounds=1 if quick else 3, say=say)
        figures: dict[str, Any] = point.measure(plan)
    except Exception as e:  # the other points are measured all the same
        figures = {"failed": f"{type(e).__name__}: {e}"}
    figures["seconds"] = round(time.perf_counter() - begin_s, 1)
    say(f"{name}: {figures['seconds']:.0f} s")
    return figures


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What it is measured on, and with."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    cores = len(os.sched_getaffinity(0))
    return {"processor": processor_name(), "cores": cores, "threads": torch.get_num_threads(), "versions": versions}


def as_markdown(name: str, figures: dict[str, Any]) -> str:
    if "failed" in figures:
        return f"not run: {figures['failed']}"
    text: str = importlib.import_module(f"scripts.benchmarks.{name}").markdown(figures)
    return text


def filled(page: str, results: dict[str, Any]) -> str:
    """A page with the tables of these results, each between its marks."""
    parts = {name: as_markdown(name, figures) for name, figures in results["points"].items()}
    where = results["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in where["versions"].items() if v)
    parts["machine"] = f"{where['processor']}, {where['cores']} cores, {where['threads']} threads; {versions}."
    return pages.filled(page, parts)


if __name__ == "__main__":
    main()
