"""Make the optimiser, and set how fast each part of a network learns."""

import math
from typing import Any

import numpy as np
import torch

from streamcam.models.base import CamModel
from streamcam.train.clips import ClipDataset, centre_crop
from streamcam.train.frozen import classifier_inputs

BACKBONE_RATE = 0.1
"""The learning rate of a pretrained backbone, relative to that of a classifier that reads features of about 1."""

WEIGHT_DECAY = 0.05
SCALE_CLIPS = 16
"""The number of clips on which the size of pretrained features is measured."""


def new_optimizer(
    model: CamModel, *, scale: float = 1.0, pretrained: bool, learning_rate: float
) -> torch.optim.Optimizer:
    """Make an AdamW (Loshchilov & Hutter, ICLR 2019) with a learning rate for each part of a model.

    AdamW's steps are as large as the learning rate, however large the gradients are. A classifier that reads faint
    features needs larger weights, and so larger steps: its rate is divided by `feature_scale`. Features are faint where
    a thing covers one percent of the picture and the network is silent elsewhere. The scale on rendered clips is 0.74
    for `motion` and 0.86 for r3d_18.

    Args:
        model: the model to train.
        scale: the root mean square of what the classifier reads, the same for all ranks; see `feature_scale`.
        pretrained: whether the backbone has learnt features already.
        learning_rate: for a classifier that reads features of about 1. Each parameter group has its factor as `rate`.
    """
    weight = model.head.classifier.weight
    groups: list[dict[str, Any]] = [
        {"params": [weight], **_scaled(scale)},
        {"params": [p for p in model.head.parameters() if p is not weight], "rate": 1.0},
        {
            "params": [p for p in model.features.parameters() if p.requires_grad],
            "rate": BACKBONE_RATE if pretrained else 1.0,
        },
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, weight_decay=WEIGHT_DECAY)


def rescale_classifier(optimizer: torch.optim.Optimizer, scale: float) -> None:
    """Set how fast the classifier learns, once it is known how large its features are."""
    optimizer.param_groups[0].update(_scaled(scale))


def _scaled(scale: float) -> dict[str, float]:
    # AdamW decays weights by rate · decay a step: the product stays the same for every scale.
    return {"rate": 1 / scale, "weight_decay": WEIGHT_DECAY * scale}


@torch.no_grad()
def feature_scale(model: CamModel, clips: ClipDataset) -> float:
    """Return the root mean square of the classifier's input over some clips; 1 where none can be decoded."""
    squares = []
    # Evenly spaced ones, as clips are often listed class by class.
    for number in sorted({round(i) for i in np.linspace(0, len(clips.clips) - 1, SCALE_CLIPS)}):
        batch = clips[0, number]
        if len(batch.frames):
            x = classifier_inputs(model, centre_crop(batch.frames, model.spec.clip_format))
            squares.append(float(x.square().mean()))
    return max(math.sqrt(float(np.mean(squares))), 1e-4) if squares else 1.0
