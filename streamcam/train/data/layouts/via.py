"""VIA 3 (VGG Image Annotator; Dutta and Zisserman, 2019): segments of videos in a CSV file, drawn by hand.

```
# ATTRIBUTE = {"1": {"aname": "Gesture", "options": {"0": "nod", "1": "wave"}, …}}
# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata
"1_aZb3","[""monday.mp4""]",0,"[12.5,15]","[]","{""1"":""0""}"
```
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing, count_of
from streamcam.train.data.layouts.reading import first_line, read_lines, require_segment
from streamcam.train.data.layouts.videos import find_videos

MARK = "# Exported using VGG Image Annotator"
HEADER, ATTRIBUTES = "# CSV_HEADER =", "# ATTRIBUTE"
SEGMENT_COLUMNS = ("temporal_segment_start", "temporal_segment_end")
"""What an export of segments alone has in place of temporal_coordinates."""


def recognises(path: Path) -> bool:
    """Return whether a file is a CSV file of VIA, by its first line."""
    return path.suffix.lower() == ".csv" and first_line(path).startswith(MARK)


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read CSV files of VIA, whose videos lie in a folder or below it.

    Raises:
        StreamcamError: a line is wrong; the message names it.
    """
    videos = find_videos(root)
    annotations, others = [], 0
    for file in files:
        for where, cells, options in _read_file(file):
            segment = _segment(cells, where)
            if segment is None:
                others += 1
                continue
            start_s, end_s = require_segment(segment, where)
            path = videos.path_of(_video_name(cells, where))
            annotations += [Annotation(path, label, start_s, end_s) for label in _labels(cells, options, where)]
    notes = [f"left out, as they are no segments but frames or files: {count_of(others, 'line')}"] if others else []
    return Listing(annotations, notes)


def _read_file(file: Path) -> Iterator[tuple[str, Mapping[str, str], Mapping[str, Any]]]:
    """Yield where each line is, its cells by column, and the attributes by their number."""
    columns: list[str] = []
    attributes: Mapping[str, Any] = {}
    for where, line in read_lines(file):
        if line.startswith(HEADER):
            columns = [column.strip() for column in line.removeprefix(HEADER).split(",")]
        elif line.startswith(ATTRIBUTES):
            attributes = _json(line.partition("=")[2], dict, where)
        elif not line.startswith("#"):
            cells = next(csv.reader([line]))
            if len(cells) != len(columns):
                raise StreamcamError(f"{where}: expected {len(columns)} values, as in CSV_HEADER, got {len(cells)}")
            yield where, dict(zip(columns, cells, strict=True)), attributes


def _json(text: str, kind: type, where: str) -> Any:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, kind):
        raise StreamcamError(f"{where}: expected JSON such as VIA writes, got {text[:80]!r}")
    return content


def _segment(cells: Mapping[str, str], where: str) -> list[float] | None:
    """Return start and end in seconds; None for a single frame or a whole file."""
    text = cells.get("temporal_coordinates") or f"[{','.join(cells.get(column, '') for column in SEGMENT_COLUMNS)}]"
    times = _json(text, list, where)
    if not all(isinstance(time, int | float) for time in times):
        raise StreamcamError(f"{where}: expected times in seconds, got {text!r}")
    return times if len(times) > 1 else None


def _video_name(cells: Mapping[str, str], where: str) -> str:
    names = _json(cells.get("file_list", ""), list, where)
    if len(names) != 1 or not isinstance(names[0], str):
        raise StreamcamError(f"{where}: expected one file in file_list, got {names}")
    return names[0]


def _labels(cells: Mapping[str, str], attributes: Mapping[str, Any], where: str) -> list[str]:
    """Return the classes of a line: the text of its only attribute, or the names of the options that are chosen."""
    values = {key: value for key, value in _json(cells.get("metadata", ""), dict, where).items() if value}
    if len(values) != 1:
        raise StreamcamError(f"{where}: expected one attribute in metadata, the class, got {len(values)}: {values}")
    ((key, value),) = values.items()
    attribute = attributes.get(key)
    options = attribute.get("options") if isinstance(attribute, dict) else None
    if not isinstance(options, dict) or not {*str(value).split(",")} <= {*options}:
        return [str(value).strip()]
    return [str(options[choice]) for choice in str(value).split(",")]
