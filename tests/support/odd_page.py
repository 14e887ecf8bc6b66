"""The server of `streamcam web` with an application that does not do well. It waits 1 s for a request, not 10.

/pictures never ends, /waiting says nothing more, /deaf does not listen for its end, /broken and /halfway fail.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from streamcam.web import http_protocol
from streamcam.web.guard.guard import Guard
from streamcam.web.server import run
from tests.support.page_server import TOKEN


async def health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def pictures(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)
            await asyncio.sleep(0.01)

    return StreamingResponse(parts())


async def waiting(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"wait"
        await asyncio.sleep(3600)

    return StreamingResponse(parts())


async def broken(_: Request) -> Response:
    raise ValueError("cannot reach rtsp://admin:hunter2@10.0.0.7/live\nwith more")


async def halfway(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a part"
        raise RuntimeError(f"in the middle, with {TOKEN}")

    return StreamingResponse(parts())


class Deaf:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(3600)


def main() -> None:
    http_protocol.HEADER_S = 1.0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    served = {"/healthz": health, "/pictures": pictures, "/waiting": waiting, "/broken": broken, "/halfway": halfway}
    routes = [Route(path, function) for path, function in served.items()] + [Route("/deaf", Deaf())]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"the page is at http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
        try:
            run(Guard(Starlette(routes=routes), None), listener, secrets=[TOKEN])
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
