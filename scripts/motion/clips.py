"""Rendered clips to learn from: a pool that is renewed all the time, turned around and recoloured."""

import numpy as np
import torch
from torch import Tensor

from scripts.motion.render import Rendered, SceneRenderer
from streamcam.models.motion import LABELS

NO_PLACE = ("still", "flickering light", "camera moving")
PLACES = slice(1, 13)
"""The classes that have one."""
MIRRORED = {"moving left": "moving right", "turning clockwise": "turning counter-clockwise"}
UPSIDE_DOWN = {"moving up": "moving down", "turning clockwise": "turning counter-clockwise"}
BACKWARDS = {
    "moving left": "moving right",
    "moving up": "moving down",
    "approaching": "receding",
    "turning clockwise": "turning counter-clockwise",
    "appearing": "disappearing",
}


TURNS = ((MIRRORED, -1, (-1, 1, -1, 1)), (UPSIDE_DOWN, -2, (1, -1, -1, 1)), (BACKWARDS, -3, (-1, -1, -1, -1)))
"""What changes its name, the axis of [C,T,h,w] that is reversed, and the signs of the drift."""


def swap(pairs: dict[str, str]) -> list[int]:
    """The order of classes after a clip was turned around."""
    both = pairs | {b: a for a, b in pairs.items()}
    return [LABELS.index(both.get(name, name)) for name in LABELS]


class Pool:
    """The newest clips, as they are at a given step: a function of the seed and the step alone."""

    def __init__(self, renderer: SceneRenderer, *, seed: int, batch: int, fresh: int, size: int, step: int) -> None:
        self.renderer, self.seed, self.size, self.fresh = renderer, seed, batch, fresh
        self.clips: list[list[dict[str, Tensor]]] = []
        for first in range(step, step + size // fresh):
            self._render(first)

    def _render(self, number: int) -> None:
        first = self.seed * 10**8 + number * self.fresh
        rendered = self.renderer.render([self.renderer.compose(first + i) for i in range(self.fresh)])
        self.clips.append([one(rendered, i) for i in range(self.fresh)])

    def advance(self, step: int) -> None:
        """Render what comes after `step`; forget the oldest."""
        self._render(step + len(self.clips))
        self.clips.pop(0)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Clips of the pool by chance, turned and recoloured."""
        rng = np.random.default_rng([self.seed, step])
        picks = rng.choice(len(self.clips) * self.fresh, self.size, replace=False)
        parts = [turned(self.clips[i // self.fresh][i % self.fresh], rng) for i in picks]
        return {k: torch.stack([p[k] for p in parts]) for k in parts[0]}


def one(clips: Rendered, i: int) -> dict[str, Tensor]:
    """A clip of a batch: frames, target and weight of each cell [C,L,h,w], label and weight of the whole [C]."""
    cells, target, sure = clips.cells[i].float(), clips.target[i], clips.sure[i]
    cover = _covered(cells, target)
    # A cell weighs nothing where a thing covers it of which that is not known.
    unknown = _covered(cells, 1 - sure)
    share = cover.mean((1, 2, 3), keepdim=True)
    loud = 1 + cover * (0.25 / (share + 3e-4)).sqrt().clamp(2, 24)
    weight = loud * (1 - unknown)
    weight[[LABELS.index(name) for name in NO_PLACE]] = 0
    return {"frames": clips.frames[i], "cover": cover, "weight": weight, "drift": told(clips.drift[i].float()),
            "label": clips.label[i], "sure": clips.label_sure[i]}  # fmt: skip


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
    """Mirrored, upside down, backwards and in other colours, each by chance, with what is true of it then."""
    order, axes, signs = list(range(len(LABELS))), list[int](), np.ones(4)
    for pairs, axis, turn_signs in TURNS:
        if rng.random() < 0.5:
            order, axes, signs = [order[i] for i in swap(pairs)], [*axes, axis], signs * turn_signs
    placed = {name: clip[name].flip(axes) for name in ("frames", "cover", "weight", "drift")}
    named = {"cover": placed["cover"][order], "weight": placed["weight"][order]}
    named |= {name: clip[name][order] for name in ("label", "sure")}
    drift = placed["drift"] * placed["drift"].new_tensor(signs).view(4, 1, 1, 1)
    return named | {"frames": recoloured(placed["frames"], rng), "drift": drift}


def recoloured(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames [3,T,H,W] with their channels in another order, at times as a negative, or with another contrast."""
    frames = frames[torch.from_numpy(rng.permutation(3))].float()
    if rng.random() < 0.3:
        frames = 255 - frames
    if rng.random() < 0.5:
        frames = (frames - 128) * rng.uniform(0.4, 1.1) + rng.uniform(80, 170)
    return frames.clamp(0, 255)
