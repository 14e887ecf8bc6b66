"""How old are pictures when they are drawn: by the page in a browser, and by the viewer with a window?

    python -m scripts.web.glass [--cameras 8] [--rounds 5] [--seconds 10] [--json FILE] [--markdown FILE]

Both watch the same cameras (640×480, 15 fps, frames and heat), and take turns, so that a noisy machine favours none.
The age is what has passed from the camera's moment until the picture lies on the canvas of the page, or in the window
of the viewer. The page draws all cameras, the viewer one. The page is measured as it shows pictures at once, and as it
does by default: with the heat of their moment, which the network gives ⅓ s later. Needs Chromium and Xvfb.

Each turn of the page also tells how long it took from opening it to its first picture.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from scripts.benchmarks.common import table
from scripts.web.running import Cores, cameras, processes_named, server, started
from streamcam.bench.measure import round_order
from streamcam.files import write_json

CHROMIUM = "/usr/bin/chromium"
WARM_UP_S = 3.0
METHODS = ("native viewer", "page, at once", "page, with its heat")
SETTINGS = {"page, at once": "live", "page, with its heat": "heat"}

BEFORE_PAGE = """
localStorage.setItem("streamcam", JSON.stringify({pictures: PICTURES}));
const draw = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (image, ...rest) {
  draw.call(this, image, ...rest);
  if (image instanceof ImageBitmap) globalThis.firstPictureMs ??= performance.now();
};
"""
"""Runs before the page's own script."""

COUNT = """async () => {
  const { LivePicture } = await import("/page/picture.js"), { repaint } = LivePicture.prototype, last = new WeakMap();
  globalThis.ages = {};
  LivePicture.prototype.repaint = function () {
    repaint.call(this);
    const { capturedNs, message } = this.shown ?? {};
    if (!message || last.get(this) === capturedNs) return; // the same picture, drawn once more
    last.set(this, capturedNs);
    (ages[message.camera] ??= []).push(performance.timeOrigin + performance.now() - capturedNs / 1e6);
  };
}"""
"""Notes how old each picture is once it has been drawn, with its heat."""


def main() -> None:
    """Measure, and write what was asked for."""
    options = parse()
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in METHODS}
    with (
        cameras("--cameras", str(options.cameras), "--fps", str(options.fps)) as (publisher, endpoint),
        server(endpoint) as (web, page),
        screen() as display,
        chromium() as browser,
    ):
        for number in range(options.rounds):
            for name in round_order(list(METHODS), number):
                cores = {"server": Cores([web.pid]), "publisher": Cores([publisher.pid])}
                if name in SETTINGS:
                    turn = page_turn(browser, page, SETTINGS[name], options.seconds, cores)
                else:
                    turn = native_turn(endpoint, options.seconds, cores, display=display)
                taken[name].append(turn)
                print(f"{name}: {np.median(pooled(turn)):.1f} ms", file=sys.stderr, flush=True)
    figures = summary(taken, options)
    print(markdown(figures))
    if options.json:
        write_json(options.json, figures)
    if options.markdown:
        options.markdown.write_text(markdown(figures) + "\n")


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=float, default=15.0, help="of each camera")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    return parser.parse_args()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def screen() -> Iterator[str | None]:
    """Start an X server and let DISPLAY name it; None where there is none: the viewer then draws without a window."""
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        print("no Xvfb: the viewer draws without a window", file=sys.stderr)
        yield None
        return
    from tests.support.xvfb import xvfb

    with tempfile.TemporaryDirectory() as folder, xvfb(Path(folder)) as display:
        yield display.name


def native_turn(endpoint: str, seconds: float, cores: dict[str, Cores], *, display: str | None) -> dict[str, Any]:
    """Let the viewer draw for a while."""
    options = ["--seconds", str(seconds), *([] if display is None else ["--window"])]
    with started("scripts.web.native", endpoint, *options, ready="^(measuring)$", display=display) as (process, _):
        for core in cores.values():
            core.restart()
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        return {
            "ages_ms": said["ages_ms"],
            "cores": {"publisher": cores["publisher"].taken(), "watcher": said["cores"]},
        }


