"""A folder of clips and pictures with their truth: what is in it, and which of the model's classes it speaks of."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from streamcam.errors import StreamcamError
from streamcam.evaluate.truth import PICTURES, Item
from streamcam.files import VIDEOS
from streamcam.models.classes import class_index

TABLE, NAMES = "truth.csv", "classes.yaml"
NEEDED = ("clip", "class")
PLACE = ("x0", "y0", "x1", "y1")
ALLOWED = frozenset({*NEEDED, *PLACE, "frame", "time", "thing"})

Row = Mapping[str, str]


def find_items(data: Path) -> list[Item]:
    """All clips and pictures of a folder, in the order of their names.

    Raises:
        StreamcamError: it is not a folder, there is nothing in it, or truth.csv is not as it should be.
    """
    if not data.is_dir():
        raise StreamcamError(f"no such folder: {data}")
    rows = read_table(data / TABLE) if (data / TABLE).exists() else {}
    items = [
        Item(path, name, folder_class, rows.pop(name, ()))
        for path, folder_class in _media(data)
        for name in [path.relative_to(data).as_posix()]
    ]
    if rows:
        raise StreamcamError(f"{data / TABLE}: no such clip: {next(iter(rows))} (paths are relative to {data})")
    if not items:
        raise StreamcamError(f"no clips or pictures in {data}: expected {data}/CLASS/clip.mp4 (or .jpg)")
    return items


def _media(data: Path) -> Iterator[tuple[Path, str | None]]:
    """Clips and pictures with the class of their folder; a folder with a clip's own name holds its masks."""
    here = _files(data)
    yield from ((path, None) for path in here)
    taken = {path.stem for path in here}
    for folder in sorted(p for p in data.iterdir() if p.is_dir() and p.name not in taken and p.name[0] != "."):
        yield from ((path, folder.name) for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEOS | PICTURES and p.name[0] != ".")
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise StreamcamError(f"{path} and {stems[path.stem].name} would share their truth: give one another name")
        stems[path.stem] = path
    return found


def read_table(path: Path) -> dict[str, list[Row]]:
    """truth.csv: the lines of each clip.

    Raises:
        StreamcamError: a column is missing or unknown, or a line is not as it should be; the message names the line.
    """
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise StreamcamError(f"cannot read {path}: expected comma-separated text in UTF-8") from e
    columns = set(reader.fieldnames or ())
    if not columns >= set(NEEDED) or not columns <= ALLOWED or columns >= {"frame", "time"}:
        expected = "clip,class and, for boxes, frame or time, x0,y0,x1,y1 (and thing)"
        raise StreamcamError(f"{path}: expected the columns {expected}, got {','.join(reader.fieldnames or ())}")
    found: dict[str, list[Row]] = {}
    for line in lines:
        problem = _problem(line)
        if problem:
            raise StreamcamError(f"{path}, line {lines.index(line) + 2}: {problem}")
        found.setdefault(line["clip"], []).append(line)
    return found


def _problem(line: Mapping[str | None, str | None]) -> str:
    """What is wrong with a line of truth.csv; nothing, if nothing is."""
    if None in line or None in line.values():
        return "expected as many values as there are columns"
    values = {str(key): str(value) for key, value in line.items()}
    if not values["clip"] or not values["class"]:
        return "expected a clip and a class"
    if not any(values.get(key) for key in PLACE):
        return ""
    try:
        numbers = [float(values[key]) for key in PLACE if key in values]
        at = float(values.get("time") or values.get("frame") or 0)
    except ValueError:
        return "expected numbers for frame or time, x0, y0, x1, y1"
    if len(numbers) < len(PLACE) or not numbers[0] < numbers[2] or not numbers[1] < numbers[3] or at < 0:
        return f"expected a box with x0 < x1 and y0 < y1, at a frame or time from 0 on, got {values}"
    return ""


def read_names(data: Path) -> dict[str, tuple[str, ...]]:
    """classes.yaml: a class of the truth → the model's classes that count as it.

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
    for value in lists.values():
        if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
            lists = {}
            break
    if not lists:
        raise StreamcamError(f"{path}: expected names such as 'cat: [tabby, Egyptian cat]'")
    return {str(key): tuple(value) for key, value in lists.items()}


def find_indices(
    labels: Sequence[str], names: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> dict[str, list[int]]:
    """Each class of the truth → the indices of the model's classes that count as it, spelt so or in any case.

    Raises:
        StreamcamError: the model has no such class.
    """
    found = {}
    for label in labels:
        try:
            found[label] = [class_index(name, classes, of="the model") for name in names.get(label, (label,))]
        except StreamcamError as e:
            raise StreamcamError(f"{e}; {NAMES} can say which of its classes count as {label!r}") from e
    return found
