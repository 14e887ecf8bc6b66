"""Something-Something v2 (Goyal et al., 2017): a JSON list of each split, whose classes are templates.

```
train.json        [{"id": "78687", "label": "holding potato", "template": "Holding [something]", …}, …]
validation.json
labels.json       {"Holding something": "0", …}
78687.webm
```
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing
from streamcam.train.data.layouts.reading import convert_entry, holds_json, read_json, split_in_name
from streamcam.train.data.layouts.videos import Videos, find_videos


class Entry(msgspec.Struct):
    """A video and its class."""

    id: str | int
    template: str


def recognises(path: Path) -> bool:
    """Return whether a file is a list of videos with templates: what the first entry holds decides."""
    if not holds_json(path, list[msgspec.Raw]):
        return False
    entries = read_json(path, list[msgspec.Raw])
    return bool(entries) and {"id", "template"} <= _keys_of(entries[0])


def _keys_of(entry: msgspec.Raw) -> set[str]:
    try:
        return set(msgspec.json.decode(entry, type=dict[str, msgspec.Raw]))
    except msgspec.MsgspecError:
        return set()


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read lists of Something-Something, whose videos lie in a folder or below it.

    Raises:
        StreamcamError: an entry is wrong, or labels.json beside its list has no such class; the message names it.
    """
    videos = find_videos(root)
    return Listing([annotation for file in files for annotation in _read_file(file, videos)], [])


def _read_file(file: Path, videos: Videos) -> Iterator[Annotation]:
    classes_file = next(iter(sorted(file.parent.glob("*labels.json"))), None)
    classes = None if classes_file is None else read_json(classes_file, dict[str, msgspec.Raw])
    for number, content in enumerate(read_json(file, list[msgspec.Raw]), start=1):
        where = f"{file}, entry {number}"
        entry = convert_entry(content, Entry, where)
        label = entry.template.replace("[", "").replace("]", "")
        if classes is not None and label not in classes:
            raise StreamcamError(f"{where} ({entry.id}): {classes_file} has no class {label!r}")
        yield Annotation(videos.path_of(f"{entry.id}.webm"), label, split=split_in_name(file))
