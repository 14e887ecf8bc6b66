"""What the examples are given, and what streamcam says of the same frames."""

from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

import streamcam
from streamcam.clips import SlidingWindow
from streamcam.engines.exported.onnx_graph import OnnxGraph
from streamcam.models.graph_card import GraphCard
from streamcam.records import Image
from streamcam.sources.base import open_source


@dataclass(frozen=True, slots=True)
class Answer:
    """The likeliest class of a window, and its score."""

    label: str
    score: float
    """0–1."""


Answers = dict[int, Answer]
"""Answers by the number of the window's last frame, from 0."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The frames of a video as a graph takes them, with its card."""

    card: GraphCard
    frames: Image
    """uint8 [n,3,h,w]."""
    pts_s: np.ndarray
    """float64 [n]: the time of each."""


def prepare_frames(graph: Path, source: str = "sample") -> Prepared:
    """Read a video's first unbroken stretch, sampled and resized as the graph's card says."""
    card = OnnxGraph(graph).card
    window = SlidingWindow(card.spec().clip_format, head_start=True)
    frames, times_s, taken = list[Image](), list[float](), 0
    video = open_source(source, paced=False)
    try:
        for frame in video.frames(Event()):
            clip = window.push(frame)
            if window.pieces > 1:
                break
            if clip is None:
                continue
            new = clip.index + 1 - taken
            frames += list(clip.frames[-new:].copy())
            times_s += clip.pts_s[-new:].tolist()
            taken += new
    finally:
        video.close()
    return Prepared(card, np.stack(frames), np.array(times_s))


def streamcam_answers(graph: Path, prepared: Prepared, source: str = "sample") -> Answers:
    """Return what `streamcam run` says of full windows, each by its last frame."""
    group = {"group": "none"} if graph.stem.startswith("imagenet") else {}
    answers: Answers = {}
    with streamcam.stream(
        source, model=str(graph), backend="onnxruntime", top_k=1, as_fast_as_possible=True, **group
    ) as results:
        for result in results:
            heat = result.heat
            assert heat is not None, "`stream` gives results of windows only"
            number = int(np.searchsorted(prepared.pts_s, heat.clip_pts_s[1], side="right")) - 1
            answers[number] = Answer(heat.labels[0], float(heat.scores[0]))
    return answers


def parse_answers(printed: str) -> Answers:
    """Read lines of number, class and score, with tabs between them."""
    rows = (line.split("\t") for line in printed.splitlines() if line)
    return {int(number): Answer(label, float(score)) for number, label, score in rows}
