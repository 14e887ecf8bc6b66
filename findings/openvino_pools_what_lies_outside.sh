#!/usr/bin/env bash
# openvino 2026.4.1 (held against onnxruntime 1.32.0; the networks are made by onnx 1.23.2)
# Expected: pooling with ceil_mode=1 is the same in OpenVINO as in ONNX Runtime, ONNX's own reference, and PyTorch.
# Seen: not where the last window reaches out of the padding. AveragePool with count_include_pad (the default of
# PyTorch's AvgPool) divides by all of the window there: of a picture of ones, the last row and column come out a third
# too dark, and the corner by more. MaxPool with strides greater than its window has a row and a column too many, all of
# them -3.4e38: a mean over that is the end of a score. In 3D alike. Converted straight from PyTorch, the second is
# right, the first is not.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper


def both(kind, size, **how):
    """The last row that a picture of ones becomes: in OpenVINO, and in ONNX Runtime."""
    ones = np.ones((1, 1, size, size), np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ones.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"], ceil_mode=1, **how)], "pool", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    core, options = openvino.Core(), onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(ones)[0][0, 0, -1], session.run(None, {"x": ones})[0][0, 0, -1]


average = both("AveragePool", 8, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
largest = both("MaxPool", 9, kernel_shape=[2, 2], strides=[3, 3])
for name, (in_openvino, in_onnxruntime) in (("AveragePool", average), ("MaxPool", largest)):
    print(f"{name}, the last row:")
    print("  openvino:   ", *(f"{value:.3g}" for value in in_openvino))
    print("  onnxruntime:", *(f"{value:.3g}" for value in in_onnxruntime))
sys.exit(
    not (
        np.allclose(average[0], [2 / 9, 1 / 3, 1 / 3, 1 / 3, 1 / 9])
        and np.allclose(average[1], [1 / 3, 1 / 2, 1 / 2, 1 / 2, 1 / 4])
        and len(largest[0]) == 4
        and largest[0].max() < -1e38
        and np.array_equal(largest[1], [1, 1, 1])
    )
)
PYTHON
