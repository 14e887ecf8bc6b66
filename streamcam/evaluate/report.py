"""Evaluate a model on a data set, and report the result as JSON and as a table."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from streamcam.engines.backends import make_runner
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StreamcamError
from streamcam.evaluate.assess import Case, Prediction, assess
from streamcam.evaluate.dataset import find_indices, find_items, read_names
from streamcam.evaluate.methods import BASELINES, choose_methods
from streamcam.evaluate.metrics import average_precision
from streamcam.evaluate.scores import FIGURES, LESS_IS_BETTER, Scores, best_threshold, figures
from streamcam.evaluate.truth import Item
from streamcam.models.base import CamModel
from streamcam.models.spec import ModelSpec

Show = Callable[[int, int], None]
"""Called with the number of clips that are done, and of all."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The result of an evaluation."""

    about: Mapping[str, object]
    """The data, the model, the device and the like."""
    cases: Sequence[Case]
    predictions: Sequence[Prediction]
    """One for each window."""
    methods: Mapping[str, Mapping[str, float | None]]
    """Method → its figures; `scores.FIGURES` says what each means."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Return the threshold at which each method reaches MaxBoxAcc, for maps scaled to 0–1."""
        return {name: best_threshold(_scores(self.cases, name)) for name in self.methods}

    @property
    def accuracy(self) -> dict[str, float | int | None]:
        """Return how often the network is right; see `accuracy`."""
        return accuracy(self.predictions)

    @property
    def chance(self) -> float | None:
        """Return how often a random place is right: the mean share of the picture that masks cover."""
        return _mean([case.chance for case in self.cases])

    def json(self) -> dict[str, object]:
        """Return the whole report in types that JSON has."""
        return {
            **self.about,
            "accuracy": self.accuracy,
            "chance": self.chance,
            "methods": self.methods,
            "thresholds": self.thresholds,
            "figures": FIGURES,
            "cases": [_case(case) for case in self.cases],
        }


def evaluate(
    data: Path,
    model: CamModel,
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    extra: Sequence[str] = (),
    erase_steps: int = 0,
    limit: int | None = None,
    show: Show = lambda _done, _total: None,
) -> Report:
    """Evaluate a model on a folder of clips with truth. Two runs give the same report.

    Args:
        data: the folder; docs/guides/evaluation.md has the format.
        model: the network; it is copied, not changed.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        extra: names of methods besides those that are in every report.
        erase_steps: the number of steps of insertion and deletion; 0 leaves both out.
        limit: evaluate this many clips, evenly spread over the data set.
        show: called with the number of clips that are done, and of all.

    Raises:
        StreamcamError: the truth cannot be read, or there is no such method or device.
    """
    methods = choose_methods(extra)
    items = _spread(find_items(data), limit)
    indices = _class_indices(data, items, model.spec)
    runner = make_runner(model, backend=backend, device=device, precision=precision)
    engine = WindowEngine(runner, classes=sorted({i for classes in indices.values() for i in classes}))
    # Methods that need gradients run on this copy, in float32; the runner has its own, in any precision.
    model = copy.deepcopy(model).to(runner.device).requires_grad_(False)
    assessed = []
    for done, item in enumerate(items):
        show(done, len(items))
        assessed.append(
            assess(item, model=model, engine=engine, methods=methods, indices=indices, erase_steps=erase_steps)
        )
    cases = [case for found, _ in assessed for case in found]
    predictions = [prediction for _, found in assessed for prediction in found]
    about = {
        "data": str(data),
        "clips": len(items),
        "windows": len(predictions),
        "slices": sum(case.slices for case in cases),
        **_about(runner, model, indices),
    }
    return Report(about, cases, predictions, {name: figures(_scores(cases, name)) for name in methods})


