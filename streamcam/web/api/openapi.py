"""The OpenAPI document: every address of the server, and what it answers. It is at /api/openapi.json."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamcam.web.api.openapi_schemas import SCHEMAS, Schema, integer, number, ref, text, truth

DESCRIPTION = """\
What `streamcam web` offers to programs. Where a token is needed, send `Authorization: Bearer TOKEN`; without one, the
answer is 401, and 429 after too many wrong ones. A name may hold letters, digits, `.`, `_`, `-` and `@`.
"""
EVENT_STREAM = """\
With `Accept: text/event-stream`, Server-Sent Events: `result` with a Result, the newest each time, and `event` with an
Event, all of them. The id is the message's number. A comment comes after 15 s of silence.
"""
WEBSOCKET = """\
The page's WebSocket, subprotocol `streamcam.1`: the messages of the publishers as they are. It is described in
docs/reference/browser-protocol.md.
"""
_NAME: Schema = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_ID: Schema = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_KIND: Schema = {
    "name": "kind",
    "in": "query",
    "description": "painted, or the camera's own",
    "schema": {"type": "string", "enum": ["overlay", "frame"], "default": "overlay"},
}


def routes() -> list[Route]:
    """Return the route of the document."""

    async def described(_: Request) -> Response:
        return Response(encoded(), media_type="application/json")

    return [Route("/api/openapi.json", described)]


@cache
def encoded() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(document())


def document() -> Schema:
    """Return the document (OpenAPI 3.1)."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "streamcam web",
            "version": version("streamcam"),
            "summary": "What a video network sees, and where in space and time.",
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}, {"cookie": []}],
        "paths": {**_camera_paths(), **_event_paths(), **_zone_paths(), **_page_paths()},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "streamcam-PORT",
                    "description": "what /login gives; PORT is the server's",
                },
            },
        },
    }


def _camera_paths() -> dict[str, Schema]:
    gone = {404: "there is no such camera", 503: "nothing came within two seconds"}
    content = {"application/json": {"schema": ref("Result")}, "text/event-stream": {"schema": {"type": "string"}}}
    result: Schema = {"description": "the newest result", "content": content}
    return {
        "/api/cameras": {"get": _operation("All cameras.", "listCameras", _json("Cameras", "all cameras"))},
        "/api/results/{name}": {
            "get": _operation(
                "What the network says of a camera now.",
                "getResult",
                result,
                parameters=[_NAME],
                description=EVENT_STREAM,
                errors={**gone, 502: "the publisher's message is malformed"},
            )
        },
        "/cameras/{name}.jpg": {
            "get": _operation(
                "The newest picture of a camera.",
                "getPicture",
                _binary("image/jpeg", "the picture"),
                parameters=[_NAME, _KIND],
                errors={400: "the kind is unknown", **gone},
                empty={304: "it is the one that If-None-Match names"},
            )
        },
        "/cameras/{name}.mjpeg": {
            "get": _operation(
                "Pictures of a camera, one after the other.",
                "getPictures",
                _binary("multipart/x-mixed-replace; boundary=picture", "JPEG pictures, each with its Content-Length"),
                parameters=[_NAME, _KIND],
                errors={400: "the kind is unknown", **gone},
                description="A slow reader gets fewer and newer ones. While the camera is silent, nothing comes.",
            )
        },
    }


def _event_paths() -> dict[str, Schema]:
    filters = [
        *(_query(name, f"of this {name}") for name in ("source", "rule", "zone", "label")),
        _query("since", "that began at this moment or later", **_MOMENT),
        _query("until", "that began before this moment", **_MOMENT),
        {**_query("min_score", "whose highest score is at least"), "schema": number(minimum=0, maximum=1)},
        {**_query("kept", "that are kept, or are not"), "schema": truth()},
        {**_query("limit", "so many at most"), "schema": integer(minimum=1, maximum=500, default=50)},
        _query("before", "the `next` of an earlier answer"),
    ]
    none = {404: "there is no such event, or no --events FOLDER", 503: "the folder cannot be read"}
    download = _query("download", "to save it instead of showing it")
    part = _binary("application/octet-stream", "the part that Range asks for")
    return {
        "/api/events": {
            "get": _operation(
                "Saved events, the newest first.",
                "listEvents",
                _json("SavedEvents", "the events"),
                parameters=filters,
                errors={400: "a filter is not what it may be", **none},
            )
        },
        "/api/events/{id}": {
            "get": _operation(
                "One saved event, and those beside it among all that the filters let through.",
                "getEvent",
                _json("SavedEventBetween", "the event"),
                parameters=[_ID, *filters],
                errors={400: "a filter is not what it may be", **none},
            )
        },
        "/api/events/{id}/heat": {
            "get": _operation(
                "The heat of a saved event.",
                "getEventHeat",
                _binary("application/octet-stream", "one `result`, framed as on the WebSocket"),
                parameters=[_ID],
                errors=none,
            )
        },
        "/api/events/{id}/{file}": {
            "get": _operation(
                "A file of a saved event.",
                "getEventFile",
                _binary("*/*", "the file"),
                parameters=[_ID, {**_NAME, "name": "file"}, download],
                errors=none,
                more={206: part, 416: {"description": "there is no such part"}},
            )
        },
    }


