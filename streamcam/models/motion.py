"""`motion`: how things move, and where; a small 3D network that looks at three scales, without padding in time.

A clip of 32 frames gives 16 heat slices of a quarter of the picture's size. A slice speaks of the twelfth of the 17
frames that it depends on, so it waits for five more.

    layer            channels   cells    receptive field, pixels × frames
    changes            3 → 7    1            1 ×  3            brightness, and how R, G, B change; fixed
    trunk: at the picture's full, half and quarter size, with the same weights
      stem             7 → 16   1/2          3 ×  3
      conv            16 → 32   1/4          7 ×  5
      space-time      32 → 32   1/4         15 ×  7            residual
      space-time      32 → 32   1/4         23 ×  9            residual
      space-time      32 → 48   1/4         31 × 11
      time            48 → 48   1/4         31 × 13            residual
      time            48 → 48   1/4         31 × 15            residual
      time            48 → 64   1/4         31 × 17
    join              64 → 64   1/4        124 × 17            the three scales, added up
    context           64 → 64   1/4        132 × 17            residual; knows the mean over the picture
    context           64 → 64   1/4        140 × 17            residual; knows the mean over the picture
    shares            64 → 16   1/4                            what each cell does: one of twelve things, or none

The classifier has one factor for each class, on the map of that class alone.
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


NO_PLACE: tuple[str, ...] = ("still", "flickering light", "camera moving")
"""Classes that are true of the whole picture."""
PLACED: tuple[str, ...] = tuple(name for name in LABELS if name not in NO_PLACE)
"""Classes that are true of something in the picture."""
MAPS: tuple[str, ...] = ("none", *PLACED, *NO_PLACE)
"""What each map says of its cells."""


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """The sizes of the network."""

    stem: int = 16
    """Channels at half the picture's size."""
    space: tuple[int, ...] = (32, 32, 32, 48)
    """Channels of the 3×3×3 convolutions; the first halves the size once more."""
    time: tuple[int, ...] = (48, 48, 64)
    """Channels of the 3×1×1 convolutions, which widen the receptive field in time only."""
    join: int = 64
    """Channels where the three scales meet, and after that."""
    own_frame: int = 11
    """Of the frames that a slice depends on, the one that it speaks of, counted from 0."""

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
    temporal_offset=CONFIG.own_frame,
    temporal_context=CONFIG.context,
    temporal_receptive_field=CONFIG.context + 1,
    size_multiple=16,  # the quarter of the picture is divided by four once more
    multi_label=True,
    weights_source="trained by scripts/motion/pretrain.py; in the package",
)


def build(weights: str) -> CamModel:
    """Build the network with the given weights: DEFAULT (with the heat scale of its card), none or a file."""
    model = CamModel(SPEC, MotionFeatures(CONFIG), Head([nn.Linear(len(MAPS), len(LABELS))]))
    if weights == "DEFAULT":
        card = read_card(WEIGHTS)
        fill_from(model, WEIGHTS, card)
        return model.with_spec(replace(SPEC, heat_scale=tuple(card.heat_scale or ())))
    if weights != "none":
        fill(model, weights)
    return model


