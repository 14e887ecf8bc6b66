"""Run a training config: write a checkpoint, with figures and pictures of what was learnt."""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from streamcam.config.train import TrainConfig
from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.errors import StreamcamError
from streamcam.heat.none_of_these import NONE_OF_THESE, UNPAINTED
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.checkpoint import card_path, is_checkpoint
from streamcam.models.registry import find_spec, load_model, save_checkpoint
from streamcam.records import Heat
from streamcam.render.contact_sheet import Cell
from streamcam.train.background import with_background
from streamcam.train.cross_validate import Fold, cross_validate, describe, write_folds
from streamcam.train.data.dataset import Dataset, PathProgress, read_dataset
from streamcam.train.explained import explain_readable
from streamcam.train.loop import Trainer
from streamcam.train.metrics import EpochMetrics, Validation, background_line
from streamcam.train.progress import TrainingDisplay
from streamcam.train.report import figures
from streamcam.train.report.write import write_report
from streamcam.train.workers import explained_deaths

Say = Callable[[str], None]

STATE, BEST, FOLDS, FOLD_STATES = "last.pt", "best.safetensors", "folds.csv", "folds"
PICTURES, REPORT = ("curves.png", "confusion.png", "heat.png"), "report.html"
OUTPUTS = (STATE, BEST, card_path(Path(BEST)).name, "metrics.csv", FOLDS, *PICTURES, REPORT)

HEAT_SCALE_CLIPS = 16
"""The heat scale of a class is measured on this many of its training clips, at most."""

HEAT_SCALE_QUANTILE = 0.99
SHEET_CLIPS, SHEET_CLASSES = 2, 24
"""heat.png shows this many clips of each class, for this many classes."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The checkpoint of a run, and how good it is."""

    checkpoint: Path
    score: float
    """0–1, of the best epoch on the validation clips: see `metrics.score_of`."""
    epochs: int
    is_main: bool
    """Whether this process is rank 0 of those that trained together: it alone prints and writes."""


class _NoDisplay:
    """Shows nothing, on all ranks but the first."""

    def look_at(self, done: int, count: int) -> None:
        pass

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        pass

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        pass


def train(
    config: TrainConfig,
    *,
    show: TrainingDisplay,
    progress: PathProgress = lambda paths, _: paths,
    found: Callable[[Dataset], None] = lambda _: None,
    say: Say = lambda _: None,
) -> TrainingResult:
    """Train a model, and write its checkpoint, figures, pictures and report to `config.out`.

    Args:
        config: the options.
        show: shows each step and epoch.
        progress: wraps the paths of the video files while their lengths are read.
        found: called with the data set before training begins.
        say: called with a line for each thing that was left out or noticed.

    Raises:
        StreamcamError: the data, the model or the options are wrong, or something cannot be written.
    """
    say = cache(say)  # a clip that cannot be decoded is named once, not in every epoch
    _prepare_out(config)
    # A batch has clips of one size.
    base = find_spec(config.model).with_clip_format(length=config.window, fps=config.fps, shapes=())
    # Before Fabric starts other processes: wrong data end in one error. Those processes read the data again.
    recorded = _read(config, base, progress)
    dataset = _with_background(recorded, base, config)
    fabric = _launch_fabric(config)
    is_main = fabric.global_rank == 0
    if is_main:
        found(recorded)
        for note in dataset.notes:
            say(note)
    config.out.mkdir(parents=True, exist_ok=True)
    display = show if is_main else _NoDisplay()
    state = config.out / STATE
    with explained_deaths(state):
        make_trainer = partial(_new_trainer, config, base, fabric, say)
        folds = (
            cross_validate(dataset, make_trainer, config.out / FOLD_STATES, show=display)
            if config.cross_validate
            else []
        )
        if is_main and folds:
            _tell_folds(config.out / FOLDS, folds, say)
        trainer = make_trainer(dataset)
        if state.exists():
            trainer.resume(state)
        for validation, best in trainer.epochs(state, display):
            if is_main:
                _write_epoch(trainer, validation, best=best, say=say)
        if is_main:
            # Also where a run was killed while it wrote the report: it goes on here.
            _write_report(trainer, folds, show)
    history = trainer.progress.history
    return TrainingResult(config.out / BEST, max(history, key=lambda epoch: epoch.quality).score, len(history), is_main)


