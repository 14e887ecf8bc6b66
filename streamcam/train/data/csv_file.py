"""Read annotations from a CSV file: a line for each segment, with its path and label."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from unicodedata import normalize

from streamcam.errors import StreamcamError
from streamcam.files import VIDEOS
from streamcam.train.data.annotations import (
    Annotation,
    Listing,
    file_exists,
    normalise_name,
    require_classes,
    resolve_splits,
    split_of,
)

COLUMNS = {
    "path": "path file filename filepath video videopath videofile videofilename videoname clip clippath clipfile",
    "label": "label class classname classlabel labelname category action actionname activity gesture",
    "start": "start startsec startsecond starttime starttimesec tstart timestart begin begintime from onset",
    "end": "end endsec endsecond endtime endtimesec tend timeend stop stoptime to offset",
    "split": "split subset partition set",
    "group": "group groupid person personid subject subjectid participant participantid actor performer signer",
}
"""Each column, and the headings it may have: without case, spaces, underscores, and an s at the end."""

COLUMN_OF = {heading: column for column, headings in COLUMNS.items() for heading in headings.split()}
DELIMITERS = ",;\t|"
# A heading that speaks of time. Ignoring such a column would train on the wrong segments without a word.
_TIME_HEADING = re.compile(r"start|begin|end|stop|time|frame|dur|length|onset|offset|^ms|ms$")
_SECONDS = re.compile(r"(?:\d+:){0,2}(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,2})?", re.IGNORECASE)
_SEP_LINE = re.compile(r'"?sep=."?', re.IGNORECASE)


def read_csv(data: Path, *, known: bool) -> Listing:
    """Read a CSV file.

    Args:
        data: its first line names the columns: path, label and, optionally, start, end (in seconds), split and group.
        known: whether the classes are those of a checkpoint; their names may then be nearly the same.

    Raises:
        StreamcamError: it is not a CSV file, or a line is wrong; the message names the line.
    """
    text, skipped = _without_sep_line(read_text(data))
    delimiter = _find_delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    annotations = []
    try:
        header = next(reader, [])
        columns, notes = _read_header(header, data)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                where = f"{data}, line {reader.line_num + skipped}"
                values = _read_line(cells, columns, len(header), where)
                annotations.append(_annotation(values, data, where, decimal_comma=delimiter != ","))
    except csv.Error as e:
        raise StreamcamError(f"{data}, line {reader.line_num + skipped}: not CSV ({e})") from e
    if not annotations:
        raise StreamcamError(f"{data} lists no clips")
    listing = resolve_splits(Listing(annotations, notes), data)
    require_classes(listing.annotations, data, "list clips of another, such as what is none of them", known=known)
    return listing


def read_text(data: Path) -> str:
    """Decode UTF-8 or Excel's UTF-16, and make every line end in a newline."""
    try:
        content = data.read_bytes()
    except OSError as e:
        raise StreamcamError(f"cannot read {data}: {e.strerror}") from e
    has_utf16_mark = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if has_utf16_mark else "utf-8-sig")
    except UnicodeDecodeError as e:
        if b"\0" not in content:
            line = content.count(b"\n", 0, e.start) + 1
            raise StreamcamError(f"{data}, line {line}: not UTF-8: save it as 'CSV UTF-8'") from e
        text = "\0"
    if "\0" in text:  # a spreadsheet or another binary file
        raise StreamcamError(f"cannot read {data}: not a CSV file (save a spreadsheet as 'CSV UTF-8')")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _without_sep_line(text: str) -> tuple[str, int]:
    """Remove the line `sep=;` with which Excel may begin, and return how many lines were removed."""
    first, _, rest = text.partition("\n")
    return (rest, 1) if _SEP_LINE.fullmatch(first.strip()) else (text, 0)


def _find_delimiter(text: str) -> str:
    """Return the delimiter that splits the first line into the most known columns."""
    first = text.lstrip().partition("\n")[0]

    def known_columns(delimiter: str) -> int:
        cells = next(csv.reader([first], delimiter=delimiter), [])
        return sum(_column_of(cell) is not None for cell in cells)

    return max(DELIMITERS, key=known_columns)


def _column_of(heading: str) -> str | None:
    plain = _plain_heading(heading)
    return COLUMN_OF.get(plain) or COLUMN_OF.get(plain.removesuffix("s"))


def _plain_heading(heading: str) -> str:
    return re.sub(r"\W", "", normalise_name(heading))


