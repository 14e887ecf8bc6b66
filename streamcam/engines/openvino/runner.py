"""A model whose features OpenVINO computes, which on CPUs is faster than PyTorch.

PyTorch normalises frames, applies the classifier's weights and takes the mean over positions, all in float32. So the
heat cube pools to the logits in every precision. What bf16 and int8 change is the features, of which both are made.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.openvino.library import import_openvino, shared_core
from streamcam.errors import StreamcamError, first_line
from streamcam.models.base import CamModel, ModelSpec, Stored

T = TypeVar("T")

NAME = "openvino"
"""The name of the device that computes, for people."""

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""The type in which OpenVINO computes, by precision. In int8, that is for layers that are not quantised."""


def pick_openvino_precision(name: str, model: CamModel) -> str:
    """Resolve `auto` to the fastest precision that the model has and the CPU computes natively.

    Args:
        name: `auto`, or one of `HINTS`, which is returned as it is.
        model: the model, which may have been quantised.

    Raises:
        StreamcamError: there is no such precision, or the model has not been quantised.
    """
    if name == "auto":
        return "int8" if model.int8 is not None else "bf16" if cpu_has_bf16() else "fp32"
    if name not in HINTS:
        raise StreamcamError(f"no such precision on openvino: {name} (use auto, {', '.join(HINTS)})")
    if name == "int8" and model.int8 is None:
        raise StreamcamError(
            f"{model.spec.name} is not quantised: streamcam quantize SOURCE --model {model.spec.name} -o FILE makes a "
            "checkpoint that is"
        )
    return name


class OpenVinoRunner(TorchRunner):
    """A model whose features OpenVINO computes, with as many threads as PyTorch has when this is made."""

    def __init__(self, model: CamModel, precision: str) -> None:
        """Convert the model, which takes seconds.

        Raises:
            StreamcamError: it cannot be converted, or its int8 features cannot be used.
        """
        super().__init__(model, torch.device("cpu"), precision)
        self.device_name = NAME

    def _prepare_features(self, features: nn.Module) -> nn.Module:
        if self.precision == "int8":
            assert self.model.int8 is not None
            with explain_int8_errors(self.spec):
                quantized = _with_input_shape(read_model(self.model.int8.whole), self.spec)

        def converted(size: tuple[int, int]) -> Any:
            if self.precision == "int8":  # quantised for one size
                return quantized
            return convert(features, self.spec.with_clip_format(resize=size, crop=size))

        size = self.spec.clip_format.crop
        return OpenVinoFeatures(converted, size, precision=self.precision, one_by_one=not self.spec.framewise)


class OpenVinoFeatures(nn.Module):
    """The features of a network, computed by OpenVINO, as a module of PyTorch's."""

    def __init__(
        self, converted: Callable[[tuple[int, int]], Any], size: tuple[int, int], *, precision: str, one_by_one: bool
    ) -> None:
        """Compile an OpenVINO model.

        Args:
            converted: gives the model for pictures of (H, W).
            size: of the pictures that it is compiled for at once.
            precision: what OpenVINO computes in.
            one_by_one: its input takes one clip at a time.
        """
        super().__init__()
        self._converted, self._precision, self._one_by_one = converted, precision, one_by_one
        self._requests: dict[tuple[int, int], Any] = {}
        self.threads = int(self._compile(size).get_property("INFERENCE_NUM_THREADS"))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute feature maps, float32 [N,K,h,w] or [N,K,L',h,w], of normalised frames or clips.

        Frames are float32 [N,3,H,W], clips [N,3,L,H,W]. Clips are computed one after the other: on a CPU, a batch of
        them gains nothing.
        """
        results = [self._infer(batch) for batch in (x.split(1) if self._one_by_one else (x,))]
        maps = tuple(torch.cat(clips) if len(clips) > 1 else clips[0] for clips in zip(*results, strict=True))
        return maps if len(maps) > 1 else maps[0]

    def _infer(self, x: Tensor) -> list[Tensor]:
        # OpenVINO reads PyTorch's memory instead of a copy, which is safe while this waits for the results.
        results = self._request((x.shape[-2], x.shape[-1])).infer([x.contiguous().numpy()], share_inputs=True)
        return [torch.from_numpy(values) for values in results.values()]

    def _compile(self, size: tuple[int, int]) -> Any:
        """Compile the model for pictures of (H, W), and keep a request for them."""
        with torch.inference_mode(mode=False):  # torch.export fails where a batch is computed
            compiled = compile_model(self._converted(size), precision=self._precision)
        self._requests[size] = compiled.create_infer_request()
        return compiled

    def _request(self, size: tuple[int, int]) -> Any:
        """Return a request for pictures of (H, W). The first picture of a size takes seconds, to compile for it."""
        if size not in self._requests:
            self._compile(size)
        return self._requests[size]


def compile_model(converted: Any, *, precision: str) -> Any:
    """Compile an OpenVINO model for the CPU, to run with as many threads as PyTorch has now."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": HINTS[precision],
    }
    return shared_core().compile_model(converted, "CPU", options)


@contextmanager
def explain_conversion_errors(spec: ModelSpec) -> Iterator[None]:
    """Turn any error of torch.export or of OpenVINO's converter into a StreamcamError of one line."""
    try:
        yield
    except Exception as e:
        raise StreamcamError(
            f"{spec.name} cannot be converted for OpenVINO ({first_line(e)}): use --backend torch"
        ) from e


def convert(features: nn.Module, spec: ModelSpec) -> Any:
    """Convert features into an OpenVINO model of any number of frames, or of one clip.

    Raises:
        StreamcamError: they cannot be converted; the message says why.
    """
    openvino = import_openvino()
    # torch.export takes a dimension of size 1 for a constant, so the example has two frames.
    leading = (2, 3) if spec.framewise else (1, 3, spec.clip_format.length)
    varying = ({0: torch.export.Dim("pictures")},) if spec.framewise else None
    with explain_conversion_errors(spec):
        example = torch.zeros(*leading, *spec.clip_format.crop)
        # Inside of another module: torch.export unpacks a traced network that it is given itself, whose arguments are
        # frozen lists.
        exported = torch.export.export(nn.Sequential(features), (example,), dynamic_shapes=varying)
        return _with_input_shape(openvino.convert_model(exported), spec)


@contextmanager
def explain_int8_errors(spec: ModelSpec) -> Iterator[None]:
    """Turn errors of stored int8 features into a StreamcamError of one line.

    They may be damaged, made for other clips, or unreadable for this version of OpenVINO.
    """
    try:
        yield
    except RuntimeError as e:
        raise StreamcamError(f"{spec.name} cannot be used in int8 as it is: quantize it again") from e


def read_model(stored: Stored) -> Any:
    """Read an OpenVINO model from a checkpoint.

    Raises:
        RuntimeError: it cannot be read.
    """
    weights = import_openvino().Tensor(np.frombuffer(stored.weights, np.uint8))
    return shared_core().read_model(stored.graph, weights)


def _with_input_shape(converted: Any, spec: ModelSpec) -> Any:
    """Set the shape of a model's input: −1 stands for any number of frames."""
    leading = (-1, 3) if spec.framewise else (1, 3, spec.clip_format.length)
    converted.reshape([*leading, *spec.clip_format.crop])
    return converted
