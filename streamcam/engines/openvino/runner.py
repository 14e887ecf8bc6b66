"""OpenVINO: on processors, faster than PyTorch at the same network. It computes the features, and nothing else.

Normalising, the classifier's weights and the mean over positions stay PyTorch's, in float32. So in every precision the
logits are those of the heat cube that is shown: what bf16 and int8 change is the features that both are made of.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from threading import Thread
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.engines.device.runner import TorchRunner
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelSpec, Stored

T = TypeVar("T")

NAME = "openvino"
"""What `--device` calls it."""

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""A precision, and what OpenVINO computes in where the network says nothing else."""


def require_openvino() -> None:
    """Find out whether it is installed, without loading it.

    Raises:
        StreamcamError: it is not.
    """
    if find_spec("openvino") is None:
        raise StreamcamError("OpenVINO is not installed: pip install 'streamcam[openvino]', or use --backend torch")


def import_openvino() -> Any:
    """The module, which tells nobody of its use.

    Its converter and NNCF report to their makers what they are used for, wherever this package lets them; it comes with
    them, and both do without it.
    """
    require_openvino()
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def apart(act: Callable[[], T]) -> T:
    """Do something on a thread of its own that takes no signals, and wait for it.

    OpenVINO's plugin for processors replaces the alternate signal stack of the thread that loads it. When the plugin
    goes, that thread may be left with memory that is no longer there, and the next signal that is handled on it kills
    the process. So no plugin may be loaded where signals are handled.
    """
    done: Future[T] = Future()

    def body() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            done.set_result(act())
        except BaseException as e:
            done.set_exception(e)

    Thread(target=body, name="openvino", daemon=True).start()
    return done.result()


@cache
def core() -> Any:
    """OpenVINO's core for the whole process, with its plugin for processors, which is loaded once."""
    made = import_openvino().Core()
    apart(lambda: made.get_property("CPU", "FULL_DEVICE_NAME"))
    return made


def pick_openvino_precision(name: str, model: CamModel) -> str:
    """`auto` → the fastest that the model has and the processor computes natively; others as they are.

    Raises:
        StreamcamError: no such precision, or the model has not been quantised.
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
    """A model whose features OpenVINO computes, with as many threads as PyTorch has when it is made."""

    def __init__(self, model: CamModel, precision: str) -> None:
        """Convert the model, which takes seconds.

        Raises:
            StreamcamError: it cannot be converted.
        """
        super().__init__(model, torch.device("cpu"), precision)
        self.device_name = NAME

    def _made_ready(self, features: nn.Module) -> nn.Module:
        if self.precision == "int8":
            assert self.model.int8 is not None
            with using_int8(self.spec):
                converted = _shaped(read(self.model.int8.whole), self.spec)
        else:
            converted = convert(features, self.spec)
        return OpenVinoFeatures(converted, precision=self.precision, one_by_one=not self.spec.framewise)


class OpenVinoFeatures(nn.Module):
    """Normalised pictures [N,3,H,W] or clips [N,3,L,H,W] → feature maps [N,K,h,w] or [N,K,L',h,w], all float32."""

    def __init__(self, converted: Any, *, precision: str, one_by_one: bool) -> None:
        super().__init__()
        ready = compiled(converted, precision=precision)
        self.threads = int(ready.get_property("INFERENCE_NUM_THREADS"))
        self._request = ready.create_infer_request()
        self._one_by_one = one_by_one

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Clips go one after the other: on a processor, a batch of them gains nothing."""
        parts = [self._infer(part) for part in (x.split(1) if self._one_by_one else (x,))]
        maps = tuple(torch.cat(pieces) if len(pieces) > 1 else pieces[0] for pieces in zip(*parts, strict=True))
        return maps if len(maps) > 1 else maps[0]

    def _infer(self, x: Tensor) -> list[Tensor]:
        results = self._request.infer([x.contiguous().numpy()], share_inputs=True)
        return [torch.from_numpy(values) for values in results.values()]


def compiled(converted: Any, *, precision: str) -> Any:
    """An OpenVINO model, ready to run with as many threads as PyTorch has now."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": HINTS[precision],
    }
    return core().compile_model(converted, "CPU", options)


@contextmanager
def converting(spec: ModelSpec) -> Iterator[None]:
    """What two converters stumble over in a stranger's network is one clear line."""
    try:
        yield
    except Exception as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise StreamcamError(f"{spec.name} cannot be converted for OpenVINO ({reason}): use --backend torch") from e


def convert(features: nn.Module, spec: ModelSpec) -> Any:
    """Features → an OpenVINO model: of any number of pictures, or of one clip.

    Raises:
        StreamcamError: they cannot be converted; the message says why.
    """
    openvino = import_openvino()
    # Of two pictures, torch.export learns that their number varies.
    lead = (2, 3) if spec.framewise else (1, 3, spec.clip_format.length)
    varying = ({0: torch.export.Dim("pictures")},) if spec.framewise else None
    with converting(spec):
        # In a module of its own, since torch.export takes a traced network apart with its arguments frozen.
        example = torch.zeros(*lead, *spec.clip_format.crop)
        exported = torch.export.export(nn.Sequential(features), (example,), dynamic_shapes=varying)
        return _shaped(openvino.convert_model(exported), spec)


@contextmanager
def using_int8(spec: ModelSpec) -> Iterator[None]:
    """What cannot be read, or not for such clips or by this version, is one clear line."""
    try:
        yield
    except RuntimeError as e:
        raise StreamcamError(f"{spec.name} cannot be used in int8 as it is: quantize it again") from e


def read(stored: Stored) -> Any:
    """An OpenVINO model as it was stored.

    Raises:
        RuntimeError: it cannot be read.
    """
    weights = import_openvino().Tensor(np.frombuffer(stored.weights, np.uint8))
    return core().read_model(stored.graph, weights)


def _shaped(converted: Any, spec: ModelSpec) -> Any:
    lead = (-1, 3) if spec.framewise else (1, 3, spec.clip_format.length)
    converted.reshape([*lead, *spec.clip_format.crop])
    return converted
