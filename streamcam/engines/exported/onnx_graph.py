"""Exported graphs in ONNX Runtime, which runs on more processors than OpenVINO."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from streamcam.engines.exported.graph import CARD, COMMON, CUBE, FRAMES, LOGITS, NEXT, STATE, Port, Slices, parse_card
from streamcam.engines.exported.reasons import reason
from streamcam.errors import StreamcamError
from streamcam.records import Image

CPU = ["CPUExecutionProvider"]
FATAL_ONLY = 4
"""The log level at which ONNX Runtime keeps its warnings about graphs to itself."""


def require_onnxruntime() -> None:
    """Check that ONNX Runtime is installed, without importing it.

    Raises:
        StreamcamError: it is not.
    """
    if find_spec("onnxruntime") is None:
        raise StreamcamError("ONNX Runtime is not installed: pip install onnxruntime, or use --backend openvino")


class OnnxGraph:
    """A graph that ONNX Runtime has read."""

    def __init__(self, path: Path) -> None:
        """Read a graph and its card.

        Raises:
            StreamcamError: the file cannot be read, or is no graph of ours.
        """
        require_onnxruntime()
        self._path = path
        session = self._session(threads=1)
        text = session.get_modelmeta().custom_metadata_map.get(CARD)
        self.card = parse_card(path, text, inputs=_ports(session.get_inputs()), outputs=_ports(session.get_outputs()))

    def require(self, precision: str) -> str:
        """Return the precision to compute in: that of the graph.

        Raises:
            StreamcamError: another one is asked for.
        """
        if precision not in ("auto", self.card.precision):
            raise StreamcamError(
                f"{self._path} is in {self.card.precision}, and ONNX Runtime computes it in that: leave out --precision"
            )
        return self.card.precision

    def compile(self, size: tuple[int, int], *, precision: str, requests: int, threads: int) -> "CompiledOnnx":  # noqa: ARG002
        """Prepare the graph; ONNX Runtime computes one request after the other, on all threads."""
        return CompiledOnnx(self._session(threads=threads))

    def _session(self, *, threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, FATAL_ONLY
        try:
            return onnxruntime.InferenceSession(str(self._path), options, providers=CPU)
        except Exception as e:  # its errors have no common class
            raise StreamcamError(f"cannot read the graph {self._path}: {reason(e)} (export it again)") from e


class CompiledOnnx:
    """A graph that is prepared."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self) -> "OnnxRequest":
        """Make a place for it to be computed."""
        return OnnxRequest(self._session)


class OnnxRequest:
    """One place where a graph is computed, with states of its own: two sets of them, read and written in turns."""

    def __init__(self, session: Any) -> None:
        from onnxruntime import OrtValue

        self._session = session
        self._shapes = {i.name: [1, *i.shape[1:]] for i in session.get_inputs() if i.name != FRAMES}
        of_zeros = [
            {name: OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32)) for name, shape in self._shapes.items()}
            for _ in range(2)
        ]
        self._states, self._next = of_zeros
        self._outputs: Sequence[Any] = ()

    def start(self, frames: Image) -> None:
        """Compute frames, uint8 [t,3,h,w]."""
        binding = self._session.io_binding()
        binding.bind_cpu_input(FRAMES, np.ascontiguousarray(frames[None]))
        for name in (LOGITS, CUBE, COMMON):
            binding.bind_output(name)
        for name, state in self._states.items():
            binding.bind_ortvalue_input(name, state)
            binding.bind_ortvalue_output(NEXT + name.removeprefix(STATE), self._next[name])
        self._session.run_with_iobinding(binding)
        self._outputs = binding.get_outputs()[:3]
        self._states, self._next = self._next, self._states

    def wait(self) -> Slices:
        """Return what `start` computed."""
        return Slices(*(output.numpy()[0] for output in self._outputs))

    def reset(self) -> None:
        """Set the states to zero."""
        for name, state in self._states.items():
            state.update_inplace(np.zeros(self._shapes[name], np.float32))


DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}


def _ports(nodes: Sequence[Any]) -> dict[str, Port]:
    """Return the inputs, or the outputs, of a session by name."""
    return {
        node.name: Port(
            tuple(axis if isinstance(axis, int) else -1 for axis in node.shape),
            DTYPES.get(node.type, node.type),
        )
        for node in nodes
    }
