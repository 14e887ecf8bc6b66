"""`/api/events`: what a folder of saved events has, and the files of each event."""

import json
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from streamcam.config.web import WebConfig
from streamcam.errors import StreamcamError, one_line
from streamcam.events.store.event_store import EventStore, NoEventError
from streamcam.events.store.export import as_json
from streamcam.events.store.filters import MAX_INTEGER, Filters
from streamcam.events.store.folders import PART, REMOVED, StoredEvent, folder_of
from streamcam.events.store.index import INDEX
from streamcam.web.api.event_heat import event_heat
from streamcam.web.guard.replies import problem

MAX_EVENTS, USUAL_EVENTS = 500, 50
"""Events in one answer."""

HEAT = "heat.npz"
"""An event's heat, among its files."""

MEDIA_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".json": "application/json", ".npz": "application/x-npz"}
"""Of files that streamcam writes. All others are saved and never shown."""


_ID = re.compile(r"[0-9]{8}[A-Za-z0-9_.-]{1,192}")


class _BadQueryError(StreamcamError):
    """What is asked for is nothing that can be found."""


def routes(config: WebConfig) -> list[Route]:
    """Make the routes.

    Raises:
        StreamcamError: the folder of events or its index cannot be used.
    """
    if config.events is None:
        return [Route("/api/events", _no_folder), Route("/api/events/{path:path}", _no_folder)]
    events = _SavedEvents(config.events)
    events.open()
    return [
        Route("/api/events", events.list),
        Route("/api/events/{id}", events.one),
        Route("/api/events/{id}/heat", events.heat),
        Route("/api/events/{id}/{file}", events.file),
    ]


async def _no_folder(_: Request) -> Response:
    return problem(404, "no events are kept here: start `streamcam web` with --events FOLDER, that of `event_files`")


class _SavedEvents:
    """Answers requests about a folder of events. SQLite and files are read in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store: EventStore | None = None
        self._opened: tuple[int, int] | None = None
        self._lock = Lock()

    def open(self) -> EventStore:
        """Return the folder's store. It is opened anew where its index is another file by now.

        Raises:
            StreamcamError: the folder or its index cannot be used.
        """
        with self._lock:
            if self._store is not None and self._identity() != self._opened:
                self._store.close()
                self._store = None
            if self._store is None:
                self._store = EventStore(self._folder, create=False)
                self._opened = self._identity()
            return self._store

    def _identity(self) -> tuple[int, int] | None:
        with suppress(OSError):
            found = (self._folder / INDEX).stat()
            return found.st_dev, found.st_ino
        return None

    async def list(self, request: Request) -> Response:
        """List events, the newest first."""
        return await _answered(lambda: self._list(_Query(request)))

    async def one(self, request: Request) -> Response:
        """Describe an event, and name those before and after it among all that the query lets through."""
        return await _answered(lambda: self._one(request.path_params["id"], _Query(request)))

    async def heat(self, request: Request) -> Response:
        """Send an event's heat as one message."""
        return await _answered(lambda: self._heat(request.path_params["id"]))

    async def file(self, request: Request) -> Response:
        """Send a file of an event, or a part of it."""
        name, wanted = request.path_params["file"], "download" in request.query_params
        return await _answered(lambda: self._file(request.path_params["id"], name, download=wanted))

    def _list(self, query: "_Query") -> Response:
        store, limit = self.open(), query.limit
        found = store.find(limit=limit + 1, **query.filters)
        events, more = found[:limit], len(found) > limit
        content: dict[str, Any] = {
            "events": [_described(stored) for stored in events],
            "next": _cursor(events[-1]) if more else None,
        }
        if "before" not in query.filters:
            content |= {"total": store.count(**query.filters), "values": store.values()}
        return JSONResponse(content)

    def _one(self, event_id: str, query: "_Query") -> Response:
        store, stored = self.open(), self._get(event_id)
        place = (stored.event.start_ns, stored.event.id)
        older = _first(store, query.filters | {"before": place})
        newer = _first(store, query.filters | {"after": place}, oldest_first=True)
        return JSONResponse(_described(stored) | {"older": older, "newer": newer})

    def _heat(self, event_id: str) -> Response:
        event = self._get(event_id).event
        path = self._path(event_id, HEAT)
        return Response(event_heat(path, event), media_type="application/octet-stream")

    def _file(self, event_id: str, name: str, *, download: bool) -> Response:
        path = self._path(event_id, name)
        media_type = MEDIA_TYPES.get(path.suffix.lower())
        saved_as = f"{event_id}-{name}" if download or media_type is None else None
        return FileResponse(path, media_type=media_type or "application/octet-stream", filename=saved_as)

    def _get(self, event_id: str) -> StoredEvent:
        store = self.open()
        found = store.find(id=event_id, limit=1)
        if not found and self._has_folder(event_id):  # its row is written a little later
            store.repair()
            found = store.find(id=event_id, limit=1)
        if not found:
            raise NoEventError(f"there is no event {one_line(event_id)[:200]!r}")
        return found[0]

    def _has_folder(self, event_id: str) -> bool:
        """Whether there is a complete folder of an event, by the date in its id."""
        if not _ID.fullmatch(event_id) or event_id.endswith((PART, REMOVED)):
            return False
        return (self._folder / event_id[:4] / event_id[4:6] / event_id[6:8] / event_id).is_dir()

    def _path(self, event_id: str, name: str) -> Path:
        """Return where a file is. Only the names of its record are files of an event, and links are none."""
        event = self._get(event_id).event
        path = self._folder / folder_of(event) / name
        if name not in event.files:
            raise NoEventError(f"event {event_id} has no file {one_line(name)[:200]!r}: {', '.join(event.files)}")
        with suppress(OSError):
            if stat.S_ISREG(os.lstat(path).st_mode):
                return path
        raise NoEventError(f"the file {name} of event {event_id} is not there any more")