class MotionFeatures(nn.Module):
    """The network up to its maps: float [N,3,T,H,W] to [N,K,T−R+1,H/4,W/4], K maps as in MAPS."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        self.changes = changes()
        self.scales = Scales(config)
        self.context = nn.Sequential(Context(config.join), Context(config.join))
        self.shares = Shares(config.join)
        self.onto_changes = OntoChanges(config)

    def forward(self, frames: Tensor) -> Tensor:
        """Give the maps, each at least 0."""
        changes = self.changes(frames)
        maps: Tensor = self.shares(self.context(self.scales(changes)))
        return self.onto_changes(maps, changes)  # type: ignore[no-any-return]

    def for_other_classes(self) -> tuple[nn.Module, int]:
        """Give what serves classes of any kind, and its channels: what cells know, where something happens."""
        return MovingFeatures(self), self.scales.from_full.out_channels


class MovingFeatures(nn.Module):
    """What each cell knows, where something happens: features for classes of one's own.

    Let a be how surely one of the twelve things happens in a cell, as the mean over 3×3 cells. What the cell knows is
    multiplied by a² / mean(a) over the picture. So the mean over all cells is nearly that of the cells where something
    happens, however few they are, and heat cannot lie where nothing does. Within a slice, it is laid onto changes.
    """

    def __init__(self, trained: MotionFeatures) -> None:
        super().__init__()
        self.changes, self.scales, self.context = trained.changes, trained.scales, trained.context
        self.placed, self.softmax = trained.shares.placed, trained.shares.softmax
        self.onto_changes = trained.onto_changes
        self.happens = nn.Conv3d(1 + len(PLACED), 1, (1, 3, 3), padding=(0, 1, 1), bias=False).requires_grad_(False)
        nn.init.constant_(self.happens.weight, 1 / 9)
        nn.init.zeros_(self.happens.weight[:, :1])  # none

    def forward(self, frames: Tensor) -> Tensor:
        """Map float [N,3,T,H,W] to [N,K,T−R+1,H/4,W/4]."""
        changes = self.changes(frames)
        x: Tensor = self.context(self.scales(changes))
        a = self.happens(self.softmax(self.placed(x)))
        weighted: Tensor = x * (a * a / (torch.mean(a, (3, 4), keepdim=True) + Shares.LEAST))
        return self.onto_changes(weighted, changes)  # type: ignore[no-any-return]


class Scales(nn.Module):
    """One trunk, which looks at the picture, at its half and at its quarter (Adelson et al., RCA Engineer 1984).

    So what is four times as large, or four times as fast, looks to it like what it knows.
    """

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        k = config.time[-1]
        self.trunk = nn.Sequential(*trunk(config, Unit))
        self.halved = mean_of(7, 2, stride=2)
        self.from_full = nn.Conv3d(k, config.join, 1)
        self.from_half = nn.ConvTranspose3d(k, config.join, (1, 2, 2), (1, 2, 2), bias=False)
        self.from_quarter = nn.ConvTranspose3d(k, config.join, (1, 4, 4), (1, 4, 4), bias=False)

    def forward(self, changes: Tensor) -> Tensor:
        """Map the changes of frames [N,7,T−2,H,W] to [N,K,T−R+1,H/4,W/4]."""
        half = self.halved(changes)
        quarter = self.halved(half)
        full = self.from_full(self.trunk(changes))
        return torch.relu(full + self.from_half(self.trunk(half)) + self.from_quarter(self.trunk(quarter)))


class Unit(nn.Module):
    """A convolution and ReLU, with a residual where channels and size stay the same.

    The convolution has no padding in time, so the residual leaves out the first and the last frame.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: tuple[int, int, int], stride: int = 1) -> None:
        super().__init__()
        padding = (0, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), padding)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,K,T,h,w] to [N,K',T−2,h,w]; to [N,K',T,h,w] with a kernel over one frame."""
        y: Tensor = self.conv(x)
        if self.residual:
            y = y + x[:, :, 1:-1]
        return torch.relu(y)


def trunk(config: MotionConfig, unit: type[Unit]) -> list[nn.Module]:
    """Give the layers that map changes [N,7,T−2,H,W] to [N,K,T−R+1,H/4,W/4], K the last of `config.time`."""
    # One frame at a time, the stem halves the size first: the 3D convolutions are the expensive part.
    layers: list[nn.Module] = [unit(7, config.stem, kernel=(1, 3, 3), stride=2)]
    k = config.stem
    for i, channels in enumerate(config.space):
        layers.append(unit(k, channels, kernel=(3, 3, 3), stride=2 if i == 0 else 1))
        k = channels
    for channels in config.time:
        layers.append(unit(k, channels, kernel=(3, 1, 1)))
        k = channels
    return layers


class Context(nn.Module):
    """A convolution over one frame that also knows the mean over the picture, and a residual.

    Whether a thing or the camera moves cannot be told from a part of the picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))
        self.everywhere = nn.Conv3d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,K,T,h,w] to the same shape."""
        return torch.relu(x + self.near(x) + self.everywhere(torch.mean(x, (3, 4), keepdim=True)))


class Shares(nn.Module):
    """What each cell does, as maps that pool to the same for small things and for large ones.

    A softmax over twelve classes and none gives each cell a share of each class, between 0 and 1. Let a be its mean
    over 3×3 cells. The map is a⁴ / mean(a²) over the picture, whose mean is how sure the cells are that speak at all.
    So a thing on 5 % of the picture counts as much as one on all of it, and contrary names share one certainty. Without
    the mean over 3×3 cells, the last visible edge of a thing that leaves would be the hottest place of all. Maps of
    classes without a place are sigmoids.
    """

    LEAST = 0.02
    """Added to mean(a²): what fills less than about 2 % of the picture counts less, and so do stray cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.placed = nn.Conv3d(channels, 1 + len(PLACED), 1)
        self.softmax = nn.Softmax(dim=1)
        self.blur = mean_of(1 + len(PLACED), 3)
        self.whole = nn.Conv3d(channels, len(NO_PLACE), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N,K,T,h,w] to [N,16,T,h,w], in the order of MAPS."""
        a = self.blur(self.softmax(self.placed(x)))
        squared = a * a
        placed = squared * squared / (torch.mean(squared, (3, 4), keepdim=True) + self.LEAST)
        return torch.cat([placed, torch.sigmoid(self.whole(x))], 1)


class OntoChanges(nn.Module):
    """Lays the heat of a slice onto what changes in its own frame. The mean of each map over the picture stays.

    What a cell knows of a thing reaches beyond the thing, as far as the receptive field does in space and in time. But
    where nothing changes, nothing moves. Scores are not touched: only where their heat lies within a slice. A thing of
    one colour changes at its edges alone, so changes are means over 5×5 cells.
    """

    LEAST = 1e-3
    """Added to squared changes: half a grey level is none, and a picture that does not change keeps its heat."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        # Changes begin with the second frame, and end with the last but one.
        self.first, self.behind = config.own_frame - 1, config.context - config.own_frame - 1
        self.of_cells = nn.Conv3d(7, 1, (1, 4, 4), (1, 4, 4), bias=False).requires_grad_(False)
        nn.init.constant_(self.of_cells.weight, 1 / (6 * 4 * 4))
        nn.init.zeros_(self.of_cells.weight[:, :1])  # brightness
        self.blur = mean_of(1, 5)

    def forward(self, maps: Tensor, changes: Tensor) -> Tensor:
        """Map [N,K,T−R+1,h,w] to the same shape, by the changes of frames [N,7,T−2,4h,4w]."""
        # Cut to size last: a stream keeps what is cut, and cells are far less than pixels.
        change = self.blur(self.of_cells(torch.abs(changes)))[:, :, self.first : -self.behind]
        change = change * change + self.LEAST
        laid: Tensor = maps * (change / torch.mean(change, (3, 4), keepdim=True))
        return laid * (torch.mean(maps, (3, 4), keepdim=True) / (torch.mean(laid, (3, 4), keepdim=True) + 1e-6))


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


def mean_of(channels: int, side: int, *, stride: int = 1) -> nn.Conv3d:
    """Give a fixed convolution: each channel's mean over side×side cells of a slice; an odd side keeps their number.

    An average pooling does the same, but PyTorch has none in bfloat16 on CPUs.
    """
    padding = (0, side // 2, side // 2) if stride == 1 else 0
    conv = nn.Conv3d(channels, channels, (1, side, side), (1, stride, stride), padding, groups=channels, bias=False)
    nn.init.constant_(conv.requires_grad_(False).weight, 1 / side**2)
    return conv