def page_turn(browser: Browser, address: str, pictures: str, seconds: float, cores: dict[str, Cores]) -> dict[str, Any]:
    """Open the page, and let it draw for a while."""
    context = browser.new_context(viewport={"width": 1600, "height": 1200})
    try:
        page = context.new_page()
        page.add_init_script(BEFORE_PAGE.replace("PICTURES", json.dumps(pictures)))
        page.goto(f"{address}/")
        page.wait_for_function("globalThis.firstPictureMs !== undefined", timeout=20_000)
        first_ms = page.evaluate("globalThis.firstPictureMs")
        time.sleep(WARM_UP_S)
        page.evaluate(COUNT)
        watcher = Cores(processes_named("chrom"))
        for core in cores.values():
            core.restart()
        time.sleep(seconds)  # asking the page meanwhile would cost it time
        all_cores = {part: core.taken() for part, core in cores.items()} | {"watcher": watcher.taken()}
        return {"ages_ms": page.evaluate("globalThis.ages"), "first_picture_ms": first_ms, "cores": all_cores}
    finally:
        context.close()


def pooled(turn: dict[str, Any]) -> list[float]:
    """Return the ages of all cameras' pictures."""
    return [age for ages in turn["ages_ms"].values() for age in ages] or [float("nan")]


def summary(taken: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> dict[str, Any]:
    """Sum up all turns of each method; medians of turns, but for ages, which are taken together."""
    figures: dict[str, Any] = {}
    for name, turns in taken.items():
        ages_ms = [age for turn in turns for age in pooled(turn)]
        drawn: dict[str, int] = defaultdict(int)
        for turn in turns:
            for camera, ages in turn["ages_ms"].items():
                drawn[camera] += len(ages)
        firsts = [turn["first_picture_ms"] for turn in turns if "first_picture_ms" in turn]
        figures[name] = {
            "cameras": len(drawn),
            "fps": round(float(np.median(list(drawn.values()) or [0])) / (options.seconds * len(turns)), 2),
            **{f"age_p{p}_ms": round(float(np.percentile(ages_ms, p)), 1) for p in (50, 95)},
            "turns_p50_ms": [round(float(np.median(pooled(turn))), 1) for turn in turns],
            "first_picture_ms": [round(first) for first in firsts],
            "cores": {part: float(np.median([turn["cores"][part] for turn in turns])) for part in turns[0]["cores"]},
        }
    base = figures["native viewer"]
    more = {
        name: {f"p{p}_ms": round(own[f"age_p{p}_ms"] - base[f"age_p{p}_ms"], 1) for p in (50, 95)}
        for name, own in figures.items()
        if own is not base
    }
    sizes = {"cameras": options.cameras, "fps": options.fps, "rounds": options.rounds, "seconds": options.seconds}
    return {**sizes, "methods": figures, "more_than_native": more}


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for name, own in figures["methods"].items():
        more, firsts = figures["more_than_native"].get(name), own["first_picture_ms"]
        rows.append(
            [
                f"{name}: {own['cameras']} drawn",
                f"{own['age_p50_ms']:.1f} / {own['age_p95_ms']:.1f} ms",
                f"{more['p50_ms']:+.1f} / {more['p95_ms']:+.1f} ms" if more else "",
                f"{own['fps']:.1f}",
                f"{own['cores']['server']:.2f}" if "server" in own["cores"] else "",
                f"{own['cores']['watcher']:.2f}",
                f"{np.median(firsts):.0f} (at most {max(firsts)}) ms" if firsts else "",
            ]
        )
    columns = ("watcher", "age when drawn p50 / p95", "more than the viewer", "fps of each", "server, cores")
    return table((*columns, "watcher, cores", "first picture after"), rows)


if __name__ == "__main__":
    main()
