"""A run's network, computed from an exported graph, without PyTorch."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from streamcam.config.run import MAX_CLASSES, RunConfig
from streamcam.engines.base import Engine
from streamcam.engines.cores import usable_cores
from streamcam.engines.exported.backends import read_graph
from streamcam.engines.exported.engine import GraphRunner
from streamcam.engines.exported.stream_engine import GraphStreamEngine
from streamcam.engines.exported.window_engine import GraphWindowEngine
from streamcam.errors import StreamcamError
from streamcam.models.classes import grouped
from streamcam.sources.pixels.decoder import Decoder


class GraphNetwork:
    """An exported graph."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        """Read a graph, and check that it gives what a configuration asks for.

        Raises:
            StreamcamError: it does not, or cannot be read.
        """
        self._config, self._path = config, path
        self._backend, self._graph = read_graph(path, backend=config.backend)
        self._card = self._graph.card
        self._precision = self._graph.require(config.precision)
        if refusal := self._refusal():
            raise StreamcamError(f"{path} {refusal}")
        self.spec = self._card.spec().with_clip_format(length=config.window, fps=config.fps)

    def make_engines(self, groups: Mapping[str, Sequence[str]] | None, classes: Sequence[int] | None) -> list[Engine]:
        """Make the engine, on the CPU."""
        config, spec = self._config, grouped(self.spec, groups)
        cores, sources = usable_cores(), len(config.sources)
        # Requests that are computed side by side have a thread each, and wait for nobody. Where several threads compute
        # one request, they wait for each other after each layer: a core stays free for decoding.
        alone = max(1, cores if config.as_fast_as_possible else cores - 1)
        runner = GraphRunner(
            self._graph,
            spec,
            spec.context(self._card.model_hash),
            self._precision,
            device_name=self._backend,
            requests=min(sources, cores),
            threads=alone if sources == 1 else cores,
        )
        # Rules need the heat of all classes: a softmax in a zone is over all of them.
        top_k = MAX_CLASSES if config.events else config.top_k
        engine = GraphStreamEngine if self._card.stream else GraphWindowEngine
        return [engine(runner, top_k=top_k, classes=None if config.events else classes)]

    def decoders(self, _engines: Sequence[Engine]) -> list[Decoder]:
        """Return none: pictures are decoded by the CPU."""
        return []

    def computing(self) -> AbstractContextManager[None]:
        """Do nothing: a graph is compiled for its number of threads."""
        return nullcontext()

    def _refusal(self) -> str | None:
        """Return why the graph does not give what the configuration asks for; None if it does."""
        config, card = self._config, self._card
        kind = "stream" if card.stream else "window"
        checks = {
            f"computes on the CPU: leave out --device {config.device}": config.device not in ("auto", "cpu"),
            f"is for the engine {kind}: leave out --engine {config.engine}": config.engine not in ("auto", kind),
            f"takes windows of {card.clip.length} frames: leave out --window, or export it with --stream": (
                not card.stream and config.window not in (None, card.clip.length)
            ),
            "has its own weights: leave out --weights": config.weights is not None,
            "gives a slice for every frame as it is: leave out --dense": config.dense,
            "computes on the CPU: leave out --decode cuda": config.decode != "cpu",
        }
        return next((text for text, holds in checks.items() if holds), None)
