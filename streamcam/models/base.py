"""`CamModel`: a network whose head is global average pooling and a linear layer, with all that is needed to use it."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamcam.cam import CamOutput, HeatContext, heat_cube, pool, to_heat
from streamcam.clips import prepare, transform_of
from streamcam.records import Clip, ClipFormat, Frame, Heat

PICTURES_AT_ONCE = 16
"""Of a framewise network, so that a long window does not take memory in proportion."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What can be said of a model without loading its weights."""

    name: str
    summary: str
    """One line for people: what it knows and where it comes from."""
    classes: tuple[str, ...]
    clip_format: ClipFormat
    framewise: bool
    """Whether it looks at each frame alone, so that a frame need never be computed twice."""
    temporal_stride: int = 1
    """Frames between the centres of two heat slices."""
    heat_scale: float | None = None
    """Contrast in logit units that is painted at full strength, for every class; None where none was measured."""
    weights: str = "DEFAULT"
    """What `load_model` takes where nothing is asked for."""
    weights_source: str = ""
    """Where the default weights come from, for people."""

    @property
    def slices(self) -> int:
        """L', the number of heat slices for one clip."""
        return -(-self.clip_format.length // self.temporal_stride)

    def slice_frames(self, slices: int) -> npt.NDArray[np.float64]:
        """The frame of the clip on which each of `slices` slices is centred, float64 [L'].

        Padded convolutions with an odd kernel keep slice i of a network with stride s centred on frame i·s.
        """
        return np.arange(slices, dtype=np.float64) * self.temporal_stride


class CamModel(nn.Module):
    """A classifier of clips that localises what it sees.

    Called on a normalised batch, float [N,3,L,H,W], it gives logits [N,C] and the heat cube [N,C,L',h,w]; the logits
    are exactly the pooled cube plus the bias.
    """

    weight: Tensor
    """float32 [C,K]: the linear layer's weights."""
    bias: Tensor
    """float32 [C]: its bias."""
    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec, features: nn.Module, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.spec = spec
        self.features = features
        self.register_buffer("weight", weight.detach().float())
        self.register_buffer("bias", bias.detach().float())
        for name in ("mean", "std"):
            value = torch.tensor(getattr(spec.clip_format, name)).view(3, 1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the C classes."""
        return self.spec.classes

    @cached_property
    def weights_hash(self) -> str:
        """The first 12 hex digits of the SHA-256 of all weights."""
        digest = hashlib.sha256()
        for value in self.state_dict().values():
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:12]

    @cached_property
    def heat_context(self) -> HeatContext:
        """The model's names and scales, for `to_heat`."""
        scale = self.spec.heat_scale
        scales = None if scale is None else np.full(len(self.classes), scale, np.float32)
        return HeatContext(self.spec.name, self.weights_hash, self.classes, scales)

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8 [N,L,3,h,w] → float [N,3,L,h,w] in the network's units and precision."""
        dtype = next(self.features.parameters()).dtype
        return ((frames.transpose(1, 2).float() - self.mean) / self.std).to(dtype)

    def feature_map(self, x: Tensor) -> Tensor:
        """float [N,3,L,H,W] → the last feature map [N,K,L',h,w]."""
        if not self.spec.framewise:
            features: Tensor = self.features(x)
            return features
        n, _, length, *_ = x.shape
        pictures = x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        flat = torch.cat([self.features(part) for part in pictures.split(PICTURES_AT_ONCE)])
        return flat.reshape(n, length, *flat.shape[1:]).transpose(1, 2)

    def forward(self, x: Tensor) -> CamOutput:
        """float [N,3,L,H,W], normalised → logits [N,C] and heat cube [N,C,L',h,w], both float32."""
        cube = heat_cube(self.feature_map(x), self.weight)
        return CamOutput(pool(cube, self.bias), cube)

    @torch.inference_mode()
    def explain(self, frames: npt.NDArray[np.uint8], *, pts_s: npt.ArrayLike | None = None) -> Heat:
        """Classify one clip and say where in space and time the evidence for each class lies.

        Args:
            frames: uint8 [L,H,W,3], RGB, of any size; L need not be the model's own.
            pts_s: [L], when each frame was taken, in seconds; by default at the model's frame rate.

        Returns:
            The heat of all classes, in the order of `classes`.

        Raises:
            ValueError: the frames have another shape or type, or `pts_s` another length.
        """
        clip = self._clip(frames, pts_s)
        device = next(self.features.parameters()).device
        logits, cubes = self(self.normalise(torch.from_numpy(clip.frames).to(device)[None]))
        return to_heat(
            logits[0],
            cubes[0],
            cubes[0].mean(0),
            torch.arange(len(self.classes)),
            clip=clip,
            context=self.heat_context,
            slice_frames=self.spec.slice_frames(cubes.shape[2]),
        )

    def _clip(self, frames: npt.NDArray[np.uint8], pts_s: npt.ArrayLike | None) -> Clip:
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or len(frames) == 0:
            raise ValueError(f"expected frames uint8 [L,H,W,3], got {frames.dtype}{list(frames.shape)}")
        clip_format = self.spec.clip_format
        times = np.arange(len(frames)) / clip_format.fps if pts_s is None else np.asarray(pts_s, np.float64)
        last = Frame(frames[-1], len(frames) - 1, float(times.flat[-1]), captured_ns=0, source="clip")
        return Clip(
            frames=np.stack([prepare(frame, clip_format) for frame in frames]),
            pts_s=times,
            index=len(frames) - 1,
            last=last,
            transform=transform_of(clip_format),
        )
