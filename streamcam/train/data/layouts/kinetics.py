"""Kinetics (Kay et al., 2017; also 600 and 700): a CSV file for each split, and a video for each line.

```
train.csv                                  label,youtube_id,time_start,time_end,split
archery/-0Zi2qyYBaI_000010_000020.mp4      a video that was cut is used whole
-0Zi2qyYBaI.mp4                            the whole of YouTube's: the seconds say which part
```
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing
from streamcam.train.data.layouts.reading import (
    first_line,
    number_of,
    read_table,
    require_segment,
    require_split,
    split_in_name,
)
from streamcam.train.data.layouts.videos import Videos, find_videos

COLUMNS = frozenset({"label", "youtube_id", "time_start", "time_end"})


def recognises(path: Path) -> bool:
    """Return whether a file is a CSV file of Kinetics, by its columns."""
    return path.suffix.lower() == ".csv" and {cell.strip() for cell in first_line(path).split(",")} >= COLUMNS


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read CSV files of Kinetics, whose videos lie in a folder or below it.

    Raises:
        StreamcamError: a line is wrong; the message names it.
    """
    videos = find_videos(root)
    return Listing([annotation for file in files for annotation in _read_file(file, videos)], [])


def _read_file(file: Path, videos: Videos) -> Iterator[Annotation]:
    for where, cells in read_table(file, COLUMNS):
        label, name = cells["label"], cells["youtube_id"]
        if not label or not name:
            raise StreamcamError(f"{where}: label or youtube_id is missing")
        times = [number_of(cells[column], column, where) for column in ("time_start", "time_end")]
        start_s, end_s = require_segment(times, where)
        split = require_split(cells.get("split", ""), where) or split_in_name(file)
        cut = f"{name}_{start_s:06.0f}_{end_s:06.0f}.mp4"
        whole = videos.find(f"{name}.mp4", label=label)
        if whole is not None and videos.find(cut, label=label) is None:
            yield Annotation(whole, label, start_s, end_s, split)
        else:
            yield Annotation(videos.path_of(cut, label=label), label, split=split)
