"""Starts the page of a run, `streamcam web`, as a process of its own."""

import os
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from streamcam.child import start_child
from streamcam.config.host_port import split_host_port
from streamcam.config.run import RunConfig
from streamcam.config.web import DEFAULT_BIND
from streamcam.errors import StreamcamError


def require_page() -> None:
    """Check that the packages of the extra `web` are installed, and that the page's port is free.

    Raises:
        StreamcamError: one is missing, or the port is in use.
    """
    if any(find_spec(package) is None for package in ("starlette", "uvicorn", "websockets")):
        raise StreamcamError("web needs more packages: pip install 'streamcam[web]'")
    try:
        socket.create_server(split_host_port(DEFAULT_BIND)).close()
    except OSError as e:
        raise StreamcamError(
            f"cannot serve the page at {DEFAULT_BIND}: {os.strerror(e.errno or 0)}; "
            "leave out web, and start `streamcam web ENDPOINT --bind` with another port"
        ) from None


def start_page(endpoint: str, config: RunConfig, *, file: Path | None = None) -> subprocess.Popen[bytes]:
    """Start the page of a run; `stop_child` ends it.

    Args:
        endpoint: where the run publishes.
        config: of the run.
        file: the configuration's file, whose zones are shown.
    """
    folder = None if config.event_files is None else config.event_files.folder
    given = {"--keys": config.keys, "--events": folder, "--config": file if config.zones else None}
    options = [text for name, path in given.items() if path is not None for text in (name, str(path))]
    return start_child(["web", endpoint, *options])
