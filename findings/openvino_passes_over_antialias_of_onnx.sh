#!/usr/bin/env bash
# openvino 2026.4.1 (held against onnxruntime 1.32.0; the network is made by onnx 1.23.2)
# Expected: an ONNX network that makes its picture smaller by Resize with antialias=1 does so in OpenVINO, or is
# refused.
# Seen: it is read and run without a word, and antialias is not heeded: the result is the same to the last bit as with
# 0. Most pixels are not looked at, and the network sees other values than it was taught with. ONNX has antialias since
# opset 18. Linear and cubic alike.
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
from onnx import TensorProto, helper, numpy_helper

FROM, TO = [1, 3, 64, 64], [1, 3, 16, 16]
noise = np.random.default_rng(0).standard_normal(FROM).astype(np.float32)


def resize(mode, antialias):
    node = helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode=mode, antialias=antialias)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, FROM)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, TO)
    graph = helper.make_graph([node], "resize", [x], [y], [numpy_helper.from_array(np.array(TO), "size")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def in_openvino(network):
    core = openvino.Core()
    return core.compile_model(core.read_model(network), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(noise)[0]


def in_onnxruntime(network):
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": noise})[0]


same = True
for mode in ("linear", "cubic"):
    plain, smooth = resize(mode, 0), resize(mode, 1)
    print(f"{mode}: noise of standard deviation {noise.std():.2f} is, made four times smaller,")
    for name, run in (("openvino", in_openvino), ("onnxruntime", in_onnxruntime)):
        print(f"  {name}: {run(plain).std():.2f} with antialias 0, {run(smooth).std():.2f} with 1")
    same &= np.array_equal(in_openvino(plain), in_openvino(smooth))
    same &= np.allclose(in_openvino(plain), in_onnxruntime(plain), atol=1e-4)
    same &= not np.allclose(in_openvino(smooth), in_onnxruntime(smooth), atol=0.1)
sys.exit(not same)
PYTHON
