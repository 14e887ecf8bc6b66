"""`CamModel`: a network that ends in global average pooling and a linear layer, and gives its heat cube."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamcam.clips import prepare, transform_of
from streamcam.errors import StreamcamError, first_line
from streamcam.heat.cam import CamOutput, heat_cube, pool
from streamcam.heat.groups import ClassGroups
from streamcam.heat.results import HeatContext, heat_times, to_heats
from streamcam.models.classes import grouped
from streamcam.models.head import Head
from streamcam.models.spec import Int8, ModelSpec, Stored
from streamcam.models.split import Split, position_weights, split, split_at
from streamcam.models.user_network import (
    frames_hint,
    prepare_network,
    require_same_logits,
    slice_timing,
)
from streamcam.records import Clip, ClipFormat, Frame, Heat

__all__ = ["CamModel", "Int8", "ModelEntry", "ModelSpec", "Stored"]

USER_NETWORK = "a network of your own"
"""The architecture of a user's network. No model has this name, so nobody tries to build it from a checkpoint."""

USER_FORMAT = ClipFormat(16, 15, (112, 112), (112, 112), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""The clips of a user's network by default; mean and standard deviation are torchvision's for ImageNet."""

FRAMES_AT_ONCE = 16
"""A framewise network computes so many frames at a time, so that a long window does not need more memory."""


@runtime_checkable
class Reusable(Protocol):
    """Features of which only a part serves other classes than those that they were trained for."""

    def for_other_classes(self) -> tuple[nn.Module, int]:
        """Give that part, which maps a batch as the whole does, and the channels of its map."""
        ...


class CamModel(nn.Module):
    """A classifier of clips that says where in space and time it finds each class.

    Called on a normalised batch, float [N,3,L,H,W], it gives logits [N,C] and the heat cube [N,C,L',h,w]. The logits
    are exactly the mean of the cube over all positions, plus the bias. With groups, C counts the groups.
    """

    mean: Tensor
    """float32 [3,1,1,1]: the clip format's mean."""
    std: Tensor
    """float32 [3,1,1,1]: the clip format's standard deviation."""

    def __init__(self, spec: ModelSpec, features: nn.Module, head: Head, *, windows: tuple[int, ...] = ()) -> None:
        """Join the two parts of a network.

        Args:
            spec: the model's description.
            features: maps a batch to its last feature map, [N,K,L',h,w], or [N,K,h,w] if framewise. It may give a tuple
                of such maps, which are pooled and concatenated.
            head: maps pooled features to logits.
            windows: sizes of an average pooling with stride 1 before the mean over positions; see `position_weights`.
        """
        super().__init__()
        self.spec, self.features, self.head, self.windows = spec, features, head, windows
        self.int8: Int8 | None = None
        """The quantised features, if there are any."""
        groups = spec.groups
        self.groups = None if groups is None else ClassGroups(groups.members, temperature=spec.temperature)
        """Adds the network's classes up, if the spec says so."""
        # Not persistent: they belong to the clip format, and are in the model card, not in the weights.
        for name in ("mean", "std"):
            value = torch.tensor(getattr(spec.clip_format, name)).view(3, 1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.eval()

    @classmethod
    def from_split(cls, spec: ModelSpec, parts: Split) -> "CamModel":
        """Make a model of a network that `split` has cut in two."""
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
        """Make a model of a network of your own.

        A network with 3D convolutions takes clips [N,3,L,H,W]. One without takes pictures [N,3,H,W], and is applied to
        each frame.

        Args:
            module: ends in global average pooling and a linear layer. It is unwrapped (torch.compile, DataParallel) and
                set to evaluation mode. A network that is not in float32 is copied to float32.
            features: the name of the module whose output is pooled; without the names, both are found by tracing.
            classifier: the name of the linear layer.
            classes: the names of the classes; by default their numbers.
            clip_format: the clips that it was trained on; by default 16 frames of 112×112 pixels, normalised as
                torchvision does it.

        Raises:
            StreamcamError: the head is not pooled-linear, and the message names the operation that breaks it. Or the
                network cannot be traced, does not take such clips, or has another number of classes.
        """
        network = prepare_network(module)
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
            clip_format=clip_format or USER_FORMAT,
            framewise=not any(isinstance(m, nn.Conv3d) for m in network.modules()),
            architecture=USER_NETWORK,
        )
        if len(spec.classes) != count:
            raise StreamcamError(f"expected {count} class names for {spec.name}, got {len(spec.classes)}")
        return cls.from_split(spec, parts)._checked(network)

    def with_spec(self, spec: ModelSpec) -> "CamModel":
        """Give the same network another spec. If its own classes are others, the classifier is new and untrained.

        Then it lies behind the part of the features that serves other classes.
        """
        features, head = self.features, self.head
        if spec.network_classes != self.spec.network_classes:
            if isinstance(features, Reusable):
                features, channels = features.for_other_classes()
                head = Head([nn.Linear(channels, len(spec.network_classes))])
            else:
                head = head.with_classes(len(spec.network_classes))
        model = CamModel(spec, features, head, windows=self.windows)
        model.int8 = self.int8 if features is self.features else None
        return model

    def grouped(self, groups: Mapping[str, Sequence[str]] | None) -> "CamModel":
        """Add classes up to groups; the arguments are those of `streamcam.models.classes.grouped`."""
        return self if groups is None else self.with_spec(grouped(self.spec, groups))

    def with_clip_format(self, **changes: Any) -> "CamModel":
        """Return the same network for other clips; the arguments are those of `ModelSpec.with_clip_format`."""
        spec = self.spec.with_clip_format(**changes)
        return self if spec == self.spec else self.with_spec(spec)

    @torch.no_grad()
    def _checked(self, network: nn.Module) -> "CamModel":
        """Check on a random clip that logits are the network's own, and measure when its heat slices come."""
        clip_format, framewise = self.spec.clip_format, self.spec.framewise
        device = next(network.parameters()).device
        self.to(device)  # the buffers, and layers that `split` has made
        x = torch.randn(1, 3, clip_format.length, *clip_format.crop, device=device)
        part = x[:, :, :1] if framewise else x  # a framewise network takes [N,3,H,W]: one frame is enough
        require_same_logits(network, part[:, :, 0] if framewise else x, lambda: self(part).logits)
        if not framewise:
            stride, offset, context = slice_timing(lambda clip: self.feature_maps(clip)[0].shape[2], x)
            self.spec = replace(self.spec, temporal_stride=stride, temporal_offset=offset, temporal_context=context)
        return self

    @property
    def bias(self) -> Tensor:
        """float32 [C]: the classifier's bias, which is the logits minus the pooled heat.

        Raises:
            StreamcamError: the head has layers that are linear for a given clip only, or classes are added up to
                groups. Take the bias of that clip's output.
        """
        if not self.head.is_linear or self.groups is not None:
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
        """The names and scales that `to_heats` needs."""
        return self.spec.context(self.weights_hash)

    def normalise(self, frames: Tensor) -> Tensor:
        """Normalise uint8 [N,L,3,h,w] to float [N,3,L,h,w], in the network's precision."""
        # Features that another runtime computes have no parameters here.
        dtype = next(self.features.parameters(), self.mean).dtype
        return ((frames.transpose(1, 2).float() - self.mean) / self.std).to(dtype)

    def inputs(self, x: Tensor) -> Tensor:
        """Shape clips, float [N,3,L,H,W], as `features` takes them: [N·L,3,H,W] if framewise."""
        if not self.spec.framewise:
            return x
        return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)

    def feature_maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps, each [N,K,L',h,w], of normalised clips, float [N,3,L,H,W].

        Where the network averages windows first, the maps are weighted so that their plain mean gives the same.
        """
        n, _, length, *_ = x.shape
        if self.spec.framewise:
            frames = self.inputs(x)
            # An exported graph with a loop would be one of a fixed number of clips.
            pieces = [frames] if torch.compiler.is_exporting() else frames.split(FRAMES_AT_ONCE)
            parts = [as_tuple(self.features(piece)) for piece in pieces]
            whole = [torch.cat(of_map) for of_map in zip(*parts, strict=True)]  # for each map, all N·L frames
            maps = tuple(m.reshape(n, length, *m.shape[1:]).transpose(1, 2) for m in whole)
        else:
            maps = as_tuple(self.features(x))
        if self.windows:
            maps = tuple(m * position_weights(m.shape[2:], self.windows, device=m.device).to(m) for m in maps)
        return maps

    def forward(self, x: Tensor) -> CamOutput:
        """Compute logits [N,C] and heat cube [N,C,L',h,w], both float32, of normalised clips, float [N,3,L,H,W].

        Several maps that are pooled and concatenated give a cube each: the classifier's columns are split among them.
        """
        maps = self.feature_maps(x)
        weight, bias = self._classifier(maps)
        weights = weight.split([m.shape[1] for m in maps], dim=-1)
        cubes = tuple(heat_cube(m, w) for m, w in zip(maps, weights, strict=True))
        logits = torch.stack([pool(cube) for cube in cubes]).sum(0) + bias
        output = CamOutput(logits, cubes, bias)
        return output if self.groups is None else self.groups(output)

    def _classifier(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Give weight [C,K] and bias [C] of the head; or [N,C,K] and [N,C], if they depend on the feature maps."""
        if self.head.is_linear:  # the weights are known beforehand, and nothing has to be pooled
            return self.head.classifier.weight, self.head.bias
        pooled = torch.cat([m.float().mean((2, 3, 4)) for m in maps], dim=1)
        return self.head.affine(pooled)

    @torch.inference_mode()
    def explain(self, frames: npt.NDArray[np.uint8], *, pts_s: npt.ArrayLike | None = None) -> Heat:
        """Classify one clip, and compute the heat of all classes.

        Args:
            frames: uint8 [L,H,W,3], RGB, of any size; L need not be the model's own.
            pts_s: [L], the time of each frame in seconds; by default at the model's frame rate.

        Returns:
            The heat of all classes, in the order of `classes`.

        Raises:
            ValueError: the frames have another shape or type, or `pts_s` another length or no finite times.
            StreamcamError: there are fewer frames than a heat slice needs.
        """
        clip = self._make_clip(frames, pts_s)
        device = next(self.features.parameters()).device
        output = self._run_on_any_length(self.normalise(torch.from_numpy(clip.frames).to(device)[None]))
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

    def _run_on_any_length(self, x: Tensor) -> CamOutput:
        """Run the network; where a clip is too short for it, say how many frames it takes."""
        spec, count, needed = self.spec, x.shape[2], self.spec.clip_format.length
        if count <= spec.temporal_context:
            raise StreamcamError(
                f"{spec.name} takes {spec.temporal_context + 1} frames at least, better {needed}, got {count}"
            )
        try:
            output: CamOutput = self(x)
        except RuntimeError as e:
            if spec.framewise or count == needed:  # the length of the clip is not the reason
                raise
            raise StreamcamError(f"{spec.name} fails on {count} frames, give it {needed} ({first_line(e)})") from e
        return output

    def _make_clip(self, frames: npt.NDArray[np.uint8], pts_s: npt.ArrayLike | None) -> Clip:
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.size == 0:
            raise ValueError(
                f"expected frames uint8 [L,H,W,3], got {frames.dtype}{list(frames.shape)}{frames_hint(frames)}"
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


def as_tuple(maps: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Give the maps of features that may have given one alone."""
    return maps if isinstance(maps, tuple) else (maps,)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model in the registry: its description, and the function that builds it."""

    spec: ModelSpec
    build: Callable[[str], CamModel]
    """Builds the network with the given weights: DEFAULT, none (random), or the path of a file."""