class _Query:
    """What a request asks for, checked."""

    def __init__(self, request: Request) -> None:
        """Read the query.

        Raises:
            StreamcamError: a key is unknown, or a value is not what it may be.
        """
        self._given = {key: value for key, value in request.query_params.items() if value}
        readers: dict[str, Callable[[str], object]] = {
            **dict.fromkeys(("source", "rule", "zone", "label"), lambda value: value),
            **dict.fromkeys(("since", "until"), _moment),
            "min_score": _score,
            "kept": _truth,
            "before": _place,
        }
        if unknown := sorted(self._given.keys() - readers.keys() - {"limit"}):
            raise _BadQueryError(f"unknown: {one_line(unknown[0])[:60]!r} (there are {', '.join(readers)}, limit)")
        self.filters: Filters = {  # type: ignore[assignment]
            key: self._read(key, read) for key, read in readers.items() if key in self._given
        }
        self.limit = int(str(self._read("limit", _limit))) if "limit" in self._given else USUAL_EVENTS

    def _read(self, key: str, read: Callable[[str], object]) -> object:
        try:
            return read(self._given[key])
        except ValueError as e:
            raise _BadQueryError(f"{key}: {e}, got {one_line(self._given[key])[:60]!r}") from None


def _moment(value: str) -> datetime:
    with suppress(ValueError):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment
    raise ValueError("expected a moment such as 2026-11-30T17:22:09Z")


def _score(value: str) -> float:
    with suppress(ValueError):
        if 0 <= float(value) <= 1:
            return float(value)
    raise ValueError("expected a number from 0 to 1")


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("expected true or false")
    return value == "true"


def _limit(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 5 and 1 <= int(value) <= MAX_EVENTS):
        raise ValueError(f"expected a number from 1 to {MAX_EVENTS}")
    return int(value)


def _place(value: str) -> tuple[int, str]:
    start_ns, _, event_id = value.partition("-")
    if not (start_ns.isascii() and start_ns.isdigit() and len(start_ns) < 20 and event_id):
        raise ValueError("expected `next` of an earlier answer")
    return min(int(start_ns), MAX_INTEGER), event_id


def _cursor(stored: StoredEvent) -> str:
    return f"{stored.event.start_ns}-{stored.event.id}"


def _first(store: EventStore, filters: Filters, *, oldest_first: bool = False) -> str | None:
    found = store.find(limit=1, oldest_first=oldest_first, **filters)
    return found[0].event.id if found else None


def _described(stored: StoredEvent) -> dict[str, Any]:
    """Describe an event for a browser: the record, whether it is kept, and the size of its files."""
    content: dict[str, Any] = json.loads(as_json(stored))
    return content


async def _answered(answer: Callable[[], Response]) -> Response:
    """Answer in a thread, and say in one line what cannot be done."""
    try:
        return await run_in_threadpool(answer)
    except _BadQueryError as e:
        return problem(400, str(e))
    except NoEventError as e:
        return problem(404, str(e))
    except StreamcamError as e:
        return problem(503, str(e))
