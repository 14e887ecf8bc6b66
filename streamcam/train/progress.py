"""How far a training run is, and what shows it."""

from dataclasses import dataclass, field
from typing import Protocol

from streamcam.train.metrics import EpochMetrics


@dataclass(slots=True)
class Progress:
    """How far a run is: all of its state except the weights and the optimiser."""

    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Batches done in the epoch after those."""
    loss_sum: float = 0.0
    """Over the batches of this epoch."""
    seconds: float = 0.0
    """Spent in this epoch."""
    history: list[EpochMetrics] = field(default_factory=list)


class TrainingDisplay(Protocol):
    """Shows how far training is."""

    def look_at(self, done: int, count: int) -> None:
        """Show that `done` of `count` clips have been looked at."""

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        """Show that `done` of all `total` steps are done."""

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        """Show the figures of an epoch; `best` if it is the best so far."""
