"""Cameras and results as JSON, for programs that do not speak the wire's format.

    /api/cameras         all cameras: their state and how fast they are
    /api/results/NAME    the newest result; with `Accept: text/event-stream`, all that come, and all events

Described in full by /api/openapi.json. Results are decoded only while somebody asks, and once for all who do.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamcam.errors import StreamcamError
from streamcam.events.event_json import encode_event
from streamcam.transport.headers import Header
from streamcam.transport.messages import decode
from streamcam.transport.payloads import MessageError
from streamcam.web.api.answers import PRIVATE, LiveResponse, camera_of, newest, problem
from streamcam.web.api.result_json import encode_result_json, utc
from streamcam.web.hub import SILENT_S, Camera, CameraMessage, Hub

LATENCY_WAIT_S = 0.5
"""How long the list of cameras waits for the newest result of each. A publisher sends the last one again at once."""
KEEP_ALIVE_S = 15.0
"""A comment is sent after so long a silence: what lies between would take the connection for dead."""
EVENT_STREAM = "text/event-stream"
COUNTERS = ("frames", "windows", "results")


def routes(hub: Hub) -> list[Route]:
    """Return the routes of cameras and results."""
    results = _Results()

    async def cameras(_: Request) -> Response:
        newest_results = await _newest_results(hub)
        content = {
            "cameras": [_describe(camera, newest_results.get(camera.id)) for camera in hub.cameras.values()],
            "publishers": [{"number": e.number, "refused": e.refused} for e in hub.endpoints],
        }
        return Response(msgspec.json.encode(content), headers=PRIVATE, media_type="application/json")

    async def result(request: Request) -> Response:
        camera = camera_of(hub, request)
        if isinstance(camera, Response):
            return camera
        if EVENT_STREAM in request.headers.get("accept", ""):
            return LiveResponse(lambda: _events(hub, camera.id, results), media_type=EVENT_STREAM)
        message = await newest(hub, camera, "result")
        if message is None:
            return problem(503, f"camera {camera.id!r} gives no result")
        encoded = results.encode(message)
        if encoded is None:
            return problem(502, f"the result of camera {camera.id!r} is malformed")
        return Response(encoded, headers={**PRIVATE, "Vary": "Accept"}, media_type="application/json")

    return [Route("/api/cameras", cameras), Route("/api/results/{name}", result)]


class _Results:
    """The newest result of each camera as JSON."""

    def __init__(self) -> None:
        self._encoded: dict[str, tuple[CameraMessage, bytes | None]] = {}

    def encode(self, message: CameraMessage) -> bytes | None:
        """Encode a `result`; None if it is malformed."""
        known = self._encoded.get(message.camera)
        if known is None or known[0] is not message:
            try:
                encoded = encode_result_json(message.camera, message.raw)
            except MessageError:
                encoded = None
            known = self._encoded[message.camera] = message, encoded
        return known[1]


async def _events(hub: Hub, camera: str, results: _Results) -> AsyncGenerator[bytes]:
    """Yield Server-Sent Events: the newest result each time, and every event."""
    with hub.watch({(camera, "result"), (camera, "event")}) as watcher:
        yield b"retry: 2000\n\n"
        while not watcher.closed:
            message = watcher.pop()
            if message is None:
                silent_s = time.monotonic()
                await watcher.wait(KEEP_ALIVE_S)
                if time.monotonic() - silent_s >= KEEP_ALIVE_S:
                    yield b": keep-alive\n\n"
                continue
            header = message.raw.header
            data = results.encode(message) if header.kind == "result" else _event(message)
            if data is not None:
                yield b"event: %s\nid: %d\ndata: %s\n\n" % (header.kind.encode(), header.seq, data)


def _event(message: CameraMessage) -> bytes | None:
    """Encode an `event` as files and webhooks have it; None if it is malformed."""
    try:
        event = decode(message.raw.parts).event
        return None if event is None else encode_event(event).strip()
    except (MessageError, StreamcamError):
        return None


async def _newest_results(hub: Hub) -> dict[str, CameraMessage]:
    """Return the newest result of each camera that has one, by the camera's id."""
    cameras = hub.cameras.values()
    expected = {camera.id for camera in cameras if camera.status.get("results") != 0 and not _is_silent(camera)}
    found: dict[str, CameraMessage] = {}
    loop = asyncio.get_running_loop()
    end_s = loop.time() + LATENCY_WAIT_S
    with hub.watch({(camera, "result") for camera in expected}) as watcher:
        while expected - found.keys() and loop.time() < end_s and not watcher.closed:
            message = watcher.pop()
            if message is None:
                await watcher.wait(end_s - loop.time())
            else:
                found[message.camera] = message
    return found


def _describe(camera: Camera, result: CameraMessage | None) -> dict[str, object]:
    """Describe a camera. An address is at most in the reason, without its login."""
    silent, status, path = _is_silent(camera), camera.status, quote(camera.id)
    header = None if result is None else result.raw.header
    return {
        "id": camera.id,
        "source": camera.source,
        "publisher": camera.endpoint,
        "state": "silent" if silent else status.get("state", "connecting"),
        "reason": "its publisher says nothing" if silent else status.get("reason"),
        "fps": status.get("fps"),
        **{name: status.get(name) for name in COUNTERS},
        "drops": _drops(status),
        "latency_ms": None if header is None else _latency_ms(header),
        "last_result": None if header is None else utc(header.sent_ns),
        "links": {
            "picture": f"/cameras/{path}.jpg",
            "pictures": f"/cameras/{path}.mjpeg",
            "results": f"/api/results/{path}",
        },
    }


def _is_silent(camera: Camera) -> bool:
    return time.monotonic() - camera.heard_s > SILENT_S


def _drops(status: Mapping[str, object]) -> dict[str, object]:
    """Return the number of drops by stage."""
    prefix = "dropped_"
    return {key.removeprefix(prefix): count for key, count in status.items() if key.startswith(prefix)}


def _latency_ms(header: Header) -> float | None:
    """Return the time from the capture of a result's newest frame to its sending, by the publisher's clock."""
    return None if header.frame is None else round((header.sent_ns - header.frame.captured_ns) / 1e6, 1)
