"""Draw a contact sheet of a data set: a row for each class, with the middle frames of some of its clips."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from streamcam.records import Image
from streamcam.render.contact_sheet import PALETTE, Cell, blank, fit, grid, stack
from streamcam.train.data.annotations import LabelledClip, count_of
from streamcam.train.data.dataset import Dataset

COLUMNS, MAX_CLASSES = 12, 60
"""Clips of a class, and classes."""

WIDTH, HEIGHT = 128, 96
"""Pixels of a picture."""

VAL_FRAME = PALETTE[1]
"""The colour of the frame around a validation clip."""


def shown_clips(dataset: Dataset) -> dict[int, list[LabelledClip]]:
    """Choose a dozen clips of each class (of the first 60), spread evenly; those for training come first."""
    shown = {}
    for label in range(min(len(dataset.classes), MAX_CLASSES)):
        clips = [clip for clip in (*dataset.train, *dataset.val) if label in clip.labels]
        chosen = np.linspace(0, len(clips) - 1, min(COLUMNS, len(clips))).round().astype(int)
        if clips:
            shown[label] = [clips[i] for i in chosen]
    return shown


def cell_picture(image: Image) -> Image:
    """Fit a picture, uint8 [H,W,3], whole into a cell of the sheet."""
    return fit(image, WIDTH, HEIGHT)


def draw_sheet(
    dataset: Dataset, shown: Mapping[int, Sequence[LabelledClip]], pictures: Mapping[LabelledClip, Image]
) -> Image:
    """Draw a row of pictures for each class: uint8 [H,W,3].

    Args:
        dataset: whose clips they are.
        shown: the clips of each row, by the index of its class.
        pictures: the pictures that could be decoded, each fitted into a cell.
    """
    val = set(dataset.val)
    rows = []
    for label, clips in shown.items():
        cells = [
            Cell(_framed(pictures[clip]) if clip in val else pictures[clip], (_title(clip),))
            for clip in clips
            if clip in pictures
        ]
        train, validation = (sum(label in clip.labels for clip in side) for side in (dataset.train, dataset.val))
        title = (
            f"{dataset.classes[label]}: {count_of(train, 'clip')} for training + {validation} for validation (framed)"
        )
        rows.append(grid(cells or [Cell(blank(1, 1))], columns=COLUMNS, width=WIDTH, height=HEIGHT, title=title))
    return stack(rows)


def _title(clip: LabelledClip) -> tuple[str, str]:
    return clip.path.stem, f" {clip.start_s:.1f} s" if clip.start_s else ""


def _framed(image: Image) -> Image:
    return np.asarray(cv2.rectangle(image.copy(), (2, 2), (WIDTH - 3, HEIGHT - 3), VAL_FRAME, 4), np.uint8)
