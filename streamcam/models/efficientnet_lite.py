"""EfficientNet-Lite: EfficientNet (Tan & Le, ICML 2019) without squeeze-and-excitation, and with ReLU6."""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

# Each stage of every EfficientNet-Lite: kernel, stride, expansion.
STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
STEM, FEATURES = 32, 1280


@dataclass(frozen=True, slots=True)
class Size:
    """The size of an EfficientNet-Lite."""

    name: str
    widths: tuple[int, ...]
    """Channels out of each stage."""
    repeats: tuple[int, ...]
    """Blocks of each stage."""


LITE0 = Size("EfficientNet-Lite0", (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1))
LITE2 = Size("EfficientNet-Lite2", (16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1))


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: an odd row or column of zeros goes to the bottom or right."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,C,h,w] to [N,C',⌈h/stride⌉,⌈w/stride⌉]."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        # As many outputs as ⌈n / stride⌉ need: (outputs − 1) · stride + kernel inputs, of which n are there.
        pads = [max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:]]
        top, left = pads[0] // 2, pads[1] // 2
        x = F.pad(x, (left, pads[1] - left, top, pads[0] - top))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


def conv_bn(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Give a convolution that keeps the size of its input, but for the stride, and a batch norm."""
    conv = SameConv2d if stride > 1 else nn.Conv2d
    padding = 0 if stride > 1 else kernel // 2
    return [
        conv(inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
    ]


class Block(nn.Module):
    """An inverted bottleneck: expand, filter depthwise, project; and a residual where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [*conv_bn(inputs, hidden, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        depthwise = [*conv_bn(hidden, hidden, kernel, stride=stride, groups=hidden), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*expand, *depthwise, *conv_bn(hidden, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,C,h,w] to [N,C',h/stride,w/stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def efficientnet_lite_features(size: Size) -> nn.Sequential:
    """Give the network up to its last feature map: it maps [N,3,H,W] to [N,1280,⌈H/32⌉,⌈W/32⌉]."""
    layers: list[nn.Module] = [*conv_bn(3, STEM, 3, stride=2), nn.ReLU6(inplace=True)]
    inputs = STEM
    for (kernel, stride, expansion), outputs, repeats in zip(STAGES, size.widths, size.repeats, strict=True):
        for i in range(repeats):
            layers.append(Block(inputs, outputs, kernel=kernel, stride=stride if i == 0 else 1, expansion=expansion))
            inputs = outputs
    return nn.Sequential(*layers, *conv_bn(inputs, FEATURES, 1), nn.ReLU6(inplace=True))


def fill_published(features: nn.Module, classifier: nn.Linear, state: dict[str, Tensor]) -> None:
    """Load the published weights into features and classifier [1000,1280].

    Both have the same layers in the same order under different names. So tensors are matched by position, and their
    shapes are checked.

    Raises:
        ValueError: the weights are another network's.
    """
    ours = features.state_dict()
    theirs = {k: v for k, v in state.items() if not k.startswith("_fc.")}
    fits = [v.shape for v in ours.values()] == [v.shape for v in theirs.values()]
    if not fits or not {"_fc.weight", "_fc.bias"} <= state.keys():
        raise ValueError(
            f"expected the {len(ours)} tensors of another network, got {len(theirs)} of other shapes or names"
        )
    features.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    classifier.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
