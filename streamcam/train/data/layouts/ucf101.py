"""UCF101 (Soomro et al., 2012): lists of videos for training and testing, and a numbered list of the classes.

```
classInd.txt                                    1 ApplyEyeMakeup
trainlist01.txt                                 ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
testlist01.txt                                  ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi
```
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing
from streamcam.train.data.layouts.reading import read_lines
from streamcam.train.data.layouts.videos import Videos, find_videos

CLASSES = "classInd.txt"
_GROUP = re.compile(r"_(g\d+)_c\d+\.")
_LIST = re.compile(r"(train|test)list(\d+)\.txt")


def recognises(path: Path) -> bool:
    """Return whether a file is a list of UCF101, by its name."""
    return _LIST.fullmatch(path.name) is not None


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read the lists of UCF101's first division, or of the one that the given list belongs to.

    Raises:
        StreamcamError: there is no classInd.txt beside the list, or a line is wrong; the message names the line.
    """
    first = min(files, key=_division)
    lists = [p for p in sorted(first.parent.iterdir()) if recognises(p) and _division(p) == _division(first)]
    classes = _read_classes(first.parent / CLASSES)
    videos = find_videos(root)
    annotations = [annotation for path in lists for annotation in _read_list(path, classes, videos)]
    return Listing(annotations, [f"lists that are read: {', '.join(path.name for path in lists)}"])


def _division(path: Path) -> int:
    """Return the number of a list's division, 1 to 3."""
    match = _LIST.fullmatch(path.name)
    assert match is not None
    return int(match[2])


def _read_classes(path: Path) -> dict[str, str]:
    """Return name → number of each class."""
    classes: dict[str, str] = {}
    for where, line in read_lines(path):
        number, _, name = line.partition(" ")
        if number != str(len(classes) + 1) or not name:
            raise StreamcamError(
                f"{where}: expected '{len(classes) + 1} NAME', as classes are numbered from 1: {line!r}"
            )
        classes[name.strip()] = number
    return classes


def _read_list(path: Path, classes: dict[str, str], videos: Videos) -> Iterator[Annotation]:
    split = path.name.partition("list")[0]
    for where, line in read_lines(path):
        name, _, number = line.partition(" ")
        label = PurePosixPath(name).parent.name
        if label not in classes:
            raise StreamcamError(f"{where}: {CLASSES} has no class {label!r}")
        if number not in ("", classes[label]):
            raise StreamcamError(f"{where}: {label} has number {classes[label]} in {CLASSES}, got {number!r}")
        group = _GROUP.search(name)
        person = None if group is None else f"{label} {group[1]}"  # clips of one group were cut from one video
        yield Annotation(videos.path_of(name, label=label), label, split=split, group=person)
