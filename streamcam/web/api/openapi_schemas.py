"""The shapes of what the server answers, as JSON Schema for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, object]


def text(description: str = "", **more: object) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", **_described(description), **more}


def number(description: str = "", **more: object) -> Schema:
    """Return the schema of a number."""
    return {"type": "number", **_described(description), **more}


def integer(description: str = "", **more: object) -> Schema:
    """Return the schema of a whole number."""
    return {"type": "integer", **_described(description), **more}


def truth(description: str = "") -> Schema:
    """Return the schema of true and false."""
    return {"type": "boolean", **_described(description)}


def array(items: Mapping[str, object], description: str = "", **more: object) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": dict(items), **_described(description), **more}


def table(values: Mapping[str, object], description: str = "") -> Schema:
    """Return the schema of an object with any keys."""
    return {"type": "object", "additionalProperties": dict(values), **_described(description)}


def record(description: str = "", *, optional: tuple[str, ...] = (), **fields: Mapping[str, object]) -> Schema:
    """Return the schema of an object that has these fields, but for the optional ones always."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", **_described(description), "required": required, "properties": dict(fields)}


def or_null(schema: Mapping[str, object]) -> Schema:
    """Return the schema of the same or null."""
    kind = schema.get("type")
    return {**schema, "type": [kind, "null"]} if kind else {"anyOf": [dict(schema), {"type": "null"}]}


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _described(description: str) -> Schema:
    return {"description": description} if description else {}


_SHARE: dict[str, Any] = {"minimum": 0, "maximum": 1}
_UTC = {"format": "date-time"}

_DROPS = "how many were left out on the way, by stage"

_EVENT: dict[str, Any] = {
    "id": text("unique; sorts by time"),
    "state": text("how far the event is", enum=["start", "update", "end", "saved"]),
    "started": or_null(text("when it began, in UTC", **_UTC)),
    "peak_at": or_null(text("when the score was highest, in UTC", **_UTC)),
    "last_at": or_null(text("the moment of `pts_s`, in UTC", **_UTC)),
    "rule": text("the rule's name"),
    "source": text("the camera's name at its publisher"),
    "session": integer("it goes up when a camera was lost and came back"),
    "zone": or_null(text("the zone's name; null for the whole picture")),
    "label": text("the strongest of the rule's classes at the peak"),
    "start_pts_s": number("when it began: the stream's time in seconds"),
    "pts_s": number("what the record speaks of: the stream's time in seconds"),
    "start_ns": integer("when it began: Unix time in nanoseconds"),
    "score": number("now", **_SHARE),
    "peak": number("the highest so far", **_SHARE),
    "peak_pts_s": number("when that was: the stream's time in seconds"),
    "scores": table(number(), "the score of each of the rule's classes at the peak"),
    "box": or_null(ref("Box")),
    "tube": array(
        {"type": "array", "prefixItems": [number("pts_s"), ref("Box")], "minItems": 2, "maxItems": 2},
        "where the heat was over time",
    ),
    "camera_ns": or_null(integer("when it began by the camera's own clock: Unix time in nanoseconds")),
    "reason": or_null(text("why it ended: over, lost, ended, stopped or no results")),
    "folder": or_null(text("where its files are, below the folder of all events")),
    "files": array(text(), "the names of its files"),
}
"""Docs/reference/message-format.md explains each."""

_SAVED: dict[str, Any] = {
    "kept": truth("whether it is kept when space is needed"),
    "size_bytes": integer("the size of its files"),
}

_CLASS = record(
    index=integer("its number in the network"),
    label=text("its name"),
    score=number("its probability", **_SHARE),
    logit=number("what the network gives before the sigmoid or softmax"),
    box=or_null(ref("Box")),
)

