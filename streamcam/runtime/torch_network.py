"""A run's network, computed by PyTorch, or converted by it for OpenVINO."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from streamcam.config.run import MAX_CLASSES, RunConfig
from streamcam.engines.backends import make_engine, require_device
from streamcam.engines.base import Engine
from streamcam.engines.device.hardware import a_core_left_free
from streamcam.engines.device.runner import TorchRunner
from streamcam.gpu.decoder import GpuDecoder, decoders_on
from streamcam.models.base import CamModel
from streamcam.models.registry import find_spec, load_model


class TorchNetwork:
    """A model by its name, a checkpoint, or a model that is loaded already."""

    def __init__(self, config: RunConfig, model: CamModel | None) -> None:
        """Check that there is such a model, and what is to compute it.

        Raises:
            StreamcamError: there is none, or no such device or backend.
        """
        for device in config.device.split(","):
            require_device(device, backend=config.backend)
        self.spec = model.spec if model is not None else find_spec(config.model)
        self._config, self._model = config, model

    def make_engines(self, groups: Mapping[str, Sequence[str]] | None, classes: Sequence[int] | None) -> list[Engine]:
        """Load the model, and make an engine on each device."""
        config = self._config
        loaded = (self._model or load_model(config.model, weights=config.weights)).grouped(groups)
        model = loaded.with_clip_format(length=config.window, fps=config.fps)
        with self.computing():  # OpenVINO takes its number of threads when it compiles
            return [
                make_engine(
                    model,
                    name=config.engine,
                    backend=config.backend,
                    device=device,
                    precision=config.precision,
                    # Rules need the heat of all classes: a softmax in a zone is over all of them.
                    top_k=MAX_CLASSES if config.events else config.top_k,
                    classes=None if config.events else classes,
                    dense=config.dense,
                    hop=config.hop,
                )
                for device in config.device.split(",")
            ]

    def decoders(self, engines: Sequence[Engine]) -> list[GpuDecoder]:
        """Return a decoder for each GPU that computes, where the configuration asks for that."""
        if self._config.decode == "cpu":
            return []
        return decoders_on([engine.runner.device for engine in engines if isinstance(engine.runner, TorchRunner)])

    def computing(self) -> AbstractContextManager[None]:
        """Leave a core free for decoding, unless sources wait for the network anyway."""
        return nullcontext() if self._config.as_fast_as_possible else a_core_left_free()
