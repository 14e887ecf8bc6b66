"""A whole set: assessed, in figures, as JSON and as a table."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from streamcam.engines.backends import make_runner
from streamcam.engines.window_engine import WindowEngine
from streamcam.errors import StreamcamError
from streamcam.evaluate.assess import Case, Verdict, assess
from streamcam.evaluate.dataset import find_indices, find_items, read_names
from streamcam.evaluate.methods import BASELINES, choose
from streamcam.evaluate.metrics import average_precision
from streamcam.evaluate.scores import FIGURES, LESS_IS_BETTER, best_threshold, figures
from streamcam.models.base import CamModel

Show = Callable[[int, int], None]
"""Told of how many clips so many are done."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What came out."""

    about: Mapping[str, object]
    """Data, model, device and the like."""
    cases: Sequence[Case]
    verdicts: Sequence[Verdict]
    methods: Mapping[str, Mapping[str, float | None]]
    """For each contender, `scores.FIGURES`."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Where each contender's map, scaled to 0–1, is cut for the boxes of MaxBoxAcc."""
        return {name: best_threshold(_scores(self.cases, name)) for name in self.methods}

    @property
    def accuracy(self) -> dict[str, float | int | None]:
        """Whether the network is right, over the windows in which a class is there."""
        return accuracy(self.verdicts)

    def json(self) -> dict[str, object]:
        """All of it, as JSON can hold it."""
        return {
            **self.about,
            "accuracy": self.accuracy,
            "chance": _mean([case.chance for case in self.cases]),
            "contenders": self.methods,
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
    """Assess a model on a folder of clips with truth; the same every time.

    Args:
        data: the folder; docs/evaluation.md has the format.
        model: the network.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        extra: contenders besides those that are in every report.
        erase_steps: of insertion and deletion; 0 not to.
        limit: only so many clips, evenly spread over the set.
        show: called with the number of clips that are done, and of all.

    Raises:
        StreamcamError: the data are not as they should be, or a contender cannot be had.
    """
    methods = choose(list(extra))
    items = _spread(find_items(data), limit)
    labels = sorted({label for item in items for label in item.truth().labels})
    if not labels:
        raise StreamcamError(f"no truth in {data}: expected a folder for each class, masks, or truth.csv")
    indices = find_indices(labels, read_names(data), model.classes)
    runner = make_runner(model, backend=backend, device=device, precision=precision)
    engine = WindowEngine(runner, classes=sorted({i for known in indices.values() for i in known}))
    model = copy.deepcopy(model).to(runner.device).requires_grad_(False)
    cases: list[Case] = []
    verdicts: list[Verdict] = []
    for done, item in enumerate(items):
        show(done, len(items))
        found, said = assess(
            item, model=model, engine=engine, methods=methods, indices=indices, erase_steps=erase_steps
        )
        cases += found
        verdicts += said
    about = {
        "data": str(data),
        "clips": len(items),
        "windows": len(verdicts),
        "slices": sum(case.slices for case in cases),
        "model": runner.context.model,
        "model_hash": runner.context.model_hash,
        "device": runner.device_name,
        "precision": runner.precision,
        "classes": {label: [model.classes[i] for i in known] for label, known in indices.items()},
    }
    return Report(about, cases, verdicts, {n: figures(_scores(cases, n)) for n in methods})


def accuracy(verdicts: Sequence[Verdict]) -> dict[str, float | int | None]:
    """Top-1 and top-5 over the windows in which a class is there, and the mean average precision over all windows.

    A class counts as seen in a window by the probability of the strongest of the model's classes that count as it.
    """
    ranks = [verdict.rank for verdict in verdicts if verdict.rank is not None]
    precisions = []
    for label in verdicts[0].probabilities if verdicts else ():
        truth = np.array([label in verdict.present for verdict in verdicts])
        if truth.any() and not truth.all():
            precisions.append(average_precision(np.array([v.probabilities[label] for v in verdicts]), truth))
    return {
        "windows": len(ranks),
        "top1": _mean([rank == 0 for rank in ranks]),
        "top5": _mean([rank < 5 for rank in ranks]),
        "mean_average_precision": _mean(precisions),
    }


def table(report: Report) -> Table:
    """Contenders by figures; the best of each column, but for the baselines, is marked."""
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
    rivals = [row[name] for other, row in report.methods.items() if other not in BASELINES]
    best = (min if name in LESS_IS_BETTER else max)(v for v in rivals if v is not None)
    return f"[bold green]{value:.3f}*[/]" if method not in BASELINES and value == best else f"{value:.3f}"


def _caption(report: Report) -> str:
    right, about = report.accuracy, report.about
    parts = {"top-1": right["top1"], "top-5": right["top5"], "mAP": right["mean_average_precision"]}
    known = ", ".join(f"{name} {value:.3f}" for name, value in parts.items() if value is not None)
    chance = _mean([case.chance for case in report.cases])
    return (
        f"{about['model']} on {about['clips']} clips: {known} ({right['windows']} windows). Heat: {len(report.cases)} "
        f"cases, {about['slices']} slices" + (f"; a random place is right in {chance:.3f}" if chance else "")
    )


def _case(case: Case) -> dict[str, object]:
    scores = {name: figures([score]) for name, score in case.scores.items()}
    return {
        "clip": case.clip,
        "class": case.label,
        "slices": case.slices,
        "chance": round(case.chance, 4),
        "contenders": scores,
    }


def _scores(cases: Sequence[Case], method: str) -> list[Any]:
    return [case.scores[method] for case in cases]


def _spread(items: list[Any], limit: int | None) -> list[Any]:
    """At most so many, evenly spread."""
    if limit is None or limit >= len(items):
        return items
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, limit)]


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None
