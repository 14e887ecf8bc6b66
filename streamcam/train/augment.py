"""What is changed of clips so that a network learns more from them: a whole batch at once, on its device."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from streamcam.records import ClipFormat

SPEED = 1.25
"""Clips are played up to so much faster or slower."""

ZOOM = 1.25
"""And shown up to so much larger or smaller than the network will see them."""

COLOUR = 0.3
OTHER_WAY = "counterclockwise"
OPPOSITES = {"left": "right", "right": "left", "clockwise": OTHER_WAY, OTHER_WAY: "clockwise"}
"""What a mirror turns into each other, wherever it stands in a name: `swipe-left`, `SwipeLeft`, `leftward`."""

_OTHER_WAY = re.compile("(?:counter|anti)[-_ ]?clockwise|(?<![a-z])(?:cc|ac)w(?![a-z])")
_ONE_WAY = re.compile("(?<![a-z])cw(?![a-z])")
_SIDES = re.compile("|".join(sorted(OPPOSITES, key=len, reverse=True)))


def frames_needed(length: int) -> int:
    """How many frames a clip of L has to be cut from, so that it can be played faster."""
    return round((length - 1) * SPEED) + 1


def mirrored(classes: Sequence[str]) -> list[int | None]:
    """For each class, what it is called when the picture is mirrored: `moving left` becomes `moving right`.

    None for one that has a side but no opposite among the classes: it cannot be mirrored.
    """
    names = [_ONE_WAY.sub("clockwise", _OTHER_WAY.sub(OTHER_WAY, name.casefold())) for name in classes]
    index = {name: i for i, name in enumerate(names)}
    return [index.get(_mirror(name)) if _SIDES.search(name) else i for i, name in enumerate(names)]


def _mirror(name: str) -> str:
    """All sides at once: `left hand moving right` is `right hand moving left`."""
    return _SIDES.sub(lambda side: OPPOSITES[side[0]], name)


@dataclass(frozen=True)
class Augment:
    """Frames uint8 [N,n,3,H,W] and targets [N,C] → float 0–255 [N,L,3,h,w] and their targets.

    All random numbers are drawn on the CPU from the generator, so that they are the same on every device.
    """

    clip_format: ClipFormat
    mirrored: Sequence[int | None]

    def __call__(
        self, frames: Tensor, available: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Play faster or slower, crop, mirror where the labels allow it, change light and colour.

        Of each clip, the first `available` [N] frames are real.
        """
        count = len(frames)
        flips = self._may_mirror(targets) & (torch.rand(count, generator=generator) < 0.5).to(targets.device)
        clips = _play(frames, available, self.clip_format.length, _between(1 / SPEED, SPEED, count, generator))
        clips = self._place(clips, flips, generator)
        return _recolour(clips, generator), self._mirror_targets(targets, flips)

    def _may_mirror(self, targets: Tensor) -> Tensor:
        fixed = torch.tensor([other is None for other in self.mirrored], device=targets.device)
        return ~(targets.bool() & fixed).any(1)

    def _mirror_targets(self, targets: Tensor, flips: Tensor) -> Tensor:
        order = torch.tensor([i if other is None else other for i, other in enumerate(self.mirrored)])
        return torch.where(flips[:, None], targets[:, order.to(targets.device)], targets)

    def _place(self, clips: Tensor, flips: Tensor, generator: torch.Generator) -> Tensor:
        """The crop that the network sees, somewhere else, larger or smaller, mirrored; the same for a clip's frames."""
        n, length = clips.shape[:2]
        size, crop = torch.tensor(self.clip_format.resize), torch.tensor(self.clip_format.crop)
        share = crop / size
        extent = (share / _between(1 / ZOOM, ZOOM, n, generator)[:, None]).clamp(max=1.0)
        centre = (1 - extent) * (2 * torch.rand(n, 2, generator=generator) - 1)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = extent[:, 1] * torch.where(flips.cpu(), -1.0, 1.0)
        theta[:, 1, 1] = extent[:, 0]
        theta[:, :, 2] = centre.flip(1)
        grid = F.affine_grid(theta, [n, 1, *self.clip_format.crop], align_corners=False).to(clips.device)
        pictures = clips.float().flatten(1, 2)
        placed = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return placed.view(n, length, 3, *self.clip_format.crop)


def _between(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    """Factors [count] with an even chance of being so much larger or smaller than 1."""
    exponent = torch.rand(count, generator=generator)
    return low * (high / low) ** exponent


def _play(frames: Tensor, available: Tensor, length: int, speed: Tensor) -> Tensor:
    """[N,n,…] → [N,L,…]: every `speed`-th of the frames that are there, from the middle; no faster than they reach."""
    last = available[:, None].cpu() - 1
    steps = torch.arange(length) - (length - 1) / 2
    fastest = last / max(1, length - 1)
    index = (last / 2 + steps * speed[:, None].minimum(fastest)).round().long().minimum(last).clamp(min=0)
    index = index.to(frames.device)
    return frames[torch.arange(len(frames), device=frames.device)[:, None], index]


def _recolour(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation, one change for each clip."""
    brightness, contrast, saturation = (
        _between(1 - COLOUR, 1 + COLOUR, len(clips), generator).view(-1, 1, 1, 1, 1).to(clips.device) for _ in range(3)
    )
    grey = clips.mean(2, keepdim=True)
    clips = grey + (clips - grey) * saturation
    mean = clips.mean((1, 2, 3, 4), keepdim=True)
    return ((clips - mean) * contrast + mean * brightness).clamp(0, 255)
