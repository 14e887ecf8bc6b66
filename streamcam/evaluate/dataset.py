"""Read a data set: a folder of clips and pictures with their truth, and the names of its classes."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from streamcam.cvat import is_cvat
from streamcam.errors import StreamcamError
from streamcam.evaluate.coco import is_coco, read_coco
from streamcam.evaluate.cvat import read_cvat_objects
from streamcam.evaluate.davis import davis_items, is_davis
from streamcam.evaluate.objects import ReadObjects
from streamcam.evaluate.truth import PICTURES, Item
from streamcam.files import VIDEOS
from streamcam.models.classes import shown_index
from streamcam.models.spec import ModelSpec

TABLE, NAMES = "truth.csv", "classes.yaml"
REQUIRED_COLUMNS = ("clip", "class")
BOX_COLUMNS = ("x0", "y0", "x1", "y1")
COLUMNS = frozenset({*REQUIRED_COLUMNS, *BOX_COLUMNS, "frame", "time", "thing"})
"""All columns that truth.csv may have."""

Row = Mapping[str, str]
"""A line of truth.csv: column → value."""

ANNOTATION_FILES: Sequence[
    tuple[Callable[[Path], bool], Callable[[Path, Sequence[str]], Mapping[str, ReadObjects]]]
] = ((is_cvat, read_cvat_objects), (is_coco, read_coco))
"""The kinds of annotation files: what recognises one, and what reads it, given the names of the clips."""


def find_items(data: Path) -> list[Item]:
    """Find all clips and pictures of a data set, sorted by name: first those without a folder, then class by class.

    A folder in the layout of DAVIS has a clip for each sequence.

    Raises:
        StreamcamError: `data` is not a folder or has no clips; or truth.csv or an annotation file cannot be read, or
            names a clip that does not exist.
    """
    if not data.is_dir():
        raise StreamcamError(f"no such folder: {data}")
    if is_davis(data):
        return davis_items(data)
    rows = read_table(data / TABLE) if (data / TABLE).exists() else {}
    media = {path.relative_to(data).as_posix(): (path, folder_class) for path, folder_class in _media(data)}
    objects = _objects_of_layouts(data, list(media))
    items = [
        Item(path, name, folder_class, rows.pop(name, ()), objects.get(name))
        for name, (path, folder_class) in media.items()
    ]
    if rows:
        raise StreamcamError(f"{data / TABLE}: no such clip: {next(iter(rows))} (paths are relative to {data})")
    if not items:
        raise StreamcamError(f"no clips or pictures in {data}: expected {data}/CLASS/clip.mp4 (or .jpg)")
    return items


def _objects_of_layouts(data: Path, names: Sequence[str]) -> dict[str, ReadObjects]:
    """Return what reads the objects of each clip or picture that an annotation file in a folder is about.

    Raises:
        StreamcamError: a file is wrong, or two are about the same clip.
    """
    found: dict[str, ReadObjects] = {}
    for path in sorted(data.iterdir()):
        for recognises, read in ANNOTATION_FILES:
            if recognises(path):
                objects = read(path, names)
                twice = sorted(found.keys() & objects)
                if twice:
                    raise StreamcamError(f"{path}: {twice[0]} is in another annotation file as well: keep one of them")
                found |= objects
    return found


def _media(data: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield clips and pictures, each with the class of its folder."""
    without_class = _files(data)
    yield from ((path, None) for path in without_class)
    mask_folders = {path.stem for path in without_class}  # the folder a/ holds the masks of a.mp4, and is no class
    for folder in sorted(p for p in data.iterdir() if p.is_dir() and p.name not in mask_folders and p.name[0] != "."):
        yield from ((path, folder.name) for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    """Return the clips and pictures in a folder, sorted.

    Raises:
        StreamcamError: two of them would have masks of the same name.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEOS | PICTURES and p.name[0] != ".")
    stems: dict[str, Path] = {}
    for path in paths:
        if path.stem in stems:
            raise StreamcamError(f"{path} and {stems[path.stem].name} would share their truth: give one another name")
        stems[path.stem] = path
    return paths


def read_table(path: Path) -> dict[str, list[Row]]:
    """Read truth.csv: clip → its lines.

    Raises:
        StreamcamError: a column is missing or unknown, or a line is malformed; the message names the line.
    """
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise StreamcamError(f"cannot read {path}: expected comma-separated text in UTF-8") from e
    columns = set(reader.fieldnames or ())
    if not columns >= set(REQUIRED_COLUMNS) or not columns <= COLUMNS or columns >= {"frame", "time"}:
        expected = "clip,class and, for boxes, frame or time, x0,y0,x1,y1 (and thing)"
        raise StreamcamError(f"{path}: expected the columns {expected}, got {','.join(reader.fieldnames or ())}")
    rows: dict[str, list[Row]] = {}
    for line in lines:
        problem = _problem(line)
        if problem:
            raise StreamcamError(f"{path}, line {lines.index(line) + 2}: {problem}")
        rows.setdefault(line["clip"], []).append(line)
    return rows


def _problem(line: Mapping[str | None, str | None]) -> str:
    """Say what is wrong with a line of truth.csv; the empty string if it is right."""
    if None in line or None in line.values():
        return "expected as many values as there are columns"
    values = {str(key): str(value) for key, value in line.items()}
    if not values["clip"] or not values["class"]:
        return "expected a clip and a class"
    if not any(values.get(key) for key in BOX_COLUMNS):
        return ""
    try:
        numbers = [float(values[key]) for key in BOX_COLUMNS if key in values]
        position = float(values.get("time") or values.get("frame") or 0)
    except ValueError:
        return "expected numbers for frame or time, x0, y0, x1, y1"
    if len(numbers) < len(BOX_COLUMNS) or not numbers[0] < numbers[2] or not numbers[1] < numbers[3] or position < 0:
        return f"expected a box with x0 < x1 and y0 < y1, at a frame or time from 0 on, got {values}"
    return ""


def read_names(data: Path) -> dict[str, tuple[str, ...]]:
    """Read classes.yaml: class of the truth → names of the model's classes that count as it. Empty without the file.

    Raises:
        StreamcamError: it is not a mapping of names to names or lists of names.
    """
    path = data / NAMES
    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise StreamcamError(f"cannot read {path}: expected YAML such as 'cat: [tabby, Egyptian cat]'") from e
    lists = {k: [v] if isinstance(v, str) else v for k, v in content.items()} if isinstance(content, dict) else {}
    if not lists or not all(map(_is_names, lists.values())):
        raise StreamcamError(f"{path}: expected names such as 'cat: [tabby, Egyptian cat]'")
    return {str(key): tuple(value) for key, value in lists.items()}


def _is_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def find_indices(labels: Sequence[str], names: Mapping[str, Sequence[str]], spec: ModelSpec) -> dict[str, list[int]]:
    """Map each class of the truth to the indices of the model's classes that count as it.

    Args:
        labels: the classes of the truth.
        names: what `read_names` returns. A class that is not in it counts as the model's class of the same name.
        spec: the model's description. Upper and lower case of its classes' names do not matter. A class that is added
            up with others counts as its group.

    Raises:
        StreamcamError: the model has no such class.
    """
    indices = {}
    for label in labels:
        try:
            found = [shown_index(spec, name) for name in names.get(label, (label,))]
            indices[label] = list(dict.fromkeys(found))
        except StreamcamError as e:
            raise StreamcamError(f"{e}; {NAMES} can say which of its classes count as {label!r}") from e
    return indices
