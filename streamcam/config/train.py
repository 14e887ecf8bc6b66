"""The configuration of `streamcam train`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from streamcam.strict import Strict

SplitBy = Literal["auto", "person", "file", "time"]


class TrainConfig(Strict):
    """The options of `streamcam train`."""

    data: Path = Field(description="a folder with a folder of clips for each class, a CSV file, or a known data set")
    out: Path = Field(description="the folder for checkpoint, figures, pictures and report")
    model: str = Field("motion", description="one of `streamcam models`, or a checkpoint (.safetensors) to go on from")
    weights: str | None = Field(None, description="initial weights: DEFAULT (published), none (from scratch) or a file")
    freeze: bool = Field(False, description="train the classifier only; the layers before the pooling stay as they are")
    multi_label: bool = Field(False, description="a clip may show several classes (CSV: one row for each)")
    background: bool = Field(
        True, description="learn a class 'none of these' as well, from clips that are made of yours and of the sample"
    )
    epochs: int = Field(20, ge=0, description="rounds over all clips; 0 fits a classifier to the features as they are")
    max_minutes: float | None = Field(None, gt=0, description="end after so many minutes of training, if not before")
    batch: int = Field(8, ge=1, description="clips in a batch, on each device")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="of the classifier; pretrained layers get a tenth")
    val_share: float = Field(0.2, gt=0, lt=1, description="share of the clips that is kept for validation, about")
    split_by: SplitBy = Field(
        "auto", description="what is not in training and validation both: person, file or time; auto is person or file"
    )
    cross_validate: bool = Field(
        False, description="first keep each person in turn for validation, and give the mean of the scores"
    )
    window: int | None = Field(None, ge=1, le=1024, description="frames in a clip; by default the model's own")
    fps: float | None = Field(None, gt=0, le=1000, description="frames a second the model sees; by default its own")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto, cpu or cuda")
    devices: int = Field(1, ge=1, description="GPUs (or, on a CPU, processes) to train on, on each machine")
    nodes: int = Field(1, ge=1, description="machines to train on; start the same command on each with torchrun")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto is bf16 where it is native")
    workers: int = Field(2, ge=0, le=256, description="processes that decode clips")
    seed: int = Field(0, ge=0, lt=2**31, description="of all random numbers")
    resume: bool = Field(False, description="continue an interrupted run with this folder and these options")
    force: bool = Field(False, description="start again, and replace the results of an earlier run in the folder")

    @model_validator(mode="after")
    def _check_together(self) -> "TrainConfig":
        if self.resume and self.force:
            raise ValueError("resume goes on with a run, force starts it again: leave one of them out")
        return self
