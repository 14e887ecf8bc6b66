"""The runtimes that compute exported graphs. To add one, write a class with the methods of `Graph`, and list it."""

from collections.abc import Callable
from pathlib import Path

from streamcam.engines.exported.graph import Graph
from streamcam.engines.exported.onnx_graph import OnnxGraph
from streamcam.engines.exported.openvino_graph import OpenVinoGraph
from streamcam.errors import StreamcamError

RUNTIMES: dict[str, Callable[[Path], Graph]] = {"openvino": OpenVinoGraph, "onnxruntime": OnnxGraph}


def read_graph(path: Path, *, backend: str) -> tuple[str, Graph]:
    """Read an exported graph.

    Args:
        path: the .onnx file.
        backend: a name of `RUNTIMES`, or `auto`, the first.

    Returns:
        The name of the runtime, and the graph.

    Raises:
        StreamcamError: there is no such file, or no such runtime, or it cannot read the file.
    """
    name = "openvino" if backend == "auto" else backend
    if name not in RUNTIMES:
        raise StreamcamError(f"{path} is an exported graph: use --backend {' or '.join(RUNTIMES)}, not {name}")
    if not path.is_file():
        raise StreamcamError(f"no such graph: {path}")
    return name, RUNTIMES[name](path)
