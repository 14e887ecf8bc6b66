"""`CamModel`: a network whose head is global average pooling and a linear layer, with all that is needed to use it."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamcam.clips import prepare, transform_of
from streamcam.errors import StreamcamError, first_line
from streamcam.heat.cam import CamOutput, HeatContext, heat_cube, heat_times, pool, to_heats
from streamcam.models.head import Head
from streamcam.models.own import hint_for, made_ready, require_same, rhythm
from streamcam.models.split import Split, position_weights, split, split_at
from streamcam.records import Clip, ClipFormat, Frame, Heat

CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""What moves a terminal's cursor, colours it, or turns its text round."""

CLASS_NAME = rf"[^\t\n{CONTROL}\ud800-\udfff]{{1,100}}"
"""Text in one line; a hundred of these fit into the header of a message."""

OWN = "a network of your own"
"""What its architecture is called: nothing that could be built from a name."""

OWN_FORMAT = ClipFormat(16, 15, (112, 112), (112, 112), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
PICTURES_AT_ONCE = 16
"""Of a framewise network, so that a long window does not take memory in proportion."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A network as OpenVINO stores it."""

    graph: bytes
    """XML."""
    weights: bytes


@dataclass(frozen=True, slots=True)
class Int8:
    """A model's features in int8."""

    whole: Stored
    """Of pictures or whole clips."""
    steps: Stored | None = None
    """Of a stream's next frames and what is kept of those before; None for a network that is not streamed like that."""


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
    temporal_offset: float = 0.0
    """The frame of the clip on which the first heat slice is centred."""
    temporal_context: int = 0
    """Frames of the clip that give no slice of their own: R − 1 for a network without temporal padding, R being its
    temporal receptive field."""
    temporal_receptive_field: int | None = None
    """R, the frames that a heat slice sees; None for a network that cannot be streamed, or of which it is not known."""
    multi_label: bool = False
    """Whether each class is a question of its own (sigmoid), rather than all of them one (softmax)."""
    heat_scale: float | tuple[float, ...] | None = None
    """The centred heat, in logit units, that is painted at full strength: for all classes or for each. None if it was
    not measured."""
    half: str = "bf16"
    """The half precision for a device that has both: bf16, or fp16 where the 8 bits of bf16 are too coarse."""
    weights: str = "DEFAULT"
    """What `load_model` takes where nothing is asked for."""
    weights_source: str = ""
    """Where the default weights come from, for people."""
    architecture: str | None = None
    """The entry of `streamcam models` that a checkpoint's network is built as; None for such an entry itself."""

    def __post_init__(self) -> None:
        if self.clip_format.length <= self.temporal_context:
            raise StreamcamError(
                f"a window of {self.clip_format.length} frames is too short for {self.name}: it takes "
                f"{self.temporal_context + 1} at least"
            )
        unfit = next((name for name in self.classes if not re.fullmatch(CLASS_NAME, name)), None)
        if unfit is not None:
            raise StreamcamError(f"not a name for a class: {unfit[:120]!r} (expected 1 to 100 letters, all printable)")

    @property
    def slices(self) -> int:
        """L', the number of heat slices for one clip."""
        return -(-(self.clip_format.length - self.temporal_context) // self.temporal_stride)

    @property
    def window_lookahead_s(self) -> float:
        """How far the last slice of a clip that is computed whole is behind the newest frame, in seconds."""
        return float(self.clip_format.length - 1 - self.slice_frames(self.slices)[-1]) / self.clip_format.fps

    @property
    def stream_lookahead_s(self) -> float | None:
        """How far a slice is behind the newest frame where each frame is computed once; None where none can be."""
        seen = self.temporal_receptive_field
        return None if seen is None else (seen - 1) / 2 / self.clip_format.fps

    def with_clip_format(self, **changes: Any) -> "ModelSpec":
        """Return the spec with other clips.

        Args:
            changes: fields of `ClipFormat`, such as `length` and `fps`. None keeps the present value.

        Raises:
            StreamcamError: the network needs longer clips.
        """
        asked = {name: value for name, value in changes.items() if value is not None}
        return replace(self, clip_format=replace(self.clip_format, **asked))

    def slice_frames(self, slices: int) -> npt.NDArray[np.float64]:
        """The frame of the clip on which each of `slices` slices is centred, float64 [L'].

        Padded convolutions with an odd kernel keep slice i of a network with stride s centred on frame i·s; those with
        an even one shift it by a constant.
        """
        return np.arange(slices, dtype=np.float64) * self.temporal_stride + self.temporal_offset


class CamModel(nn.Module):
    """A classifier of clips that localises what it sees.

    Called on a normalised batch, float [N,3,L,H,W], it gives logits [N,C] and the heat cube [N,C,L',h,w]; the logits
    are exactly the pooled cube plus the bias.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec, features: nn.Module, head: Head, *, windows: tuple[int, ...] = ()) -> None:
        """Join the two parts of a network.

        Args:
            spec: what can be said of it.
            features: batch → its last feature map [N,K,L',h,w] (or [N,K,h,w], of a framewise one), or a tuple of such
                maps, which are pooled and concatenated.
            head: pooled features → logits.
            windows: sizes of an average pooling with stride 1 before the mean over positions; see `position_weights`.
        """
        super().__init__()
        self.spec, self.features, self.head, self.windows = spec, features, head, windows
        self.int8: Int8 | None = None
        """The features once more, where they have been quantised."""
        for name in ("mean", "std"):
            value = torch.tensor(getattr(spec.clip_format, name)).view(3, 1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.eval()

    @classmethod
    def from_split(cls, spec: ModelSpec, parts: Split) -> "CamModel":
        """A network that `split` has cut in two."""
        return cls(spec, parts.features, parts.head, windows=parts.windows)

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        *,
        features: str | None = None,
        classifier: str | None = None,
        classes: Sequence[str] | None = None,
        clip_format: ClipFormat | None = None,
    ) -> "CamModel":
        """Your own network, of clips [N,3,L,H,W] or (one that has 2D convolutions only) of pictures [N,3,H,W].

        Args:
            module: ends in global average pooling and a linear layer. It is used as it is, in evaluation mode, out of
                what wraps it (torch.compile, DataParallel); one in another precision is copied to float32.
            features: the name of the module whose output is pooled; without the names, both are found by tracing.
            classifier: the name of the linear layer.
            classes: the names of the classes; by default their numbers.
            clip_format: what clips it was trained on; by default 16 frames of 112×112 pixels, normalised as torchvision
                does it.

        Raises:
            StreamcamError: the head is not pooled-linear; the message names what breaks it. Or the network cannot be
                looked into, does not take such clips, or has another number of classes.
        """
        network = made_ready(module)
        if (features is None) != (classifier is None):
            raise StreamcamError("give features and classifier, or neither")
        if isinstance(classes, str) or not all(isinstance(name, str) for name in classes or ()):
            raise StreamcamError("classes are a list of names, such as ('walk', 'run'), in the order of the logits")
        parts = split(network) if features is None or classifier is None else split_at(network, features, classifier)
        count = parts.head.classifier.out_features
        spec = ModelSpec(
            name=type(network).__name__,
            summary="your own",
            classes=tuple(classes) if classes is not None else tuple(map(str, range(count))),
            clip_format=clip_format or OWN_FORMAT,
            framewise=not any(isinstance(m, nn.Conv3d) for m in network.modules()),
            architecture=OWN,
        )
        if len(spec.classes) != count:
            raise StreamcamError(f"expected {count} class names for {spec.name}, got {len(spec.classes)}")
        return cls.from_split(spec, parts)._checked(network)

    def with_spec(self, spec: ModelSpec) -> "CamModel":
        """The same network for another spec; with a new classifier, not trained yet, where its classes are others."""
        head = self.head if spec.classes == self.classes else self.head.with_classes(len(spec.classes))
        model = CamModel(spec, self.features, head, windows=self.windows)
        model.int8 = self.int8
        return model

    def with_clip_format(self, **changes: Any) -> "CamModel":
        """Return the same network for other clips; the arguments are those of `ModelSpec.with_clip_format`."""
        spec = self.spec.with_clip_format(**changes)
        return self if spec == self.spec else self.with_spec(spec)

    @torch.no_grad()
    def _checked(self, network: nn.Module) -> "CamModel":
        """Hold one random clip against the network, and learn from it how its slices lie in time."""
        clip_format, framewise = self.spec.clip_format, self.spec.framewise
        device = next(network.parameters()).device
        self.to(device)
        x = torch.randn(1, 3, clip_format.length, *clip_format.crop, device=device)
        part = x[:, :, :1] if framewise else x
        require_same(network, part[:, :, 0] if framewise else x, lambda: self(part).logits)
        if not framewise:
            stride, offset, context = rhythm(lambda clip: self.feature_maps(clip)[0].shape[2], x)
            self.spec = replace(self.spec, temporal_stride=stride, temporal_offset=offset, temporal_context=context)
        return self

    @property
    def bias(self) -> Tensor:
        """float32 [C]: the classifier's bias; what the logits are beside the pooled heat.

        Raises:
            StreamcamError: the head is linear only for a given clip, and so is its bias: take the output's.
        """
        if not self.head.is_linear:
            raise StreamcamError(f"the bias of {self.spec.name} depends on the clip: take it from model(x).bias")
        return self.head.bias.detach()

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
        """The model's names and scales, for `to_heats`."""
        scale = self.spec.heat_scale
        scales = None if scale is None else np.broadcast_to(np.asarray(scale, np.float32), len(self.classes))
        return HeatContext(self.spec.name, self.weights_hash, self.classes, scales, self.spec.multi_label)

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8 [N,L,3,h,w] → float [N,3,L,h,w] in the network's units and precision."""
        dtype = next(self.features.parameters(), self.mean).dtype  # there are none where another runtime has them
        return ((frames.transpose(1, 2).float() - self.mean) / self.std).to(dtype)

    def inputs(self, x: Tensor) -> Tensor:
        """Float [N,3,L,H,W] → what the features take: the same, or the pictures [N·L,3,H,W] of a framewise network."""
        if not self.spec.framewise:
            return x
        return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)

    def feature_maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Float [N,3,L,H,W] → the feature maps that are pooled, each [N,K,L',h,w], weighted by how positions count."""
        n, _, length, *_ = x.shape
        if self.spec.framewise:
            parts = [_as_tuple(self.features(part)) for part in self.inputs(x).split(PICTURES_AT_ONCE)]
            whole = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
            maps = tuple(m.reshape(n, length, *m.shape[1:]).transpose(1, 2) for m in whole)
        else:
            maps = _as_tuple(self.features(x))
        if self.windows:
            maps = tuple(m * position_weights(m.shape[2:], self.windows, device=m.device).to(m) for m in maps)
        return maps

    def forward(self, x: Tensor) -> CamOutput:
        """Float [N,3,L,H,W], normalised → logits [N,C] and heat cube [N,C,L',h,w], both float32."""
        maps = self.feature_maps(x)
        weight, bias = self._classifier(maps)
        weights = weight.split([m.shape[1] for m in maps], dim=-1)
        cubes = tuple(heat_cube(m, w) for m, w in zip(maps, weights, strict=True))
        logits = torch.stack([pool(cube) for cube in cubes]).sum(0) + bias
        return CamOutput(logits, cubes, bias)

    def _classifier(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Weight [C,K] and bias [C]; or [N,C,K] and [N,C], as the head acts on these feature maps."""
        if self.head.is_linear:
            return self.head.classifier.weight, self.head.bias
        pooled = torch.cat([m.float().mean((2, 3, 4)) for m in maps], dim=1)
        return self.head.affine(pooled)

    @torch.inference_mode()
    def explain(self, frames: npt.NDArray[np.uint8], *, pts_s: npt.ArrayLike | None = None) -> Heat:
        """Classify one clip and say where in space and time the evidence for each class lies.

        Args:
            frames: uint8 [L,H,W,3], RGB, of any size; L need not be the model's own.
            pts_s: [L], when each frame was taken, in seconds; by default at the model's frame rate.

        Returns:
            The heat of all classes, in the order of `classes`.

        Raises:
            ValueError: the frames have another shape or type, or `pts_s` another length or no finite times.
            StreamcamError: there are fewer frames than the network looks at.
        """
        clip = self._clip(frames, pts_s)
        device = next(self.features.parameters()).device
        output = self._enough(self.normalise(torch.from_numpy(clip.frames).to(device)[None]))
        cube = output.cube.cpu()
        (heat,) = to_heats(
            output.logits.cpu().numpy(),
            np.arange(len(self.classes))[None],
            cube.numpy(),
            cube.mean(1).numpy(),
            clips=[clip],
            times=[heat_times(clip, self.spec.slice_frames(cube.shape[2]))],
            context=self.heat_context,
        )
        return heat

    def _enough(self, x: Tensor) -> CamOutput:
        """The same as calling it, or a word on how many frames it takes."""
        spec, count = self.spec, x.shape[2]
        needed = spec.clip_format.length
        if count <= spec.temporal_context:
            raise StreamcamError(
                f"{spec.name} takes {spec.temporal_context + 1} frames at least, better {needed}, got {count}"
            )
        try:
            output: CamOutput = self(x)
        except RuntimeError as e:
            if spec.framewise or count == needed:
                raise
            raise StreamcamError(f"{spec.name} fails on {count} frames, give it {needed} ({first_line(e)})") from e
        return output

    def _clip(self, frames: npt.NDArray[np.uint8], pts_s: npt.ArrayLike | None) -> Clip:
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.size == 0:
            raise ValueError(
                f"expected frames uint8 [L,H,W,3], got {frames.dtype}{list(frames.shape)}{hint_for(frames)}"
            )
        clip_format = self.spec.clip_format
        times = np.arange(len(frames)) / clip_format.fps if pts_s is None else np.asarray(pts_s, np.float64)
        if not np.isfinite(times).all():
            raise ValueError(f"expected finite pts_s, in seconds, got {times.tolist()[:8]}")
        last = Frame(frames[-1], len(frames) - 1, float(times.flat[-1]), captured_ns=0, source="clip")
        return Clip(
            frames=np.stack([prepare(frame, clip_format) for frame in frames]),
            pts_s=times,
            index=len(frames) - 1,
            last=last,
            transform=transform_of(clip_format),
        )


def _as_tuple(maps: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return maps if isinstance(maps, tuple) else (maps,)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """What the registry knows of a model."""

    spec: ModelSpec
    build: Callable[[str], CamModel]
    """Makes the network with the given weights: DEFAULT, none, or the path of a file."""
