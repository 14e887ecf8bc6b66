"""A config → a trained checkpoint, with figures and pictures of what was learnt."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from streamcam.config import TrainConfig
from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.checkpoint import card_path, is_checkpoint
from streamcam.models.registry import find_spec, load_model, save_checkpoint
from streamcam.records import Heat, Image
from streamcam.render.contact_sheet import Cell
from streamcam.train import report
from streamcam.train.clips import read_frames, skipped
from streamcam.train.dataset import Dataset, read_dataset
from streamcam.train.loop import Epoch, Show, Trainer, Validation
from streamcam.train.rows import LabelledClip
from streamcam.train.workers import ending_with_workers

Say = Callable[[str], None]

STATE, BEST = "last.pt", "best.safetensors"
OUTPUTS = (STATE, BEST, card_path(Path(BEST)).name, "metrics.csv", "curves.png", "confusion.png", "heat.png")

SCALE_CLIPS = 16
"""Clips of each class from whose heat its scale is taken."""

SCALE_QUANTILE = 0.99
SHEET_CLIPS, SHEET_CLASSES = 2, 24
"""How many clips of how many classes the sheet of heat shows; a longer one nobody looks through."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run came to."""

    checkpoint: Path
    score: float
    """0–1, on the validation clips; see `Epoch.score`."""
    epochs: int
    leads: bool
    """Whether this process is the first of those that trained together: the one that speaks and writes."""


class _Quiet:
    """The others say nothing."""

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        pass

    def epoch(self, epoch: Epoch, *, best: bool) -> None:
        pass


def train(
    config: TrainConfig,
    *,
    show: Show,
    progress: Callable[[Iterable[Path], int], Iterable[Path]] = lambda paths, _: paths,
    found: Callable[[Dataset], None] = lambda _: None,
    say: Say = lambda _: None,
) -> Trained:
    """Train a model, and leave its checkpoint, figures and pictures in `config.out`.

    Args:
        config: what to do.
        show: is told how it goes.
        progress: goes through the files while they are looked into.
        found: is told what there is to learn from, before it begins.
        say: is told, in a line each, what was left out, and what else was noticed.

    Raises:
        StreamcamError: the data, the model or the options are wrong, or something cannot be written.
    """
    say = cache(say)  # the same line once
    _require_out(config)
    base = find_spec(config.model).with_clip_format(length=config.window, fps=config.fps)
    dataset = read_dataset(
        config.data,
        need_s=(base.clip_format.length - 1) / base.clip_format.fps,
        val_share=config.val_share,
        multi_label=config.multi_label,
        known=base.classes if is_checkpoint(config.model) else None,
        progress=progress,
    )
    fabric = Fabric(
        accelerator=config.device, devices=config.devices, num_nodes=config.nodes, precision=_precision(config)
    )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces what was asked for
    fabric.launch()
    leads = fabric.global_rank == 0
    if leads:
        found(dataset)
        for line in dataset.notes:
            say(line)
    torch.manual_seed(config.seed)
    model = load_model(config.model, weights=config.weights).with_spec(_own_spec(base, dataset, config))
    trainer = Trainer(model, dataset, config, fabric, say=say)
    config.out.mkdir(parents=True, exist_ok=True)
    if config.resume:
        trainer.resume(config.out / STATE)
    with ending_with_workers(config.out / STATE):
        for validation, best in trainer.epochs(config.out / STATE, show if leads else _Quiet()):
            if leads:
                _leave(trainer, validation, best=best, say=say)
    history = trainer.progress.history
    return Trained(config.out / BEST, max(line.score for line in history), len(history), leads)


def _require_out(config: TrainConfig) -> None:
    state = config.out / STATE
    if config.resume and not state.exists():
        raise StreamcamError(f"nothing to go on from: there is no {state}")
    there = [name for name in OUTPUTS if (config.out / name).exists()]
    if there and not (config.force or config.resume):
        raise StreamcamError(f"{config.out} holds {there[0]} of a run before: --resume it, or start again with --force")
    if config.out.exists() and not config.out.is_dir():
        raise StreamcamError(f"cannot write to {config.out}: it is not a folder")
    if config.force:
        for name in there:
            (config.out / name).unlink(missing_ok=True)  # each process that starts does so


