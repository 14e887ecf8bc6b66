"""Train a network of milliseconds in a process of its own: `python train_small.py '{"data": …, "out": …}'`."""

import json
import sys

from torch import nn

import streamcam.train.loop
from streamcam.config.train import TrainConfig
from streamcam.models.base import CamModel, ModelEntry, ModelSpec
from streamcam.models.head import Head
from streamcam.models.registry import MODELS
from streamcam.records import ClipFormat
from streamcam.train.fit import train
from streamcam.train.metrics import EpochMetrics

FORMAT = ClipFormat(length=4, fps=10, resize=(36, 48), crop=(32, 32), mean=(127.0,) * 3, std=(64.0,) * 3)
SMALL = ModelSpec("small", "a test", ("a", "b"), FORMAT, framewise=False, weights="none")


def build_small(_weights: str) -> CamModel:
    """Two layers and a classifier."""
    features = nn.Sequential(
        nn.Conv3d(3, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.BatchNorm3d(8), nn.ReLU(), nn.Conv3d(8, 8, 1), nn.ReLU()
    )
    return CamModel(SMALL, features, Head([nn.Linear(8, 2)]))


class Spoken:
    """Prints the losses."""

    def look_at(self, done: int, count: int) -> None:
        pass

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        print(f"step {done} {loss!r}", flush=True)

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        print(f"epoch {epoch.epoch}", flush=True)


if __name__ == "__main__":
    MODELS["small"] = ModelEntry(SMALL, build_small)
    streamcam.train.loop.SAVE_EVERY_S = 0.0
    plain = {
        "model": "small",
        "workers": 0,
        "batch": 4,
        "epochs": 2,
        "precision": "fp32",
        "device": "cpu",
        "background": False,
    }
    train(TrainConfig.model_validate(plain | json.loads(sys.argv[1])), show=Spoken())