def _about(runner: TorchRunner, model: CamModel, indices: Mapping[str, Sequence[int]]) -> dict[str, object]:
    return {
        "model": runner.context.model,
        "model_hash": runner.context.model_hash,
        "device": runner.device_name,
        "precision": runner.precision,
        "classes": {label: [model.classes[i] for i in classes] for label, classes in indices.items()},
    }


def _class_indices(data: Path, items: Sequence[Item], spec: ModelSpec) -> dict[str, list[int]]:
    """Map each class of the truth to the model's classes that count as it."""
    labels = sorted({label for item in items for label in item.truth().labels})
    if not labels:
        raise StreamcamError(f"no truth in {data}: expected a folder for each class, masks, or truth.csv")
    return find_indices(labels, read_names(data), spec)


def accuracy(predictions: Sequence[Prediction]) -> dict[str, float | int | None]:
    """Measure how often the network is right.

    Top-1 and top-5 are over the windows in which a class is present. The mean average precision is over all windows
    and over the classes that are present in some windows but not in all. Where several of the model's classes count as
    one class of the truth, its probability is the highest of theirs.

    Returns:
        `windows` (in which a class is present), `top1`, `top5`, `mean_average_precision`; None where undefined.
    """
    ranks = [prediction.rank for prediction in predictions if prediction.rank is not None]
    precisions = []
    for label in predictions[0].probabilities if predictions else ():
        truth = np.array([label in prediction.present for prediction in predictions])
        if truth.any() and not truth.all():
            probabilities = np.array([prediction.probabilities[label] for prediction in predictions])
            precisions.append(average_precision(probabilities, truth))
    return {
        "windows": len(ranks),
        "top1": _mean([rank == 0 for rank in ranks]),
        "top5": _mean([rank < 5 for rank in ranks]),
        "mean_average_precision": _mean(precisions),
    }


def table(report: Report) -> Table:
    """Lay out the figures of all methods, and mark the best of each column (baselines do not compete)."""
    shown = Table(caption=_caption(report), caption_justify="left", padding=(0, 1))
    columns = [name for name in FIGURES if any(row[name] is not None for row in report.methods.values())]
    shown.add_column("heat", no_wrap=True)
    for name in columns:
        shown.add_column(name.replace("_", " "), justify="right")
    for method, row in report.methods.items():
        marked = [_cell(report, name, row[name], method) for name in columns]
        shown.add_row(method, *marked, style="dim" if method in BASELINES else "")
    return shown


def _cell(report: Report, name: str, value: float | None, method: str) -> str:
    if value is None:
        return "–"
    competing = [row[name] for other, row in report.methods.items() if other not in BASELINES]
    best = (min if name in LESS_IS_BETTER else max)(v for v in competing if v is not None)
    return f"[bold green]{value:.3f}*[/]" if method not in BASELINES and value == best else f"{value:.3f}"


def _caption(report: Report) -> str:
    right, about, chance = report.accuracy, report.about, report.chance
    named = {"top-1": right["top1"], "top-5": right["top5"], "mAP": right["mean_average_precision"]}
    known = ", ".join(f"{name} {value:.3f}" for name, value in named.items() if value is not None)
    return (
        f"{about['model']} on {about['clips']} clips: {known} ({right['windows']} windows). Heat: {len(report.cases)} "
        f"cases, {about['slices']} slices" + (f"; a random place is right in {chance:.3f}" if chance else "")
    )


def _case(case: Case) -> dict[str, object]:
    """Describe a case in types that JSON has."""
    return {
        "clip": case.clip,
        "class": case.label,
        "slices": case.slices,
        "chance": round(case.chance, 4),
        "methods": {name: figures([score]) for name, score in case.scores.items()},
    }


def _scores(cases: Sequence[Case], method: str) -> list[Scores]:
    return [case.scores[method] for case in cases]


def _spread(items: list[Item], limit: int | None) -> list[Item]:
    """Choose at most `limit` items, evenly spread."""
    if limit is None or limit >= len(items):
        return items
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, limit)]


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None
