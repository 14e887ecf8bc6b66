"""Prints for `streamcam events …`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from streamcam.cli.output.tables import table_console
from streamcam.errors import one_line
from streamcam.events.store.event_store import Size
from streamcam.events.store.export import as_json, csv_lines
from streamcam.events.store.folders import StoredEvent, folder_of
from streamcam.events.store.retention import Plan


def print_table(events: Sequence[StoredEvent], *, total: int) -> None:
    """Print a row for each event, and how many there are if these are not all."""
    if not events:
        print("no events")
        return
    table = Table()
    for column in ("began", "lasted", "source", "rule", "zone", "class", "peak", "kept", "size"):
        table.add_column(column, no_wrap=column == "began", justify="right" if column in ("lasted", "size") else "left")
    table.add_column("id", overflow="fold")
    for stored in events:
        table.add_row(*map(Text, _cells(stored)))
    console = table_console()
    console.print(table)
    if total > len(events):
        console.print(f"the newest {len(events)} of {total}: --limit shows more", highlight=False)


def _cells(stored: StoredEvent) -> list[str]:
    event = stored.event
    began = f"{event.started.astimezone():%Y-%m-%d %H:%M:%S}"
    what = (event.source, event.rule, event.zone or "–", event.label)
    peak, kept = f"{event.peak:.2f}", "yes" if stored.kept else ""
    texts = (began, f"{event.seconds:.1f} s", *what, peak, kept, _size(stored.size_bytes), event.id)
    return [one_line(text) for text in texts]


def print_json(events: Sequence[StoredEvent]) -> None:
    """Print an array with an object on each line."""
    lines = ",\n".join(as_json(stored).decode() for stored in events)
    print(f"[\n{lines}\n]" if lines else "[]")


def print_one_json(stored: StoredEvent) -> None:
    """Print one object."""
    print(as_json(stored).decode())


def print_csv(events: Sequence[StoredEvent]) -> None:
    """Print a line of names, and a line for each event."""
    for line in csv_lines(events):
        print(line, end="")


def print_event(stored: StoredEvent, folder: Path) -> None:
    """Print all of an event: a line for each thing that is known, and one for each file."""
    event, path = stored.event, folder / folder_of(stored.event)
    scores = ", ".join(f"{label} {score:.2f}" for label, score in event.scores.items())
    box = "" if event.box is None else ", ".join(f"{name} {value:.3f}" for name, value in event.box._asdict().items())
    lines = {
        "id": event.id,
        "began": f"{event.started.astimezone():%Y-%m-%d %H:%M:%S.%f %Z}",
        "lasted": f"{event.seconds:.2f} s{f', until it was {event.reason}' if event.reason else ''}",
        "source": f"{event.source}, session {event.session}",
        "rule": event.rule,
        "zone": event.zone or "the whole picture",
        "class": event.label,
        "peak": f"{event.peak:.3f} after {event.peak_pts_s - event.start_pts_s:.2f} s",
        "scores": scores,
        "box": box,
        "kept": "yes" if stored.kept else "no",
        "size": _size(stored.size_bytes),
        "folder": str(path),
    }
    for name, value in lines.items():
        if value:
            print(f"{name:<8}{one_line(value)}")
    for name in event.files:
        print(f"{'':<8}{name}")


def print_exported(events: Sequence[StoredEvent], out: Path) -> None:
    """Say what was copied to where."""
    print(f"{_events(len(events), sum(stored.size_bytes for stored in events))} in {one_line(str(out))}")


def print_plan(plan: Plan) -> None:
    """Print what would be removed, and which limits cannot be met."""
    for event in plan.remove:
        print(f"{event.id}  {_size(event.size_bytes)}")
    print(f"to remove: {_sizes(plan.remove)}")
    for why in plan.unmet:
        print(why, file=sys.stderr)


def print_removed(events: Sequence[Size]) -> None:
    """Say what was removed."""
    print(f"removed: {_sizes(events)}")


def _sizes(events: Sequence[Size]) -> str:
    return _events(len(events), sum(event.size_bytes for event in events))


def _events(count: int, size_bytes: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}, {_size(size_bytes)}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"
