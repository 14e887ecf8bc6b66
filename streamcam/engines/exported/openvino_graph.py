"""Exported graphs in OpenVINO. Its requests keep a stream's states in the layout in which it computes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamcam.engines.exported.graph import CARD, COMMON, CUBE, FRAMES, LOGITS, NEXT, STATE, Port, Slices, parse_card
from streamcam.engines.exported.reasons import reason
from streamcam.engines.openvino.library import call_without_signals, has_bf16, import_openvino, shared_core
from streamcam.errors import StreamcamError
from streamcam.records import Image

HINTS = {"fp32": "f32", "fp16": "f32", "int8": "f32", "bf16": "bf16"}
"""What layers compute in that are not quantised, by precision."""


class OpenVinoGraph:
    """A graph that OpenVINO has read."""

    def __init__(self, path: Path) -> None:
        """Read a graph and its card.

        Raises:
            StreamcamError: the file cannot be read, or is no graph of ours.
        """
        self._openvino, self._path = import_openvino(), path
        model = self._read()
        has_card = model.has_rt_info(["framework", CARD])
        text = str(model.get_rt_info(["framework", CARD]).value) if has_card else None
        self.card = parse_card(path, text, inputs=_ports(model.inputs), outputs=_ports(model.outputs))

    def require(self, precision: str) -> str:
        """Return the precision to compute in.

        Raises:
            StreamcamError: OpenVINO does not compute this graph in it.
        """
        own = self.card.precision
        if precision == "auto":
            return "bf16" if own == "fp32" and has_bf16() else own
        if precision == own or (precision == "bf16" and own == "fp32"):
            return precision
        raise StreamcamError(f"{self._path} is in {own}: leave out --precision {precision}, or export it in that")

    def compile(self, size: tuple[int, int], *, precision: str, requests: int, threads: int) -> "CompiledOpenVino":
        """Prepare the graph for pictures of a size, (h, w).

        Raises:
            StreamcamError: OpenVINO cannot compute it.
        """
        card, model = self.card, self._read()
        length = _shape(model.input(FRAMES))[1] if card.stream else card.clip.length
        try:
            # Of one clip, or of one stream: requests that are computed side by side are faster than a batch.
            model.reshape({port: [1, *_shape(port)[1:]] for port in model.inputs if port.any_name != FRAMES})
            model.reshape({model.input(FRAMES): [1, length, 3, *size]})
            if len(model.inputs) > 1:
                from openvino._offline_transformations import apply_make_stateful_transformation

                names = [port.any_name for port in model.inputs if port.any_name != FRAMES]
                kept = {name: NEXT + name.removeprefix(STATE) for name in names}
                apply_make_stateful_transformation(model, kept)
            options = {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": min(requests, threads),
                "INFERENCE_PRECISION_HINT": HINTS[precision],
            }
            compiled = call_without_signals(lambda: shared_core().compile_model(model, "CPU", options))
        except RuntimeError as e:
            raise StreamcamError(f"OpenVINO cannot compute {self._path}: {reason(e)}") from e
        return CompiledOpenVino(compiled)

    def _read(self) -> Any:
        # The core would try one reader after the other, and that of TensorFlow prints what it thinks of the file.
        from openvino.frontend import FrontEndManager

        try:
            reader = FrontEndManager().load_by_framework("onnx")
            return reader.convert(reader.load(str(self._path)))
        except Exception as e:  # its errors have no common class
            raise StreamcamError(f"cannot read the graph {self._path}: {reason(e)} (export it again)") from e


class CompiledOpenVino:
    """A graph that is prepared for pictures of one size."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def request(self) -> "OpenVinoRequest":
        """Make a place for it to be computed."""
        return OpenVinoRequest(self._compiled)


class OpenVinoRequest:
    """One place where a graph is computed, with states of its own."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._input = self._request.get_tensor(FRAMES).data
        self._states = self._request.query_state()
        self._outputs = [self._request.get_tensor(name) for name in (LOGITS, CUBE, COMMON)]

    def start(self, frames: Image) -> None:
        """Begin to compute frames, uint8 [t,3,h,w]."""
        np.copyto(self._input[0], frames)
        self._request.start_async()

    def wait(self) -> Slices:
        """Wait for what `start` began."""
        self._request.wait()
        return Slices(*(tensor.data[0] for tensor in self._outputs))

    def reset(self) -> None:
        """Set the states to zero."""
        for state in self._states:
            state.reset()


def _ports(ports: Sequence[Any]) -> dict[str, Port]:
    """Return the inputs, or the outputs, of a model by name."""
    return {
        port.any_name: Port(
            tuple(_shape(port)), "dynamic" if port.element_type.is_dynamic() else port.element_type.to_dtype().name
        )
        for port in ports
    }


def _shape(port: Any) -> list[int]:
    """Return the shape of an input or an output; −1 for what is not fixed."""
    return [axis.get_length() if axis.is_static else -1 for axis in port.get_partial_shape()]
