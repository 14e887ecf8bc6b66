"""AVA (Gu et al., 2018): what people do around one second of a film; a line for each box and action.

```
ava_train_v2.2.csv             VIDEO,middle second,x1,y1,x2,y2,action,person; no header, boxes as fractions 0–1
ava_action_list_v2.2.pbtxt     label { name: "stand"  label_id: 12 … }, or a CSV: label_id,label_name
VIDEO.mkv                      the whole film, not a part of it
```

A clip is the second around the middle one, with the actions of everybody in it: several labels.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing
from streamcam.train.data.csv_file import read_text
from streamcam.train.data.layouts.reading import first_line, number_of, read_rows, read_table, split_in_name
from streamcam.train.data.layouts.videos import Videos, find_videos

COLUMNS = 8
BOX = ("x1", "y1", "x2", "y2")
HALF_S = 0.5
"""A clip begins this long before its middle second, and ends as long after it."""

_LINE = re.compile(r"[^,]+,\s*\d+(?:\.\d+)?,(?:[^,]*,){4}\s*\d+\s*,\s*\d+")
_NAME = re.compile(r'\bname:\s*"([^"]*)"')
_ID = re.compile(r"\b(?:label_)?id:\s*(\d+)")


def recognises(path: Path) -> bool:
    """Return whether a file is a CSV file of AVA, by its first line."""
    return path.suffix.lower() == ".csv" and _LINE.fullmatch(first_line(path)) is not None


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read CSV files of AVA, whose videos lie in a folder or below it.

    Raises:
        StreamcamError: a line is wrong, or the list of actions is missing; the message names it.
    """
    videos = find_videos(root)
    # Several people may do the same at one time: that is one label of the clip.
    annotations = dict.fromkeys(a for file in files for a in _read_file(file, _read_actions(file.parent), videos))
    return Listing(list(annotations), [])


def _read_file(file: Path, actions: Mapping[int, str], videos: Videos) -> Iterator[Annotation]:
    split = split_in_name(file)
    for where, cells in read_rows(file):
        if len(cells) != COLUMNS:
            raise StreamcamError(f"{where}: expected {COLUMNS} values, got {len(cells)}")
        middle_s = number_of(cells[1], "the middle second", where)
        if middle_s < 0:
            raise StreamcamError(f"{where}: the middle second is 0 or more, got {cells[1]}")
        x1, y1, x2, y2 = (number_of(cell, name, where) for cell, name in zip(cells[2:6], BOX, strict=True))
        if not 0 <= x1 < x2 <= 1 or not 0 <= y1 < y2 <= 1:
            raise StreamcamError(f"{where}: expected a box of fractions, 0 ≤ x1 < x2 ≤ 1, got {','.join(cells[2:6])}")
        label = actions.get(int(cells[6])) if cells[6].isdecimal() else None
        if label is None:
            raise StreamcamError(f"{where}: the list of {len(actions)} actions has no number {cells[6]}")
        path = videos.path_of(f"{cells[0]}.mkv")
        yield Annotation(path, label, max(0.0, middle_s - HALF_S), middle_s + HALF_S, split)


def _read_actions(folder: Path) -> dict[int, str]:
    """Return number → name of each action, from all lists in a folder.

    Raises:
        StreamcamError: there is none.
    """
    actions: dict[int, str] = {}
    for path in sorted(folder.glob("*.pbtxt")):
        for block in read_text(path).split("}"):
            name, number = _NAME.search(block), _ID.search(block)
            if name and number:
                actions[int(number[1])] = name[1]
    for path in sorted(folder.glob("*.csv")):
        if first_line(path).startswith("label_id,label_name"):
            actions |= {
                int(number_of(cells["label_id"], "label_id", where)): cells["label_name"]
                for where, cells in read_table(path, ("label_id", "label_name"))
            }
    if not actions:
        raise StreamcamError(f"{folder}: no names of actions: put ava_action_list_v2.2.pbtxt there")
    return actions