def _read(config: TrainConfig, base: ModelSpec, progress: PathProgress) -> Dataset:
    return read_dataset(
        config.data,
        # From the first frame of a window to its last there are length − 1 intervals.
        need_s=(base.clip_format.length - 1) / base.clip_format.fps,
        val_share=config.val_share,
        split_by=config.split_by,
        multi_label=config.multi_label,
        known=base.classes if is_checkpoint(config.model) else None,
        progress=progress,
    )


def _with_background(dataset: Dataset, base: ModelSpec, config: TrainConfig) -> Dataset:
    if not config.background:
        return dataset
    known = is_checkpoint(config.model)
    return with_background(dataset, base, known=known, multi_label=config.multi_label, seed=config.seed)


def _tell_folds(path: Path, folds: Sequence[Fold], say: Say) -> None:
    write_folds(path, folds)
    for line in describe(folds):
        say(line)


def _prepare_out(config: TrainConfig) -> None:
    """Check that `config.out` may be written to, before anything slow; with --force, remove an earlier run's files."""
    state, folds = config.out / STATE, config.out / FOLD_STATES
    if config.resume and not (state.exists() or folds.exists()):
        raise StreamcamError(f"nothing to go on from: there is no {state}")
    existing = [name for name in (*OUTPUTS, FOLD_STATES) if (config.out / name).exists()]
    if existing and not (config.force or config.resume):
        raise StreamcamError(
            f"{config.out} holds {existing[0]} of an earlier run: --resume it, or start again with --force"
        )
    if config.out.exists() and not config.out.is_dir():
        raise StreamcamError(f"cannot write to {config.out}: it is not a folder")
    if config.force:
        for name in OUTPUTS:
            # With several devices, each process runs this: another one may have been faster.
            (config.out / name).unlink(missing_ok=True)
        shutil.rmtree(folds, ignore_errors=True)


def _launch_fabric(config: TrainConfig) -> Fabric:
    """Start Lightning Fabric. With several devices it runs this command again for each, unless torchrun has done so."""
    fabric = Fabric(
        accelerator=config.device, devices=config.devices, num_nodes=config.nodes, precision=_precision(config)
    )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it prints the options back
    fabric.launch()
    return fabric


def _precision(config: TrainConfig) -> Literal["bf16-mixed", "32-true"]:
    gpu = config.device != "cpu" and torch.cuda.is_available()
    native = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else cpu_has_bf16()
    bf16 = config.precision == "bf16" or (config.precision == "auto" and native)
    return "bf16-mixed" if bf16 else "32-true"


def _new_trainer(config: TrainConfig, base: ModelSpec, fabric: Fabric, say: Say, dataset: Dataset) -> Trainer:
    """Load the model, give it the classes of the data set, and make a trainer that has not begun."""
    torch.manual_seed(config.seed)  # for the new classifier's weights
    model = load_model(config.model, weights=config.weights).with_spec(_trained_spec(base, dataset, config))
    new_classes = base.network_classes != dataset.classes
    if not config.epochs and not (new_classes and config.weights != "none"):
        raise StreamcamError(f"--epochs 0 fits a new classifier to what {config.model} has learnt: give it new classes")
    return Trainer(model, dataset, config, fabric, new_classes=new_classes, say=say)


def _trained_spec(base: ModelSpec, dataset: Dataset, config: TrainConfig) -> ModelSpec:
    return replace(
        base,
        name=config.out.resolve().name,
        architecture=base.architecture or base.name,
        classes=dataset.classes,
        multi_label=config.multi_label,
        temperature=1.0,
        heat_scale=None,
    )


