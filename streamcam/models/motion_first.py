"""The network that `motion` was in version 0.1.0, for the checkpoints that were trained from it.

It looks at the whole picture alone, with 31×31 pixels and 17 frames for a cell, and a gate at its end. `motion` itself
is `streamcam.models.motion`, which also explains the layers that both have.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from streamcam.models import motion
from streamcam.models.base import CamModel
from streamcam.models.head import Head
from streamcam.models.motion import CONFIG, LABELS, Unit, changes, trunk
from streamcam.models.weights import fill

SPEC = replace(motion.SPEC, name="motion-first", temporal_offset=CONFIG.context / 2, weights="none", size_multiple=1)


def build(weights: str) -> CamModel:
    """Build the network with the given weights: none, or a file."""
    model = CamModel(SPEC, FirstFeatures(), Head([nn.Linear(CONFIG.time[-1], len(LABELS))]))
    if weights != "none":
        fill(model, weights)
    return model


class FirstFeatures(nn.Sequential):
    """The network up to its feature map: it maps float [N,3,T,H,W] to [N,64,T−16,H/4,W/4]."""

    def __init__(self) -> None:
        super().__init__(changes(), *trunk(CONFIG, NormedUnit), Gate(CONFIG.time[-1], hidden=32))


class NormedUnit(Unit):
    """A `Unit` with a batch norm behind its convolution, in place of a bias."""

    def __init__(self, inputs: int, outputs: int, *, kernel: tuple[int, int, int], stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel=kernel, stride=stride)
        self.conv.bias = None
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,K,T,h,w] to [N,K',T−2,h,w]; to [N,K',T,h,w] with a kernel over one frame."""
        y: Tensor = self.norm(self.conv(x))
        if self.residual:
            y = y + x[:, :, 1:-1]
        return torch.relu(y)


class Gate(nn.Module):
    """A weight for each channel of a slice, by the channels' means over the picture (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv3d(channels, hidden, 1)
        self.excite = nn.Conv3d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each channel of [N,K,T,h,w] by a factor between 0 and 2."""
        hidden = torch.relu(self.squeeze(torch.mean(x, (3, 4), keepdim=True)))
        return x * (torch.sigmoid(self.excite(hidden)) * 2.0)
