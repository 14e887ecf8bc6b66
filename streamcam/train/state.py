"""The file that an interrupted training goes on from."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent
from streamcam.models.base import CamModel
from streamcam.train.metrics import EpochMetrics
from streamcam.train.progress import Progress

STATE_FORMAT = 2


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that a training is at a given step, but for its data and options."""

    model: CamModel
    optimizer: torch.optim.Optimizer
    progress: Progress

    def write(self, path: Path, config: TrainConfig, digest: str) -> None:
        """Write it as plain tensors and numbers, with what `read` compares."""
        state = {
            "format": STATE_FORMAT,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
            "config": _options(config),
            "data": digest,
        }
        with complete_or_absent(path) as partial:
            torch.save(state, partial)

    def read(self, path: Path, config: TrainConfig, digest: str) -> Progress:
        """Load weights and optimiser from a file, and return the progress.

        Args:
            path: what `write` has written.
            config: the options.
            digest: of the data, as `Dataset.digest` gives it.

        Raises:
            StreamcamError: the file cannot be read, or belongs to other data or options.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            same = state["format"] == STATE_FORMAT and state["config"] == _options(config)
        except Exception as e:  # a damaged file makes the reader fail in many ways
            raise StreamcamError(f"cannot go on from {path}: it is damaged (start again with --force)") from e
        if not same or state["data"] != digest:
            raise StreamcamError(f"cannot go on from {path}: it belongs to other data or options (or start --force)")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        progress = state["progress"]
        return Progress(**progress | {"history": [EpochMetrics(**line) for line in progress["history"]]})


def _options(config: TrainConfig) -> str:
    """Return the options that decide the result, as JSON."""
    return config.model_dump_json(exclude={"out", "data", "workers", "resume", "force"})
