"""The training loop. It can be killed at any step, and a resumed run has the losses of an unbroken one.

That works because all that is random depends on the seed, the epoch and the step alone. `clips.BalancedSampler` draws
the clips of a batch, `clips.ClipDataset` draws where in a clip the frames begin, and `_step` seeds the augmentation.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
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
from streamcam.train.frozen import VIEWS, PooledClips, ViewSampler, fit_best, pool_views
from streamcam.train.metrics import EpochMetrics, Validation, judge, loss_of
from streamcam.train.optimizer import feature_scale, new_optimizer, rescale_classifier
from streamcam.train.progress import Progress, TrainingDisplay
from streamcam.train.ranks import gather_rows, share_buffers
from streamcam.train.state import TrainingState
from streamcam.train.workers import BatchLoader

SAVE_EVERY_S = 60.0
WARM_UP = 0.05
"""The share of all steps in which the learning rate rises."""


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
        self,
        model: CamModel,
        dataset: Dataset,
        config: TrainConfig,
        fabric: Fabric,
        *,
        new_classes: bool,
        say: Callable[[str], None],
    ) -> None:
        """Prepare a run.

        Args:
            model: has the classes of `dataset`, in their order.
            dataset: the clips.
            config: the options.
            fabric: has been launched; each of its processes makes a trainer.
            new_classes: whether the classifier is untrained. Behind pretrained features it is fitted first.
            say: called with a line for each clip that cannot be decoded.
        """
        self.model, self.dataset, self.config, self.fabric, self._say = model, dataset, config, fabric, say
        self.progress = Progress()
        self.pooled: PooledClips | None = None  # of the training clips, where it is known already
        self.digest = dataset.digest
        clip_format, classes = model.spec.clip_format, len(dataset.classes)
        rank = {"rank": fabric.global_rank, "world": fabric.world_size}
        self._sampler = BalancedSampler(dataset.train, batch=config.batch, seed=config.seed, **rank)
        frames = frames_needed(clip_format.length)
        self._train_clips = ClipDataset(dataset.train, classes, clip_format, frames=frames, seed=config.seed)
        val = ClipDataset(dataset.val, classes, clip_format, frames=clip_format.length)
        val_sampler = ValidationSampler(len(dataset.val), batch=config.batch, **rank)
        self._train_batches = BatchLoader(self._train_clips, self._sampler, workers=config.workers)
        self._val_batches = BatchLoader(val, val_sampler, workers=config.workers)
        self._augment = Augment(clip_format, mirrored_classes(dataset.classes))
        if config.freeze:
            model.features.requires_grad_(False)
        pretrained = config.weights != "none"
        self.fits_classifier = new_classes and pretrained
        """Whether training begins with a classifier that is fitted to the features as they are."""
        scale = feature_scale(model, val) if pretrained and not new_classes else 1.0
        optimizer = new_optimizer(model, scale=scale, pretrained=pretrained, learning_rate=config.learning_rate)
        self._net, self._optimizer = fabric.setup(LogitsModule(model), optimizer)
        self.total_steps = config.epochs * len(self._sampler)

    def epochs(self, state: Path, show: TrainingDisplay) -> Iterator[tuple[Validation, bool]]:
        """Train to the last epoch; after each, yield its validation, and whether it is the best so far.

        Before the first, a new classifier is fitted to pretrained features as they are, and validated as epoch 0.

        The caller writes the checkpoint of the best epoch before `state` says that the epoch is done. A run that is
        killed between the two does the end of the epoch again.

        Args:
            state: the file that is written every minute and after each epoch, for `resume`.
            show: shows each step and epoch.
        """
        if self.fits_classifier and not self.progress.history and not self.progress.step:
            start_s = time.monotonic()
            loss = self._fit_classifier(show)
            seconds = time.monotonic() - start_s
            yield self._validate_epoch(0, train_loss=loss, rate=0.0, seconds=seconds, show=show)
            self.save(state)
        while self.progress.epoch < self.config.epochs and self._share_done() < 1:
            self._train_epoch(state, show)
            progress, rate = self.progress, self._learning_rate()
            loss = progress.loss_sum / max(1, progress.step)
            # The next epoch begins at step 0, with no loss and no time.
            self.progress = Progress(epoch=progress.epoch + 1, history=progress.history)
            number, seconds = self.progress.epoch, progress.seconds
            yield self._validate_epoch(number, train_loss=loss, rate=rate, seconds=seconds, show=show)
            self.save(state)

    def _fit_classifier(self, show: TrainingDisplay) -> float:
        """Fit the classifier to the features as they are, and return its loss on the training clips."""
        clips = self.pooled or self.pool_training_clips(show)
        # Clips of the same person, or else of the same file, do not judge each other.
        groups = [clip.group or str(clip.path) for clip in self.dataset.train]
        layer, loss = fit_best(clips, groups, multi_label=self.config.multi_label)
        self.model.head.classifier.load_state_dict(self.fabric.broadcast(layer.state_dict()))
        rescale_classifier(self._optimizer, clips.scale)
        return loss

    def pool_training_clips(self, show: TrainingDisplay) -> PooledClips:
        """Compute what the classifier reads of the training clips, in several views of each, on all ranks together."""
        self._net.eval()
        with self.fabric.autocast():
            clips = pool_views(self.model, self._training_views(show))
        parts = clips.features, clips.targets, clips.numbers
        return PooledClips(*(gather_rows(self.fabric, part) for part in parts))

    def _training_views(self, show: TrainingDisplay) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield clips as the network takes them, their targets and numbers, for each batch of this rank."""
        rank = {"rank": self.fabric.global_rank, "world": self.fabric.world_size}
        sampler = ViewSampler(len(self.dataset.train), views=VIEWS, batch=self.config.batch, **rank)
        batches = BatchLoader(self._train_clips, sampler, workers=self.config.workers)
        for i, batch in enumerate(batches):
            self._name_unreadable(batch, self.dataset.train)
            if len(batch.frames):
                batch = Batch(*(tensor.to(self.fabric.device) for tensor in batch))
                generator = torch.Generator().manual_seed(self._seed(i))
                yield *self._augment(batch.frames, batch.available, batch.targets, generator), batch.numbers
            show.look_at(i + 1, len(sampler))

    def _seed(self, step: int) -> int:
        """Return what seeds the random numbers of a step on this rank."""
        return (self.config.seed * 1_000_003 + step) * 1_009 + self.fabric.global_rank

    def _train_epoch(self, state: Path, show: TrainingDisplay) -> None:
        progress, saved_s = self.progress, time.monotonic()
        self._sampler.epoch, self._sampler.first = progress.epoch, progress.step
        start_s = time.monotonic() - progress.seconds  # as if a resumed epoch had not been interrupted
        for batch in self._train_batches:
            loss = self._step(batch)
            progress.loss_sum += loss
            progress.step += 1
            progress.seconds = time.monotonic() - start_s
            share = self._share_done()
            show.step(round(share * self.total_steps), self.total_steps, epoch=progress.epoch, loss=loss)
            if share >= 1:
                return
            if time.monotonic() - saved_s > SAVE_EVERY_S:
                saved_s = time.monotonic()
                self.save(state)

    def _share_done(self) -> float:
        """Return how much of the training is done, 0–1: of the steps or, if that is more, of the time for it."""
        share = self._steps_done / max(1, self.total_steps)
        if self.config.max_minutes is None:
            return share
        spent_s = sum(epoch.seconds for epoch in self.progress.history) + self.progress.seconds
        # All ranks end at the same step: that of rank 0.
        return self.fabric.broadcast(min(1.0, max(share, spent_s / (60 * self.config.max_minutes))))

    @property
    def _steps_done(self) -> int:
        return self.progress.epoch * len(self._sampler) + self.progress.step

    def _step(self, batch: Batch) -> float:
        """Train on a batch and return its loss. All randomness is seeded by the seed, the step and the rank alone."""
        self._name_unreadable(batch, self.dataset.train)
        empty = not len(batch.frames)
        if empty and self.fabric.world_size == 1:  # no clip of the batch could be decoded
            return 0.0
        seed = self._seed(self._steps_done)
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
        done = self._share_done()
        warm_up = min(1.0, (done + 1 / max(1, self.total_steps)) / WARM_UP)
        return self.config.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * done))

    @torch.no_grad()
    def validate(self) -> Validation:
        """Run the network on every validation clip, on all ranks together.

        Raises:
            StreamcamError: no validation clip can be decoded.
        """
        share_buffers(self.fabric, self.model)
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
        all_logits, all_targets = (gather_rows(self.fabric, torch.cat(rows)) for rows in (logits, targets))
        return judge(all_logits, all_targets, self.dataset.classes, multi_label=self.config.multi_label)

    def _validate_epoch(
        self, epoch: int, *, train_loss: float, rate: float, seconds: float, show: TrainingDisplay
    ) -> tuple[Validation, bool]:
        """Validate, add an epoch to the history, and return also whether it is the best so far."""
        validation = self.validate()
        metrics = EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            val_loss=validation.loss,
            score=validation.score,
            learning_rate=rate,
            seconds=seconds,
            background_named=validation.background_named,
            choice=validation.choice,
        )
        best = all(metrics.quality > other.quality for other in self.progress.history)
        self.progress.history.append(metrics)
        show.epoch(metrics, best=best)
        return validation, best

    def save(self, path: Path) -> None:
        """Write all that `resume` needs. Only rank 0 does so."""
        if not self.fabric.global_rank:
            state = TrainingState(self.model, self._optimizer, self.progress)
            state.write(path, self.config, self.digest)

    def resume(self, path: Path) -> None:
        """Load the state of a run of the same data and options, to go on where it ended.

        Raises:
            StreamcamError: the file cannot be read, or belongs to other data or options.
        """
        state = TrainingState(self.model, self._optimizer, self.progress)
        self.progress = state.read(path, self.config, self.digest)
