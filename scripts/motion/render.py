"""Scenes → clips with their masks, on a GPU or a CPU: drawn in batches, and filmed as a camera would."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.motion.appearance import PHASES, SHAPE_PX, shapes, softened, textures
from scripts.motion.layers import Format, Layer, Scene
from scripts.motion.paths import Array
from scripts.motion.scenes import compose
from streamcam.models.motion import LABELS

CELL = 4


class SceneRenderer:
    """A renderer of scenes, which keeps shapes and textures on a device."""

    def __init__(self, part: str, *, fmt: Format, shades: float = 0.0, seed: int = 0, device: str = "cpu") -> None:
        """Draw the shapes and textures of a part of the data, "train" or "held-out".

        Of what moves, a share `shades` is but a shade on what is behind it.
        """
        rng = np.random.default_rng([seed, part == "train"])
        self.fmt, self.shades, self.device = fmt, shades, device
        self.textures = torch.from_numpy(textures(part, rng)).to(device)
        hard = shapes(rng)
        self.shapes = torch.from_numpy(np.concatenate([hard, softened(hard)])).to(device)

    def compose(self, seed: int, **wishes: Any) -> Scene:
        """Compose a scene from a seed, with shapes and textures of this renderer; `wishes` are options of `compose`."""
        shapes, textures = len(self.shapes) // 2, len(self.textures)
        return compose(seed, fmt=self.fmt, shapes=shapes, textures=textures, shades=self.shades, **wishes)

    def render(self, scenes: list[Scene], *, masks: bool = False) -> "Rendered":
        """Draw a batch of scenes."""
        return render(scenes, self, masks=masks)


@dataclass
class Rendered:
    """A batch of clips."""

    frames: Tensor
    """uint8 [N,3,T,H,W]."""
    cells: Tensor
    """float16 [N,A,L,h,w]: how much of each cell a thing covers that nothing stands before; the background left out."""
    target: Tensor
    """float32 [N,A,L,C]: what is true of each thing at each slice."""
    sure: Tensor
    """float32 [N,A,L,C]: 0 where that is not to be asked."""
    drift: Tensor
    """float16 [N,4,L,h,w]: how what each cell shows moves: x, y in pixels a frame, turn in radians, growth as the
    change of a logarithm."""
    label: Tensor
    """float32 [N,C]."""
    label_sure: Tensor
    """float32 [N,C]."""
    masks: Tensor | None = None
    """bool [N,A,L,H,W], where asked for."""


@torch.no_grad()
def render(scenes: list[Scene], renderer: SceneRenderer, *, masks: bool = False) -> Rendered:
    """Draw a batch of scenes; random only by their seeds."""
    fmt, device = scenes[0].fmt, renderer.device
    (h, w), n, t = fmt.size, len(scenes), fmt.frames
    picture = torch.zeros(n, 3, t, h, w, device=device)
    most = max(len(s.layers) for s in scenes) - 1
    cells = torch.zeros(n, max(most, 1), fmt.slices, h // CELL, w // CELL, device=device)
    full = torch.zeros(n, max(most, 1), fmt.slices, h, w, device=device) if masks else None
    for depth in range(most + 1):
        which = [i for i, s in enumerate(scenes) if len(s.layers) > depth]
        layers = [scenes[i].layers[depth] for i in which]
        alpha, colour = draw(layers, renderer)
        index = torch.tensor(which, device=device)
        if depth == 0:
            picture, drift = colour, drift_of(layers, fmt, device)
            continue
        strength = torch.tensor([a.strength for a in layers], dtype=torch.float32, device=device).view(-1, 1, 1, 1, 1)
        picture[index] = torch.lerp(picture[index], colour, alpha * strength)
        middle = alpha[:, 0, fmt.middle]
        share = F.avg_pool2d(middle, CELL)
        _stack(cells, index, depth - 1, share)
        drift[index] = torch.lerp(drift[index], drift_of(layers, fmt, device), share[:, None])
        if full is not None:
            _stack(full, index, depth - 1, middle)
    most = max(most, 1)
    padded = [(s.layers[1:] + [None] * most)[:most] for s in scenes]
    empty = np.zeros((fmt.slices, len(LABELS)))

    def on_device(values: list[list[Array]] | list[Array]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(device)

    return Rendered(
        frames=film(picture, scenes),
        cells=cells.half(),
        target=on_device([[empty if a is None else a.target for a in row] for row in padded]),
        sure=on_device([[empty if a is None else a.sure for a in row] for row in padded]),
        drift=drift.half(),
        label=on_device([s.label for s in scenes]),
        label_sure=on_device([s.sure for s in scenes]),
        masks=None if full is None else full > 0.5,
    )


def _stack(covers: Tensor, index: Tensor, depth: int, new: Tensor) -> None:
    """Put a layer in front of those that are there already."""
    covers[index, :depth] *= (1 - new)[:, None]
    covers[index, depth] = new


def draw(layers: list[Layer], renderer: SceneRenderer) -> tuple[Tensor, Tensor]:
    """One layer of each clip: alpha [N,1,T,H,W] and colour [N,3,T,H,W]."""
    device, fmt = renderer.device, renderer.fmt
    (h, w), n, t = fmt.size, len(layers), fmt.frames
    u, v = _local(torch.tensor(np.stack([a.pose for a in layers]), dtype=torch.float32, device=device),
                  torch.tensor([a.pivot for a in layers], dtype=torch.float32, device=device), fmt)  # fmt: skip
    crop = torch.tensor([a.crop for a in layers], dtype=torch.float32, device=device).view(n, 4, 1, 1, 1)
    cos, sin = crop[:, 3].cos() * crop[:, 2], crop[:, 3].sin() * crop[:, 2]
    at = torch.stack([crop[:, 0] + u * cos - v * sin, crop[:, 1] + u * sin + v * cos], -1)
    texture = renderer.textures[[a.texture for a in layers]].float()
    means = texture.mean((2, 3), keepdim=True)
    colour = torch.tensor(np.stack([a.colour for a in layers]), dtype=torch.float32, device=device)
    contrast = torch.tensor([a.contrast for a in layers], device=device, dtype=torch.float32)
    texture = (texture - means) * contrast.view(n, 1, 1, 1) + colour.view(n, 3, 1, 1)
    drawn = F.grid_sample(texture, at.view(n, t * h, w, 2), padding_mode="reflection", align_corners=False)
    phase = torch.tensor(np.stack([a.phase for a in layers]), dtype=torch.float32, device=device).view(n, t, 1, 1)
    inner = (SHAPE_PX - 6) / SHAPE_PX
    inside = ((u * inner).clamp(-1, 1) + 1 + 2 * phase) / PHASES - 1
    atlas = renderer.shapes[[a.shape for a in layers]].float().permute(0, 2, 1, 3).reshape(n, 1, SHAPE_PX, -1) / 255
    alpha = F.grid_sample(atlas, torch.stack([inside, v * inner], -1).view(n, t * h, w, 2), align_corners=False)
    fade = torch.tensor(np.stack([a.alpha for a in layers]), dtype=torch.float32, device=device)
    return alpha.view(n, 1, t, h, w) * fade.view(n, 1, t, 1, 1), drawn.view(n, 3, t, h, w).clamp_(0, 255)


def drift_of(layers: list[Layer], fmt: Format, device: str) -> Tensor:
    """How each cell of a layer moves, over two frames on either side of each slice; float [N,4,L,h,w]."""
    pose = torch.tensor(np.stack([a.pose for a in layers]), dtype=torch.float32, device=device)[..., None, None]
    middle = np.arange(fmt.frames)[fmt.middle]
    now, before, after = (pose[:, middle + k].unbind(2) for k in (0, -2, 2))
    y, x = (CELL * (torch.arange(n // CELL, device=device) + 0.5) for n in fmt.size)
    dx, dy = x[None] - now[0], y[:, None] - now[1]
    u = (dx * now[2].cos() + dy * now[2].sin()) / now[3]
    v = (dy * now[2].cos() - dx * now[2].sin()) / now[4]
    (x0, y0), (x1, y1) = (
        (x + a * u * angle.cos() - b * v * angle.sin(), y + a * u * angle.sin() + b * v * angle.cos())
        for x, y, angle, a, b in (before, after)
    )
    spin, growth = after[2] - before[2], (after[3] / before[3]).log()
    return torch.stack([x1 - x0, y1 - y0, spin.expand_as(x0), growth.expand_as(x0)], 1) / 4


def _local(pose: Tensor, pivot: Tensor, fmt: Format) -> tuple[Tensor, Tensor]:
    """Picture → coordinates on a thing, −1 to 1 across it: u, v, each [N,T,H,W]."""
    h, w = fmt.size
    x0, y0, angle, a, b = (pose[..., i, None, None] for i in range(5))
    y, x = torch.meshgrid(
        torch.arange(h, device=pose.device) + 0.5, torch.arange(w, device=pose.device) + 0.5, indexing="ij"
    )
    dx, dy = x - x0, y - y0
    u = (dx * angle.cos() + dy * angle.sin()) / a + pivot[:, 0].view(-1, 1, 1, 1)
    v = (dy * angle.cos() - dx * angle.sin()) / b + pivot[:, 1].view(-1, 1, 1, 1)
    return u, v


def film(picture: Tensor, scenes: list[Scene]) -> Tensor:
    """Light, lens, sensor and compression: float [N,3,T,H,W] → uint8. A repeated frame repeats its noise."""
    t, h, w = picture.shape[2:]
    for i, s in enumerate(scenes):
        clip = picture[i]
        gain = torch.tensor(s.gain, dtype=torch.float32, device=clip.device).view(1, t, 1, 1)
        if s.lamp is not None:
            gain = 1 + (gain - 1) * _spot(s.lamp, h, w, clip.device)
        clip = clip * gain
        if s.blur:
            clip = _blur(clip, s.blur)
        generator = torch.Generator(clip.device).manual_seed(s.seed)
        once, again = (torch.from_numpy(z).to(clip.device) for z in np.unique(s.frames, return_index=True,
                                                                             return_inverse=True)[1:])  # fmt: skip
        clip = clip[:, once]
        if s.noise:
            clip = clip + torch.randn(1, len(once), h, w, device=clip.device, generator=generator) * s.noise
        if s.quality:
            clip = compress(clip, s.quality)
        if s.stale:
            clip = replenish(clip, s.stale, s.refresh, first=s.seed % s.refresh)
        clip = clip[:, again]
        picture[i] = clip
    return picture.clamp_(0, 255).round_().to(torch.uint8)


def _spot(lamp: tuple[float, float, float], h: int, w: int, device: torch.device) -> Tensor:
    """Where a lamp shines, 0 to 1, [H,W]."""
    y, x = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
    return torch.sigmoid((lamp[2] - torch.hypot(x - lamp[0], y - lamp[1])) / (0.15 * lamp[2]))


def _blur(clip: Tensor, sigma: float) -> Tensor:
    """A Gaussian over 5×5 pixels."""
    k = torch.exp(-(torch.arange(-2.0, 3, device=clip.device) ** 2) / (2 * sigma**2))
    k = k / k.sum()
    x = clip.flatten(0, 1)[:, None]
    x = F.conv2d(F.pad(x, (2, 2, 0, 0), mode="replicate"), k.view(1, 1, 1, 5))
    return F.conv2d(F.pad(x, (0, 0, 2, 2), mode="replicate"), k.view(1, 1, 5, 1)).view_as(clip)


def compress(clip: Tensor, step: float) -> Tensor:
    """Round the cosine transform of 8×8 blocks, coarser for higher frequencies, as JPEG and video codecs do."""
    k = torch.arange(8, device=clip.device, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    basis[0] /= 2**0.5
    blocks = clip.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-2, -3)
    steps = step * (0.4 + (k[None] + k[:, None]) / 4)
    z = torch.round(basis @ blocks @ basis.T / steps) * steps
    return (basis.T @ z @ basis).transpose(-2, -3).flatten(-4, -3).flatten(-2)


def replenish(clip: Tensor, least: float, refresh: int, *, first: int) -> Tensor:
    """Send a block of 8×8 pixels anew only where it has changed by `least`, and all of them every `refresh` frames.

    So a picture stands still between its key frames and jumps a little at them, as video codecs make it.
    """
    sent = clip.clone()
    for t in range(1, clip.shape[1]):
        if (t + first) % refresh:
            change = F.avg_pool2d((clip[:, t] - sent[:, t - 1]).abs().mean(0)[None, None], 8)
            anew = F.interpolate((change > least).float(), scale_factor=8)[0]
            sent[:, t] = torch.lerp(sent[:, t - 1], clip[:, t], anew)
    return sent
