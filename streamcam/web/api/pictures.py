"""Pictures of cameras for whatever shows JPEG: a browser's <img>, a smart home, a script.

    /cameras/NAME.jpg      the newest picture
    /cameras/NAME.mjpeg    one after the other, as multipart/x-mixed-replace; a slow reader gets fewer and newer ones

Both are overlays; with `?kind=frame`, they are the camera's own pictures. The bytes are those that the publisher sent.
"""

from collections.abc import AsyncGenerator
from typing import Literal, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamcam.transport.messages import RawMessage
from streamcam.web.api.answers import PRIVATE, LiveResponse, camera_of, newest, problem
from streamcam.web.hub import Hub

PictureKind = Literal["overlay", "frame"]
KINDS = ("overlay", "frame")
BOUNDARY = "picture"


def routes(hub: Hub) -> list[Route]:
    """Return the routes of pictures."""

    async def picture(request: Request) -> Response:
        camera, kind = camera_of(hub, request), _kind_of(request)
        if isinstance(camera, Response):
            return camera
        if isinstance(kind, Response):
            return kind
        message = await newest(hub, camera, kind)
        jpeg = message and jpeg_of(message.raw)
        if message is None or jpeg is None:
            return problem(503, f"camera {camera.id!r} gives no picture")
        header = message.raw.header
        tag = f'"{header.publisher}-{kind}-{header.seq}"'
        headers = {**PRIVATE, "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(jpeg, headers=headers, media_type="image/jpeg")

    async def pictures(request: Request) -> Response:
        camera, kind = camera_of(hub, request), _kind_of(request)
        if isinstance(camera, Response):
            return camera
        if isinstance(kind, Response):
            return kind
        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return LiveResponse(lambda: _parts(hub, camera.id, kind), media_type=media_type)

    return [Route("/cameras/{name}.jpg", picture), Route("/cameras/{name}.mjpeg", pictures)]


async def _parts(hub: Hub, camera: str, kind: PictureKind) -> AsyncGenerator[bytes]:
    """Yield a part for each picture, from its head to the boundary that ends it: only with that, browsers show it."""
    with hub.watch({(camera, kind)}) as watcher:
        yield f"--{BOUNDARY}\r\n".encode()
        async for message in watcher.messages():
            jpeg = jpeg_of(message.raw)
            if jpeg is not None:
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                yield b"".join((head.encode(), jpeg, f"\r\n--{BOUNDARY}\r\n".encode()))


def jpeg_of(raw: RawMessage) -> bytes | None:
    """Return the JPEG of a message; None if it has none."""
    payloads = zip(raw.header.payloads, raw.parts[2:], strict=False)
    jpeg = next((body for info, body in payloads if info.name == "image"), None)
    return jpeg if jpeg is not None and jpeg.startswith(b"\xff\xd8") else None


def _kind_of(request: Request) -> PictureKind | Response:
    kind = request.query_params.get("kind", "overlay")
    if kind not in KINDS:
        return problem(400, f"expected kind={' or kind='.join(KINDS)}, got {kind[:40]!r}")
    return cast(PictureKind, kind)
