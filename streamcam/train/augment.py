"""Vary clips so that a network learns more from them: a whole batch at once, on its device."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from streamcam.records import ClipFormat

SPEED = 1.25
"""Clips are played up to this many times as fast, or as slow."""

ZOOM = 1.25
"""Clips are shown up to this many times as large, or as small, as in use."""

COLOUR = 0.3
"""Brightness, contrast and saturation are multiplied by 1 − this to 1 + this."""

COUNTERCLOCKWISE = "counterclockwise"
OPPOSITES = {"left": "right", "right": "left", "clockwise": COUNTERCLOCKWISE, COUNTERCLOCKWISE: "clockwise"}
"""The words that a mirror swaps, anywhere in the name of a class: `swipe-left`, `SwipeLeft`, `leftward`."""

# The abbreviations count as words of their own only; the full words are found anywhere.
_COUNTERCLOCKWISE = re.compile("(?:counter|anti)[-_ ]?clockwise|(?<![a-z])(?:cc|ac)w(?![a-z])")
_CLOCKWISE = re.compile("(?<![a-z])cw(?![a-z])")
# The longest word comes first: `counterclockwise` contains `clockwise`.
_DIRECTION = re.compile("|".join(sorted(OPPOSITES, key=len, reverse=True)))


def frames_needed(length: int) -> int:
    """Return how many frames to decode for a clip of `length`, so that it can be played at the highest speed."""
    return round((length - 1) * SPEED) + 1


def mirrored_classes(classes: Sequence[str]) -> list[int | None]:
    """Return, for each class, the index of the class that it becomes in a mirror.

    `moving left` becomes `moving right`, and a class without a direction stays itself. The entry is None for a class
    whose opposite is missing: its clips must not be mirrored.
    """
    names = [_CLOCKWISE.sub("clockwise", _COUNTERCLOCKWISE.sub(COUNTERCLOCKWISE, c.casefold())) for c in classes]
    index = {name: i for i, name in enumerate(names)}
    return [index.get(_mirror(name)) if _DIRECTION.search(name) else i for i, name in enumerate(names)]


def _mirror(name: str) -> str:
    """Swap all directions at once: `left hand moving right` becomes `right hand moving left`."""
    return _DIRECTION.sub(lambda match: OPPOSITES[match[0]], name)


@dataclass(frozen=True)
class Augment:
    """Varies speed, crop, light and colour of a batch, and mirrors clips where their labels allow it.

    All random numbers are drawn on the CPU, so that they are the same whatever the device is.
    """

    clip_format: ClipFormat
    mirrored: Sequence[int | None]
    """What `mirrored_classes` gives."""

    def __call__(
        self, frames: Tensor, available: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Vary a batch.

        Args:
            frames: uint8 [N,n,3,H,W], `frames_needed` of each clip.
            available: int64 [N]: only so many of a clip's n frames are decoded ones.
            targets: float32 [N,C].
            generator: a generator on the CPU.

        Returns:
            Clips float32 [N,L,3,h,w] in 0–255 and their targets float32 [N,C].
        """
        count = len(frames)
        flips = self._may_mirror(targets) & (torch.rand(count, generator=generator) < 0.5).to(targets.device)
        clips = _play(frames, available, self.clip_format.length, _random_factors(1 / SPEED, SPEED, count, generator))
        clips = self._crop(clips, flips, generator)
        return _change_colours(clips, generator), self._mirror_targets(targets, flips)

    def _may_mirror(self, targets: Tensor) -> Tensor:
        """Return bool [N]: False where one of a clip's classes has a direction and no opposite."""
        fixed = torch.tensor([other is None for other in self.mirrored], device=targets.device)
        return ~(targets.bool() & fixed).any(1)

    def _mirror_targets(self, targets: Tensor, flips: Tensor) -> Tensor:
        order = torch.tensor([i if other is None else other for i, other in enumerate(self.mirrored)])
        return torch.where(flips[:, None], targets[:, order.to(targets.device)], targets)

    def _crop(self, clips: Tensor, flips: Tensor, generator: torch.Generator) -> Tensor:
        """Crop each clip at a random place and scale, and mirror some; all frames of a clip alike.

        `grid_sample` has coordinates from −1 to 1 over the whole picture. An output pixel at (x, y) shows the point
        (±extent_x · x + centre_x, extent_y · y + centre_y), where the extent is the crop's share of the picture.
        The centre is drawn so that the crop stays within the picture.
        """
        n, length = clips.shape[:2]
        size, crop = torch.tensor(self.clip_format.resize), torch.tensor(self.clip_format.crop)
        share = crop / size
        extent = (share / _random_factors(1 / ZOOM, ZOOM, n, generator)[:, None]).clamp(max=1.0)
        centre = (1 - extent) * (2 * torch.rand(n, 2, generator=generator) - 1)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = extent[:, 1] * torch.where(flips.cpu(), -1.0, 1.0)
        theta[:, 1, 1] = extent[:, 0]
        theta[:, :, 2] = centre.flip(1)  # (height, width) → (x, y)
        grid = F.affine_grid(theta, [n, 1, *self.clip_format.crop], align_corners=False).to(clips.device)
        # The frames of a clip are treated as channels of one picture: they share a grid.
        pictures = clips.float().flatten(1, 2)
        cropped = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return cropped.view(n, length, 3, *self.clip_format.crop)


def _random_factors(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw factors [count] whose logarithm is uniform, so that twice as large is as likely as half as large."""
    exponent = torch.rand(count, generator=generator)
    return low * (high / low) ** exponent


def _play(frames: Tensor, available: Tensor, length: int, speed: Tensor) -> Tensor:
    """Take every `speed`-th frame, around the middle of the decoded ones: [N,n,…] → [N,L,…].

    A clip with few decoded frames is played no faster than they last, and never shows the repeated ones.
    """
    last = available[:, None].cpu() - 1
    steps = torch.arange(length) - (length - 1) / 2
    fastest = last / max(1, length - 1)
    index = (last / 2 + steps * speed[:, None].minimum(fastest)).round().long().minimum(last).clamp(min=0)
    index = index.to(frames.device)
    return frames[torch.arange(len(frames), device=frames.device)[:, None], index]


def _change_colours(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation, by the same factors for all frames of a clip."""
    brightness, contrast, saturation = (
        _random_factors(1 - COLOUR, 1 + COLOUR, len(clips), generator).view(-1, 1, 1, 1, 1).to(clips.device)
        for _ in range(3)
    )
    grey = clips.mean(2, keepdim=True)
    clips = grey + (clips - grey) * saturation
    mean = clips.mean((1, 2, 3, 4), keepdim=True)
    return ((clips - mean) * contrast + mean * brightness).clamp(0, 255)
