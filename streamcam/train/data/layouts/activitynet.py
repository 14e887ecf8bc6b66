"""ActivityNet (Heilbron et al., 2015), and THUMOS14 in the same form: segments of untrimmed videos in one JSON file.

```
activity_net.v1-3.min.json   {"database": {ID: {"subset": "training", "annotations":
                             [{"segment": [start, end], "label": NAME}, …]}, …}}
v_ID.mp4 or ID.mp4
```
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from streamcam.train.data.annotations import Annotation, Listing
from streamcam.train.data.layouts.reading import convert_entry, holds_json, read_json, require_segment, require_split
from streamcam.train.data.layouts.videos import Videos, find_videos

THUMOS = "video_validation_"
"""How THUMOS names the videos that everybody trains on: those of its training part have no times."""


class Segment(msgspec.Struct):
    """A part of a video, and its class."""

    segment: list[float]
    """Start and end, in seconds."""
    label: str


class Video(msgspec.Struct):
    """The segments of a video."""

    subset: str
    annotations: list[Segment] = []


class Database(msgspec.Struct):
    """The whole file."""

    database: dict[str, msgspec.Raw]


def recognises(path: Path) -> bool:
    """Return whether a file is JSON with a `database`."""
    return holds_json(path, Database)


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read JSON files of ActivityNet, whose videos lie in a folder or below it.

    Raises:
        StreamcamError: an entry is wrong; the message names it.
    """
    videos = find_videos(root)
    annotations = [annotation for file in files for annotation in _read_file(file, videos)]
    if all(a.split != "train" for a in annotations) and any(a.path.name.startswith(THUMOS) for a in annotations):
        note = "THUMOS has no times for train: val is used for training, and test for validation"
        swapped = {"val": "train", "test": "val", None: None}
        return Listing([replace(a, split=swapped[a.split]) for a in annotations], [note])
    return Listing(annotations, [])


def _read_file(file: Path, videos: Videos) -> Iterator[Annotation]:
    for name, content in read_json(file, Database).database.items():
        video = convert_entry(content, Video, f"{file}, {name}")
        split = require_split(video.subset, f"{file}, {name}")
        path = videos.find(f"v_{name}.mp4") or videos.path_of(f"{name}.mp4")
        for number, annotated in enumerate(video.annotations, start=1):
            start_s, end_s = require_segment(annotated.segment, f"{file}, {name}, annotation {number}")
            yield Annotation(path, annotated.label, start_s, end_s, split)
