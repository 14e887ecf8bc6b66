"""A CSV file with the stretch and label of each clip → rows."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from unicodedata import normalize

from streamcam.errors import StreamcamError
from streamcam.files import VIDEOS
from streamcam.train.rows import Listed, Row, folded, is_there, require_classes, settled, side_of

COLUMNS = {
    "path": "path file filename filepath video videopath videofile videofilename videoname clip clippath clipfile",
    "label": "label class classname classlabel labelname category action actionname activity gesture",
    "start": "start startsec startsecond starttime starttimesec tstart timestart begin begintime from onset",
    "end": "end endsec endsecond endtime endtimesec tend timeend stop stoptime to offset",
    "split": "split subset partition set",
}
"""What each column may be called, without case, spaces and underscores; an s at the end is left out, too."""

MEANINGS = {name: meaning for meaning, names in COLUMNS.items() for name in names.split()}
DELIMITERS = ",;\t|"
_TIME = re.compile(r"start|begin|end|stop|time|frame|dur|length|onset|offset|^ms|ms$")
_NUMBER = re.compile(r"(?:\d+:){0,2}(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,2})?", re.IGNORECASE)


def table_rows(data: Path, *, known: bool) -> Listed:
    """Read a CSV file.

    Args:
        data: a line names its columns: path, label and, where wanted, start, end (in seconds) and split.
        known: whether the classes are those of a checkpoint, which may be told apart by less than others.

    Raises:
        StreamcamError: it is none, or a line is not as it should be; the message names the line.
    """
    text, skipped = _without_sep(_text(data))
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows = []
    try:
        header = next(reader, [])
        columns, notes = _columns(header, data)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                where = f"{data}, line {reader.line_num + skipped}"
                rows.append(_row(_named(cells, columns, len(header), where), data, where, comma=delimiter != ","))
    except csv.Error as e:
        raise StreamcamError(f"{data}, line {reader.line_num + skipped}: not CSV ({e})") from e
    if not rows:
        raise StreamcamError(f"{data} lists no clips")
    listed = settled(Listed(rows, notes), data)
    require_classes(listed.rows, data, "list clips of another, such as what is none of them", known=known)
    return listed


def _text(data: Path) -> str:
    try:
        content = data.read_bytes()
    except OSError as e:
        raise StreamcamError(f"cannot read {data}: {e.strerror}") from e
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as e:
        if b"\0" not in content:
            line = content.count(b"\n", 0, e.start) + 1
            raise StreamcamError(f"{data}, line {line}: not UTF-8: save it as 'CSV UTF-8'") from e
        text = "\0"
    if "\0" in text:
        raise StreamcamError(f"cannot read {data}: not a CSV file (save a spreadsheet as 'CSV UTF-8')")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _without_sep(text: str) -> tuple[str, int]:
    """Excel may say on a first line which separator it takes; how many lines were taken away."""
    first, _, rest = text.partition("\n")
    return (rest, 1) if re.fullmatch(r'"?sep=."?', first.strip(), re.IGNORECASE) else (text, 0)


def _delimiter(text: str) -> str:
    """What stands between the columns: of what may, that which gives the most columns that are known."""
    first = text.lstrip().partition("\n")[0]
    return max(
        DELIMITERS, key=lambda d: sum(_meaning(cell) is not None for cell in next(csv.reader([first], delimiter=d), []))
    )


def _meaning(name: str) -> str | None:
    plain = re.sub(r"\W", "", folded(name))
    return MEANINGS.get(plain) or MEANINGS.get(plain.removesuffix("s"))


def _columns(header: Sequence[str], data: Path) -> tuple[dict[int, str], list[str]]:
    """What the columns mean, by their place; and what is said of the others."""
    meanings = {i: meaning for i, name in enumerate(header) if (meaning := _meaning(name)) is not None}
    if not meanings and any(suffix in cell.casefold() for cell in header for suffix in VIDEOS):
        raise StreamcamError(
            f"{data}: the first line lists a clip: put one before it that names the columns, path,start,end,label"
        )
    for i, meaning in meanings.items():
        twin = next((j for j in meanings if j < i and meanings[j] == meaning), None)
        if twin is not None:
            both = f"{header[twin].strip()!r} and {header[i].strip()!r}"
            raise StreamcamError(f"{data}: the columns {both} both mean {meaning}: leave one out")
    for needed in ("label", "path"):
        if needed not in meanings.values():
            there = ", ".join(name.strip() for name in header) or "nothing"
            raise StreamcamError(f"{data}: no column {needed!r} (expected path,start,end,label, got {there[:200]})")
    others = [name.strip() or f"column {i + 1}" for i, name in enumerate(header) if i not in meanings]
    others = [name for name in others if name != f"column {len(header)}"]  # a comma at the end
    return meanings, _ignored(others, set(meanings.values()), data)


def _ignored(others: Sequence[str], meanings: set[str], data: Path) -> list[str]:
    times = [name for name in others if _TIME.search(re.sub(r"\W", "", folded(name)))]
    if times and not {"start", "end"} <= meanings:
        raise StreamcamError(f"{data}: the column {times[0]!r} is not known: times are start and end, in seconds")
    return [f"{data}: columns that are not known, and ignored: {', '.join(others)}"] if others else []


def _named(cells: Sequence[str], columns: dict[int, str], width: int, where: str) -> dict[str, str]:
    if any(cell.strip() for cell in cells[width:]):
        raise StreamcamError(f"{where}: {len(cells)} values for {width} columns: put what holds a separator in quotes")
    return {meaning: cells[i].strip() for i, meaning in columns.items() if i < len(cells)}


def _row(values: dict[str, str], data: Path, where: str, *, comma: bool) -> Row:
    path, label, split = (values.get(key, "") for key in ("path", "label", "split"))
    if not path or not label:
        raise StreamcamError(f"{where}: path or label is missing")
    start_s, end_s = (_seconds(values.get(key, ""), where, comma=comma) for key in ("start", "end"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise StreamcamError(f"{where}: expected 0 ≤ start < end, got {start_s or 0:g} and {end_s:g}")
    side = side_of(split)
    if split and side is None:
        raise StreamcamError(f"{where}: split is train, val or test, got {split!r}")
    return Row(_path(data, path), normalize("NFC", label), start_s, end_s, side)


def _seconds(text: str, where: str, *, comma: bool) -> float | None:
    """A cell → seconds: 12.5, 1:30 or 0:01:30.5 and, where columns are not separated by commas, 12,5."""
    if not text:
        return None
    plain = text.replace(",", ".") if comma else text
    if not _NUMBER.fullmatch(plain):
        raise StreamcamError(f"{where}: start and end are seconds, such as 12.5, or 1:30, got {text!r}")
    return sum(60.0**i * float(part) for i, part in enumerate(reversed(plain.split(":"))))


def _path(data: Path, text: str) -> Path:
    """Relative to the file; with the backslashes of Windows turned, where that is what is there."""
    path, turned = data.parent / text, data.parent / text.replace("\\", "/")
    if is_there(path):
        return path
    return turned if is_there(turned) else Path(text) if PureWindowsPath(text).drive else path


def require_files(paths: Sequence[Path], data: Path) -> None:
    """Find out whether any of the files is there.

    Raises:
        StreamcamError: not one is.
    """
    if any(is_there(path) for path in paths):
        return
    windows = bool(PureWindowsPath(paths[0]).drive)
    where = "a path of Windows: give it as it is here" if windows else f"paths are relative to {data.parent}"
    raise StreamcamError(f"no such file: {paths[0]} ({where}); none of the {len(paths)} files in {data} is there")
