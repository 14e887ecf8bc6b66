"""Does the heat lie on what moves? Real footage without labels, held against its optical flow.

    python -m scripts.footage.flow_check FOLDER [--model motion] [--json out.json] [--sheet out.png]

Takes folders of videos and single files. Nothing is drawn at random, so two runs agree. The rules are in full in
docs/guides/evaluation.md. The figures are shares of windows:

- `points`: of the windows with motion, those whose hottest place is a moving pixel at that heat slice's own time.
- `near`: the same, within 4 px of 112.
- `chance`: what a random place would score.
- `painted`: `points` and `near` of the windows in which the network is sure enough for overlays at full strength.
- `energy`: the share of positive heat on moving pixels.
- `agrees`: of the windows whose largest moving region goes one way along an axis, those in which the strongest of the
  classes *moving left, right, up, down* says so.
- `still`: of the windows in which nothing moves, those in which that class is the strongest. It is also given for the
  windows in which nothing even changes.
- `camera`: of the windows in which the camera certainly moves or stands, those in which *camera moving* is named, or
  not.
- `contradicts itself`: windows in which two names that contradict each other are named (a score of 0.5 or more).
- `names`: how many names the flow can judge, the share of them that is right, and their mean score; and the expected
  calibration error of all scores that the flow can judge.
- `small`, `medium`, `large`: windows by the share of the picture that moves, up to 0.03, 0.1 and 1.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamcam.clips import SlidingWindow, transform_of
from streamcam.engines.backends import make_engine, require_device
from streamcam.engines.base import Engine
from streamcam.errors import StreamcamError
from streamcam.evaluate.flow import AVERAGED_S, SIDE, FlowHistory, Motion
from streamcam.evaluate.moving import SIZES, MotionClasses, MotionScore, heat_maps, score_motion, summary
from streamcam.evaluate.run import require_writable
from streamcam.files import write_json
from streamcam.heat.localise import peak
from streamcam.models.registry import load_model
from streamcam.records import Clip, Heat, Image, Transform
from streamcam.render.contact_sheet import Cell, grid
from streamcam.render.overlay import paint
from streamcam.sources.base import open_source

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".ts")
CELLS, COLUMNS = 28, 7
GREEN, RED, WHITE = (60, 220, 90), (235, 60, 60), (255, 255, 255)
FIGURES = {
    "windows": "windows",
    "with_motion": "with motion",
    "points": "points",
    "chance": "chance",
    "points_near": "near",
    "chance_near": "chance",
    "painted": "painted",
    "points_painted": "points",
    "points_near_painted": "near",
    "energy": "energy",
    "with_direction": "with direction",
    "direction": "agrees",
    "without_motion": "without motion",
    "still": "still",
    "unchanging": "unchanging",
    "still_unchanging": "still",
}
CERTAINTY = {
    "windows": "windows",
    "with_camera": "camera certain",
    "camera": "right",
    "contradicts": "contradicts itself",
    "named": "names",
    "named_right": "right",
    "named_score": "score",
    "calibration_error": "calibration error",
    **{
        key: head
        for size in SIZES
        for key, head in ((size, size), (f"{size}_points", "points"), (f"{size}_direction", "agrees"))
    },
}
"""A figure's key, and the head of its column."""


