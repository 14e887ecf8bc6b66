"""The figures of the report, as SVG that lies in the page."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from streamcam.records import Floats
from streamcam.train.metrics import EpochMetrics
from streamcam.train.report.figures import (
    MAX_MATRIX_CLASSES,
    STYLE,
    confusion_figure,
    plot_losses,
    plot_scores,
    to_svg,
)
from streamcam.train.report.judged import JudgedClips
from streamcam.train.report.learning_curve import CurvePoint
from streamcam.train.report.page import Chart
from streamcam.train.report.pictures import embedded
from streamcam.train.report.scores import draw_scores

SIZE = (4.0, 3.2)
"""Inches."""

CLIPS, PEOPLE = "#0072b2", "#d55e00"
"""Colours of Okabe and Ito."""


def training_charts(history: Sequence[EpochMetrics], *, multi_label: bool) -> list[Chart]:
    """Draw losses and scores by epoch, a chart each; nothing where there is one epoch."""
    charts: list[Chart] = []
    if len(history) < 2:
        return charts
    for text in ("Losses by epoch", "Score on the validation clips by epoch"):
        figure, axes = _blank()
        if charts:
            plot_scores(axes, history, multi_label=multi_label)
        else:
            plot_losses(axes, history)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        charts.append(_chart(figure, text))
    return charts


def confusion_chart(val: JudgedClips, classes: Sequence[str]) -> list[Chart]:
    """Draw which classes are mistaken for which; nothing for too many classes."""
    if len(classes) > MAX_MATRIX_CLASSES:
        return []
    with mpl.rc_context(STYLE):
        figure = confusion_figure(val.logits, val.targets, classes)
    return [_chart(figure, "Confusion matrix: how often each class is taken for each class")]


def curve_chart(
    clips: Sequence[CurvePoint], people: Sequence[CurvePoint], targets: Floats, *, multi_label: bool
) -> Chart:
    """Draw the score by the number of training clips: of random clips, and of all clips of random people."""
    figure, axes = _blank((6.4, 3.6))
    _plot_curve(axes, clips, targets, "some clips of everybody" if people else "some clips", CLIPS, multi_label)
    if people:
        _plot_curve(axes, people, targets, "all clips of some people", PEOPLE, multi_label)
        for point in people:
            best = max(draw_scores(point, targets, multi_label=multi_label))
            axes.annotate(
                f"{point.people}", (point.clips, best), (0, 5), textcoords="offset points", ha="center", color=PEOPLE
            )
    name = "mean average precision" if multi_label else "mean recall of the classes"
    axes.set(xlabel="training clips", ylabel=f"{name}, validation", xlim=(0, None), ylim=(0, 1.08))
    axes.legend(loc="lower right")
    return _chart(figure, "Learning curve: the score by the number of training clips")


def _plot_curve(
    axes: Axes, points: Sequence[CurvePoint], targets: Floats, label: str, colour: str, multi_label: bool
) -> None:
    """Draw a line through the means, and a dot for each draw."""
    scores = [draw_scores(point, targets, multi_label=multi_label) for point in points]
    counts = [point.clips for point in points]
    axes.plot(counts, [float(np.mean(draws)) for draws in scores], "-", color=colour, label=label)
    for count, draws in zip(counts, scores, strict=True):
        axes.plot([count] * len(draws), draws, "o", ms=4, color=colour, alpha=0.6, mew=0)


def _blank(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _chart(figure: Figure, text: str) -> Chart:
    return Chart(embedded(to_svg(figure), "image/svg+xml"), text)
