"""Jester (Materzynska et al., 2019): a list of each split, and a folder of numbered pictures for each clip.

```
jester-v1-train.csv        ID;LABEL, without a header
jester-v1-validation.csv
jester-v1-labels.csv       LABEL
20bn-jester-v1/ID/00001.jpg
```
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import Annotation, Listing
from streamcam.train.data.layouts.reading import first_line, read_lines, split_in_name
from streamcam.train.data.pictures import is_folder

_LINE = re.compile(r"(\d+);([^;]+)")


def recognises(path: Path) -> bool:
    """Return whether a file is a list of Jester, by its first line."""
    return path.suffix.lower() == ".csv" and _LINE.fullmatch(first_line(path)) is not None


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read lists of Jester, whose folders of pictures lie in a folder, or in one of its folders.

    Raises:
        StreamcamError: a line is wrong, or the labels beside its list lack one; the message names the line.
    """
    # Only the folders above those of the pictures are looked through: there are millions of pictures.
    parents = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    return Listing([annotation for file in files for annotation in _read_file(file, parents)], [])


def _read_file(file: Path, parents: Sequence[Path]) -> Iterator[Annotation]:
    classes_file = next(iter(sorted(file.parent.glob("*labels.csv"))), None)
    classes = None if classes_file is None else {line for _, line in read_lines(classes_file)}
    for where, line in read_lines(file):
        match = _LINE.fullmatch(line)
        if match is None:
            raise StreamcamError(f"{where}: expected ID;LABEL, got {line!r}")
        name, label = match[1], match[2].strip()
        if classes is not None and label not in classes:
            raise StreamcamError(f"{where}: {classes_file} has no class {label!r}")
        path = next((parent / name for parent in parents if is_folder(parent / name)), parents[-1] / name)
        yield Annotation(path, label, split=split_in_name(file))
