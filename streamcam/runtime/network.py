"""Chooses what computes a run: PyTorch, or a runtime for exported graphs, which starts in a fraction of the time."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec as find_package
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from streamcam.config.run import RunConfig
from streamcam.engines.base import Engine
from streamcam.engines.exported.graph import PACKAGED, is_graph, packaged_graph
from streamcam.errors import StreamcamError
from streamcam.models.spec import ModelSpec
from streamcam.sources.pixels.decoder import Decoder

if TYPE_CHECKING:
    from streamcam.models.base import CamModel

GPUS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Where Linux, and Linux within Windows, have NVIDIA's GPUs."""


class Network(Protocol):
    """A network that is known, but not loaded yet."""

    spec: ModelSpec

    def make_engines(
        self, groups: Mapping[str, Sequence[str]] | None, classes: Sequence[int] | None
    ) -> Sequence[Engine]:
        """Load it, and make an engine on each device.

        Args:
            groups: what its classes are added up to.
            classes: indices of the classes whose heat results carry.

        Raises:
            StreamcamError: it cannot be loaded, or not computed as the configuration asks.
        """
        ...

    def decoders(self, engines: Sequence[Engine]) -> Sequence[Decoder]:
        """Return a decoder for each GPU that computes, where the configuration asks for that."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """Return what holds while the engines compute: how many cores they use."""
        ...


def find_network(config: RunConfig, model: "CamModel | None" = None) -> Network:
    """Find the network of a run, without loading its weights.

    Args:
        config: names it, and says what is to compute it.
        model: used in place of the one that the config names.

    Raises:
        StreamcamError: there is no such model, device or backend; or what computes it is not installed.
    """
    graph = _graph_of(config) if model is None else None
    if graph is not None:
        from streamcam.runtime.graph_network import GraphNetwork

        return GraphNetwork(graph, config)
    if config.backend == "onnxruntime":
        raise StreamcamError(
            f"onnxruntime computes exported graphs: streamcam export {config.model} -o FILE.onnx, and --model FILE.onnx"
        )
    if find_package("torch") is None:
        raise StreamcamError(
            f"without PyTorch there are {' and '.join(PACKAGED)} as they come, on the CPU, and exported .onnx files: "
            f"for {config.model} as it is asked for here, pip install 'streamcam[torch]'"
        )
    from streamcam.runtime.torch_network import TorchNetwork

    return TorchNetwork(config, model)


def _graph_of(config: RunConfig) -> Path | None:
    """Return the exported graph that gives what a configuration asks for; None if PyTorch is to compute it."""
    if is_graph(config.model):
        return Path(config.model)
    packaged = packaged_graph(config.model, precision=config.precision)
    # Without a word on where to compute, a GPU is faster than any graph on the CPU.
    is_elsewhere = config.device not in ("auto", "cpu") or (
        config.device == "auto" and config.backend == "auto" and any(path.exists() for path in GPUS)
    )
    needs_torch = config.backend == "torch" or config.decode != "cpu" or config.engine == "window" or config.weights
    return None if is_elsewhere or needs_torch else packaged