def _write_epoch(trainer: Trainer, validation: Validation, *, best: bool, say: Say) -> None:
    """Write the figures of all epochs so far; of the best so far, its checkpoint and pictures as well."""
    out, config, history = trainer.config.out, trainer.config, trainer.progress.history
    figures.write_metrics(out / "metrics.csv", history)
    figures.draw_curves(out / "curves.png", history, multi_label=config.multi_label)
    if not best:
        return
    model = _with_heat_scale(trainer.model, trainer.dataset, say)
    model = model.with_spec(replace(model.spec, temperature=validation.temperature))
    metrics = {"score": validation.score, "loss": validation.loss, "epoch": float(history[-1].epoch)}
    if validation.background_named is not None:
        metrics["background_named"] = validation.background_named
    save_checkpoint(model, out / BEST, metrics=metrics, data_hash=trainer.digest, about=_about(trainer, history[-1]))
    if not config.multi_label:
        figures.draw_confusion(out / "confusion.png", validation, model.classes)
    figures.write_sheet(out / "heat.png", _sheet(model, trainer.dataset, say))


def _write_report(trainer: Trainer, folds: Sequence[Fold], show: TrainingDisplay) -> None:
    """Write the report on the best checkpoint, and on the clips that people have recorded."""
    out, history, dataset = trainer.config.out, trainer.progress.history, trainer.dataset
    model = load_model(str(out / BEST)).to(trainer.fabric.device)
    train, val = (tuple(clip for clip in clips if clip.recipe is None) for clips in (dataset.train, dataset.val))
    recorded = replace(dataset, train=train, val=val)
    write_report(out / REPORT, model, recorded, trainer.config, history, folds=folds, show=show.look_at)


def _about(trainer: Trainer, metrics: EpochMetrics) -> str:
    """Return the line for the model card: what the model was trained on, and its score."""
    dataset = trainer.dataset
    kind = "mean average precision" if trainer.config.multi_label else "mean recall"
    train, val = (sum(clip.recipe is None for clip in clips) for clips in (dataset.train, dataset.val))
    about = (
        f"{trainer.config.model}, trained on {train} clips of {len(dataset.classes)} classes; "
        f"{kind} {metrics.score:.3f} on {val} others"
    )
    return about if metrics.background_named is None else f"{about}; {background_line(metrics.background_named)}"


def _with_heat_scale(model: CamModel, dataset: Dataset, say: Say) -> CamModel:
    """Return the model with a heat scale for each class: a high quantile of its positive centred heat on its clips."""
    scales = []
    for label, name in enumerate(dataset.classes):
        if name == NONE_OF_THESE:
            scales.append(UNPAINTED)
            continue
        clips = [clip for clip in dataset.train if label in clip.labels][:HEAT_SCALE_CLIPS]
        # The overlay paints centred heat, so the scale is measured on that.
        heats = [heat.centred[label] for _, heat in explain_readable(model, clips, say)]
        positive = [heat[heat > 0] for heat in heats if (heat > 0).any()]
        scales.append(float(np.quantile(np.concatenate(positive), HEAT_SCALE_QUANTILE)) if positive else 1.0)
    return model.with_spec(replace(model.spec, heat_scale=tuple(scales)))


def _sheet(model: CamModel, dataset: Dataset, say: Say) -> list[list[Cell]]:
    """Return rows of validation clips, class by class, each with the heat of its own class."""
    if len(dataset.classes) > SHEET_CLASSES:
        say(f"heat.png shows the first {SHEET_CLASSES} of {len(dataset.classes)} classes")
    rows: list[list[Cell]] = []
    for label, name in list(enumerate(dataset.classes))[:SHEET_CLASSES]:
        clips = [clip for clip in dataset.val if label in clip.labels][:SHEET_CLIPS]
        for frames, heat in explain_readable(model, clips, say):
            class_heat = _select_class(heat, label)
            assert class_heat.scale is not None
            title = name, f" {class_heat.scores[0] * 100:.0f} %"
            rows.append(figures.heat_row(frames, class_heat, title=title, scale=float(class_heat.scale[0])))
    return rows


def _select_class(heat: Heat, k: int) -> Heat:
    """Return the heat of class k alone."""
    return replace(
        heat,
        cube=heat.cube[[k]],
        classes=heat.classes[[k]],
        labels=(heat.labels[k],),
        scores=heat.scores[[k]],
        scale=None if heat.scale is None else heat.scale[[k]],
    )
