#!/usr/bin/env bash
# grad-cam 1.5.7 (pytorch_grad_cam), torch 2.14.1, torchvision 0.29.1 (their download has gigabytes, this takes minutes)
# Expected: for clips the heat lies where it lies for pictures: on what the network looked at.
# Seen: it lies beside it, by up to half a cell of the feature map, which is 8 of 112 pixels for a map of 7 x 7: towards
# the nearer border, and right only in the middle. For pictures, heat is enlarged by OpenCV, which takes cells for
# areas; for clips by SciPy's zoom, which takes the first and the last for points on the border. Both have the same
# network here, whose last layer sees one square in one cell.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 grad-cam==1.5.7 \
  scipy==1.17.1 numpy==2.4.6
CUDA_VISIBLE_DEVICES='' "$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

CELL, CELLS = 16, 7


def network(dimensions):
    if dimensions == 2:
        layers = nn.Conv2d(3, 1, CELL, stride=CELL), nn.AdaptiveAvgPool2d(1)
    else:
        layers = nn.Conv3d(3, 1, (2, CELL, CELL), stride=(2, CELL, CELL)), nn.AdaptiveAvgPool3d(1)
    nn.init.constant_(layers[0].weight, 0.01)
    nn.init.zeros_(layers[0].bias)
    linear = nn.Linear(1, 1)
    nn.init.ones_(linear.weight)
    return nn.Sequential(*layers, nn.Flatten(), linear).eval()


def hottest_rows(images):
    model = network(images.dim() - 2)
    with GradCAM(model, [model[0]]) as cam:
        heat = cam(images, targets=[ClassifierOutputTarget(0)])[0]
    middle = heat if heat.ndim == 2 else heat[len(heat) // 2]
    column = middle[:, CELLS // 2 * CELL + CELL // 2]
    return float(np.flatnonzero(column >= 0.5 * column.max()).mean())  # of the half that is hotter


off = {2: [], 3: []}
for row in range(1, CELLS - 1):  # not on the border, where half of what is hot would lie outside
    picture = torch.zeros(3, CELL * CELLS, CELL * CELLS)
    picture[:, row * CELL : (row + 1) * CELL, CELLS // 2 * CELL : (CELLS // 2 + 1) * CELL] = 1
    middle = row * CELL + (CELL - 1) / 2
    off[2].append(hottest_rows(picture[None]) - middle)
    off[3].append(hottest_rows(picture[None, :, None].repeat(1, 1, 8, 1, 1)) - middle)
for dimensions, pixels in off.items():
    print(f"{dimensions}D, a square in each row: heat is off by", *(f"{p:+.1f}" for p in pixels), "pixels")
flat, cube = np.array(off[2]), np.array(off[3])
sys.exit(not (abs(flat).max() < 1 and cube[0] < -3 and abs(cube[2]) < 1 and cube[-1] > 3))
PYTHON
