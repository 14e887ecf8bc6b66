"""The card of an exported graph, which travels in the file itself. It needs pydantic, and no torch."""

from dataclasses import asdict
from typing import Literal, Self

from pydantic import Field, model_validator

from streamcam.models.model_card import ClassName, ClipCard, Line, Positive
from streamcam.models.spec import CONTROL, ModelSpec
from streamcam.records import ClipFormat
from streamcam.strict import Strict

Precision = Literal["fp32", "fp16", "int8"]
"""What a graph's weights are in; with int8, its convolutions are computed in that, too."""


class GraphCard(Strict):
    """What one must know of a graph to feed it and to read what it gives."""

    format: Literal["streamcam-graph/1"] = "streamcam-graph/1"
    name: Line
    model_hash: str = Field(pattern=r"^[0-9a-f]{12}$", description="of the weights that it was exported from")
    stream: bool = Field(description="it takes the next frames and what it kept of earlier ones, not whole clips")
    precision: Precision
    distance: float = Field(
        ge=0, allow_inf_nan=False, description="its largest error of heat, over the largest heat of PyTorch in float32"
    )
    agreement: float = Field(ge=0, le=1, description="share of clips whose likeliest class is PyTorch's in float32")
    classes: list[ClassName] = Field(min_length=1, max_length=100_000)
    multi_label: bool = False
    temperature: Positive = Field(1.0, description="scores are the softmax of logits / temperature")
    heat_scale: Positive | list[Positive] | None = Field(
        None, description="the centred heat in logit units that is painted at full strength: of all classes, or of each"
    )
    clip: ClipCard
    framewise: bool
    temporal_stride: int = Field(ge=1, le=1024, description="frames between the centres of two heat slices")
    temporal_offset: float = Field(ge=0, le=1024, description="the frame of a clip that its first slice speaks of")
    temporal_context: int = Field(ge=0, le=1024, description="frames of a clip that give no slice of their own")
    temporal_receptive_field: int | None = Field(None, ge=1, le=4096, description="frames that a slice depends on")
    lookahead_s: float = Field(ge=0, allow_inf_nan=False, description="seconds from a slice's moment to its last frame")
    summary: str = Field(
        "", max_length=10_000, pattern=rf"^[^{CONTROL}]*$", description="which classes it knows, and how"
    )
    weights_source: str = Field("", max_length=1000, pattern=rf"^[^{CONTROL}]*$")

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name")
        if isinstance(self.heat_scale, list) and len(self.heat_scale) != len(self.classes):
            raise ValueError(f"expected {len(self.classes)} heat scales, one a class, got {len(self.heat_scale)}")
        if self.stream and self.temporal_receptive_field is None:
            raise ValueError("a graph for streams says how many frames a slice depends on")
        if self.stream and self.temporal_stride != 1:
            raise ValueError("a graph for streams gives a slice for every frame")
        self.spec()  # checks the numbers together
        return self

    @classmethod
    def of(
        cls, spec: ModelSpec, *, model_hash: str, stream: bool, precision: Precision, distance: float, agreement: float
    ) -> Self:
        """Describe the graph of a model."""
        scale = spec.heat_scale
        lookahead_s = spec.stream_lookahead_s if stream else spec.window_lookahead_s
        return cls(
            name=spec.name,
            model_hash=model_hash,
            stream=stream,
            precision=precision,
            distance=distance,
            agreement=agreement,
            classes=list(spec.classes),
            multi_label=spec.multi_label,
            temperature=spec.temperature,
            heat_scale=list(scale) if isinstance(scale, tuple) else scale,
            clip=ClipCard(**asdict(spec.clip_format)),
            framewise=spec.framewise,
            temporal_stride=spec.temporal_stride,
            temporal_offset=spec.temporal_offset,
            temporal_context=spec.temporal_context,
            temporal_receptive_field=spec.temporal_receptive_field,
            lookahead_s=lookahead_s or 0.0,
            summary=spec.summary,
            weights_source=spec.weights_source,
        )

    def spec(self) -> ModelSpec:
        """Give the description of its model."""
        scale = self.heat_scale
        return ModelSpec(
            name=self.name,
            summary=self.summary,
            classes=tuple(self.classes),
            clip_format=ClipFormat(**self.clip.model_dump()),
            framewise=self.framewise,
            temporal_stride=self.temporal_stride,
            temporal_offset=self.temporal_offset,
            temporal_context=self.temporal_context,
            temporal_receptive_field=self.temporal_receptive_field,
            multi_label=self.multi_label,
            heat_scale=tuple(scale) if isinstance(scale, list) else scale,
            temperature=self.temperature,
            weights_source=self.weights_source,
        )
