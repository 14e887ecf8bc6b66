"""What the engines of exported graphs share: a graph that is prepared, and the heat of clips that it gives."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamcam.engines.base import BatchFuture
from streamcam.engines.exported.choice import Choice
from streamcam.engines.exported.graph import Compiled, Graph, Slices
from streamcam.errors import LostError, first_line
from streamcam.heat.results import HeatContext, HeatTimes, to_heats
from streamcam.models.spec import ModelSpec
from streamcam.records import Clip, Heat

MAX_BATCH = 8
"""So many clips are computed before the first result is read."""


@dataclass(slots=True)
class GraphRunner:
    """A graph in one precision, for one model spec."""

    graph: Graph
    spec: ModelSpec
    """Of the model, with the clips and the groups of a run."""
    context: HeatContext
    precision: str
    device_name: str
    requests: int
    """How many clips or streams are computed side by side."""
    threads: int
    on_cpu: bool = True

    def compiled(self, size: tuple[int, int]) -> Compiled:
        """Prepare the graph for pictures of a size, (h, w)."""
        return self.graph.compile(size, precision=self.precision, requests=self.requests, threads=self.threads)


class GraphEngine(ABC):
    """An engine whose clips are computed by a graph."""

    in_flight = 1
    max_batch = MAX_BATCH
    needs_every_frame = False
    name: str
    head_start: bool

    def __init__(self, runner: GraphRunner, *, top_k: int, classes: Sequence[int] | None) -> None:
        """Prepare the graph for the usual size of pictures.

        Args:
            runner: the graph.
            top_k: how many classes' heat each result carries, where `classes` is not given.
            classes: indices of the classes whose heat each result carries.

        Raises:
            StreamcamError: the runtime cannot compute the graph.
        """
        self.runner, self._choice = runner, Choice(runner.spec, top_k=top_k, classes=classes)
        self._compiled: dict[tuple[int, int], Compiled] = {}
        self._compiled_for(runner.spec.clip_format.crop)

    def weight(self, _clip: Clip) -> int:
        """Return how many of `max_batch` a clip counts for."""
        return 1

    def submit(self, clips: Sequence[Clip]) -> BatchFuture:
        """Compute clips. Batches are computed in the order in which they are submitted.

        Raises:
            LostError: the runtime has failed.
        """
        try:
            heats = self.infer(clips)
        except RuntimeError as e:
            name = self.runner.device_name
            reason = first_line(e, limit=None)
            raise LostError(f"{name} has failed, and computes nothing more for this process ({reason})") from e
        return BatchFuture(done=lambda: True, wait=lambda: heats)

    @abstractmethod
    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        """Compute the heat of each clip, in order; None for a clip that is not full yet."""

    def _compiled_for(self, size: tuple[int, int]) -> Compiled:
        if size not in self._compiled:
            self._compiled[size] = self.runner.compiled(size)
        return self._compiled[size]

    def _heat(self, clip: Clip, slices: Slices, times: HeatTimes) -> Heat:
        """Make the heat of one clip from what the graph gave for it."""
        logits, classes, cube, common = self._choice.of(*slices)
        (heat,) = to_heats(
            logits[None], classes[None], [cube], [common], clips=[clip], times=[times], context=self.runner.context
        )
        return heat


def size_of(clip: Clip) -> tuple[int, int]:
    """Give (h, w) of a clip's frames."""
    _, _, height, width = clip.frames.shape
    return height, width


def in_groups(clips: Sequence[Clip], count: int) -> Iterator[Sequence[Clip]]:
    """Yield clips in groups of `count` at most."""
    for first in range(0, len(clips), count):
        yield clips[first : first + count]
