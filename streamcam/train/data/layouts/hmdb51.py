"""HMDB51 (Kuehne et al., 2011): for each class, and each of three divisions, a list of its videos.

```
brush_hair_test_split1.txt                              NAME.avi 1 (training), 2 (testing) or 0 (not used)
brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi
```
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing
from streamcam.train.data.layouts.reading import read_lines
from streamcam.train.data.layouts.videos import Videos, find_videos

SPLITS = {"0": None, "1": "train", "2": "test"}
_LIST = re.compile(r"(.+)_test_split(\d+)\.txt")


def recognises(path: Path) -> bool:
    """Return whether a file is a list of HMDB51, by its name."""
    return _LIST.fullmatch(path.name) is not None


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read the lists of HMDB51's first division, or of the one that the given list belongs to.

    Raises:
        StreamcamError: a line is wrong; the message names it.
    """
    first = min(files, key=_division)
    number = _division(first)
    lists = [path for path in sorted(first.parent.iterdir()) if recognises(path) and _division(path) == number]
    videos = find_videos(root)
    annotations = [annotation for path in lists for annotation in _read_list(path, videos)]
    return Listing(annotations, [f"lists that are read: CLASS_test_split{number}.txt, of {len(lists)} classes"])


def _division(path: Path) -> int:
    """Return the number of a list's division, 1 to 3."""
    match = _LIST.fullmatch(path.name)
    assert match is not None
    return int(match[2])


def _read_list(path: Path, videos: Videos) -> Iterator[Annotation]:
    label = path.name.partition("_test_split")[0]
    for where, line in read_lines(path):
        name, _, number = line.rpartition(" ")
        if not name or number not in SPLITS:
            raise StreamcamError(f"{where}: expected NAME.avi and 0, 1 (training) or 2 (testing), got {line!r}")
        split = SPLITS[number]
        if split is not None:
            yield Annotation(videos.path_of(name.strip(), label=label), label, split=split)