def _read_header(header: Sequence[str], data: Path) -> tuple[dict[int, str], list[str]]:
    """Return the known columns by their index, and a note on the others."""
    columns = {i: column for i, heading in enumerate(header) if (column := _column_of(heading)) is not None}
    if not columns and any(suffix in cell.casefold() for cell in header for suffix in VIDEOS):
        raise StreamcamError(
            f"{data}: the first line lists a clip: put one before it that names the columns, path,start,end,label"
        )
    _require_single_columns(header, columns, data)
    for required in ("label", "path"):
        if required not in columns.values():
            found = ", ".join(name.strip() for name in header) or "nothing"
            raise StreamcamError(f"{data}: no column {required!r} (expected path,start,end,label, got {found[:200]})")
    others = [name.strip() or f"column {i + 1}" for i, name in enumerate(header) if i not in columns]
    others = [name for name in others if name != f"column {len(header)}"]  # a comma at the end of the line
    return columns, _note_on_others(others, set(columns.values()), data)


def _require_single_columns(header: Sequence[str], columns: Mapping[int, str], data: Path) -> None:
    first: dict[str, int] = {}
    for i, column in columns.items():
        earlier = first.setdefault(column, i)
        if earlier != i:
            both = f"{header[earlier].strip()!r} and {header[i].strip()!r}"
            raise StreamcamError(f"{data}: the columns {both} both mean {column}: leave one out")


def _note_on_others(others: Sequence[str], columns: set[str], data: Path) -> list[str]:
    times = [heading for heading in others if _TIME_HEADING.search(_plain_heading(heading))]
    if times and not {"start", "end"} <= columns:
        raise StreamcamError(f"{data}: the column {times[0]!r} is not known: times are start and end, in seconds")
    return [f"{data}: columns that are not known, and ignored: {', '.join(others)}"] if others else []


def _read_line(cells: Sequence[str], columns: Mapping[int, str], width: int, where: str) -> dict[str, str]:
    """Return the cell of each known column. Empty cells beyond the header are ignored; others are an error."""
    if any(cell.strip() for cell in cells[width:]):
        raise StreamcamError(f"{where}: {len(cells)} values for {width} columns: put what holds a separator in quotes")
    return {column: cells[i].strip() for i, column in columns.items() if i < len(cells)}


def _annotation(values: Mapping[str, str], data: Path, where: str, *, decimal_comma: bool) -> Annotation:
    path, label, split_name = (values.get(column, "") for column in ("path", "label", "split"))
    if not path or not label:
        raise StreamcamError(f"{where}: path or label is missing")
    start_s, end_s = (_seconds(values.get(key, ""), where, decimal_comma=decimal_comma) for key in ("start", "end"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise StreamcamError(f"{where}: expected 0 ≤ start < end, got {start_s or 0:g} and {end_s:g}")
    split = split_of(split_name)
    if split_name and split is None:
        raise StreamcamError(f"{where}: split is train, val or test, got {split_name!r}")
    group = normalize("NFC", values.get("group", "")) or None
    return Annotation(_resolve_path(data, path), normalize("NFC", label), start_s, end_s, split, group=group)


def _seconds(text: str, where: str, *, decimal_comma: bool) -> float | None:
    """Return the seconds that a cell gives: 12.5, 1:30, 0:01:30.5 or, with `decimal_comma`, 12,5; None if empty."""
    if not text:
        return None
    plain = text.replace(",", ".") if decimal_comma else text
    if not _SECONDS.fullmatch(plain):
        raise StreamcamError(f"{where}: start and end are seconds, such as 12.5, or 1:30, got {text!r}")
    return sum(60.0**i * float(part) for i, part in enumerate(reversed(plain.split(":"))))


def _resolve_path(data: Path, text: str) -> Path:
    """Return a path relative to the CSV file; Windows' backslashes become slashes where that names a file."""
    path, with_slashes = data.parent / text, data.parent / text.replace("\\", "/")
    if file_exists(path):
        return path
    if file_exists(with_slashes):
        return with_slashes
    return Path(text) if PureWindowsPath(text).drive else path  # for the message: no folder before the drive


def require_files(paths: Sequence[Path], data: Path) -> None:
    """Check that at least one of the files exists; missing ones among others are only left out.

    Raises:
        StreamcamError: none exists.
    """
    if any(file_exists(path) for path in paths):
        return
    windows = bool(PureWindowsPath(paths[0]).drive)
    where = "a path of Windows: give it as it is here" if windows else f"paths are relative to {data.parent}"
    raise StreamcamError(f"no such file: {paths[0]} ({where}); none of the {len(paths)} files in {data} is there")
