"""Learn classes from labels alone, leave each person out once, and see whether the heat is on what moves.

    python -m scripts.footage.left_out ACTIONS

ACTIONS has a folder for each class, with a clip of each person: `wave/anna.mp4`, and the masks of what moves beside it
(docs/guides/evaluation.md has the format). A new classifier is fitted to the model's features as they are. Each slice's
hottest place is then compared with the masks, in clips of the person whom it has not seen.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from streamcam.evaluate.dataset import find_items
from streamcam.evaluate.truth import Truth
from streamcam.evaluate.windows import with_frame_times
from streamcam.models.base import CamModel
from streamcam.models.registry import load_model
from streamcam.records import Heat
from streamcam.sources.base import open_source
from streamcam.train.augment import Augment, frames_needed, mirrored_classes
from streamcam.train.clips import ClipDataset
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.explained import explain
from streamcam.train.frozen import VIEWS, PooledClips, fit_best, pool_views

NEAR_PX = 4
"""So many pixels of the network's picture count as near."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one clip's answer is worth."""

    right: bool
    """Whether its class is the strongest."""
    exact: Sequence[bool]
    """Of each slice in which something moves: whether its hottest place does."""
    near: Sequence[bool]
    """The same within `NEAR_PX`."""


def read(folder: Path) -> tuple[list[LabelledClip], list[Truth], list[str]]:
    """Find the clips, their truth and the classes."""
    items = find_items(folder)
    classes = sorted({str(item.folder_class) for item in items})
    clips = []
    for item in items:
        with closing(open_source(item.uri, paced=False)) as source:
            next(source.frames(Event()))
            label = classes.index(str(item.folder_class))
            clips.append(LabelledClip(item.path, 0.0, source.duration_s or 0.0, (label,), item.path.stem))
    return clips, [with_frame_times(item.truth()) for item in items], classes


def views(model: CamModel, clips: Sequence[LabelledClip], seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield each clip several times, varied as in training, with its target and its number."""
    clip_format, classes = model.spec.clip_format, model.classes
    data = ClipDataset(clips, len(classes), clip_format, frames=frames_needed(clip_format.length), seed=seed)
    augment = Augment(clip_format, mirrored_classes(classes))
    keys = [(view, number) for view in range(VIEWS) for number in range(len(clips))]
    for i, key in enumerate(track(keys, description=f"seed {seed}")):
        batch = data[key]
        generator = torch.Generator().manual_seed(seed * 1_000_003 + i)
        yield *augment(batch.frames, batch.available, batch.targets, generator), batch.numbers


def judge(heat: Heat, truth: Truth, clip: LabelledClip, model: CamModel) -> Judged:
    """Compare the heat of a clip's own class with what moves in it."""
    label, clip_format = clip.labels[0], model.spec.clip_format
    start_s = max(0.0, clip.end_s - clip_format.length / clip_format.fps) / 2
    masks = truth.masks(model.classes[label], heat.pts_s + start_s, clip_format.crop)
    exact, near = [], []
    for mask, cells in zip(np.any(masks, axis=0), heat.centred[label], strict=True):
        if mask.any():
            y, x = np.unravel_index(cells.argmax(), cells.shape)
            place = tuple(int((i + 0.5) * n / c) for i, n, c in zip((y, x), mask.shape, cells.shape, strict=True))
            kernel = np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)
            exact.append(bool(mask[place]))
            near.append(bool(cv2.dilate(mask.astype(np.uint8), kernel)[place]))
    return Judged(int(heat.scores.argmax()) == label, exact, near)


def leave_out(
    model: CamModel, clips: Sequence[LabelledClip], truths: Sequence[Truth], pooled: PooledClips
) -> list[Judged]:
    """Judge the clips of each person by a classifier that has not seen the person."""
    judged = []
    for person in sorted({str(clip.group) for clip in clips}):
        others = torch.tensor([i for i, clip in enumerate(clips) if clip.group != person])
        groups = [clips[i].group for i in others.tolist()]
        layer, _ = fit_best(pooled.of(others), groups, multi_label=False)
        model.head.classifier.load_state_dict(layer.state_dict())
        for clip, truth in zip(clips, truths, strict=True):
            if clip.group == person:
                judged.append(judge(explain(model, clip)[1], truth, clip, model))
    return judged


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder with a folder of clips for each class")
    parser.add_argument("--model", default="motion", help="one of `streamcam models`, or a checkpoint")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    clips, truths, classes = read(args.folder)
    model = load_model(args.model).with_clip_format(shapes=())
    model = model.with_spec(replace(model.spec, classes=tuple(classes), multi_label=False, heat_scale=None)).eval()
    for seed in range(args.seeds):
        judged = leave_out(model, clips, truths, pool_views(model, views(model, clips, seed)))
        exact, near = (np.concatenate([getattr(one, name) for one in judged]).mean() for name in ("exact", "near"))
        top1 = np.mean([one.right for one in judged])
        print(f"seed {seed}: top-1 {top1:.3f} of {len(judged)}, exactly {exact:.3f}, within {NEAR_PX} px {near:.3f}")


if __name__ == "__main__":
    main()
