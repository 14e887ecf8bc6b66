"""The model card of a checkpoint. Only this module of `models` needs pydantic, and it is imported late."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from streamcam.models.spec import CONTROL
from streamcam.records import ClipFormat
from streamcam.strict import Strict

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=rf"^[^\t\n{CONTROL}]+$")]
"""One line of text, without control characters: it goes to terminals, pictures and messages."""

ClassName = Annotated[Line, StringConstraints(max_length=100)]
"""A class name, with the same limit as `streamcam.models.spec.CLASS_NAME`."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=8192)]


class ClipCard(Strict):
    """`ClipFormat`, with limits for values from files."""

    length: int = Field(ge=1, le=1024)
    fps: Positive
    resize: tuple[Side, Side]
    crop: tuple[Side, Side]
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    shapes: tuple[tuple[Side, Side], ...] = Field((), max_length=16)


class ModelCard(Strict):
    """What one must know of weights to use them and to judge them."""

    format: Literal["streamcam-checkpoint/1"] = "streamcam-checkpoint/1"
    name: Line
    architecture: Line = Field(description="one of `streamcam models`")
    classes: list[ClassName] = Field(min_length=1, max_length=100_000)
    multi_label: bool = False
    temperature: Positive = Field(1.0, description="scores are the softmax of logits / temperature")
    clip: ClipCard
    heat_scale: list[Positive] | None = Field(
        None, description="per class, the centred heat in logit units that is painted at full strength"
    )
    metrics: dict[Line, float] = Field(default_factory=dict, description="measured on the validation clips")
    data_hash: Line | None = Field(None, description="of the clips that it was trained on")
    licence: Line | None = None
    about: str = Field(
        "",
        max_length=10_000,
        pattern=rf"^[^{CONTROL}]*$",
        description="how it was made, and what it is good for and what not",
    )
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the .safetensors file")

    @model_validator(mode="after")
    def _check_together(self) -> "ModelCard":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name")
        if self.heat_scale is not None and len(self.heat_scale) != len(self.classes):
            raise ValueError(f"expected {len(self.classes)} heat scales, one a class, got {len(self.heat_scale)}")
        ClipFormat(**self.clip.model_dump())  # checks the numbers together, as that the crop fits into the picture
        return self
