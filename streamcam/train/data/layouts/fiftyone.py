"""FiftyOne's temporal detections, in both of its forms: the samples of a data set, or labels alone.

```
samples.json    {"samples": [{"filepath": "data/monday.mp4", "tags": ["train"], FIELD: {"_cls": "TemporalDetections",
                "detections": [{"label": "wave", "support": [first, last]}, …]}}, …]}
labels.json     {"classes": [NAME, …], "labels": {"monday": [{"label": 0, "support": [first, last]}, …]}}
data/monday.mp4
```

`first` and `last` are frames, counted from 1, and both belong to the segment. In labels.json, `timestamps` in seconds
may stand in their place.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing, file_exists, split_of
from streamcam.train.data.layouts.reading import convert_entry, holds_json, read_json, require_segment
from streamcam.train.data.layouts.videos import Videos, find_videos, frame_rate_of

FIELDS = ("TemporalDetections", "TemporalDetection")
"""The classes of FiftyOne whose fields are read."""


class Detection(msgspec.Struct):
    """A segment, and its class."""

    label: str | int
    """Its name, or its index in the list of classes."""
    support: list[int] | None = None
    timestamps: list[float] | None = None


class Sample(msgspec.Struct):
    """A video of samples.json; its other fields are looked through."""

    filepath: str
    tags: list[str] = []


class Samples(msgspec.Struct):
    """samples.json."""

    samples: list[msgspec.Raw]


class Labels(msgspec.Struct):
    """labels.json."""

    labels: dict[str, list[msgspec.Raw] | None]
    classes: list[str] | None = None


def recognises(path: Path) -> bool:
    """Return whether a file is samples.json or labels.json of FiftyOne."""
    return holds_json(path, Samples) or holds_json(path, Labels)


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read JSON files of FiftyOne, whose videos lie in a folder or below it.

    Raises:
        StreamcamError: an entry is wrong, or a video cannot be opened; the message names it.
    """
    videos = find_videos(root)
    return Listing([annotation for file in files for annotation in _read_file(file, videos)], [])


def _read_file(file: Path, videos: Videos) -> Iterator[Annotation]:
    fps_of = cache(frame_rate_of)
    found = _in_samples(file, videos) if holds_json(file, Samples) else _in_labels(file, videos)
    for where, path, split, label, detection in found:
        fps = fps_of(path) if file_exists(path) else 1.0  # what is not there is left out
        start_s, end_s = _segment(detection, fps, where)
        yield Annotation(path, label, start_s, end_s, split)


Found = tuple[str, Path, str | None, str, Detection]
"""Where a detection stands, its video, its split, its class, and the detection itself."""


def _in_samples(file: Path, videos: Videos) -> Iterator[Found]:
    for number, content in enumerate(read_json(file, Samples).samples, start=1):
        where = f"{file}, sample {number}"
        sample, fields = convert_entry(content, Sample, where), convert_entry(content, dict[str, Any], where)
        path = videos.path_of(sample.filepath)
        split = next((split for tag in sample.tags if (split := split_of(tag))), None)
        detections = {key: value for key, value in fields.items() if _is_temporal(value)}
        if len(detections) > 1:
            raise StreamcamError(f"{where}: {' and '.join(detections)} both hold segments: export one of the fields")
        for field in detections.values():
            entries = field.get("detections", [field])
            for i, entry in enumerate(entries if isinstance(entries, list) else [entries], start=1):
                at = f"{where}, detection {i}"
                detection = convert_entry(msgspec.Raw(msgspec.json.encode(entry)), Detection, at)
                yield at, path, split, str(detection.label), detection


def _is_temporal(value: object) -> bool:
    return isinstance(value, dict) and value.get("_cls") in FIELDS


def _in_labels(file: Path, videos: Videos) -> Iterator[Found]:
    content = read_json(file, Labels)
    for name, entries in content.labels.items():
        for i, entry in enumerate(entries or [], start=1):
            where = f"{file}, {name}, detection {i}"
            detection = convert_entry(entry, Detection, where)
            yield where, videos.path_of(f"{name}.mp4"), None, _label(detection.label, content.classes, where), detection


def _label(label: str | int, classes: list[str] | None, where: str) -> str:
    if isinstance(label, str):
        return label
    if classes is None or not 0 <= label < len(classes):
        raise StreamcamError(f"{where}: the list of {len(classes or [])} classes has no number {label} (from 0)")
    return classes[label]


def _segment(detection: Detection, fps: float, where: str) -> tuple[float, float]:
    """Return start and end in seconds."""
    if detection.timestamps is not None:
        return require_segment(detection.timestamps, where)
    frames = detection.support or []
    if len(frames) != 2 or not 1 <= frames[0] <= frames[1]:
        raise StreamcamError(f"{where}: expected support as [first, last] frame, counted from 1, got {frames}")
    return (frames[0] - 1) / fps, frames[1] / fps
