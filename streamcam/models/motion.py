"""`motion`: how things move, and where; a small 3D network without padding in time.

A clip of 32 frames gives 16 heat slices of a quarter of the picture's size. Apart from the gate, a cell depends on the
31×31 pixels and 17 frames around it only. So heat cannot lie far from what caused it.

    layer            channels   cells    receptive field, pixels × frames
    changes            3 → 7    1            1 ×  3            brightness, and how R, G, B change; fixed
    stem               7 → 16   1/2          3 ×  3
    conv              16 → 32   1/4          7 ×  5
    space-time        32 → 32   1/4         15 ×  7            residual
    space-time        32 → 32   1/4         23 ×  9            residual
    space-time        32 → 48   1/4         31 × 11
    time              48 → 48   1/4         31 × 13            residual
    time              48 → 48   1/4         31 × 15            residual
    time              48 → 64   1/4         31 × 17
    gate              64 → 64   1/4         weighs each channel, by its mean over the picture

`scripts/motion/pretrain.py` trained it on rendered scenes only; no video was used.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from streamcam.models.base import CamModel
from streamcam.models.checkpoint import fill_from, read_card
from streamcam.models.head import Head
from streamcam.models.spec import ModelSpec
from streamcam.models.weights import fill
from streamcam.records import ClipFormat

WEIGHTS = Path(__file__).parents[1] / "data" / "motion.safetensors"

LABELS: tuple[str, ...] = (
    "still",
    "moving left",
    "moving right",
    "moving up",
    "moving down",
    "approaching",
    "receding",
    "turning clockwise",
    "turning counter-clockwise",
    "waving",
    "bouncing",
    "appearing",
    "disappearing",
    "flickering light",
    "camera moving",
)


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """The sizes of the network."""

    stem: int = 16
    """Channels at half the picture's size."""
    space: tuple[int, ...] = (32, 32, 32, 48)
    """Channels of the 3×3×3 convolutions; the first halves the size once more."""
    time: tuple[int, ...] = (48, 48, 64)
    """Channels of the 3×1×1 convolutions, which widen the receptive field in time only."""
    gate: int = 32
    """Hidden channels of the gate."""

    @property
    def context(self) -> int:
        """R − 1: each convolution over three frames, the fixed one for changes too, shortens the clip by two."""
        return 2 * (1 + len(self.space) + len(self.time))


CONFIG = MotionConfig()

SPEC = ModelSpec(
    name="motion",
    summary="15 motions of things and cameras, where and when; a small 3D network taught by rendered scenes",
    classes=LABELS,
    clip_format=ClipFormat(
        length=16 + CONFIG.context,
        fps=15,
        resize=(112, 144),
        crop=(112, 144),
        mean=(110.0,) * 3,
        std=(60.0,) * 3,
    ),
    framewise=False,
    temporal_offset=CONFIG.context / 2,
    temporal_context=CONFIG.context,
    temporal_receptive_field=CONFIG.context + 1,
    multi_label=True,
    weights_source="trained by scripts/motion/pretrain.py; in the package",
)


def build(weights: str) -> CamModel:
    """Build the network with the given weights: DEFAULT (with the heat scale of its card), none or a file."""
    model = CamModel(SPEC, MotionFeatures(CONFIG), Head([nn.Linear(CONFIG.time[-1], len(LABELS))]))
    if weights == "DEFAULT":
        card = read_card(WEIGHTS)
        fill_from(model, WEIGHTS, card)
        return model.with_spec(replace(SPEC, heat_scale=tuple(card.heat_scale or ())))
    if weights != "none":
        fill(model, weights)
    return model


class MotionFeatures(nn.Sequential):
    """The network up to its feature map: it maps float [N,3,T,H,W] to [N,K,T−R+1,H/4,W/4]."""

    def __init__(self, config: MotionConfig) -> None:
        # One frame at a time, the stem halves the size first: the 3D convolutions are the expensive part.
        layers: list[nn.Module] = [changes(), Unit(7, config.stem, kernel=(1, 3, 3), stride=2)]
        k = config.stem
        for i, channels in enumerate(config.space):
            layers.append(Unit(k, channels, kernel=(3, 3, 3), stride=2 if i == 0 else 1))
            k = channels
        for channels in config.time:
            layers.append(Unit(k, channels, kernel=(3, 1, 1)))
            k = channels
        super().__init__(*layers, Gate(k, config.gate))


class Unit(nn.Module):
    """A convolution, batch norm and ReLU, with a residual where channels and size stay the same.

    The convolution has no padding in time, so the residual leaves out the first and the last frame.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: tuple[int, int, int], stride: int = 1) -> None:
        super().__init__()
        padding = (0, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), padding, bias=False)
        self.norm = nn.BatchNorm3d(outputs)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,K,T,h,w] to [N,K',T−2,h,w]; to [N,K',T,h,w] with a kernel over one frame."""
        y: Tensor = self.norm(self.conv(x))
        if self.residual:
            y = y + x[:, :, 1:-1]
        return torch.relu(y)


class Gate(nn.Module):
    """A weight for each channel of a slice, by the channels' means over the picture (Hu et al., CVPR 2018).

    Whether a thing or the camera moves cannot be told from 31×31 pixels. The weights are the same for all cells of a
    slice, so the gate cannot light a cell that sees nothing.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv3d(channels, hidden, 1)
        self.excite = nn.Conv3d(hidden, channels, 1)
        for parameter in self.excite.parameters():
            nn.init.zeros_(parameter)  # sigmoid(0) · 2 = 1: before training, the gate changes nothing

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each channel of [N,K,T,h,w] by a factor between 0 and 2."""
        hidden = torch.relu(self.squeeze(torch.mean(x, (3, 4), keepdim=True)))
        return x * (torch.sigmoid(self.excite(hidden)) * 2.0)


def changes() -> nn.Conv3d:
    """Give a fixed convolution over three frames: brightness, and changes of R, G and B since the last and to the next.

    Changes are small compared with the picture itself. They are multiplied by four, so that training uses them from the
    beginning.
    """
    conv = nn.Conv3d(3, 7, (3, 1, 1), bias=False).requires_grad_(False)
    kernel = torch.zeros(7, 3, 3)  # [output channel, colour, frame]; the middle frame is the present one
    kernel[0, :, 1] = 1 / 3
    for c in range(3):
        kernel[1 + c, c] = torch.tensor([-4.0, 4.0, 0.0])
        kernel[4 + c, c] = torch.tensor([0.0, -4.0, 4.0])
    conv.weight.data.copy_(kernel[..., None, None])
    return conv
