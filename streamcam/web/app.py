"""The application: which address is answered by what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from streamcam.config.host_port import split_host_port
from streamcam.config.web import WebConfig
from streamcam.render.canvas import FULL_SCORE, heat_paint
from streamcam.web.api import openapi, pictures, results, saved_events, zones
from streamcam.web.browser import serve_browser
from streamcam.web.feed import Feed
from streamcam.web.guard.access import Access
from streamcam.web.guard.guard import Guard
from streamcam.web.hub import Hub

if TYPE_CHECKING:
    from streamcam.web.rtsp.push import RtspOut

PAGE = Path(__file__).parent / "page"
SUBPROTOCOL = "streamcam.1"


def make_app(config: WebConfig) -> Guard:
    """Make the application of a configuration, guarded. Publishers are connected to when it starts.

    Raises:
        StreamcamError: an endpoint or a file cannot be used.
    """
    access = _access(config)
    hub = Hub(len(config.endpoints))
    feeds = [Feed(hub, number, endpoint, keys=config.keys) for number, endpoint in enumerate(config.endpoints)]
    pushing = _open_rtsp_out(hub, config.rtsp_out)
    greeting = {
        "type": "hello",
        "version": version("streamcam"),
        "events": config.events is not None,
        "zones": config.config is not None,
        "edit": config.allow_edit,
        "login": access is not None,
    }

    async def browser(socket: WebSocket) -> None:
        # A client gives up if it is told of a subprotocol that it has not offered.
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)
        await serve_browser(socket, hub, greeting)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        for feed in feeds:
            feed.start()
        pushes = None if pushing is None else asyncio.create_task(pushing.run())
        try:
            yield
        finally:
            hub.close()
            if pushes is not None:
                await pushes
            for feed in feeds:
                feed.close()

    app = Starlette(
        routes=[
            Route("/healthz", health),
            Route("/", index),
            Route("/palette.json", palette),
            WebSocketRoute("/ws", browser),
            *pictures.routes(hub),
            *results.routes(hub),
            *openapi.routes(),
            *saved_events.routes(config),
            *zones.routes(config),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        lifespan=life,
    )
    return Guard(app, access, tls=config.tls_cert is not None, behind_proxy=config.behind_proxy)


def _access(config: WebConfig) -> Access | None:
    token, secure = config.token(), config.tls_cert is not None or config.behind_proxy
    return None if token is None else Access(token, port=split_host_port(config.bind)[1], secure=secure)


def _open_rtsp_out(hub: Hub, url: str | None) -> "RtspOut | None":
    """Open what pushes overlays to an RTSP server, if that is asked for."""
    if url is None:
        return None
    from streamcam.web.rtsp.push import RtspOut  # it imports PyAV, which not every server needs

    return RtspOut(hub, url)


async def health(_: Request) -> Response:
    """Say that the server lives."""
    return PlainTextResponse("ok\n")


async def index(_: Request) -> Response:
    """Send the page."""
    return FileResponse(PAGE / "index.html")


async def palette(_: Request) -> Response:
    """Send the paint of heat, as overlays have it: 256 colours from no heat to full strength."""
    colours, hidden = heat_paint()
    return JSONResponse({"colours": colours.tolist(), "hidden": hidden.tolist(), "full_score": FULL_SCORE})
