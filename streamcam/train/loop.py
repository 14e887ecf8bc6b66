"""The training loop: batches → losses → a checkpoint. It can be ended at any step and goes on as if it had not been."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from streamcam.config import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent
from streamcam.models.base import CamModel
from streamcam.train.augment import Augment, frames_needed, mirrored
from streamcam.train.clips import Batch, Clips, InOrder, Order, centred, skipped
from streamcam.train.dataset import Dataset
from streamcam.train.optimizer import new_optimizer
from streamcam.train.rows import LabelledClip
from streamcam.train.workers import BatchQueue

SAVE_EVERY_S = 60.0
WARM_UP = 0.05
"""The share of all steps in which the learning rate rises."""

STATE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one round over the clips came to: a line of metrics.csv."""

    epoch: int
    train_loss: float
    val_loss: float
    score: float
    """0–1 on the validation clips: the mean over classes of the share recognised or, multi-label, of the average
    precision."""
    learning_rate: float
    seconds: float


@dataclass(slots=True)
class Progress:
    """How far a run is: all of its state beside weights and optimiser."""

    epoch: int = 0
    step: int = 0
    """Batches done in this epoch."""
    loss_sum: float = 0.0
    seconds: float = 0.0
    """In this epoch."""
    best: float = -1.0
    history: list[Epoch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Validation:
    """What a network says of the validation clips."""

    loss: float
    score: float
    logits: npt.NDArray[np.float32]
    """float32 [M,C]."""
    targets: npt.NDArray[np.float32]
    """float32 [M,C]."""


class Show(Protocol):
    """Is told how it goes."""

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        """So many of all steps are done."""

    def epoch(self, epoch: Epoch, *, best: bool) -> None:
        """A round is complete."""


class Logits(nn.Module):
    """A `CamModel` that gives its logits alone: what can be trained on several devices."""

    def __init__(self, model: CamModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        """Float 0–255 [N,L,3,h,w] → logits [N,C]."""
        logits: Tensor = self.model(self.model.normalise(frames)).logits
        return logits


class Trainer:
    """One run: a model, its data, and how far it is."""

    def __init__(
        self, model: CamModel, dataset: Dataset, config: TrainConfig, fabric: Fabric, *, say: Callable[[str], None]
    ) -> None:
        self.model, self.dataset, self.config, self.fabric, self._say = model, dataset, config, fabric, say
        self.progress = Progress()
        self.digest = dataset.digest
        clip_format, classes = model.spec.clip_format, len(dataset.classes)
        share = {"rank": fabric.global_rank, "world": fabric.world_size}
        self._order = Order(dataset.train, batch=config.batch, seed=config.seed, **share)
        frames = frames_needed(clip_format.length)
        train = Clips(dataset.train, classes, clip_format, frames=frames, seed=config.seed)
        val = Clips(dataset.val, classes, clip_format, frames=clip_format.length)
        self._train = BatchQueue(train, self._order, workers=config.workers)
        self._val = BatchQueue(val, InOrder(len(dataset.val), batch=config.batch, **share), workers=config.workers)
        self._augment = Augment(clip_format, mirrored(dataset.classes))
        if config.freeze:
            model.features.requires_grad_(False)
        optimizer = new_optimizer(model, val, pretrained=config.weights != "none", learning_rate=config.learning_rate)
        self._net, self._optimizer = fabric.setup(Logits(model), optimizer)
        self.total_steps = config.epochs * len(self._order)

    def epochs(self, state: Path, show: Show) -> Iterator[tuple[Validation, bool]]:
        """Train to the end; after each epoch, what it says of the validation clips, and whether it is the best so far.

        Args:
            state: the file that is written every minute, and that `resume` reads.
            show: is told how it goes.
        """
        while self.progress.epoch < self.config.epochs:
            self._train_epoch(state, show)
            validation = self.validate()
            best = self._close_epoch(validation, show)
            yield validation, best
            self.save(state)

    def _train_epoch(self, state: Path, show: Show) -> None:
        progress, saved_s = self.progress, time.monotonic()
        self._order.epoch, self._order.first = progress.epoch, progress.step
        start_s = time.monotonic() - progress.seconds
        for batch in self._train:
            loss = self._step(batch)
            progress.loss_sum += loss
            progress.step += 1
            progress.seconds = time.monotonic() - start_s
            show.step(self._steps_done, self.total_steps, epoch=progress.epoch, loss=loss)
            if time.monotonic() - saved_s > SAVE_EVERY_S:
                saved_s = time.monotonic()
                self.save(state)

    @property
    def _steps_done(self) -> int:
        return self.progress.epoch * len(self._order) + self.progress.step

    def _step(self, batch: Batch) -> float:
        """One batch; all that is random in it depends on nothing but the seed and the number of the step."""
        self._name_unread(batch, self.dataset.train)
        empty = not len(batch.frames)
        if empty and self.fabric.world_size == 1:
            return 0.0
        seed = (self.config.seed * 1_000_003 + self._steps_done) * 1_009 + self.fabric.global_rank
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        batch = Batch(*(tensor.to(self.fabric.device) for tensor in batch))
        loss = self._no_loss() if empty else self._loss(batch, generator)
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * self._learning_rate()
        self._optimizer.zero_grad()
        self.fabric.backward(loss)
        self._optimizer.step()
        if not math.isfinite(value := float(loss.detach())):
            raise StreamcamError("the loss is not finite any more: try a lower --learning-rate, or --precision fp32")
        return value

    def _loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        frames, targets = self._augment(batch.frames, batch.available, batch.targets, generator)
        self._training_mode()
        return loss_of(self._net(frames), targets, multi_label=self.config.multi_label)

    def _no_loss(self) -> Tensor:
        """Of a step in which nothing is learnt: the other ranks wait for this one's gradients, which are zero."""
        self._net.eval()  # batch norms learn nothing, either
        clip_format = self.model.spec.clip_format
        logits: Tensor = self._net(torch.zeros(1, clip_format.length, 3, *clip_format.crop, device=self.fabric.device))
        return 0.0 * logits.sum()

    def _name_unread(self, batch: Batch, clips: Sequence[LabelledClip]) -> None:
        for number in batch.unread.tolist():
            self._say(skipped(clips[number]))

    def _training_mode(self) -> None:
        """A frozen backbone stays as it is in use: its batch norms learn nothing, either."""
        self._net.train()
        if self.config.freeze:
            self.model.features.eval()

    def _learning_rate(self) -> float:
        """Rising at first, then along a cosine to nothing (Loshchilov & Hutter, ICLR 2017)."""
        done = self._steps_done / max(1, self.total_steps)
        rise = min(1.0, (self._steps_done + 1) / max(1.0, WARM_UP * self.total_steps))
        return self.config.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * done))

    @torch.no_grad()
    def validate(self) -> Validation:
        """Look at every validation clip."""
        self._same_buffers()
        self._net.eval()
        classes = len(self.dataset.classes)
        logits, targets = [torch.zeros(0, classes)], [torch.zeros(0, classes)]
        for batch in self._val:
            self._name_unread(batch, self.dataset.val)
            if len(batch.frames):
                frames = centred(batch.frames.to(self.fabric.device), self.model.spec.clip_format)
                with self.fabric.autocast():
                    logits.append(self._net.module(frames).float().cpu())  # without what ranks would wait in
                targets.append(batch.targets)
        all_logits, all_targets = self._gather(torch.cat(logits)), self._gather(torch.cat(targets))
        if not len(all_logits):
            raise StreamcamError("not one validation clip can be decoded any more")
        multi_label = self.config.multi_label
        loss = float(loss_of(all_logits, all_targets, multi_label=multi_label))
        score = score_of(all_logits.numpy(), all_targets.numpy(), multi_label=multi_label)
        return Validation(loss, score, all_logits.numpy(), all_targets.numpy())

    def _same_buffers(self) -> None:
        """What batch norms have seen is the first rank's, which writes the checkpoint. Some ranks may have no clips."""
        if self.fabric.world_size > 1:
            for buffer in self.model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _gather(self, values: Tensor) -> Tensor:
        """The rows of all ranks."""
        if self.fabric.world_size == 1:
            return values
        rows: list[Tensor] = [torch.empty(0)] * self.fabric.world_size
        torch.distributed.all_gather_object(rows, values)
        return torch.cat(rows)

    def _close_epoch(self, validation: Validation, show: Show) -> bool:
        progress = self.progress
        line = Epoch(
            epoch=progress.epoch,
            train_loss=progress.loss_sum / max(1, progress.step),
            val_loss=validation.loss,
            score=validation.score,
            learning_rate=self._learning_rate(),
            seconds=progress.seconds,
        )
        best = validation.score > progress.best
        history = [*progress.history, line]
        self.progress = Progress(epoch=progress.epoch + 1, best=max(progress.best, validation.score), history=history)
        show.epoch(line, best=best)
        return best

    def save(self, path: Path) -> None:
        """Write all that `resume` needs: plain tensors and numbers."""
        if self.fabric.global_rank:
            return
        state = {
            "format": STATE_FORMAT,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
            "config": self._options(),
            "data": self.digest,
        }
        with complete_or_absent(path) as partial:
            torch.save(state, partial)

    def resume(self, path: Path) -> None:
        """Go on where a run of the same data and options was ended.

        Raises:
            StreamcamError: the file cannot be read, or belongs to other data or options.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            same = state["format"] == STATE_FORMAT and state["config"] == self._options()
        except Exception as e:  # whatever the reader of a damaged file stumbles over
            raise StreamcamError(f"cannot go on from {path}: it is damaged (start again with --force)") from e
        if not same or state["data"] != self.digest:
            raise StreamcamError(f"cannot go on from {path}: it belongs to other data or options (or start --force)")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        progress = state["progress"]
        self.progress = Progress(**progress | {"history": [Epoch(**line) for line in progress["history"]]})

    def _options(self) -> str:
        """The options that decide what comes out."""
        return self.config.model_dump_json(exclude={"out", "data", "workers", "resume", "force"})


def loss_of(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Cross-entropy of logits [N,C] and targets [N,C]: one question for all classes, or one for each."""
    return F.binary_cross_entropy_with_logits(logits, targets) if multi_label else F.cross_entropy(logits, targets)


def score_of(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], *, multi_label: bool) -> float:
    """0–1, each class counting the same: recall or, multi-label, average precision; of the classes that occur."""
    occurring = np.flatnonzero(targets.any(0))
    if multi_label:
        return float(np.mean([average_precision(logits[:, c], targets[:, c] > 0) for c in occurring]))
    right = logits.argmax(1) == targets.argmax(1)
    return float(np.mean([right[targets[:, c] > 0].mean() for c in occurring]))


def average_precision(scores: npt.NDArray[np.float32], positive: npt.NDArray[np.bool_]) -> float:
    """The mean, over the positive ones, of the precision among all that score as high or higher."""
    order = np.argsort(-scores, kind="stable")
    hits = positive[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())
