"""Print the likeliest class after each frame: python clip_top.py GRAPH.onnx FRAMES.raw HEIGHT WIDTH."""

import json
import sys

import numpy as np
import onnxruntime as ort

graph, raw, height, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["streamcam"])
names = [output.name for output in session.get_outputs()]
states = {i.name: np.zeros((1, *i.shape[1:]), np.float32) for i in session.get_inputs() if i.name != "frames"}
slices: list[np.ndarray] = []  # the logits of the last L' slices
frames = np.fromfile(raw, np.uint8).reshape(-1, 1, 1, 3, height, width)
for number, frame in enumerate(frames):
    out = dict(zip(names, session.run(names, {"frames": frame, **states}), strict=True))
    states = {name: out[name.replace("state_", "next_")] for name in states}
    if number < card["temporal_receptive_field"] - 1:
        continue  # it still sees the zeros that the states begin with
    slices = [*slices, out["logits"][0]][-(card["clip"]["length"] - card["temporal_context"]) :]
    x = np.mean(slices, axis=0)
    powers = np.exp((x - x.max()) / card["temperature"])
    scores = 1 / (1 + np.exp(-x)) if card["multi_label"] else powers / powers.sum()
    print(f"{number}\t{card['classes'][scores.argmax()]}\t{scores.max():.6f}")
