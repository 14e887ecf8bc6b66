"""The training loop. It can be killed at any step, and a resumed run has the losses of an unbroken one.

That works because all that is random depends on the seed, the epoch and the step alone. `clips.BalancedSampler` draws
the clips of a batch, `clips.ClipDataset` draws where in a clip the frames begin, and `_step` seeds the augmentation.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent
from streamcam.models.base import CamModel
from streamcam.train.augment import Augment, frames_needed, mirrored_classes
from streamcam.train.clips import (
    BalancedSampler,
    Batch,
    ClipDataset,
    ValidationSampler,
    centre_crop,
    unreadable_note,
)
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import Dataset
from streamcam.train.metrics import EpochMetrics, Validation, judge, loss_of
from streamcam.train.optimizer import new_optimizer
from streamcam.train.workers import BatchLoader

SAVE_EVERY_S = 60.0
WARM_UP = 0.05
"""The share of all steps in which the learning rate rises."""

STATE_FORMAT = 1


@dataclass(slots=True)
class Progress:
    """How far a run is: all of its state except the weights and the optimiser."""

    epoch: int = 0
    step: int = 0
    """Batches done in this epoch."""
    loss_sum: float = 0.0
    """Over the batches of this epoch."""
    seconds: float = 0.0
    """Spent in this epoch."""
    best: float = -math.inf
    """The highest `choice` of an epoch so far."""
    history: list[EpochMetrics] = field(default_factory=list)


class TrainingDisplay(Protocol):
    """Shows how far training is."""

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        """Show that `done` of all `total` steps are done."""

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        """Show the figures of an epoch; `best` if it is the best so far."""


class LogitsModule(nn.Module):
    """A `CamModel` that returns its logits alone: a module that can be trained on several devices."""

    def __init__(self, model: CamModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        """Map float [N,L,3,h,w] in 0–255 to logits [N,C]."""
        logits: Tensor = self.model(self.model.normalise(frames)).logits
        return logits


class Trainer:
    """A training run: a model, its data and its progress."""

    def __init__(
        self, model: CamModel, dataset: Dataset, config: TrainConfig, fabric: Fabric, *, say: Callable[[str], None]
    ) -> None:
        """Prepare a run.

        Args:
            model: has the classes of `dataset`, in their order.
            dataset: the clips.
            config: the options.
            fabric: has been launched; each of its processes makes a trainer.
            say: called with a line for each clip that cannot be decoded.
        """
        self.model, self.dataset, self.config, self.fabric, self._say = model, dataset, config, fabric, say
        self.progress = Progress()
        self.digest = dataset.digest
        clip_format, classes = model.spec.clip_format, len(dataset.classes)
        rank = {"rank": fabric.global_rank, "world": fabric.world_size}
        self._sampler = BalancedSampler(dataset.train, batch=config.batch, seed=config.seed, **rank)
        frames = frames_needed(clip_format.length)
        train = ClipDataset(dataset.train, classes, clip_format, frames=frames, seed=config.seed)
        val = ClipDataset(dataset.val, classes, clip_format, frames=clip_format.length)
        val_sampler = ValidationSampler(len(dataset.val), batch=config.batch, **rank)
        self._train_batches = BatchLoader(train, self._sampler, workers=config.workers)
        self._val_batches = BatchLoader(val, val_sampler, workers=config.workers)
        self._augment = Augment(clip_format, mirrored_classes(dataset.classes))
        if config.freeze:
            model.features.requires_grad_(False)
        optimizer = new_optimizer(model, val, pretrained=config.weights != "none", learning_rate=config.learning_rate)
        self._net, self._optimizer = fabric.setup(LogitsModule(model), optimizer)
        self.total_steps = config.epochs * len(self._sampler)

    def epochs(self, state: Path, show: TrainingDisplay) -> Iterator[tuple[Validation, bool]]:
        """Train to the last epoch; after each, yield its validation, and whether it is the best so far.

        The caller writes the checkpoint of the best epoch before `state` says that the epoch is done. A run that is
        killed between the two does the end of the epoch again.

        Args:
            state: the file that is written every minute and after each epoch, for `resume`.
            show: shows each step and epoch.
        """
        while self.progress.epoch < self.config.epochs:
            self._train_epoch(state, show)
            validation = self.validate()
            best = self._finish_epoch(validation, show)
            yield validation, best
            self.save(state)

    def _train_epoch(self, state: Path, show: TrainingDisplay) -> None:
        progress, saved_s = self.progress, time.monotonic()
        self._sampler.epoch, self._sampler.first = progress.epoch, progress.step
        start_s = time.monotonic() - progress.seconds  # as if a resumed epoch had not been interrupted
        for batch in self._train_batches:
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
        return self.progress.epoch * len(self._sampler) + self.progress.step

    def _step(self, batch: Batch) -> float:
        """Train on a batch and return its loss. All randomness is seeded by the seed, the step and the rank alone."""
        self._name_unreadable(batch, self.dataset.train)
        empty = not len(batch.frames)
        if empty and self.fabric.world_size == 1:  # no clip of the batch could be decoded
            return 0.0
        seed = (self.config.seed * 1_000_003 + self._steps_done) * 1_009 + self.fabric.global_rank
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # for layers that are random themselves, such as dropout
        batch = Batch(*(tensor.to(self.fabric.device) for tensor in batch))
        loss = self._zero_loss() if empty else self._loss(batch, generator)
        # "rate" is the factor of each part of the network that `new_optimizer` has set.
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
        self._set_training_mode()
        return loss_of(self._net(frames), targets, multi_label=self.config.multi_label)

    def _zero_loss(self) -> Tensor:
        """Return a loss with zero gradients, for a rank without clips: the other ranks wait for its gradients."""
        self._net.eval()  # batch norms must not count the black clip
        clip_format = self.model.spec.clip_format
        logits: Tensor = self._net(torch.zeros(1, clip_format.length, 3, *clip_format.crop, device=self.fabric.device))
        return 0.0 * logits.sum()

    def _name_unreadable(self, batch: Batch, clips: Sequence[LabelledClip]) -> None:
        for number in batch.unreadable.tolist():
            self._say(unreadable_note(clips[number]))

    def _set_training_mode(self) -> None:
        """Set the network to training; a frozen backbone stays in evaluation, so that its batch norms do not change."""
        self._net.train()
        if self.config.freeze:
            self.model.features.eval()

    def _learning_rate(self) -> float:
        """Return the rate of this step: a linear warm-up, then a cosine to 0 (Loshchilov & Hutter, ICLR 2017)."""
        done = self._steps_done / max(1, self.total_steps)
        warm_up = min(1.0, (self._steps_done + 1) / max(1.0, WARM_UP * self.total_steps))
        return self.config.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * done))

    @torch.no_grad()
    def validate(self) -> Validation:
        """Run the network on every validation clip, on all ranks together.

        Raises:
            StreamcamError: no validation clip can be decoded.
        """
        self._share_buffers()
        self._net.eval()
        classes = len(self.dataset.classes)
        logits, targets = [torch.zeros(0, classes)], [torch.zeros(0, classes)]
        for batch in self._val_batches:
            self._name_unreadable(batch, self.dataset.val)
            if len(batch.frames):
                frames = centre_crop(batch.frames.to(self.fabric.device), self.model.spec.clip_format)
                with self.fabric.autocast():
                    # The wrapped module itself: its wrapper would wait for ranks that have fewer batches.
                    logits.append(self._net.module(frames).float().cpu())
                targets.append(batch.targets)
        all_logits, all_targets = self._gather(torch.cat(logits)), self._gather(torch.cat(targets))
        return judge(all_logits, all_targets, self.dataset.classes, multi_label=self.config.multi_label)

    def _share_buffers(self) -> None:
        """Give every rank the batch norms' statistics of rank 0, which writes the checkpoint.

        A rank may have had other clips, or none.
        """
        if self.fabric.world_size > 1:
            for buffer in self.model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def _gather(self, values: Tensor) -> Tensor:
        """Concatenate the rows of all ranks, which may have different numbers of them."""
        if self.fabric.world_size == 1:
            return values
        rows: list[Tensor] = [torch.empty(0)] * self.fabric.world_size
        torch.distributed.all_gather_object(rows, values)
        return torch.cat(rows)

    def _finish_epoch(self, validation: Validation, show: TrainingDisplay) -> bool:
        """Add an epoch to the history, and return whether it is the best so far."""
        progress = self.progress
        metrics = EpochMetrics(
            epoch=progress.epoch,
            train_loss=progress.loss_sum / max(1, progress.step),
            val_loss=validation.loss,
            score=validation.score,
            learning_rate=self._learning_rate(),
            seconds=progress.seconds,
            background_named=validation.background_named,
            choice=validation.choice,
        )
        best = validation.choice > progress.best
        history = [*progress.history, metrics]
        # The next epoch begins at step 0, with no loss and no time.
        self.progress = Progress(epoch=progress.epoch + 1, best=max(progress.best, validation.choice), history=history)
        show.epoch(metrics, best=best)
        return best

    def save(self, path: Path) -> None:
        """Write all that `resume` needs, as plain tensors and numbers. Only rank 0 does so."""
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
        """Load the state of a run of the same data and options, to go on where it ended.

        Raises:
            StreamcamError: the file cannot be read, or belongs to other data or options.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            same = state["format"] == STATE_FORMAT and state["config"] == self._options()
        except Exception as e:  # a damaged file makes the reader fail in many ways
            raise StreamcamError(f"cannot go on from {path}: it is damaged (start again with --force)") from e
        if not same or state["data"] != self.digest:
            raise StreamcamError(f"cannot go on from {path}: it belongs to other data or options (or start --force)")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        progress = state["progress"]
        self.progress = Progress(**progress | {"history": [EpochMetrics(**line) for line in progress["history"]]})

    def _options(self) -> str:
        """Return the options that decide the result, as JSON."""
        return self.config.model_dump_json(exclude={"out", "data", "workers", "resume", "force"})
