"""How far half precision is from float32 on real pictures: the sample, and clouds that drift, through the engine.

Both networks that bring their weights along; against a processor's float32. Where PyAV is not there, OpenCV reads.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from scripts.benchmarks.common import table
from scripts.gpu.common import GpuPlan, tried
from streamcam.bench.temporal import drifting_frames
from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.engines.base import Engine
from streamcam.engines.device.hardware import pick_precision
from streamcam.models.base import CamModel
from streamcam.models.motion import WEIGHTS as MOTION_WEIGHTS
from streamcam.models.registry import load_model
from streamcam.records import Clip, Frame, Heat

MODELS = ("motion", "imagenet")
HALVES = ("bf16", "fp16")
CLIPS = 25
"""Of each video."""
QUICK_SIDE = 64
"""Of pictures, where it only has to be seen to work: most CPUs emulate bfloat16."""


@dataclass(frozen=True)
class Distance:
    """Of some clips' heat from the same in float32: the worst clip's."""

    logits: float
    """The largest difference, of the largest logit."""
    cosine: float
    """Of the heat that is drawn."""
    same_class: float
    """In what share of the clips the first class is the same."""


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """A row for each network and precision."""
    rows: list[dict[str, Any]] = []
    count, side = (1, QUICK_SIDE) if plan.quick else (CLIPS, None)
    for name in plan.sized(MODELS, MODELS[:1]):
        for precision in plan.sized(HALVES, HALVES[:1]):
            if rows and plan.left_s == 0:
                return
            row = tried(partial(one, plan.device, name, precision, count=count, side=side))
            rows.append({"model": name, "precision": precision, **row})
            yield {"rows": rows}


def one(device: torch.device, name: str, precision: str, *, count: int, side: int | None = None) -> dict[str, Any]:
    """A distance, of how many clips, and whether the precision is the one that `auto` takes here.

    Pictures are of the network's size, or square, `side` pixels wide.
    """
    model = trained(name)
    if side is not None:
        model = model.with_clip_format(resize=(side, side), crop=(side, side))
    seen = clips(model, count=count)
    found = distance(*(heats(engine(model, *how), seen) for how in ((str(device), precision), ("cpu", "fp32"))))
    auto = pick_precision("auto", device, half=model.spec.half) == precision
    return {**asdict(found), "clips": len(seen), "auto": auto}


def trained(name: str) -> CamModel:
    """A network with its weights; one that looks at each frame alone has clips of single frames."""
    # Not by its model card, which takes another package to be read.
    model = load_model(name, weights=str(MOTION_WEIGHTS) if name == "motion" else None)
    length = 1 if model.spec.framewise else model.spec.clip_format.length
    return model.with_clip_format(length=length)


def engine(model: CamModel, device: str, precision: str) -> Engine:
    """One that gives the heat of all classes."""
    return make_engine(model, device=device, precision=precision, classes=range(len(model.spec.classes)))


def clips(model: CamModel, *, count: int) -> list[Clip]:
    """So many of each video."""
    shape, hop, found = model.spec.clip_format, 5 if model.spec.framewise else 16, []
    for frames in (sample(), drifting_frames(shape, seed=1)):
        window = SlidingWindow(shape, hop=hop)
        full = (clip for clip in map(window.push, frames) if clip is not None)
        found += list(itertools.islice(full, count))
    return found


def sample() -> Iterator[Frame]:
    """The sample that comes along, over and over, as one video."""
    path, index = str(files("streamcam") / "data" / "sample.mp4"), 0
    while True:
        video = cv2.VideoCapture(path)
        fps, (there, picture) = video.get(cv2.CAP_PROP_FPS), video.read()
        while there:
            yield Frame(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), index, index / fps, 0, "sample")
            index += 1
            there, picture = video.read()


def heats(engine: Engine, clips: Sequence[Clip]) -> list[Heat]:
    """Clip by clip."""
    return [heat for clip in clips for heat in engine.infer([clip]) if heat is not None]


def distance(ours: Sequence[Heat], reference: Sequence[Heat]) -> Distance:
    """The worst of some clips, and the share of them in which the first class is the same; heat is of all classes."""
    pairs = list(zip(ours, reference, strict=True))
    return Distance(
        logits=max(float(np.abs(a.logits - b.logits).max() / np.abs(b.logits).max()) for a, b in pairs),
        cosine=min(_cosine(_contrast(a), _contrast(b)) for a, b in pairs),
        same_class=float(np.mean([int(a.logits.argmax()) == int(b.logits.argmax()) for a, b in pairs])),
    )


def _contrast(heat: Heat) -> npt.NDArray[np.float64]:
    """The heat that is drawn: the mean over classes would hide a difference."""
    cube = heat.cube[heat.classes.argsort()].astype(np.float64)
    return np.asarray((cube - cube.mean(0)).ravel(), np.float64)


def _cosine(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for row in figures["rows"]:
        name = f"{row['model']}, {row['precision']}"
        if "failed" in row:
            rows.append([name, f"failed: {row['failed']}"])
            continue
        name += ", which `auto` takes" if row["auto"] else ""
        found = [f"{row['logits']:.2%}", f"{row['same_class']:.0%}", f"{row['cosine']:.5f}"]
        rows.append([name, *found, str(row["clips"])])
    return table(("", "logits, off by", "the same first class", "cosine of heat", "clips"), rows)
