"""How often does a network name one of its classes in footage that shows none of them?

    python -m scripts.footage.false_events FOLDER --model runs/with/best.safetensors runs/without/best.safetensors \
        --shows clips/val

Takes folders of videos and single files, and computes every window that `streamcam run` would. A window names a class
if an overlay would: with a score of 0.5 or more. An event is a class that is named in two windows or more in a row.
`none of these` is not named. A video that is too short for a window counts as nothing.

A network that names nothing at all has no false events either. So `--shows` takes clips that do show the classes, in a
folder for each: `top-1` is the share of them whose strongest class is right, and `named` the share that is named right.
Nothing is drawn at random.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

import streamcam
from scripts.footage.flow_check import find_videos
from streamcam.errors import StreamcamError
from streamcam.heat.none_of_these import NONE_OF_THESE
from streamcam.models.base import CamModel
from streamcam.models.registry import load_model
from streamcam.render.canvas import FULL_SCORE
from streamcam.sources.base import open_source
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.explained import explain

LEAST_WINDOWS = 2
"""A class that is named in fewer windows in a row is no event."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a network named in a video."""

    names: Sequence[str | None]
    """The class of each window, in order; None where no class is named."""
    seconds: float
    """From the beginning of the first window to the end of the last."""

    @property
    def events(self) -> Counter[str]:
        """How many events each class has."""
        runs = ((name, sum(1 for _ in run)) for name, run in groupby(self.names))
        return Counter(name for name, length in runs if name is not None and length >= LEAST_WINDOWS)


def named(labels: Sequence[str], scores: Iterable[float]) -> str | None:
    """Return the first class that an overlay would name, if it names any; labels and scores are as in `Heat`."""
    pairs = zip(labels, scores, strict=True)
    return next((label for label, score in pairs if score >= FULL_SCORE and label != NONE_OF_THESE), None)


def watch(video: Path, model: CamModel) -> Watched:
    """Run a network over a video as fast as it goes, and note what it names."""
    names: list[str | None] = []
    times: list[float] = []
    if _is_too_short(video, model):
        return Watched((), 0.0)
    with streamcam.stream(str(video), model=model, as_fast_as_possible=True, top_k=len(model.classes)) as results:
        for result in results:
            if result.heat is not None:
                names.append(named(result.heat.labels, result.heat.scores))
                times += result.heat.clip_pts_s
    return Watched(names, max(times) - min(times) if times else 0.0)


def _is_too_short(video: Path, model: CamModel) -> bool:
    clip_format = model.spec.clip_format
    with closing(open_source(str(video), paced=False)) as source:
        return source.duration_s is not None and source.duration_s < clip_format.length / clip_format.fps


def rows(model: CamModel, videos: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Give the cells of the table for each video, and for all together."""
    found = {video.name: watch(video, model) for video in track(videos, console=Console(stderr=True), transient=True)}
    hours = sum(watched.seconds for watched in found.values()) / 3600
    events = sum((watched.events for watched in found.values()), Counter[str]())
    for name, watched in found.items():
        yield name, *_cells(watched.names, watched.seconds, watched.events), ""
    names = [name for watched in found.values() for name in watched.names]
    yield "all", *_cells(names, 3600 * hours, events), f"{events.total() / hours:.0f}"


def _cells(names: Sequence[str | None], seconds: float, events: Counter[str]) -> tuple[str, str, str, str]:
    share = sum(name is not None for name in names) / max(1, len(names))
    what = ", ".join(f"{count} × {name}" for name, count in sorted(events.items()))
    return f"{seconds:.0f}", f"{share:.3f}", str(events.total()), what


def recall(model: CamModel, clips: Path) -> str:
    """Say how many of the clips in a folder of folders are recognised, and how many an overlay would name."""
    right, names, count = 0, 0, 0
    for label in model.classes:
        for video in find_videos([clips / label]) if (clips / label).is_dir() else []:
            with closing(open_source(str(video), paced=False)) as source:
                clip = LabelledClip(video, 0.0, source.duration_s or 0.0, ())
            heat = explain(model, clip)[1]
            order = (-heat.scores).argsort()
            right += heat.labels[order[0]] == label
            names += named([heat.labels[i] for i in order], heat.scores[order]) == label
            count += 1
    if not count:
        raise StreamcamError(f"{clips} has no folder of clips for any of {', '.join(model.classes)}")
    return f"of {count} clips: top-1 {right / count:.2f}, named {names / count:.2f}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, nargs="+", help="folders of videos, or files, that show none of the classes")
    parser.add_argument("--model", nargs="+", required=True, help="checkpoints of `streamcam train`")
    parser.add_argument("--shows", type=Path, help="a folder with a folder of clips for each class")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        videos = find_videos(options.path)
        for model in map(load_model, options.model):
            shown = f", {recall(model, options.shows)}" if options.shows else ""
            table = Table(title=f"{model.spec.name}{shown}")
            for head in ("video", "seconds", "windows named", "events", "of", "events an hour"):
                table.add_column(head, justify="left" if head in ("video", "of") else "right")
            for row in rows(model, videos):
                table.add_row(*row, style="bold" if row[0] == "all" else "")
            Console(width=None if sys.stdout.isatty() else 110).print(table)
    except StreamcamError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
