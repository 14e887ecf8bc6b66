"""Write what a run leaves for people: metrics.csv, curves, a confusion matrix, and a sheet of each class's heat."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streamcam.files import complete_or_absent
from streamcam.records import Floats, Heat, Image
from streamcam.render.contact_sheet import Cell, blank, grid
from streamcam.render.image_files import save_picture
from streamcam.render.overlay import paint
from streamcam.render.text import short
from streamcam.train.metrics import EpochMetrics, Validation

MAX_MATRIX_CLASSES = 40
"""Above this, the labels of the confusion matrix could not be read, and it is not drawn."""

MAX_LETTERS = 24
"""The letters of a class's name beside the matrix; longer names would leave no room for it."""

STYLE: Any = {"font.size": 9, "text.parse_math": False}
"""Names of classes may have dollar signs, which begin no formula."""

SHEET_COLUMNS = 6
"""The moments of a clip that the sheet of heat shows."""


def write_metrics(path: Path, history: Sequence[EpochMetrics]) -> None:
    """Write a CSV file with a line for each epoch; its columns are the fields of `EpochMetrics`."""
    with complete_or_absent(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(EpochMetrics)])
        writer.writeheader()
        writer.writerows(asdict(metrics) for metrics in history)


def draw_curves(path: Path, history: Sequence[EpochMetrics], *, multi_label: bool) -> None:
    """Draw both losses, and the score on the validation clips, by epoch."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    plot_losses(losses, history)
    plot_scores(scores, history, multi_label=multi_label)
    _save(figure, path)


def plot_losses(axes: Axes, history: Sequence[EpochMetrics]) -> None:
    """Plot both losses by epoch."""
    epochs = [metrics.epoch for metrics in history]
    axes.plot(epochs, [metrics.train_loss for metrics in history], "o-", ms=3, label="training")
    axes.plot(epochs, [metrics.val_loss for metrics in history], "o-", ms=3, label="validation")
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    axes.legend()


def plot_scores(axes: Axes, history: Sequence[EpochMetrics], *, multi_label: bool) -> None:
    """Plot the score on the validation clips by epoch."""
    epochs = [metrics.epoch for metrics in history]
    name = "mean average precision" if multi_label else "mean recall of the classes"
    axes.plot(epochs, [metrics.score for metrics in history], "o-", ms=3, color="tab:green")
    axes.set(xlabel="epoch", ylabel=f"{name}, validation", ylim=(0, 1.02))


def draw_confusion(path: Path, validation: Validation, classes: Sequence[str]) -> None:
    """Draw how often each class (row) is predicted as each class (column); nothing for too many classes."""
    if len(classes) <= MAX_MATRIX_CLASSES:
        with mpl.rc_context(STYLE):
            figure = confusion_figure(validation.logits, validation.targets, classes)
        _save(figure, path)


def confusion_figure(logits: Floats, targets: Floats, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix of logits and targets, float32 [M,C]: a row is a class, a column what it seems."""
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (targets.argmax(1), logits.argmax(1)), 1)
    side = 2.5 + 0.38 * len(classes)  # inches
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    # Colours show shares, as rare classes would be pale otherwise; the numbers are counts.
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [short(name, MAX_LETTERS) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=90)
    axes.set_yticks(range(len(classes)), names)
    axes.set(xlabel="taken for", ylabel="is")
    for row, column in zip(*np.nonzero(counts), strict=True):
        shade = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade, fontsize=8)
    return figure


def heat_row(frames: Sequence[Image], heat: Heat, *, title: tuple[str, str], scale: float) -> list[Cell]:
    """Paint moments of a clip as a row of pictures, time from left to right, with the heat of its first class.

    Args:
        frames: L × uint8 [H,W,3], evenly spaced in time.
        heat: the heat of the clip.
        title: the name and the score above the first picture; the others have their time.
        scale: the heat, in logit units, that is painted at full strength.
    """
    cells: list[Cell] = []
    for time_s, painted in moments(frames, heat, k=0, scale=scale):
        cells.append(Cell(painted, (f"{time_s:.1f} s" if cells else title,)))
    return cells


def moments(
    frames: Sequence[Image], heat: Heat, *, k: int, scale: float, fade: bool = True
) -> Iterator[tuple[float, Image]]:
    """Yield moments of a clip with the heat of class `k`: seconds since its beginning, and uint8 [H,W,3].

    Args:
        frames: L × uint8 [H,W,3], evenly spaced in time.
        heat: the heat of the clip.
        k: the class, by its position among the heat's classes.
        scale: the heat, in logit units, that is painted at full strength.
        fade: whether an improbable class is painted faintly.
    """
    times = np.linspace(heat.clip_pts_s[0], heat.clip_pts_s[1], len(frames))
    for i in np.linspace(0, len(frames) - 1, min(SHEET_COLUMNS, len(frames))).round().astype(int):
        painted = paint(frames[i], heat, k=k, pts_s=float(times[i]), scale=scale, fade=fade)
        yield float(times[i] - times[0]), painted


def write_sheet(path: Path, rows: Sequence[Sequence[Cell]]) -> None:
    """Write rows of cells as one picture; short rows end in empty cells. Without any row, write nothing."""
    if not rows:
        return
    columns = max(len(row) for row in rows)
    empty = Cell(blank(1, 1))
    cells = [cell for row in rows for cell in (*row, *[empty] * (columns - len(row)))]
    save_picture(path, grid(cells, columns=columns))


def to_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, whose text is drawn as curves: it looks the same everywhere."""
    file = io.BytesIO()
    # Neither a date nor random names: the same figure gives the same bytes.
    with mpl.rc_context(STYLE | {"svg.hashsalt": "streamcam"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def _save(figure: Figure, path: Path) -> None:
    with mpl.rc_context(STYLE), complete_or_absent(path) as partial:
        figure.savefig(partial, dpi=120)
