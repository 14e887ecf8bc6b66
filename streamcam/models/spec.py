"""What is known of a model before its weights are loaded."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.heat.results import HeatContext
from streamcam.records import ClipFormat

CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""For a regular expression: characters that move a terminal's cursor, colour it, or turn its text round."""

CLASS_NAME = rf"[^\t\n{CONTROL}\ud800-\udfff]{{1,100}}"
"""A class name: one line of text. A hundred of these fit into the header of a message."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A network in OpenVINO's file format (IR)."""

    graph: bytes
    """The .xml file: the layers and how they are connected."""
    weights: bytes
    """The .bin file: the numbers."""


@dataclass(frozen=True, slots=True)
class Int8:
    """A model's features, quantised to int8."""

    whole: Stored
    """Takes pictures or whole clips; for the window engine."""
    steps: Stored | None = None
    """Takes the next frames and the state of earlier ones; for the stream engine. None if it needs no such network."""


@dataclass(frozen=True, slots=True)
class Groups:
    """How the network's own classes are added up to those that a model shows."""

    classes: tuple[str, ...]
    """The names of the network's own C classes."""
    members: tuple[tuple[int, ...], ...]
    """For each class that the model shows: the network's own classes in it. Each of these is in one."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The description of a model. It is known without loading weights."""

    name: str
    summary: str
    """One line for people: which classes the model knows, and how it works."""
    classes: tuple[str, ...]
    """The names of the C classes, in the order of the logits; with `groups`, of these."""
    clip_format: ClipFormat
    """The clips that the network takes."""
    framewise: bool
    """Whether the network computes each frame on its own (2D convolutions), without a view of the others."""
    temporal_stride: int = 1
    """Frames between the centres of two heat slices."""
    temporal_offset: float = 0.0
    """The frame of the clip on which the first heat slice is centred."""
    size_multiple: int = 1
    """Height and width of the pictures are multiples of this many pixels."""
    temporal_context: int = 0
    """Frames of the clip that give no slice of their own: R − 1 for a network without padding in time, else 0."""
    temporal_receptive_field: int | None = None
    """R, the number of frames that a heat slice depends on. None: unknown, or the network cannot be streamed."""
    multi_label: bool = False
    """Whether several classes can be true at once: scores by sigmoid, instead of softmax."""
    heat_scale: float | tuple[float, ...] | None = None
    """Centred heat in logit units that is painted at full strength: one value for all classes, or one for each. None:
    it was not measured."""
    temperature: float = 1.0
    """T: scores are the softmax of logits / T."""
    groups: Groups | None = None
    """How the network's classes are added up. None: they are shown as they are."""
    half: str = "bf16"
    """The half precision for a device that has both: bf16, or fp16 where the 8 significant bits of bf16 are too few."""
    weights: str = "DEFAULT"
    """The weights that `load_model` takes by default."""
    weights_source: str = ""
    """Where the default weights come from, for people."""
    architecture: str | None = None
    """For a checkpoint: the entry of `streamcam models` that its network is built as. None: it is such an entry."""

    def __post_init__(self) -> None:
        if self.clip_format.length <= self.temporal_context:
            raise StreamcamError(
                f"a window of {self.clip_format.length} frames is too short for {self.name}: it takes "
                f"{self.temporal_context + 1} at least"
            )
        if any(side % self.size_multiple for side in self.clip_format.crop):
            raise StreamcamError(
                f"{self.name} takes pictures whose height and width are multiples of {self.size_multiple}, got "
                f"{self.clip_format.crop[0]}×{self.clip_format.crop[1]}"
            )
        if self.clip_format.shapes and not self.framewise:
            raise StreamcamError(f"{self.name} looks at clips, and takes one size of picture only: leave shapes out")
        unfit = next((name for name in self.classes if not re.fullmatch(CLASS_NAME, name)), None)
        if unfit is not None:
            raise StreamcamError(f"not a name for a class: {unfit[:120]!r} (expected 1 to 100 letters, all printable)")

    @property
    def network_classes(self) -> tuple[str, ...]:
        """The names of the network's own classes."""
        return self.classes if self.groups is None else self.groups.classes

    @property
    def slices(self) -> int:
        """L', the number of heat slices of one clip."""
        # −(−a // b) is a / b rounded up: a last stride that the clip fills in part gives a slice, too.
        return -(-(self.clip_format.length - self.temporal_context) // self.temporal_stride)

    @property
    def window_lookahead_s(self) -> float:
        """Seconds from the centre of a clip's last slice to its newest frame, for the window engine."""
        return float(self.clip_format.length - 1 - self.slice_frames(self.slices)[-1]) / self.clip_format.fps

    @property
    def stream_lookahead_s(self) -> float | None:
        """Seconds from the centre of a slice to the newest frame, for the stream engine; None: it cannot be streamed.

        A slice comes with the last of the R frames that it depends on. It is centred in them, or where the spec of a
        network without padding says so.
        """
        receptive_field = self.temporal_receptive_field
        if receptive_field is None:
            return None
        centre = self.temporal_offset if self.temporal_context == receptive_field - 1 else (receptive_field - 1) / 2
        return (receptive_field - 1 - centre) / self.clip_format.fps

    def with_clip_format(self, **changes: Any) -> "ModelSpec":
        """Return the spec with other clips.

        Args:
            changes: fields of `ClipFormat`, such as `length` and `fps`. None keeps the present value. With another
                `resize` or `crop`, pictures of all aspects get that size.

        Raises:
            StreamcamError: the network needs longer clips.
        """
        asked = {name: value for name, value in changes.items() if value is not None}
        if {"resize", "crop"} & asked.keys():
            asked.setdefault("shapes", ())
        return replace(self, clip_format=replace(self.clip_format, **asked))

    def context(self, model_hash: str) -> HeatContext:
        """Give what results say of the model, with weights of this hash."""
        scale = self.heat_scale
        scales = None if scale is None else np.broadcast_to(np.asarray(scale, np.float32), len(self.classes))
        return HeatContext(self.name, model_hash, self.classes, scales, self.multi_label, self.temperature)

    def slice_frames(self, slices: int) -> npt.NDArray[np.float64]:
        """Give the frame of the clip on which each of `slices` slices is centred, float64 [L'].

        With padded convolutions of odd kernels and a total stride of s, slice i is centred on frame i·s. Even kernels,
        and missing padding, shift all slices by a constant: `temporal_offset`. So does a network that was taught to
        speak of another frame than the middle one.
        """
        return np.arange(slices, dtype=np.float64) * self.temporal_stride + self.temporal_offset
