"""The card of a checkpoint, as JSON. It alone needs pydantic: networks can be had without."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from streamcam.models.base import CONTROL
from streamcam.records import ClipFormat

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=rf"^[^\t\n{CONTROL}]+$")]
"""One line of text, without control characters: it goes to terminals, pictures and messages."""

ClassName = Annotated[Line, StringConstraints(max_length=100)]
"""As `ModelSpec` has it."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=8192)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ClipCard(_Strict):
    """`ClipFormat`, as JSON."""

    length: int = Field(ge=1, le=1024)
    fps: Positive
    resize: tuple[Side, Side]
    crop: tuple[Side, Side]
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]


class ModelCard(_Strict):
    """What has to be known of weights in order to use them, and to judge them."""

    format: Literal["streamcam-checkpoint/1"] = "streamcam-checkpoint/1"
    name: Line
    architecture: Line = Field(description="one of `streamcam models`")
    classes: list[ClassName] = Field(min_length=1, max_length=100_000)
    multi_label: bool = False
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
    def _consistent(self) -> "ModelCard":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name")
        if self.heat_scale is not None and len(self.heat_scale) != len(self.classes):
            raise ValueError(f"expected {len(self.classes)} heat scales, one a class, got {len(self.heat_scale)}")
        ClipFormat(**self.clip.model_dump())  # checks what no single number shows
        return self
