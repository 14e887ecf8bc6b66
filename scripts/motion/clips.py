"""Rendered clips to learn from: a pool that is renewed all the time, turned around and recoloured."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scripts.motion.layers import Format
from scripts.motion.render import Rendered, SceneRenderer
from streamcam.models.motion import LABELS, PLACED

MIRRORED = {"moving left": "moving right", "turning clockwise": "turning counter-clockwise"}
UPSIDE_DOWN = {"moving up": "moving down", "turning clockwise": "turning counter-clockwise"}
TURNS = ((MIRRORED, -1, (-1, 1, -1, 1)), (UPSIDE_DOWN, -2, (1, -1, -1, 1)))
"""What changes its name, the axis of [C,L,h,w] that is reversed, and the signs of the drift."""
WHERE_PLACED = [LABELS.index(name) for name in PLACED]


def swap(pairs: dict[str, str], names: tuple[str, ...]) -> list[int]:
    """The order of classes after a clip was turned around."""
    both = pairs | {b: a for a, b in pairs.items()}
    return [names.index(both.get(name, name)) for name in names]


class Clips(Dataset[dict[str, Tensor]]):
    """The clips of a training, by number; each is rendered when it is asked for."""

    def __init__(self, seed: int, first: int, count: int, *, shades: float, photographs: Path | None) -> None:
        self.seed, self.first, self.count = seed, first, count
        self.shades, self.photographs = shades, photographs
        self.renderer: SceneRenderer | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        if self.renderer is None:  # in the process that renders: its textures need not be sent there
            cv2.setNumThreads(1)
            self.renderer = SceneRenderer(
                "train", fmt=Format(), shades=self.shades, seed=self.seed, photographs=self.photographs
            )
        scene = self.renderer.compose(self.seed * 10**8 + self.first + number)
        return one(self.renderer.render([scene]), 0)


class Pool:
    """The newest clips, as they are at a given step: a function of the seed and the step alone."""

    def __init__(
        self, seed: int, step: int, steps: int, *, size: int, fresh: int, shades: float, photographs: Path | None
    ) -> None:
        """Fill the pool.

        Args:
            seed: of all scenes and choices.
            step: the first that clips are asked for.
            steps: all that there will be.
            size: clips to choose from.
            fresh: how many of them are replaced after each step.
            shades: the share of the things that move which are shades.
            photographs: a folder of more textures.
        """
        self.seed, self.fresh = seed, fresh
        clips = Clips(seed, step * fresh, size + (steps - step) * fresh, shades=shades, photographs=photographs)
        self.rendered: Iterator[dict[str, Tensor]] = iter(
            # A forked process would hang in OpenCV, whose threads are not forked.
            DataLoader(clips, batch_size=None, num_workers=1, prefetch_factor=16, multiprocessing_context="spawn")
        )
        self.clips = [next(self.rendered) for _ in range(size)]

    def advance(self) -> None:
        """Forget the oldest clips, and take as many new ones."""
        self.clips = self.clips[self.fresh :] + [next(self.rendered) for _ in range(self.fresh)]

    def batch(self, step: int, size: int) -> dict[str, Tensor]:
        """Clips of the pool by chance, turned and recoloured."""
        rng = np.random.default_rng([self.seed, step])
        parts = [turned(self.clips[i], rng) for i in rng.choice(len(self.clips), size, replace=False)]
        return {k: torch.stack([p[k] for p in parts]) for k in parts[0]}


def one(clips: Rendered, i: int) -> dict[str, Tensor]:
    """A clip of a batch.

    Returns:
        `frames` uint8 [3,T,H,W]; `cover` float16 [12,L,h,w], how much of each cell does what; `weight` float16
        [L,h,w], what a cell counts; `drift` float16 [4,L,h,w] as in `told`; `label` and `sure` float32 [C] of the
        whole clip.
    """
    cells, target, sure = clips.cells[i].float(), clips.target[i], clips.sure[i]
    cover = _covered(cells, target)[WHERE_PLACED]
    # A cell weighs nothing where a thing covers it of which that is not known.
    unknown = _covered(cells, 1 - sure)[WHERE_PLACED]
    share = cover.mean((1, 2, 3), keepdim=True)
    loud = 1 + (cover * (0.25 / (share + 3e-4)).sqrt().clamp(2, 16)).amax(0)
    weight = loud * (1 - unknown.amax(0))
    return {
        "frames": clips.frames[i],
        "cover": cover.half(),
        "weight": weight.half(),
        "drift": told(clips.drift[i].float()).half(),
        "label": clips.label[i],
        "sure": clips.label_sure[i],
    }


def _covered(cells: Tensor, target: Tensor) -> Tensor:
    """How much of each cell is covered by things of which a class is true; [A,L,h,w], [A,L,C] → [C,L,h,w], 0 to 1."""
    cover = cells.new_zeros(target.shape[2], *cells.shape[1:])
    for a, c in target.any(1).nonzero().tolist():
        cover[c] += cells[a] * target[a, :, c, None, None]
    return cover.clamp_(max=1)


def told(drift: Tensor) -> Tensor:
    """Drift [4,L,h,w] as it is asked for, each between −1 and 1: which way rather than how fast."""
    speed = drift[:2].norm(dim=0)
    spin, growth = drift[2] * 15, drift[3] * 40
    return torch.stack([*(drift[:2] / (speed + 0.3)), spin / (1 + spin.abs()), growth / (1 + growth.abs())])


def turned(clip: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    """Mirrored, upside down and in other colours, each by chance, with what is true of it then."""
    clip = dict(clip)
    for pairs, axis, signs in TURNS:
        if rng.random() < 0.5:
            clip |= {name: clip[name].flip(axis) for name in ("frames", "cover", "weight", "drift")}
            clip["cover"] = clip["cover"][swap(pairs, PLACED)]
            clip["drift"] = clip["drift"] * clip["drift"].new_tensor(signs).view(4, 1, 1, 1)
            clip |= {name: clip[name][swap(pairs, LABELS)] for name in ("label", "sure")}
    return clip | {"frames": recoloured(clip["frames"], rng)}


def recoloured(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames uint8 [3,T,H,W] with their channels in another order, at times as a negative, or with other contrast."""
    values = np.arange(256.0)
    if rng.random() < 0.3:
        values = 255 - values
    if rng.random() < 0.5:
        values = (values - 128) * rng.uniform(0.4, 1.1) + rng.uniform(80, 170)
    table = np.clip(np.round(values), 0, 255).astype(np.uint8)
    picked = frames[torch.from_numpy(rng.permutation(3))].numpy()
    return torch.from_numpy(cv2.LUT(picked.reshape(-1), table).reshape(picked.shape))
