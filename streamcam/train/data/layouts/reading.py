"""Read annotation files: lines, CSV and JSON, with errors that say where."""

import codecs
import csv
import io
import math
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from streamcam.errors import StreamcamError
from streamcam.train.data.annotations import split_of
from streamcam.train.data.csv_file import read_text

T = TypeVar("T")

HEAD_BYTES = 4096
"""The first line of an annotation file is not longer."""


def first_line(path: Path) -> str:
    """Return the first line of a file; what is not UTF-8 in it is replaced. Empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a file that are not empty, without blanks around them, each with where it is.

    Raises:
        StreamcamError: it cannot be read, or is not UTF-8.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def read_table(path: Path, columns: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the lines of a CSV file with a header: where each is, and its cells by column, without blanks around them.

    Args:
        path: the file.
        columns: those that it must have.

    Raises:
        StreamcamError: it is not CSV, lacks a column, or a line has not as many values as there are columns.
    """
    lines = read_rows(path)
    _, header = next(lines, ("", []))
    if not {*columns} <= {*header}:
        raise StreamcamError(f"{path}: expected the columns {','.join(sorted(columns))}, got {','.join(header)[:200]}")
    for where, cells in lines:
        if len(cells) != len(header):
            raise StreamcamError(f"{where}: expected {len(header)} values, as there are columns, got {len(cells)}")
        yield where, dict(zip(header, cells, strict=True))


def read_rows(path: Path, *, delimiter: str = ",") -> Iterator[tuple[str, list[str]]]:
    """Yield the lines of a CSV file: where each is, and its cells, without blanks around them.

    Raises:
        StreamcamError: it is not CSV.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f"{path}, line {reader.line_num}", [cell.strip() for cell in cells]
    except csv.Error as e:
        raise StreamcamError(f"{path}, line {reader.line_num}: not CSV ({e})") from e


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file.

    Args:
        path: the file.
        kind: the type of its content; what is not in it is ignored.

    Raises:
        StreamcamError: it is not JSON, or its content is of another type; the message says where.
    """
    try:
        return msgspec.json.decode(path.read_bytes().removeprefix(codecs.BOM_UTF8), type=kind)
    except OSError as e:
        raise StreamcamError(f"cannot read {path}: {e.strerror}") from e
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise StreamcamError(f"cannot read {path}: {e}") from e


def convert_entry(content: msgspec.Raw, kind: type[T], where: str) -> T:
    """Decode a part of a JSON file.

    Raises:
        StreamcamError: it is of another type.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise StreamcamError(f"{where}: {e}") from e


def holds_json(path: Path, kind: type[object]) -> bool:
    """Return whether a file is JSON of a type."""
    if path.suffix.lower() != ".json":
        return False
    try:
        read_json(path, kind)
    except StreamcamError:
        return False
    return True


def number_of(text: str, what: str, where: str) -> float:
    """Return the number that a cell gives.

    Raises:
        StreamcamError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise StreamcamError(f"{where}: {what} is a number, got {text!r}")
    return number


def require_segment(segment: Sequence[float], where: str) -> tuple[float, float]:
    """Return start and end of a segment in seconds.

    Raises:
        StreamcamError: they are not 0 ≤ start < end.
    """
    if len(segment) != 2 or not 0 <= segment[0] < segment[1] < math.inf:
        raise StreamcamError(f"{where}: expected 0 ≤ start < end, got {' and '.join(f'{s:g}' for s in segment)}")
    return segment[0], segment[1]


def require_split(name: str, where: str) -> str | None:
    """Return the split that a cell or key names: train, val or test; None where it is empty.

    Raises:
        StreamcamError: it names none.
    """
    split = split_of(name)
    if name and split is None:
        raise StreamcamError(f"{where}: the split is train, val or test, got {name!r}")
    return split


def split_in_name(path: Path) -> str | None:
    """Return the split that a word in a file's name gives, as in `ava_train_v2.2.csv`; None where there is none."""
    splits = [split_of(word) for word in re.split(r"[\W_]+", path.stem)]
    return next((split for split in splits if split is not None), None)
