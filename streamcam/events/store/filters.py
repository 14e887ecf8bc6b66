"""Which events to find in a folder's index."""

from datetime import UTC, datetime
from typing import TypedDict

MAX_INTEGER = 2**63 - 1
"""SQLite has no larger ones."""


class Filters(TypedDict, total=False):
    """Which events to find: those for which all of these hold."""

    id: str | None
    rule: str | None
    source: str | None
    zone: str | None
    label: str | None
    since: datetime | None
    """It began at this moment, which has a time zone, or later."""
    until: datetime | None
    """It began before this moment."""
    min_score: float | None
    """Its peak is at least this."""
    kept: bool | None
    before: tuple[int, str] | None
    """It comes before the event with this `start_ns` and id, in the order of these two."""
    after: tuple[int, str] | None


_CONDITIONS = {
    "id": "id = ?",
    "rule": "rule = ?",
    "source": "source = ?",
    "zone": "zone = ?",
    "label": "label = ?",
    "since": "start_ns >= ?",
    "until": "start_ns < ?",
    "min_score": "peak >= ?",
    "kept": "kept = ?",
    "before": "(start_ns, id) < (?, ?)",
    "after": "(start_ns, id) > (?, ?)",
}


def where(filters: Filters) -> tuple[str, list[object]]:
    """Return the clause of a query in SQL, empty where there is no filter, and its values."""
    given = {name: value for name, value in filters.items() if value is not None}
    conditions = [_CONDITIONS[name] for name in given]
    values: list[object] = []
    for value in given.values():
        values += value if isinstance(value, tuple) else [_nanoseconds(value) if isinstance(value, datetime) else value]
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", values


def _nanoseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    nanoseconds = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    return max(-MAX_INTEGER, min(MAX_INTEGER, nanoseconds))
