"""Check a data set: decode a few frames of each clip, and say what could mislead a network that learns from them."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.files import require_fresh, staged, write_json
from streamcam.models.registry import find_spec
from streamcam.records import Image
from streamcam.render.image_files import save_picture
from streamcam.train.check.alike import alike_groups
from streamcam.train.check.facts import class_facts
from streamcam.train.check.findings import Findings
from streamcam.train.check.sampling import ClipSample, sample_clip
from streamcam.train.check.sheet import cell_picture, draw_sheet, shown_clips
from streamcam.train.check.stills import StillsResult, judge_stills
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import Dataset, PathProgress, read_dataset

Show = Callable[[int, int], None]
"""Called with the number of clips that are done, and of all."""

FIGURES, SHEET = "check.json", "check.jpg"

BRIEF_S = 5.0
"""A brief check decodes for so long."""

BRIEF_LINES = 4
"""A brief check gives so many warnings at most."""


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """The samples of clips, the clips that gave none, and whole pictures of some."""

    samples: Sequence[ClipSample]
    unreadable: Sequence[LabelledClip]
    pictures: Mapping[LabelledClip, Image]


def read(data: Path, *, multi_label: bool, progress: PathProgress) -> Dataset:
    """Read a data set as `streamcam train` does by default, but for the length of the clips."""
    return read_dataset(
        data, need_s=0.0, val_share=_default_of("val_share"), multi_label=multi_label, progress=progress
    )


def check(dataset: Dataset, data: Path, out: Path, *, show: Show = lambda _done, _total: None) -> Findings:
    """Look at every clip of a data set; write all figures and a contact sheet to a folder.

    Args:
        dataset: what `read_dataset` has read.
        data: the folder or CSV file that it was read from.
        out: the folder for check.json and check.jpg; those of an earlier check are replaced.
        show: called with the number of clips that are done, and of all.

    Raises:
        StreamcamError: no clip can be decoded, or the folder cannot be written to.
    """
    shown = shown_clips(dataset)
    wanted = {clip for clips in shown.values() for clip in clips}
    decoded = _decode([*dataset.train, *dataset.val], wanted, show=show)
    clip_format = find_spec(_default_of("model")).clip_format
    findings = _find(dataset, data, decoded, window_s=(clip_format.length - 1) / clip_format.fps)
    with staged(out) as folder:
        write_json(folder / FIGURES, figures(findings))
        save_picture(folder / SHEET, draw_sheet(dataset, shown, decoded.pictures))
    return findings


def brief_check(dataset: Dataset, data: Path, *, show: Show, clock: Callable[[], float] = time.monotonic) -> list[str]:
    """Return what `brief_findings` warns of in a few lines, and what the warnings rest on; often none."""
    findings = brief_findings(dataset, data, show=show, clock=clock)
    if findings is None or not findings.warnings:
        return []
    lines = [f"check: {warning}" for warning in findings.warnings[:BRIEF_LINES]]
    count = len(dataset.train) + len(dataset.val)
    return [*lines, f"check: from {findings.examined} of {count} clips; `streamcam check {data}` shows more"]


def brief_findings(
    dataset: Dataset, data: Path, *, show: Show, clock: Callable[[], float] = time.monotonic
) -> Findings | None:
    """Look at clips for a few seconds; None where no clip can be decoded.

    Args:
        dataset: what `read_dataset` has read.
        data: the folder or CSV file that it was read from.
        show: called with the number of clips that are done, and of all.
        clock: gives the time in seconds.
    """
    clips = [*dataset.train, *dataset.val]
    # In random order, so that those of the first seconds are of all classes. It is the same order in every run.
    order = np.random.default_rng(0).permutation(len(clips))
    try:
        return _find(dataset, data, _decode([clips[i] for i in order], (), show=show, most_s=BRIEF_S, clock=clock))
    except StreamcamError:  # training says so itself
        return None


def output_folder(data: Path, out: Path | None) -> Path:
    """Return the folder for the results, by default DATA-check beside the data.

    Raises:
        StreamcamError: it lies in the data, or it cannot be written to.
    """
    whole = data.resolve()
    folder = out or whole.parent / f"{whole.name if data.is_dir() else whole.stem}-check"
    if data.is_dir() and folder.resolve().is_relative_to(whole):
        raise StreamcamError(f"cannot write to {folder}: it lies in the data, {data}; name another folder with -o")
    require_fresh(folder, force=True)
    return folder


def _decode(
    clips: Sequence[LabelledClip],
    wanted: Collection[LabelledClip],
    *,
    show: Show,
    most_s: float = inf,
    clock: Callable[[], float] = time.monotonic,
) -> _Decoded:
    """Sample clips for `most_s` seconds, and keep the pictures of those that are wanted."""
    samples, unreadable, pictures = list[ClipSample](), list[LabelledClip](), dict[LabelledClip, Image]()
    end_s = clock() + most_s
    for done, clip in enumerate(clips):
        if clock() >= end_s:
            break
        show(done, len(clips))
        try:
            sample, middle = sample_clip(clip)
        except StreamcamError:
            unreadable.append(clip)
            continue
        samples.append(sample)
        if clip in wanted:
            pictures[clip] = cell_picture(middle)
    return _Decoded(samples, unreadable, pictures)


def _default_of(key: str) -> Any:
    return TrainConfig.model_fields[key].default


def _find(dataset: Dataset, data: Path, decoded: _Decoded, *, window_s: float = 0.0) -> Findings:
    samples = decoded.samples
    if not samples:
        raise StreamcamError(f"{data}: no picture of any clip can be decoded")
    groups = alike_groups(np.stack([sample.grey for sample in samples]))
    stills, names = _judge(dataset, samples, groups)
    return Findings(
        data,
        dataset,
        examined=len(samples),
        unreadable=decoded.unreadable,
        facts=class_facts(dataset, samples),
        alike=[[samples[i].clip for i in group] for group in groups],
        stills=stills,
        stills_classes=names,
        window_s=window_s,
    )


def _judge(
    dataset: Dataset, samples: Sequence[ClipSample], groups: Sequence[Sequence[int]]
) -> tuple[StillsResult | None, list[str]]:
    """Judge the middle frames; return also the names of the classes, which are combinations if there are several."""
    labels = sorted({sample.clip.labels for sample in samples})
    files = np.unique([str(sample.clip.path) for sample in samples], return_inverse=True)[1]
    for group in groups:  # a copy counts as the same file: it would always be the nearest
        files[np.isin(files, files[group])] = files[group[0]]
    val = set(dataset.val)
    stills = judge_stills(
        np.stack([sample.middle for sample in samples]),
        np.array([labels.index(sample.clip.labels) for sample in samples]),
        files,
        np.array([sample.clip in val for sample in samples]),
    )
    return stills, [" + ".join(dataset.classes[label] for label in several) for several in labels]


def figures(findings: Findings) -> dict[str, object]:
    """Return all that was found in types that JSON has."""
    val, stills = set(findings.dataset.val), findings.stills
    return {
        "data": str(findings.data),
        "clips": {"train": len(findings.dataset.train), "val": len(val), "decoded": findings.examined},
        "classes": [asdict(facts) for facts in findings.facts],
        "unreadable": [findings.name(clip) for clip in findings.unreadable],
        "alike": [
            [
                {"clip": findings.name(c), "class": findings.label(c), "split": "val" if c in val else "train"}
                for c in group
            ]
            for group in findings.alike
        ],
        "stills": stills
        and {
            "classes": list(findings.stills_classes),
            "nearest": stills.counts.tolist(),
            "compared_with": "other files" if stills.by_files else "training clips",
            "right": stills.right,
            "total": stills.total,
            "accuracy": round(stills.accuracy, 4),
            "interval_95": [round(bound, 4) for bound in stills.interval],
            "chance": round(stills.chance, 4),
            "suffices": stills.suffices,
        },
        "notes": findings.notes,
        "warnings": findings.warnings,
    }