def _own_spec(base: ModelSpec, dataset: Dataset, config: TrainConfig) -> ModelSpec:
    return replace(
        base,
        name=config.out.resolve().name,
        architecture=base.architecture or base.name,
        classes=dataset.classes,
        multi_label=config.multi_label,
        heat_scale=None,
    )


def _precision(config: TrainConfig) -> Literal["bf16-mixed", "32-true"]:
    gpu = config.device != "cpu" and torch.cuda.is_available()
    native = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else cpu_has_bf16()
    bf16 = config.precision == "bf16" or (config.precision == "auto" and native)
    return "bf16-mixed" if bf16 else "32-true"


def _leave(trainer: Trainer, validation: Validation, *, best: bool, say: Say) -> None:
    """Write what an epoch came to; the checkpoint and its pictures if it is the best so far."""
    out, config, history = trainer.config.out, trainer.config, trainer.progress.history
    report.write_metrics(out / "metrics.csv", history)
    report.draw_curves(out / "curves.png", history, multi_label=config.multi_label)
    if not best:
        return
    model = _scaled(trainer.model, trainer.dataset, say)
    metrics = {"score": validation.score, "loss": validation.loss, "epoch": float(history[-1].epoch)}
    save_checkpoint(model, out / BEST, metrics=metrics, data_hash=trainer.digest, about=_about(trainer, history[-1]))
    if not config.multi_label:
        report.draw_confusion(out / "confusion.png", validation, model.classes)
    report.write_sheet(out / "heat.png", _sheet(model, trainer.dataset, say))


def _about(trainer: Trainer, epoch: Epoch) -> str:
    dataset = trainer.dataset
    kind = "mean average precision" if trainer.config.multi_label else "mean recall"
    return (
        f"{trainer.config.model}, trained on {len(dataset.train)} clips of {len(dataset.classes)} classes; "
        f"{kind} {epoch.score:.3f} on {len(dataset.val)} others"
    )


def _scaled(model: CamModel, dataset: Dataset, say: Say) -> CamModel:
    """The model with a heat scale for each class: a high percentile of what is positive on clips of that class."""
    scales = []
    for label in range(len(dataset.classes)):
        clips = [clip for clip in dataset.train if label in clip.labels][:SCALE_CLIPS]
        heats = [heat.centred[label] for _, heat in _explained(model, clips, say)]
        positive = [heat[heat > 0] for heat in heats if (heat > 0).any()]
        scales.append(float(np.quantile(np.concatenate(positive), SCALE_QUANTILE)) if positive else 1.0)
    return model.with_spec(replace(model.spec, heat_scale=tuple(scales)))


def _sheet(model: CamModel, dataset: Dataset, say: Say) -> list[list[Cell]]:
    """Rows of validation clips, class by class, each with the heat of its own class."""
    if len(dataset.classes) > SHEET_CLASSES:
        say(f"heat.png shows the first {SHEET_CLASSES} of {len(dataset.classes)} classes")
    rows: list[list[Cell]] = []
    for label, name in list(enumerate(dataset.classes))[:SHEET_CLASSES]:
        clips = [clip for clip in dataset.val if label in clip.labels][:SHEET_CLIPS]
        for frames, heat in _explained(model, clips, say):
            one = _only(heat, label)
            assert one.scale is not None
            title = name, f" {one.scores[0] * 100:.0f} %"
            rows.append(report.heat_row(frames, one, title=title, scale=float(one.scale[0])))
    return rows


def _explained(model: CamModel, clips: Sequence[LabelledClip], say: Say) -> Iterator[tuple[Sequence[Image], Heat]]:
    """Those of the clips that can be decoded, and their heat."""
    for clip in clips:
        try:
            yield explain(model, clip)
        except StreamcamError:
            say(skipped(clip))


def explain(model: CamModel, clip: LabelledClip) -> tuple[Sequence[Image], Heat]:
    """The middle of a clip as the network sees it, L × uint8 [H,W,3], and the heat of all classes."""
    prepared = read_frames(clip, model.spec.clip_format, count=model.spec.clip_format.length)
    frames = np.ascontiguousarray(prepared.transpose(0, 2, 3, 1))
    return list(frames), model.eval().explain(frames)


def _only(heat: Heat, k: int) -> Heat:
    """One of the classes of a heat."""
    return replace(
        heat,
        cube=heat.cube[[k]],
        classes=heat.classes[[k]],
        labels=(heat.labels[k],),
        scores=heat.scores[[k]],
        scale=None if heat.scale is None else heat.scale[[k]],
    )