_CAMERA = record(
    id=text("its name in addresses: NAME, or NAME@N where another publisher has one of that name"),
    source=text("its name at its publisher"),
    publisher=integer("the number of its publisher, from 0"),
    state=text(
        "what it does; `silent`: its publisher says nothing",
        enum=["connecting", "live", "stalled", "lost", "ended", "silent"],
    ),
    reason=or_null(text("why it is lost or silent")),
    fps=or_null(number("frames a second")),
    frames=or_null(integer("frames so far")),
    windows=or_null(integer("windows that were made of them")),
    results=or_null(integer("windows that the network has seen")),
    drops=table(integer(), _DROPS),
    latency_ms=or_null(number("from the capture of the newest result's frame to the result's sending")),
    last_result=or_null(text("when the newest result was sent, in UTC", **_UTC)),
    links=record(picture=text(), pictures=text(), results=text()),
)

_RESULT = record(
    camera=text("its id"),
    source=text("its name at its publisher"),
    session=integer("it goes up when the camera was lost and came back"),
    seq=integer("the message's number; a step of more than 1 means that some were lost"),
    pts_s=number("the newest frame of the window: the stream's time in seconds"),
    captured=or_null(text("when that frame was captured, in UTC", **_UTC)),
    captured_ns=integer("the same: Unix time in nanoseconds"),
    timings_ms=table(number(), "how long each stage took"),
    drops=table(integer(), _DROPS),
    model=text("the network's name"),
    model_hash=text("the first 12 hexadecimal digits of the SHA-256 of its weights"),
    clip_pts_s=array(number(), "the window's first and last frame, in seconds", minItems=2, maxItems=2),
    heat_pts_s=number("the moment that the boxes speak of, in seconds"),
    lookahead_s=number("so many seconds after a moment, the network can first say anything about it"),
    classes=array(ref("Class"), "the highest score first"),
)

_POLYGON = array(array(number(**_SHARE), minItems=2, maxItems=2), "its corners: [x, y]", minItems=3)
_ZONE = record(
    name=text(), source=or_null(text("its camera; null for all")), polygon=_POLYGON, rules=array(text(), "what uses it")
)
_ZONE_DRAWN = record(
    "A zone that was drawn.",
    optional=("source", "replaces", "version"),
    name=text(),
    polygon=_POLYGON,
    source=or_null(text("its camera; null for all")),
    replaces=or_null(text("the zone whose place it takes")),
    version=or_null(text("that of GET /api/zones: a file that is another by now is not changed")),
)

SCHEMAS: dict[str, Schema] = {
    "Box": array(number(), "left, top, right and bottom of the hottest region, as fractions", minItems=4, maxItems=4),
    "Camera": _CAMERA,
    "Cameras": record(
        cameras=array(ref("Camera")),
        publishers=array(record(number=integer("from 0"), refused=or_null(text("why it refuses this server")))),
    ),
    "Class": _CLASS,
    "Error": record(
        "What went wrong.",
        optional=("cameras",),
        error=text("one line for people"),
        cameras=array(text(), "the names that there are"),
    ),
    "Event": record("docs/reference/message-format.md explains the fields.", **_EVENT),
    "Palette": record(
        colours=array(array(integer()), "256 colours [red, green, blue], from no heat to full strength"),
        hidden=array(number(), "how much of the picture each hides"),
        full_score=number("the score from which heat is painted at full strength"),
    ),
    "Result": _RESULT,
    "SavedEvent": record(**_EVENT, **_SAVED),
    "SavedEventBetween": record(
        **_EVENT,
        **_SAVED,
        older=or_null(text("the id of the one before")),
        newer=or_null(text("the id of the one after")),
    ),
    "SavedEvents": record(
        optional=("total", "values"),
        events=array(ref("SavedEvent"), "the newest first"),
        next=or_null(text("give it as `before` to get the next ones")),
        total=integer("how many there are; on the first page only"),
        values=table(array(text()), "what filters can be: sources, rules, zones, labels; on the first page only"),
    ),
    "ZoneChecked": record(
        ok=truth(), problem=or_null(text("what is wrong")), yaml=text("what `streamcam run --config` reads")
    ),
    "ZoneDrawn": _ZONE_DRAWN,
    "Zones": record(
        file=or_null(text("the file's name")),
        edit=truth("whether zones can be saved"),
        version=or_null(text("of the file's content")),
        zones=array(_ZONE),
        rules=array({"type": "object"}, "the rules for events"),
    ),
}
