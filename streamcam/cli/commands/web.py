"""The command for browsers: web."""

import os
import signal
from importlib.util import find_spec
from threading import Thread
from typing import Annotated, Any

import typer

from streamcam.child import await_end_of_parent
from streamcam.cli.options import options_of
from streamcam.config.load import make_web_config
from streamcam.config.run import DEFAULT_ENDPOINT
from streamcam.config.web import WebConfig
from streamcam.errors import StreamcamError


@options_of(WebConfig)
def web(
    endpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ENDPOINT…",
            help=f"where `streamcam run` publishes (default: {DEFAULT_ENDPOINT})",
            show_default=False,
        ),
    ] = None,
    *,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    **options: Any,
) -> None:
    """Watch cameras, heat and events in a browser."""
    config = make_web_config(options | {"endpoints": endpoints or None})
    if find_spec("uvicorn") is None or find_spec("starlette") is None or find_spec("websockets") is None:
        raise StreamcamError("the page needs the extra `web`: pip install 'streamcam[web]'")
    from streamcam.web.server import serve

    if with_parent:
        Thread(target=_end_with_parent, daemon=True).start()
    serve(config)


def _end_with_parent() -> None:
    await_end_of_parent()
    os.kill(os.getpid(), signal.SIGTERM)
