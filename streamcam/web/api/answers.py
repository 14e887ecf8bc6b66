"""What the routes of cameras have in common: which camera is meant, answers of one line, bodies that go on."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from streamcam.transport.headers import Kind
from streamcam.web.hub import Camera, CameraMessage, Hub

WAIT_S = 2.0
"""How long a request waits for the first message of its camera."""
PRIVATE = {"Cache-Control": "no-store"}
"""What cameras show is kept by nobody on the way."""


class LiveResponse(Response):
    """A body that goes on until the client goes, or its source ends.

    Starlette's `StreamingResponse` finds out that the client has gone when it sends the next part, in some versions; a
    camera that is silent would keep it for ever.
    """

    def __init__(self, parts: Callable[[], AsyncGenerator[bytes]], *, media_type: str) -> None:
        """Take the parts; none is asked for before the last has left this program.

        Args:
            parts: opens the generator of parts; it is closed at the end.
            media_type: of the whole.
        """
        self._parts, self.status_code, self.background, self.body = parts, 200, None, b""
        # Nginx would collect parts until it has a few kB.
        self.init_headers({**PRIVATE, "Content-Type": media_type, "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            tasks = [asyncio.create_task(self._send_parts(send)), asyncio.create_task(_gone(receive))]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # raises what went wrong
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        await send({"type": "http.response.body", "body": b""})

    async def _send_parts(self, send: Send) -> None:
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def camera_of(hub: Hub, request: Request) -> Camera | Response:
    """Find the camera that a request's path names, or answer that there is none."""
    name = request.path_params["name"]
    camera = hub.cameras.get(name)
    if camera is not None:
        return camera
    if any(not endpoint.sources and endpoint.refused is None for endpoint in hub.endpoints):
        return problem(503, "a publisher has not said yet which cameras it has: try again in a second")
    names = sorted(hub.cameras)
    return problem(404, f"no camera has the name {name!r}: there are {', '.join(names) or 'none'}", cameras=names)


def problem(status: int, error: str, **more: object) -> Response:
    """Answer in one line what went wrong."""
    headers = {**PRIVATE, "Retry-After": "1"} if status == 503 else PRIVATE
    return JSONResponse({"error": error, **more}, status, headers)


async def newest(hub: Hub, camera: Camera, kind: Kind) -> CameraMessage | None:
    """Return the newest message of a kind; None where none comes within `WAIT_S`."""
    with hub.watch({(camera.id, kind)}) as watcher:
        end_s = asyncio.get_running_loop().time() + WAIT_S
        while (message := watcher.pop()) is None and not watcher.closed:
            left_s = end_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return None
            await watcher.wait(left_s)
        return message
