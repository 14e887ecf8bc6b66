"""Makes an engine for a model: which backend computes it, on which device, by which engine.

To add a backend, write a folder with a class that has the methods of `Backend`, and list it in `BACKENDS`.
"""

from collections.abc import Sequence
from typing import Protocol

from streamcam.engines.device.backend import TorchBackend
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.openvino.backend import OpenVinoBackend
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.streaming.network import Network, matches_window_engine
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel

ENGINES: dict[str, type[WindowEngine] | type[StreamEngine]] = {"window": WindowEngine, "stream": StreamEngine}


class Backend(Protocol):
    """A runtime that computes networks."""

    def require(self, device: str) -> None:
        """Check that the runtime is installed and has a device, before anything slow.

        Raises:
            StreamcamError: it is not, or has not; the message says what to do.
        """
        ...

    def make_runner(self, model: CamModel, *, device: str, precision: str) -> TorchRunner:
        """Copy a model to a device, to compute whole clips.

        Raises:
            StreamcamError: there is no such device or precision, or not for this model.
        """
        ...

    def make_stream(self, model: CamModel, *, device: str, precision: str, dense: bool) -> tuple[TorchRunner, Network]:
        """Copy a model to a device, to compute each frame once.

        Raises:
            StreamcamError: the model cannot be streamed, or there is no such device or precision.
        """
        ...

    def stream_refusal(self, model: CamModel, precision: str) -> str | None:
        """Return why this backend cannot stream a model that can be streamed in principle; None where it can."""
        ...


BACKENDS: dict[str, Backend] = {"torch": TorchBackend(), "openvino": OpenVinoBackend()}


def require_device(device: str, *, backend: str = "auto") -> None:
    """Check that a backend and a device are there, before anything slow.

    Raises:
        StreamcamError: they are not; the message says what to do.
    """
    if backend == "auto" and device in BACKENDS:
        raise StreamcamError(f"no such device: {device} (it is a backend: use --backend {device})")
    _backend(backend).require(device)


def make_runner(
    model: CamModel, *, backend: str = "auto", device: str = "auto", precision: str = "auto"
) -> TorchRunner:
    """Copy a model to a device. `make_engine` describes the arguments.

    Raises:
        StreamcamError: there is no such backend, device or precision, or not for this model.
    """
    chosen = pick_backend(model, backend=backend, device=device, precision=precision)
    require_device(device, backend=chosen)
    return BACKENDS[chosen].make_runner(model, device=device, precision=precision)


def make_engine(
    model: CamModel,
    *,
    name: str = "auto",
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    top_k: int = 5,
    classes: Sequence[int] | None = None,
    dense: bool = False,
    hop: int | None = None,
) -> WindowEngine | StreamEngine:
    """Copy a model to a device, and make an engine that computes heat with it.

    Args:
        model: stays as it is.
        name: `window`, `stream`, or `auto`: stream where it gives the same heat as window for less work.
        backend: `torch`, `openvino`, or `auto`: openvino for a model in int8 where neither a device nor another
            precision is asked for, torch otherwise.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16`, `bf16` or `int8`.
        top_k: how many classes' heat each result carries, where `classes` is not given.
        classes: indices of the classes whose heat each result carries.
        dense: for the stream engine: give a heat slice for every frame, where the network strides over frames.
        hop: how many new frames a clip brings, if not as many as there are between two heat slices.

    Raises:
        StreamcamError: there is no such engine, backend, device or precision, or not for this model.
    """
    chosen = pick_backend(model, backend=backend, device=device, precision=precision)
    name = _pick_engine(name, model, refusal=BACKENDS[chosen].stream_refusal(model, precision))
    if name == "window" and dense:
        raise StreamcamError(
            f"dense is for the stream engine, and {model.spec.name} runs in window: use --engine stream"
        )
    if name == "window":
        runner = make_runner(model, backend=chosen, device=device, precision=precision)
        return WindowEngine(runner, top_k=top_k, classes=classes)
    require_device(device, backend=chosen)
    runner, network = BACKENDS[chosen].make_stream(model, device=device, precision=precision, dense=dense)
    return StreamEngine(runner, network=network, top_k=top_k, classes=classes, dense=dense, hop=hop)


def pick_backend(model: CamModel, *, backend: str = "auto", device: str = "auto", precision: str = "auto") -> str:
    """Resolve `auto` to the name of a backend. `make_engine` describes the arguments.

    Raises:
        StreamcamError: there is no such backend.
    """
    quantized = model.int8 is not None and precision in ("auto", "int8")
    if backend == "auto":
        return "openvino" if device == "auto" and quantized else "torch"
    _backend(backend)
    return backend


def _backend(name: str) -> Backend:
    if name == "auto":
        return BACKENDS["torch"]
    if name not in BACKENDS:
        raise StreamcamError(f"no such backend: {name} (use auto, {', '.join(BACKENDS)})")
    return BACKENDS[name]


def _pick_engine(name: str, model: CamModel, *, refusal: str | None) -> str:
    """Resolve `auto` to the name of an engine. `refusal`: why the backend cannot stream this model, if so."""
    if name == "auto":
        return "stream" if refusal is None and matches_window_engine(model) else "window"
    if name not in ENGINES:
        raise StreamcamError(f"no such engine: {name} (use auto, {', '.join(ENGINES)})")
    if name == "stream" and refusal is not None:
        raise StreamcamError(refusal)
    return name
