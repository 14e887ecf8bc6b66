"""Runs a graph that has just been made, in ONNX Runtime, frame by frame or on whole clips."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from streamcam.engines.exported.graph import CUBE, FRAMES, NEXT, STATE
from streamcam.engines.exported.onnx_graph import CPU, FATAL_ONLY
from streamcam.records import Floats, Image

Arrays = dict[str, npt.NDArray[Any]]


def runs(graph: Any, clip: Image, *, stream: bool) -> Iterator[tuple[Arrays, Arrays]]:
    """Run a graph on a clip, uint8 [L,3,h,w]; yield the inputs and the outputs of each run, by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=CPU)
    outputs = [output.name for output in session.get_outputs()]
    states = [i for i in session.get_inputs() if i.name != FRAMES]
    inputs: Arrays = {state.name: np.zeros([1, *state.shape[1:]], np.float32) for state in states}
    for frames in clip[:, None] if stream else [clip]:
        inputs[FRAMES] = frames[None]
        given = dict(zip(outputs, session.run(outputs, inputs), strict=True))
        yield inputs, given
        inputs = {state.name: given[NEXT + state.name.removeprefix(STATE)] for state in states}


def cube_of(graph: Any, clip: Image, *, slices: int, stream: bool) -> Floats:
    """Return the heat cube that a graph gives for a clip, float32 [C,L',h,w]: its last `slices` slices."""
    cubes = [outputs[CUBE][0] for _, outputs in runs(graph, clip, stream=stream)]
    return np.concatenate(cubes, axis=1)[:, -slices:]