def _zone_paths() -> dict[str, Schema]:
    body = {"required": True, "content": {"application/json": {"schema": ref("ZoneDrawn")}}}
    refused = {
        400: "the zone is not what it may be",
        403: "the server was started without --allow-edit",
        409: "the file has changed, or a rule uses the zone",
    }
    saved, unread = _json("Zones", "the zones of the file now"), {503: "the file cannot be read"}
    return {
        "/api/zones": {
            "get": _operation(
                "The zones and rules of the run's file.", "listZones", _json("Zones", "the zones"), errors=unread
            ),
            "post": _operation("Save a zone to the file.", "saveZone", saved, errors={**refused, **unread}, body=body),
        },
        "/api/zones/check": {
            "post": _operation(
                "Check a zone, and write it in YAML.",
                "checkZone",
                _json("ZoneChecked", "what is wrong with it, if anything"),
                errors={400: "it is no zone in JSON"},
                body=body,
            )
        },
        "/api/zones/{name}": {
            "delete": _operation(
                "Delete a zone that no rule uses from the file.",
                "deleteZone",
                saved,
                parameters=[_NAME, _query("version", "that of GET /api/zones")],
                errors={**refused, **unread},
            )
        },
    }


def _page_paths() -> dict[str, Schema]:
    html = _text("text/html", "the page")
    login = {"type": "object", "required": ["token"], "properties": {"token": text(format="password")}}
    form = {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": login}}}
    in_again = {303: "go to the page", 401: "the token is wrong", 429: "too many wrong tokens"}
    socket = _operation("The WebSocket.", "openWebSocket", None, description=WEBSOCKET, empty={101: "it is opened"})
    file = {**_NAME, "name": "file"}
    return {
        "/": {"get": _operation("The page.", "getPage", html)},
        "/page/{file}": {
            "get": _operation("A file of the page.", "getPageFile", _binary("*/*", "the file"), parameters=[file])
        },
        "/palette.json": {"get": _operation("The paint of heat.", "getPalette", _json("Palette", "256 colours"))},
        "/ws": {"get": socket},
        "/login": {
            "get": _open(_operation("The form that asks for the token.", "getLogin", html)),
            "post": _open(_operation("Log in.", "logIn", None, empty=in_again, body=form)),
        },
        "/logout": {"get": _open(_operation("Forget the cookie.", "logOut", None, empty={303: "go to /login"}))},
        "/healthz": {"get": _open(_operation("Whether the server lives.", "getHealth", _text("text/plain", "ok")))},
        "/api/openapi.json": {
            "get": _operation(
                "This document.",
                "getOpenApi",
                {"description": "the document", "content": {"application/json": {"schema": {"type": "object"}}}},
            )
        },
    }


_MOMENT = {"format": "date-time"}


def _query(name: str, description: str, **schema: object) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string", **schema}}


def _operation(
    summary: str,
    operation_id: str,
    success: Schema | None,
    *,
    parameters: list[Schema] | None = None,
    description: str = "",
    errors: Mapping[int, str] | None = None,
    empty: Mapping[int, str] | None = None,
    more: Mapping[int, Schema] | None = None,
    body: Schema | None = None,
) -> Schema:
    """Return an operation.

    Args:
        summary: in one sentence.
        operation_id: a name for generated code.
        success: the answer 200, if there is one.
        parameters: of the path and the query.
        description: what else is to be said.
        errors: by status: when there is an error in JSON.
        empty: by status: when there is an answer whose body means nothing.
        more: other answers.
        body: of the request.
    """
    answers = {} if success is None else {200: success}
    answers |= {code: _json("Error", when) for code, when in (errors or {}).items()}
    answers |= {code: {"description": when} for code, when in (empty or {}).items()}
    answers |= more or {}
    return {
        "summary": summary,
        "operationId": operation_id,
        **({"description": description} if description else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": {str(code): answer for code, answer in sorted(answers.items())},
    }


def _open(operation: Schema) -> Schema:
    """Return an operation that needs no token."""
    return {**operation, "security": []}


def _json(schema: str, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": ref(schema)}}}


def _text(media_type: str, description: str) -> Schema:
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def _binary(media_type: str, description: str) -> Schema:
    return {"description": description, "content": {media_type: {}}}
