"""`/api/zones`: the zones and rules of a file of `streamcam run`, without its cameras' addresses."""

from typing import Annotated, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streamcam.config.web import WebConfig
from streamcam.errors import StreamcamError, one_line
from streamcam.web.api.zone_file import ZoneConflictError, ZoneFile, Zones, problem_with, read_zones, rounded, zone_text
from streamcam.web.guard.replies import problem

MAX_BODY_BYTES = 64 * 1024

Text = Annotated[str, msgspec.Meta(max_length=200)]


class _Zone(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser sends, as JSON."""

    name: Text
    polygon: Annotated[list[tuple[float, float]], msgspec.Meta(max_length=1000)]
    source: Text | None = None
    replaces: Text | None = None
    """The zone whose place it takes."""
    version: Text | None = None
    """Of the file, as `GET /api/zones` told it: another one is not changed."""


def routes(config: WebConfig) -> list[Route]:
    """Make the routes.

    Raises:
        StreamcamError: the file cannot be read, or a zone or rule in it has a mistake.
    """
    if config.config is not None:
        read_zones(config.config)
    zones = _Zones(config)
    return [
        Route("/api/zones", zones.all, methods=["GET"]),
        Route("/api/zones", zones.save, methods=["POST"]),
        Route("/api/zones/check", zones.check, methods=["POST"]),
        Route("/api/zones/{name}", zones.delete, methods=["DELETE"]),
    ]


class _Zones:
    """Answers requests about zones."""

    def __init__(self, config: WebConfig) -> None:
        self._path, self._edit = config.config, config.allow_edit
        self._file = None if config.config is None else ZoneFile(config.config)

    async def all(self, _: Request) -> Response:
        """List the zones and rules; without a file there are none."""
        if self._path is None:
            return JSONResponse({"file": None, "edit": False, "version": None, "zones": [], "rules": []})
        try:
            zones = await run_in_threadpool(read_zones, self._path)
        except StreamcamError as e:
            return _failed(e, 503)
        about = {"file": self._path.name, "edit": self._edit, "version": zones.version}
        return JSONResponse(about | described(zones))

    async def check(self, request: Request) -> Response:
        """Say what is wrong with a zone, and write it in YAML."""
        try:
            zone = await _zone(request)
        except StreamcamError as e:
            return _failed(e, 400)
        polygon = rounded(zone.polygon)
        wrong = problem_with(zone.name, polygon, zone.source)
        text = "" if wrong else f"zones:\n  {zone.name}: {zone_text(polygon, zone.source)}\n"
        return JSONResponse({"ok": wrong is None, "problem": wrong, "yaml": text})

    async def save(self, request: Request) -> Response:
        """Save a zone to the file."""
        try:
            zone = await _zone(request)
            file = self._editable()
            corners = rounded(zone.polygon)
            about = {"replaces": zone.replaces, "version": zone.version}
            await run_in_threadpool(lambda: file.save(zone.name, corners, zone.source, **about))
        except StreamcamError as e:
            return _failed(e, 400)
        return await self.all(request)

    async def delete(self, request: Request) -> Response:
        """Delete a zone from the file."""
        try:
            file, version = self._editable(), request.query_params.get("version")
            await run_in_threadpool(lambda: file.delete(request.path_params["name"], version=version))
        except StreamcamError as e:
            return _failed(e, 400)
        return await self.all(request)

    def _editable(self) -> ZoneFile:
        if self._file is None or not self._edit:
            raise _ForbiddenError("zones are not saved here: start `streamcam web` with --config FILE --allow-edit")
        return self._file


class _ForbiddenError(StreamcamError):
    """Whoever runs the server has not allowed it."""


def described(zones: Zones) -> dict[str, Any]:
    """Describe zones and rules for a browser."""
    return {
        "zones": [
            {"name": name, "source": zone.source, "polygon": zone.polygon, "rules": zones.rules_of(name)}
            for name, zone in zones.zones.items()
        ],
        "rules": [
            {"name": name, "off": rule.off_at} | rule.model_dump(mode="json", by_alias=True, exclude={"off"})
            for name, rule in zones.rules.items()
        ],
    }


async def _zone(request: Request) -> _Zone:
    """Read a request's JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise StreamcamError("expected JSON: send it with Content-Type: application/json")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise StreamcamError(f"expected at most {MAX_BODY_BYTES >> 10} KiB of JSON")
    try:
        return msgspec.json.decode(body, type=_Zone)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as e:
        raise StreamcamError(f"not a zone in JSON: {one_line(str(e))}") from e


def _failed(error: StreamcamError, status: int) -> Response:
    """Answer with an error in one line."""
    kinds = {_ForbiddenError: 403, ZoneConflictError: 409}
    return problem(kinds.get(type(error), status), str(error))
