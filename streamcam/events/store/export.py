"""Copies events and their files into a folder or an archive, for other people and programs."""

import csv
import io
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from streamcam.errors import StreamcamError
from streamcam.events.event_json import encode_event
from streamcam.events.store.folders import StoredEvent, folder_of
from streamcam.files import complete_or_absent, require_fresh, staged

COLUMNS = (
    *("id", "started", "seconds", "source", "rule", "zone", "label", "peak", "reason", "kept", "size_bytes", "folder"),
)
TABLE = "events.csv"


def as_json(stored: StoredEvent) -> bytes:
    """Encode an event with `kept` and `size_bytes`, as one object on one line."""
    kept = "true" if stored.kept else "false"
    return encode_event(stored.event)[:-1] + f',"kept":{kept},"size_bytes":{stored.size_bytes}}}'.encode()


def csv_lines(events: Iterable[StoredEvent]) -> Iterator[str]:
    """Yield a line of names, and one for each event. Times are in UTC."""
    yield _csv_line(COLUMNS)
    for stored in events:
        event = stored.event
        started = event.started.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        what = (event.source, event.rule, event.zone or "", event.label, f"{event.peak:.4f}", event.reason or "")
        kept = "yes" if stored.kept else "no"
        yield _csv_line((event.id, started, f"{event.seconds:.3f}", *what, kept, stored.size_bytes, folder_of(event)))


def export(events: Sequence[StoredEvent], root: Path, out: Path) -> None:
    """Copy events: a folder for each, and a table of all.

    Args:
        events: of a store.
        root: the store's folder.
        out: a `.zip` file to write, or a folder that is empty or not there.

    Raises:
        StreamcamError: it cannot be written, or an event's files cannot be read. Nothing is left half-written.
    """
    table = "".join(csv_lines(events))
    if out.suffix.lower() == ".zip":
        with complete_or_absent(out) as partial:
            _write_zip(events, root, partial, table)
        return
    require_fresh(out, force=False)
    with staged(out) as hidden:
        for stored in events:
            (hidden / stored.event.id).mkdir()
            for source, name in _files(stored, root):
                shutil.copyfile(source, hidden / name)
        (hidden / TABLE).write_text(table, encoding="utf-8", newline="")


def _write_zip(events: Sequence[StoredEvent], root: Path, path: Path, table: str) -> None:
    """Write an archive without compression: a clip, a snapshot and heat are compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for stored in events:
            for source, name in _files(stored, root):
                archive.write(source, name)
        archive.writestr(TABLE, table)


def _files(stored: StoredEvent, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file of an event, and its name in what is exported."""
    for name in stored.event.files:
        source = root / folder_of(stored.event) / name
        if not source.is_file():
            raise StreamcamError(f"no such file: {source}; was event {stored.event.id} removed meanwhile?")
        yield source, f"{stored.event.id}/{name}"


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