class Thinned:
    """At most so many cells of a video, evenly spread over it, however long it is."""

    def __init__(self, most: int) -> None:
        self.cells: list[Cell] = []
        self._most, self._stride, self._seen = most, 1, 0

    def wants(self) -> bool:
        """Whether the next one is to be kept."""
        self._seen += 1
        return (self._seen - 1) % self._stride == 0

    def add(self, cell: Cell) -> None:
        """Keep one; when there are too many, every other one goes."""
        self.cells.append(cell)
        if len(self.cells) == 2 * self._most:
            self.cells, self._stride = self.cells[::2], 2 * self._stride


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """Files as they are; of folders, all videos in them."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise StreamcamError(f"no such file or folder: {path}")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise StreamcamError(f"no videos in {path} (they end in {', '.join(SUFFIXES)})")
        found += inside
    return found


def windows(path: Path, engine: Engine, hop: int) -> Iterator[tuple[Clip, Heat, list[Motion | None]]]:
    """The windows of a video, each with its heat and what moves at each of its slices' times.

    A window is looked at a little later than it is seen, so that flow is known on both sides of its last slice.
    """
    clip_format = engine.runner.spec.clip_format
    length_s = clip_format.length / clip_format.fps
    window, flow = SlidingWindow(clip_format, hop=hop), FlowHistory(transform_of(clip_format), keep_s=2 * length_s + 1)
    waiting: list[tuple[Clip, Heat]] = []
    with closing(open_source(str(path), paced=False)) as source:
        for frame in source.frames(Event()):
            flow.push(frame.pixels, frame.pts_s)
            clip = window.push(frame)
            heat = engine.infer([clip])[0] if clip is not None else None
            if clip is not None and heat is not None:
                waiting.append((clip, heat))
            while waiting and frame.pts_s > waiting[0][1].pts_s[-1] + AVERAGED_S:
                yield _with_motion(*waiting.pop(0), flow)
    for clip, heat in waiting:
        yield _with_motion(clip, heat, flow)


def _with_motion(clip: Clip, heat: Heat, flow: FlowHistory) -> tuple[Clip, Heat, list[Motion | None]]:
    return clip, heat, [flow.at(float(t)) for t in heat.pts_s]


def check(path: Path, engine: Engine, classes: MotionClasses, hop: int) -> tuple[list[MotionScore], list[Cell]]:
    """Judge all windows of a video; some of those with motion as pictures."""
    scores, thinned = [], Thinned(CELLS)
    for clip, heat, motions in windows(path, engine, hop):
        known = [motion for motion in motions if motion is not None]
        if len(known) < len(motions):
            continue
        scores.append(score_motion(heat, known, classes))
        if scores[-1].points is not None and thinned.wants():
            thinned.add(picture(path.stem, clip, heat, known, scores[-1]))
    return scores, thinned.cells


def picture(name: str, clip: Clip, heat: Heat, motions: Sequence[Motion], score: MotionScore) -> Cell:
    """The slice with the hottest place: heat, the outline of what moves, and a cross on the place."""
    maps = heat_maps(heat)
    at = int(np.argmax([m.max() for m in maps]))
    nearest = int(np.abs(clip.pts_s - heat.pts_s[at]).argmin())
    image = cv2.resize(clip.frames[nearest].transpose(1, 2, 0), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    image = _painted(np.asarray(image, np.uint8), heat, at, float(maps.max()))
    outlines, _ = cv2.findContours(motions[at].moving.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, WHITE, 1)
    colour = GREEN if score.points else RED
    cv2.drawMarker(image, peak(maps[at]), colour, cv2.MARKER_CROSS, 18, 2)
    cv2.rectangle(image, (0, 0), (SIDE - 1, SIDE - 1), colour, 2)
    way = f"flow {score.direction}, says {score.predicted_direction}" if score.direction else ""
    hit = "on it" if score.points else "near it" if score.near else "off"
    return Cell(
        image, (f"{hit}, {heat.pts_s[at]:.1f} s, {name}", f"{heat.labels[0]} {heat.scores[0] * 100:.0f} %", way)
    )


def _painted(image: Image, heat: Heat, at: int, peak_contrast: float) -> Image:
    """The picture with its heat, at full strength where the window is hottest: the question is where, not how much."""
    certain = replace(heat, transform=Transform(), scores=np.ones_like(heat.scores))
    return paint(image, certain, k=0, pts_s=float(heat.pts_s[at]), scale=max(peak_contrast, 1e-6))


def table(rows: dict[str, dict[str, float | int | None]], figures: dict[str, str]) -> Table:
    """File by file, and overall."""
    shown = Table(padding=(0, 0), pad_edge=False)
    shown.add_column("file")
    # A model without such classes is not asked about directions.
    asked = [key for key in figures if rows["all"][key] is not None and (rows["all"][key] != 0 or key == "contradicts")]
    for key in asked:
        shown.add_column(figures[key], justify="right")
    for name, row in rows.items():
        values = [row[key] for key in asked]
        cells = ["–" if v is None else f"{v:.2f}" if isinstance(v, float) else str(v) for v in values]
        shown.add_row(name, *cells, style="bold" if name == "all" else "")
    return shown


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, nargs="+", help="folders of videos, or files")
    parser.add_argument("--model", default="motion", help="one of `streamcam models`, or a checkpoint")
    parser.add_argument("--weights", help="as for `streamcam run`")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--hop", type=int, help="frames between windows; by default half a window")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--sheet", type=Path, help="write pictures to look at to this .png or .jpg")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, object]:
    """Check all videos; what goes into the JSON."""
    require_device(options.device)
    videos = find_videos(options.path)
    require_writable(options.json, ".json")
    require_writable(options.sheet, ".png", ".jpg", ".jpeg")
    model = load_model(options.model, weights=options.weights)
    classes = MotionClasses.of(model.classes)
    engine = make_engine(model, device=options.device, precision=options.precision, top_k=1, classes=classes.motion)
    hop = options.hop or max(1, model.spec.clip_format.length // 2)
    scores: dict[str, list[MotionScore]] = {}
    cells: list[list[Cell]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    stderr = Console(stderr=True)
    bar = Progress(*columns, TimeRemainingColumn(), console=stderr, transient=True, disable=not stderr.is_terminal)
    with bar as progress:
        for path in progress.track(videos, description="videos"):
            scores[path.name], pictures = check(path, engine, classes, hop)
            cells.append(pictures)
    rows = {name: summary(found) for name, found in scores.items()}
    rows["all"] = summary([score for found in scores.values() for score in found])
    console = Console()
    wide = console if console.is_terminal else Console(width=130)
    wide.print(table(rows, FIGURES))
    if classes.still is not None:
        wide.print(table(rows, CERTAINTY))
    if options.sheet is not None:
        write_sheet(options.sheet, cells, f"{model.spec.name}: heat against what moves (outlined)")
    return {"model": model.spec.name, "model_hash": engine.runner.context.model_hash, "hop": hop, "files": rows}


def write_sheet(path: Path, cells: Sequence[Sequence[Cell]], title: str) -> None:
    """As many of each video as there is room for, evenly spread."""
    each = max(1, CELLS // max(1, sum(bool(c) for c in cells)))
    chosen = [c[int(i)] for c in cells if c for i in np.linspace(0, len(c) - 1, min(each, len(c)))]
    if not chosen:
        raise StreamcamError("nothing moves in these videos: there is nothing to draw")
    sheet = grid(chosen, columns=COLUMNS, width=SIDE, title=title)
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise StreamcamError(f"cannot write {path}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        report = run(options)
        if options.json is not None:
            write_json(options.json, report)
    except StreamcamError as e:
        print(f"flow_check: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
